//! The pages of the console, with something of everything in the store.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use simulator::{NewMessage, NewPost, NewUser, Pace, RawSignature, Traffic};

use super::{Place, TOKEN};
use crate::support::broker::{client, within};
use crate::support::browser::{DARK, LIGHT, PHONE};
use crate::support::desk::{Desk, Noted};
use crate::support::service::{ACME, APP, Setup};

/// What a bad person calls itself, and writes.
const SCRIPT: &str = "<script>document.title='owned'</script><img src=x onerror=alert(1)>";
/// What a friend writes.
const FRIEND: (&str, &str) = ("Mallory Jones", "the new blue ones are great, thank you!");
const PATIENCE: Duration = Duration::from_secs(20);

/// Pages by their name; those of single things are found by [`paths`].
const PAGES: [(&str, &str); 17] = [
    ("overview", "/"),
    ("setup", "/setup"),
    ("keys", "/setup/keys"),
    ("webhook", "/setup/webhook"),
    ("test", "/setup/test"),
    ("apps", "/apps"),
    ("app", "/apps/acme"),
    ("accounts", "/accounts"),
    ("account", "/accounts/2975699229"),
    ("filters", "/accounts/2975699229/filters"),
    ("conversations", "/conversations"),
    ("commands", "/commands"),
    ("quarantine", "/quarantine"),
    ("gaps", "/gaps"),
    ("events", "/events"),
    ("costs", "/costs"),
    ("audit", "/audit"),
];

/// A day at the helpdesk: messages of three people, of whom the third is called and writes so,
/// answers, a command that failed, and a delivery that nobody understands.
async fn busy(setup: Setup, third: (&'static str, &str)) -> (Place, Desk) {
    let place = Place::new(setup).await;
    let mut desk = Desk::at(&place.broker.url());
    let x = &place.simulator;
    let people = [
        (
            "ann",
            "Ann Meyer",
            "@acme my parcel 4711 is late, the tracking page is empty since Monday",
        ),
        ("bob", "Bob", "@acme do you deliver to Iceland?"),
        ("mallory", third.0, third.1),
    ];
    for (username, name, text) in people {
        let user = NewUser {
            name: name.to_owned(),
            ..NewUser::named(username)
        };
        let user = x.add_user(user).unwrap();
        let text = match text.contains("@acme") {
            true => text.to_owned(),
            false => format!("@acme {text}"),
        };
        x.post(NewPost::by(user, &text)).unwrap();
        x.direct_message(NewMessage::between(user, ACME, "Here is my receipt"))
            .unwrap();
    }
    x.settled().await;
    let all = desk.sees(PATIENCE, |noted| {
        noted.of_type("message.received").count() == 6
    });
    assert!(all.await, "six tickets");
    let replies: Vec<_> = {
        let noted = desk.noted();
        let received = noted.of_type("message.received");
        received
            .map(|event| event["reply"]["command"].clone())
            .collect()
    };
    for (place, mut command) in replies.into_iter().enumerate() {
        command["command_id"] = json!(format!("answer-{place}"));
        let text = "Sorry for the wait! Your parcel leaves our store today.";
        for kind in ["send_post", "send_direct_message"] {
            if command.get(kind).is_some() {
                command[kind]["text"] = json!(format!("{text} ({place})"));
            }
        }
        desk.send(&command).await;
        desk.outcome(&format!("answer-{place}"), PATIENCE).await;
    }
    let nobody = json!({"command_id": "lost", "account_id": "1", "send_post": {"text": "Hello"}});
    desk.send(&nobody).await;
    desk.outcome("lost", PATIENCE).await;
    let body = json!({"for_user_id": ACME.to_string(), "news_events": [{}]}).to_string();
    x.deliver(APP, body, RawSignature::Correct).await.unwrap();
    (place, desk)
}

/// All pages of the console, with those of single messages and commands.
async fn paths(place: &Place) -> Vec<(&'static str, String)> {
    let mut paths: Vec<_> = PAGES.map(|(name, path)| (name, path.to_owned())).into();
    paths.extend([
        ("filter", format!("/accounts/{ACME}/filters/new")),
        ("command", "/commands/answer-0".to_owned()),
        ("delivery", "/quarantine/1".to_owned()),
        ("tokens", "/tokens".to_owned()),
        ("explain", "/explain".to_owned()),
        ("nothing", "/nothing-here".to_owned()),
        (
            "conversation",
            place.href("/conversations", "/conversations/").await,
        ),
        ("event", place.href("/events", "/events/").await),
    ]);
    paths
}

impl Place {
    /// The first link of a page that begins so.
    async fn href(&self, page: &str, begin: &str) -> String {
        self.visit(page).await;
        let script = "const all = [...document.querySelectorAll('main a[href]')];
            const found = all.map((it) => it.getAttribute('href')).find((it) => it.startsWith(arguments[0]));
            return found || '';";
        let found = self.browser.run(script, [json!(begin)]).await;
        found.as_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_for_everybody_and_runs_nothing_of_what_strangers_wrote() {
    let (place, _desk) = busy(Setup::new(), (SCRIPT, SCRIPT)).await;
    let browser = &place.browser;
    browser.open(&place.service.private("/")).await;
    browser.sees("Log in").await;
    browser.passes().await;
    place.log_in().await;
    for (name, path) in paths(&place).await {
        place.visit(&path).await;
        let title = browser.run("return document.title", []).await;
        assert!(
            title.as_str().unwrap().contains("twitter-channel"),
            "{name}: {title}"
        );
        browser.passes().await;
    }
    place.visit("/conversations").await;
    browser
        .sees("<script>document.title='owned'</script>")
        .await;
}

/// A webhook just made is looked at again after ten seconds, the accounts every fifteen.
const KNOWN: Duration = Duration::from_secs(40);

/// Not a test: makes the pictures of docs/images (`make screenshots`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "writes pictures: make screenshots"]
async fn pictures() {
    let (place, _desk) = busy(Setup::new(), FRIEND).await;
    place.log_in().await;
    let counted = async || {
        place.visit("/").await;
        let text = place.browser.text().await;
        (text.contains("6 received") && text.contains("Complete until")).then_some(())
    };
    within(KNOWN, "the traffic, and until when it is complete", counted).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images");
    for (name, path) in paths(&place).await {
        if !SHOWN.contains(&name) {
            continue;
        }
        place.visit(&path).await;
        for view in [LIGHT, DARK, PHONE] {
            let file = folder.join(format!("{name}-{}.png", view.name));
            place.browser.screenshot(view, &file).await;
        }
    }
}

/// Pages of which there are pictures.
const SHOWN: [&str; 12] = [
    "overview",
    "setup",
    "webhook",
    "accounts",
    "filters",
    "filter",
    "conversations",
    "conversation",
    "commands",
    "command",
    "quarantine",
    "costs",
];

/// As far as a page may take, milliseconds, measured at the socket.
const QUICK: f64 = 50.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ten thousand messages take a while: make screenshots"]
async fn pages_are_quick_with_ten_thousand_messages() {
    let (place, desk) = busy(Setup::new(), FRIEND).await;
    let traffic = Traffic {
        account: ACME,
        customers: 400,
        count: 10_000,
        pace: Pace::AtOnce,
        seed: 1,
    };
    place.simulator.traffic(&traffic).await.unwrap();
    let all = |noted: &Noted| noted.of_type("message.received").count() >= 10_000;
    assert!(desk.sees(Duration::from_secs(300), all).await);
    place.log_in().await;
    let mut slow = Vec::new();
    for (name, path) in paths(&place).await {
        if name == "nothing" {
            continue;
        }
        let (median, most) = times(&place.service.private(&path)).await;
        eprintln!("{name:15} {median:6.1} ms, at most {most:6.1} ms");
        if median > QUICK {
            slow.push(name);
        }
    }
    assert!(slow.is_empty(), "{slow:?}");
}

/// Median and maximum of 21 answers, milliseconds.
async fn times(url: &str) -> (f64, f64) {
    let http = client();
    let mut times = Vec::new();
    for _ in 0..21 {
        let began = Instant::now();
        let answer = http.get(url).bearer_auth(TOKEN).send().await.unwrap();
        let (status, page) = (answer.status(), answer.text().await.unwrap());
        times.push(began.elapsed().as_secs_f64() * 1000.0);
        assert!(
            status.is_success() && page.contains("</html>"),
            "{url}: {status}"
        );
    }
    times.sort_unstable_by(f64::total_cmp);
    (times[10], times[20])
}
