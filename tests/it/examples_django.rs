//! `examples/django-helpdesk`: the real helpdesk, the real broker and service, the simulator as X.

use std::path::Path;

use reqwest::header::{COOKIE, HeaderMap, SET_COOKIE};
use serde_json::Value;
use simulator::{Endpoint, Fault, FaultKind, Form, NewPost, NewUser, PostId, UserId};
use tokio::net::TcpSocket;

use crate::support::address::kept_port;
use crate::support::broker::{client, eventually};
use crate::support::browser::{Browser, LIGHT};
use crate::support::python::{Example, Program};
use crate::support::service::{ACME, INBOX, Setup, TestService};

const AGENT: (&str, &str) = ("jo", "the password of jo");

/// The helpdesk with an agent, and the bridge while it runs.
struct Helpdesk {
    url: String,
    bridge: Option<Program>,
    _web: Program,
    _kept: TcpSocket,
    example: Example,
}

impl Helpdesk {
    async fn start(broker_url: &str) -> Self {
        let ((kept, port), example) = (kept_port(), Example::named("django-helpdesk"));
        let address = format!("127.0.0.1:{port}");
        let folder = example.folder().display().to_string();
        let example = example
            .set("AMQP_URL", broker_url)
            .set("DESK_DATABASE", format!("{folder}/desk.sqlite3"))
            .set("DESK_MEDIA", format!("{folder}/media"));
        example.run(&["manage.py", "migrate"]).await;
        let agent = ["manage.py", "xagent", AGENT.0, AGENT.1];
        example.run(&agent).await;
        let mut desk = Self {
            url: format!("http://{address}"),
            bridge: None,
            _kept: kept,
            _web: example.start(&["manage.py", "runserver", "--noreload", &address]),
            example,
        };
        desk.start_bridge();
        let url = format!("{}/login/", desk.url);
        let up = async || client().get(&url).send().await.ok().map(drop);
        eventually("the helpdesk answers", up).await;
        desk
    }

    fn start_bridge(&mut self) {
        self.bridge = Some(self.example.start(&["manage.py", "xbridge"]));
    }

    fn database(&self) -> rusqlite::Connection {
        let path = self.example.folder().join("desk.sqlite3");
        rusqlite::Connection::open(path).unwrap()
    }

    /// All tickets with their follow-ups, as django-helpdesk's own API has them.
    async fn tickets(&self) -> Vec<Value> {
        let url = format!("{}/api/tickets/", self.url);
        let call = client().get(url).basic_auth(AGENT.0, Some(AGENT.1));
        let answer = call.send().await.unwrap().error_for_status().unwrap();
        let mut page: Value = answer.json().await.unwrap();
        serde_json::from_value(page["results"].take()).unwrap()
    }

    /// Waits for the only ticket to have a follow-up whose title begins so.
    async fn ticket_with(&self, title: &str) -> Value {
        let has = async || {
            let mut tickets = self.tickets().await;
            let found = tickets
                .first()
                .is_some_and(|it| titled(it, title).is_some());
            found.then(|| {
                assert_eq!(tickets.len(), 1, "{tickets:#?}");
                tickets.remove(0)
            })
        };
        eventually(&format!("a ticket with {title:?}"), has).await
    }

    /// The agent logs in and updates a ticket by the form of its page.
    async fn respond(&self, ticket: &Value, comment: &str, public: bool, status: &str) {
        let (login, http) = (format!("{}/login/", self.url), no_redirects());
        let page = http.get(&login).send().await.unwrap();
        let cookies = cookies(page.headers());
        let token = csrf(&page.text().await.unwrap());
        let fields = [("username", AGENT.0), ("password", AGENT.1)];
        let fields = fields.into_iter().chain([("csrfmiddlewaretoken", &*token)]);
        let sent = http
            .post(&login)
            .header(COOKIE, cookies)
            .form(&fields.collect::<Vec<_>>());
        let answer = sent.send().await.unwrap();
        assert_eq!(answer.status(), 302, "the login");
        let cookies = self::cookies(answer.headers());
        let url = format!("{}/tickets/{}/", self.url, ticket["id"]);
        let page = http.get(&url).header(COOKIE, &cookies).send().await;
        let token = csrf(&page.unwrap().text().await.unwrap());
        let (queue, title) = (
            ticket["queue"].to_string(),
            ticket["title"].as_str().unwrap(),
        );
        let mut fields = vec![
            ("csrfmiddlewaretoken", &*token),
            ("comment", comment),
            ("new_status", status),
            ("queue", &queue),
            ("title", title),
            ("priority", "3"),
        ];
        fields.extend(public.then_some(("public", "1")));
        let sent = http
            .post(format!("{url}update/"))
            .header(COOKIE, cookies)
            .form(&fields);
        assert_eq!(sent.send().await.unwrap().status(), 302, "the follow-up");
    }
}

fn no_redirects() -> reqwest::Client {
    let none = reqwest::redirect::Policy::none();
    let _made_before = client();
    reqwest::Client::builder().redirect(none).build().unwrap()
}

fn cookies(headers: &HeaderMap) -> String {
    let set = headers.get_all(SET_COOKIE).iter();
    let pairs = set.filter_map(|cookie| cookie.to_str().unwrap().split(';').next());
    pairs.collect::<Vec<_>>().join("; ")
}

fn csrf(page: &str) -> String {
    let (_, rest) = page
        .split_once("name=\"csrfmiddlewaretoken\" value=\"")
        .unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

/// The newest follow-up of a ticket whose title begins so.
fn titled<'a>(ticket: &'a Value, title: &str) -> Option<&'a Value> {
    let follow_ups = ticket["followup_set"].as_array().unwrap().iter();
    let mut fitting = follow_ups.filter(|it| it["title"].as_str().unwrap().starts_with(title));
    fitting.next_back()
}

fn count(ticket: &Value, title: &str) -> usize {
    let follow_ups = ticket["followup_set"].as_array().unwrap().iter();
    let fitting = follow_ups.filter(|it| it["title"].as_str().unwrap().starts_with(title));
    fitting.count()
}

fn comment(follow_up: &Value) -> &str {
    follow_up["comment"].as_str().unwrap()
}

/// A service whose inbox is there, with a helpdesk behind it.
async fn start() -> (TestService, Helpdesk, UserId) {
    let service = TestService::start(Setup::new()).await;
    service.settled().await;
    let desk = Helpdesk::start(&service.broker.url()).await;
    let ann = service.add_user(NewUser {
        name: "Ann Meyer".to_owned(),
        ..NewUser::named("ann")
    });
    (service, desk, ann)
}

fn answers(service: &TestService) -> Vec<String> {
    let posts = service.simulator.posts_by(ACME).into_iter();
    posts.map(|post| post.text).collect()
}

fn ask(service: &TestService, ann: UserId) -> PostId {
    service.post(NewPost::by(ann, "@acme my parcel 4711 is late"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mention_becomes_a_ticket_and_the_public_answer_of_an_agent_a_post() {
    let (mut service, desk, ann) = start().await;
    let question = ask(&service, ann);
    let ticket = desk.ticket_with("Ann Meyer (@ann) wrote at X").await;
    assert_eq!(ticket["title"], "@acme my parcel 4711 is late");
    assert_eq!(ticket["submitter_email"], format!("{ann}@x.invalid"));
    let first = titled(&ticket, "Ann").unwrap();
    assert!(first["public"].as_bool().unwrap());
    let link = format!("https://x.com/i/status/{question}");
    assert!(comment(first).contains(&link), "{first}");

    desk.respond(&ticket, "She is a regular, be kind", false, "1")
        .await;
    desk.respond(&ticket, "It leaves today & arrives tomorrow.", true, "3")
        .await;
    let ticket = desk.ticket_with("Posted at X").await;
    let posts = service.simulator.posts_by(ACME);
    assert_eq!(answers(&service), ["It leaves today & arrives tomorrow."]);
    assert_eq!(posts[0].parent, Some(question));
    let outcome = titled(&ticket, "Posted at X").unwrap();
    assert_eq!(outcome["public"], false);
    assert!(
        comment(outcome).contains(&posts[0].id.to_string()),
        "{outcome}"
    );

    // More of the conversation is of the same ticket, and opens it again.
    service.post(NewPost::by(ann, "@acme thank you *so* much").replying_to(posts[0].id));
    let thanked = async || {
        let ticket = desk.tickets().await.remove(0);
        (count(&ticket, "Ann Meyer") == 2).then_some(ticket)
    };
    let ticket = eventually("her thanks", thanked).await;
    assert_eq!(desk.tickets().await.len(), 1);
    assert_eq!(ticket["status"], 2, "reopened");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_comes_twice_makes_one_ticket() {
    let (mut service, mut desk, ann) = start().await;
    desk.bridge = None;
    service
        .broker
        .wait_for_no_connection("django-helpdesk")
        .await;
    let question = ask(&service, ann);
    let event = service.next_event().await;
    let body = event.body.to_string();
    for _ in 0..2 {
        service.broker.publish("", INBOX, body.as_bytes()).await;
    }
    // Not an event at all: it must not stop the others.
    service.broker.publish("", INBOX, b"{}").await;
    desk.start_bridge();
    desk.ticket_with("Ann").await;
    service.deliver_post(question, Form::AccountActivity).await;
    service
        .broker
        .wait_for_depth("twitter.tickets.dead", 1)
        .await;
    let ticket = desk.ticket_with("Ann").await;
    assert_eq!(count(&ticket, "Ann"), 1);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_command_says_so_in_its_ticket() {
    let (mut service, desk, ann) = start().await;
    ask(&service, ann);
    let ticket = desk.ticket_with("Ann").await;
    let forbidden = FaultKind::Status {
        status: 403,
        body: None,
        effect: false,
    };
    let forbidden = Fault::new(forbidden).on(Endpoint::CreatePost);
    service.simulator.order(forbidden);
    desk.respond(&ticket, "Sorry!", true, "4").await;
    let ticket = desk.ticket_with("Not posted at X: ").await;
    let outcome = titled(&ticket, "Not posted at X: ").unwrap();
    assert_eq!(outcome["public"], false);
    let fix = comment(outcome);
    assert!(fix.starts_with("**") && fix.len() > 20, "{fix}");
    assert_eq!(
        ticket["status"], 2,
        "it was closed, and needs an agent again"
    );
    assert!(answers(&service).is_empty());

    desk.respond(&ticket, &"too long ".repeat(40), true, "2")
        .await;
    let ticket = desk.ticket_with("Not posted at X: TEXT_TOO_LONG").await;
    let told = titled(&ticket, "Not posted at X: TEXT_TOO_LONG").unwrap();
    assert!(comment(told).contains("280"), "{told}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_posted_once_though_the_bridge_dies() {
    let (mut service, mut desk, ann) = start().await;
    ask(&service, ann);
    let ticket = desk.ticket_with("Ann").await;
    desk.bridge = None;
    desk.respond(&ticket, "We look into it.", true, "1").await;
    assert!(answers(&service).is_empty());
    desk.start_bridge();
    desk.ticket_with("Posted at X").await;

    // As if it had died between the broker's confirmation and its own note of it.
    desk.bridge = None;
    service
        .broker
        .wait_for_no_connection("django-helpdesk")
        .await;
    let forgotten = "UPDATE xchannel_command SET sent_at = NULL, heard = 0";
    desk.database().execute(forgotten, []).unwrap();
    desk.start_bridge();
    let heard = async || {
        let sql = "SELECT count(*) FROM xchannel_command WHERE sent_at IS NOT NULL";
        let sent = desk
            .database()
            .query_row(sql, [], |row| row.get::<_, i64>(0));
        (sent.ok()? == 1).then_some(())
    };
    eventually("the command went out again", heard).await;
    service.broker.wait_for_depth("twitter.commands", 0).await;
    service.settled().await;
    service.broker.wait_for_depth(INBOX, 0).await;
    assert_eq!(answers(&service), ["We look into it."]);
    let ticket = desk.ticket_with("Posted at X").await;
    assert_eq!(count(&ticket, "Posted at X"), 1);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_core_has_to_delete_goes_from_the_ticket_too() {
    let (mut service, desk, ann) = start().await;
    ask(&service, ann);
    desk.ticket_with("Ann").await;
    let erase = ["person", "erase", &ann.to_string()];
    let (code, said) = service.run(&erase).await;
    assert_eq!(code, 0, "{said}");
    let ticket = desk.ticket_with("Deleted at X").await;
    assert!(!ticket.to_string().contains("4711"), "{ticket:#}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "makes a picture: make screenshots"]
async fn the_page_of_a_ticket_shows_what_was_written_and_what_became_of_the_answer() {
    let (mut service, desk, ann) = start().await;
    let text = "@acme my parcel is *late*, see https://example.com/track_4711_";
    service.post(NewPost::by(ann, text));
    let ticket = desk.ticket_with("Ann").await;
    let browser = Browser::start().await;
    let page = format!("{}/tickets/{}/", desk.url, ticket["id"]);
    browser.open(&page).await;
    browser.fill("Username", AGENT.0).await;
    browser.fill("Password", AGENT.1).await;
    browser.press("Login").await;
    browser.open(&page).await;
    browser
        .sees("my parcel is *late*, see https://example.com/track_4711_")
        .await;
    browser.press("Respond").await;
    let script = "document.getElementById('commentBox').value = arguments[0]";
    let words = "Sorry, Ann! It leaves today & arrives tomorrow.";
    browser.run(script, [words.into()]).await;
    // By a click the page scrolls smoothly, and the button is elsewhere meanwhile.
    let save = "document.getElementById('commentBox').form.requestSubmit()";
    browser.run(save, []).await;
    desk.ticket_with("Posted at X").await;
    browser.open(&page).await;
    browser.sees("Posted at X").await;
    browser.sees(words).await;
    assert_eq!(answers(&service), [words]);
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images");
    let picture = pictures.join("django-helpdesk-ticket.png");
    browser.screenshot(LIGHT, &picture).await;
    service.stop().await;
}
