//! `examples/zammad`: between a stub that checks what Zammad documents, and the real service.

use std::fs;

use serde_json::{Value, json};
use simulator::{Endpoint, Fault, FaultKind, NewPost, UserId};

use crate::support::address::free_address;
use crate::support::broker::{client, eventually};
use crate::support::python::{Example, Program};
use crate::support::service::{ACME, INBOX, Setup, TestService};

/// The bridge while it runs, and its Zammad.
struct Zammad {
    stub: String,
    bridge: Option<Program>,
    _stub: Program,
    example: Example,
}

impl Zammad {
    async fn start(broker_url: &str) -> Self {
        let (stub, webhook) = (free_address().to_string(), free_address().to_string());
        let example = Example::named("zammad");
        let state = example.folder().join("state.sqlite3").display().to_string();
        let example = example
            .set("AMQP_URL", broker_url)
            .set("STATE", state)
            .set("ZAMMAD_URL", format!("http://{stub}"))
            .set("ZAMMAD_TOKEN", "the token of an agent")
            .set("WEBHOOK_URL", format!("http://{webhook}/webhook"))
            .set("WEBHOOK_TOKEN", "the token of the webhook")
            .set("LISTEN", webhook);
        let mut zammad = Self {
            _stub: example.start(&["stub.py", &stub]),
            stub: format!("http://{stub}"),
            bridge: None,
            example,
        };
        let up = async || {
            let seen = client().get(format!("{}/seen", zammad.stub)).send().await;
            seen.ok().map(drop)
        };
        eventually("the stub answers", up).await;
        zammad.start_bridge();
        zammad
    }

    fn start_bridge(&mut self) {
        self.bridge = Some(self.example.start(&["bridge.py"]));
    }

    /// What Zammad holds. It refused nothing.
    async fn seen(&self) -> Value {
        let answer = client().get(format!("{}/seen", self.stub)).send().await;
        let seen: Value = answer.unwrap().json().await.unwrap();
        assert_eq!(seen["faults"], json!([]));
        seen
    }

    /// Waits for the first article whose subject begins so.
    async fn article(&self, subject: &str) -> Value {
        let there = async || {
            let seen = self.seen().await;
            let mut articles = seen["articles"].as_array().unwrap().iter();
            let fits = |it: &&Value| {
                it["subject"]
                    .as_str()
                    .is_some_and(|it| it.starts_with(subject))
            };
            articles.find(fits).cloned()
        };
        eventually(&format!("an article {subject:?}"), there).await
    }

    /// The agent writes an article, of which the trigger tells.
    async fn agent(&self, article: Value) {
        let call = client().post(format!("{}/agent", self.stub)).json(&article);
        call.send().await.unwrap().error_for_status().unwrap();
    }
}

async fn start() -> (TestService, Zammad, UserId) {
    let service = TestService::start(Setup::new()).await;
    service.settled().await;
    let zammad = Zammad::start(&service.broker.url()).await;
    let ann = service.user("ann");
    (service, zammad, ann)
}

fn answers(service: &TestService) -> Vec<String> {
    let posts = service.simulator.posts_by(ACME).into_iter();
    posts.map(|post| post.text).collect()
}

fn count(seen: &Value, kind: &str) -> usize {
    seen[kind].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mention_becomes_a_ticket_and_the_public_article_of_an_agent_a_post() {
    let (mut service, zammad, ann) = start().await;
    let question = service.post(NewPost::by(ann, "@acme my parcel 4711 is late"));
    let first = zammad.article("@acme my parcel").await;
    assert_eq!(first["sender"], "Customer");
    let seen = zammad.seen().await;
    assert_eq!(seen["tickets"][0]["group"], "support");
    assert_eq!(seen["users"][0]["login"], format!("x-{ann}"));

    let internal = json!({"ticket_id": 1, "body": "a regular, be kind", "internal": true});
    zammad.agent(internal).await;
    let forged = json!({"ticket_id": 1, "body": "buy this", "token": "another"});
    zammad.agent(forged).await;
    let html = "<div>It leaves today &amp; arrives<br>tomorrow.</div>";
    // Zammad repeats a webhook whose answer it did not get.
    let answer = json!({"ticket_id": 1, "body": html, "times": 2});
    zammad.agent(answer).await;
    let outcome = zammad.article("Posted at X").await;
    assert_eq!(outcome["internal"], true);
    assert_eq!(answers(&service), ["It leaves today & arrives\ntomorrow."]);
    let post = &service.simulator.posts_by(ACME)[0];
    assert_eq!(post.parent, Some(question));
    assert!(
        outcome["body"]
            .as_str()
            .unwrap()
            .contains(&post.id.to_string())
    );
    assert_eq!(zammad.seen().await["webhook"], json!([204, 401, 204, 204]));

    service.post(NewPost::by(ann, "thanks").replying_to(post.id));
    zammad.article("@acme thanks").await;
    let reopened = async || (zammad.seen().await["tickets"][0]["state"] == "open").then_some(());
    eventually("the ticket is open again", reopened).await;
    let seen = zammad.seen().await;
    assert_eq!((count(&seen, "tickets"), count(&seen, "users")), (1, 1));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_command_is_noted_in_its_ticket() {
    let (mut service, zammad, ann) = start().await;
    service.post(NewPost::by(ann, "@acme my parcel 4711 is late"));
    zammad.article("@acme my parcel").await;
    let forbidden = FaultKind::Status {
        status: 403,
        body: None,
        effect: false,
    };
    service
        .simulator
        .order(Fault::new(forbidden).on(Endpoint::CreatePost));
    zammad
        .agent(json!({"ticket_id": 1, "body": "Sorry!"}))
        .await;
    let outcome = zammad.article("Not posted at X: ").await;
    assert_eq!(outcome["internal"], true);
    assert!(outcome["body"].as_str().unwrap().len() > 20, "{outcome}");
    assert!(answers(&service).is_empty());
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_comes_twice_or_was_half_done_makes_one_ticket() {
    let (mut service, mut zammad, ann) = start().await;
    zammad.bridge = None;
    service.broker.wait_for_no_connection("zammad").await;
    service.post(NewPost::by(ann, "@acme my parcel 4711 is late"));
    let event = service.next_event().await.body.to_string();
    for _ in 0..2 {
        service.broker.publish("", INBOX, event.as_bytes()).await;
    }
    zammad.start_bridge();
    zammad.article("@acme my parcel").await;
    service.broker.wait_for_depth(INBOX, 0).await;

    // It died between Zammad's answer and its own note of it.
    zammad.bridge = None;
    service.broker.wait_for_no_connection("zammad").await;
    let state = rusqlite::Connection::open(zammad.example.folder().join("state.sqlite3")).unwrap();
    state
        .execute_batch("UPDATE events SET done = 0; DELETE FROM cases; DELETE FROM people;")
        .unwrap();
    service.broker.publish("", INBOX, event.as_bytes()).await;
    zammad.start_bridge();
    let done = async || {
        let sql = "SELECT count(*) FROM cases";
        let cases = state.query_row(sql, [], |row| row.get::<_, i64>(0)).ok()?;
        (cases == 1).then_some(())
    };
    eventually("it was dealt with again", done).await;
    let seen = zammad.seen().await;
    assert_eq!((count(&seen, "tickets"), count(&seen, "articles")), (1, 1));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tickets_of_the_old_channel_go_on() {
    let (mut service, mut zammad, ann) = start().await;
    // A ticket of the old channel, as it is in Zammad.
    let question = service.post(NewPost::by(ann, "it broke, does anybody know why?"));
    service.settled().await;
    let user = json!({"login": format!("x-{ann}"), "firstname": "Ann"});
    let article = json!({"body": "it broke", "subject": "it broke"});
    let ticket =
        json!({"title": "it broke", "group": "Users", "customer_id": 1, "article": article});
    for (path, body) in [("users", user), ("tickets", ticket)] {
        let url = format!("{}/api/v1/{path}", zammad.stub);
        let token = "Token token=the token of an agent";
        let call = client()
            .post(url)
            .header("authorization", token)
            .json(&body);
        call.send().await.unwrap().error_for_status().unwrap();
    }
    let file = zammad.example.folder().join("old.csv");
    let now = jiff::Timestamp::now();
    let lines = format!(
        "ticket,account,conversation,post,author,customer,group,received_at\n\
         1,{ACME},post:{question},{question},{ann},{ann},Users,{now}\n"
    );
    fs::write(&file, lines).unwrap();
    let file = file.to_str().unwrap();
    let (code, said) = service.run(&["threads", "import", file]).await;
    assert_eq!(code, 0, "{said}");
    zammad.bridge = None;
    zammad.example.run(&["bridge.py", "adopt", file]).await;
    zammad.start_bridge();

    service.post(NewPost::by(ann, "@acme can you help?").replying_to(question));
    let more = zammad.article("@acme can you help?").await;
    assert_eq!(more["ticket_id"], 1);
    assert_eq!(count(&zammad.seen().await, "tickets"), 1);
    service.stop().await;
}
