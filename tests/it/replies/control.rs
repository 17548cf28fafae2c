//! Commands that X is not asked for.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulator::NewPost;

use super::listener::{Listener, command, post};
use super::{answer, mention, start};
use crate::support::service::{ACME, Event, Setup, TestService};

fn cancel(id: &str, target: &str) -> Value {
    let fields = json!({"target_command_id": target});
    command(id, json!({"cancel_command": fields}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_command_is_taken_back() {
    let setup = Setup::new().account_keys("sending = \"hold\"");
    let mut service = TestService::start(setup).await;
    service.settled().await;
    {
        let mut core = Listener::to(&service);
        service.command(&post("c1", json!({"text": "Wait"}))).await;
        let mut anonymous = cancel("k1", "c1");
        anonymous.as_object_mut().unwrap().remove("account_id");
        let done = core.does(&anonymous).await;
        assert_eq!(done.routing_key, "command.succeeded.cancel_command.unknown");
        core.failed("c1", "CANCELLED").await;

        for (id, target) in [("k2", "c1"), ("k3", "never")] {
            let failed = core.refuses(&cancel(id, target), "INVALID").await;
            let field = "cancel_command.target_command_id";
            assert_eq!(failed.text("/field"), field);
            assert!(failed.text("/detail").contains(target));
        }
    }
    service.stop().await;
    service.start_again(|setup| setup.account_keys("")).await;
    let mut core = Listener::to(&service);
    core.does(&post("c2", json!({"text": "Goes"}))).await;
    core.refuses(&cancel("k4", "c2"), "INVALID").await;
    assert_eq!(service.simulator.posts_by(ACME).len(), 1);
}

fn republish(id: &str, from: Timestamp) -> Value {
    let to = Timestamp::now() + SignedDuration::from_secs(60);
    let fields = json!({"from": from.to_string(), "to": to.to_string()});
    command(id, json!({"republish_events": fields}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_published_again() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let from = Timestamp::now();
    let first = mention(&service, "once").await;
    let mut all = republish("r1", from);
    all.as_object_mut().unwrap().remove("account_id");
    for (command, count) in [(republish("r0", from), 1), (all, 2)] {
        let done = core.does(&command).await;
        assert!(done.text("/detail").contains("published again"));
        let again = |event: &Event| event.body == first.body;
        let heard = core.hears_times("it again", count, again).await;
        assert_eq!(heard.len(), count);
    }
    let republished = core.heard(|event| event.body == first.body).await;
    let headers = republished[0].properties.headers().as_ref().unwrap();
    assert!(headers.inner().contains_key("x-republished"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_forgotten() {
    const SECRET: &str = "my secret illness";
    const ANSWERED: &str = "get well soon";
    let service = start().await;
    let mut core = Listener::to(&service);
    let mention = mention(&service, SECRET).await;
    let ann = service.user("ann").to_string();
    core.does(&answer(&mention, "c1", ANSWERED)).await;
    let sent = |event: &Event| event.event_type() == "message.sent";
    core.hears("the echo", sent).await;
    let bob = service.user("bob");
    service.post(NewPost::by(bob, "@acme me too"));
    let of_bob = |event: &Event| {
        event.event_type() == "message.received"
            && event.text("/message/author/id") == bob.to_string()
    };
    core.hears("bob's mention", of_bob).await;
    service.settled().await;

    let forget = command("f1", json!({"forget_person": {"person_id": ann}}));
    let done = core.does(&forget).await;
    assert!(
        done.text("/detail").starts_with("Erased: "),
        "{:#}",
        done.body
    );
    let left = service.store.read(|tx| tx.newest_events(1000)).await;
    let left: Vec<_> = left
        .unwrap()
        .into_iter()
        .map(|row| String::from_utf8(row.body.to_vec()).unwrap())
        .collect();
    let holds = |text: &str| left.iter().any(|body| body.contains(text));
    assert!(!holds(SECRET) && !holds(ANSWERED), "{left:#?}");
    assert!(holds("me too"), "others are not forgotten");
    let commands = service
        .store
        .read(|tx| tx.newest_commands(twitter_channel::store::CommandFilter::All, 100))
        .await;
    for row in commands.unwrap() {
        assert!(!row.content.contains(ANSWERED), "{}", row.content);
        assert!(!row.plan.contains(ANSWERED), "{}", row.plan);
    }
    assert_eq!(
        service.simulator.count_posts(ACME, ANSWERED),
        1,
        "X keeps it"
    );
    // What is gone is not published again.
    let again = republish("r1", Timestamp::UNIX_EPOCH);
    core.does(&again).await;
    service.settled().await;
    let of_ann = |event: &Event| event.body == mention.body;
    assert!(core.heard(of_ann).await.is_empty());
}
