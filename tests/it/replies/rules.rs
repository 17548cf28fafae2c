//! Commands that break a rule: one failure that names the field, and nothing at X.

use lapin::BasicProperties;
use serde_json::{Value, json};
use simulator::{Endpoint, Fault, FaultKind, NewPost, UserId};

use super::listener::{Listener, command, message, post};
use super::{answer, mention, start, writes};
use crate::support::broker::eventually;
use crate::support::service::{ACME, APP, Event, Setup, TestService};

const FAMILY: &str = "\u{1F469}\u{200D}\u{1F469}\u{200D}\u{1F467}\u{200D}\u{1F466}";

/// Name of the case, what the command holds, code and field.
fn broken() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let text = |text: String| json!({"send_post": {"text": text}});
    let reply = |id: Value| json!({"send_post": {"text": "Hi", "in_reply_to": id}});
    let with = |name: &str, value: Value| {
        let mut fields = json!({"send_post": {"text": "Hi"}});
        fields[name] = value;
        fields
    };
    let urls = "https://acme.com/a-rather-long-path ".repeat(12);
    vec![
        (
            "no text",
            json!({"send_post": {"suffix": "^JB"}}),
            "TEXT_EMPTY",
            "send_post.text",
        ),
        (
            "blanks",
            text(" \n\u{3000}".into()),
            "TEXT_EMPTY",
            "send_post.text",
        ),
        (
            "latin",
            text("x".repeat(281)),
            "TEXT_TOO_LONG",
            "send_post.text",
        ),
        (
            "cjk",
            text("字".repeat(141)),
            "TEXT_TOO_LONG",
            "send_post.text",
        ),
        (
            "families",
            text(FAMILY.repeat(141)),
            "TEXT_TOO_LONG",
            "send_post.text",
        ),
        ("urls", text(urls), "TEXT_TOO_LONG", "send_post.text"),
        (
            "nfd",
            text("e\u{301}".repeat(281)),
            "TEXT_TOO_LONG",
            "send_post.text",
        ),
        (
            "an unassigned sign",
            text("a\u{FFFE}".into()),
            "INVALID",
            "send_post.text",
        ),
        (
            "a number",
            reply(json!(1_209_097_192_914_313_216_u64)),
            "INVALID",
            "send_post.in_reply_to",
        ),
        (
            "a negative",
            reply(json!("-5")),
            "INVALID",
            "send_post.in_reply_to",
        ),
        (
            "nought",
            reply(json!("0")),
            "INVALID",
            "send_post.in_reply_to",
        ),
        (
            "zeros in front",
            reply(json!("007")),
            "INVALID",
            "send_post.in_reply_to",
        ),
        (
            "20 digits",
            reply(json!("12345678901234567890")),
            "INVALID",
            "send_post.in_reply_to",
        ),
        (
            "account a number",
            with("account_id", json!(2_975_699_229_u64)),
            "INVALID",
            "account_id",
        ),
        (
            "account negative",
            with("account_id", json!("-1")),
            "INVALID",
            "account_id",
        ),
        (
            "account unknown",
            with("account_id", json!("12")),
            "UNKNOWN_ACCOUNT",
            "account_id",
        ),
        (
            "no message",
            json!({"delete_message": {"message_id": ""}}),
            "INVALID",
            "delete_message.message_id",
        ),
        (
            "no reply",
            json!({"hide_reply": {"hidden": true}}),
            "INVALID",
            "hide_reply.message_id",
        ),
        (
            "no person",
            json!({"forget_person": {"person_id": 5}}),
            "INVALID",
            "forget_person.person_id",
        ),
        (
            "two commands",
            with("delete_message", json!({"message_id": "1"})),
            "INVALID",
            "",
        ),
        ("no command", json!({}), "INVALID", ""),
        (
            "an empty command",
            json!({"send_post": {}}),
            "TEXT_EMPTY",
            "send_post.text",
        ),
        (
            "unknown field",
            with("priority", json!(1)),
            "INVALID",
            "priority",
        ),
        (
            "unknown field inside",
            json!({"send_post": {"text": "Hi", "poll": "a"}}),
            "INVALID",
            "send_post.poll",
        ),
        (
            "unknown value",
            json!({"send_post": {"text": "Hi", "when_too_long": "CUT"}}),
            "INVALID",
            "send_post.when_too_long",
        ),
        (
            "past",
            with("expires_at", json!("2020-01-01T00:00:00Z")),
            "EXPIRED",
            "expires_at",
        ),
        (
            "no time",
            with("expires_at", json!("tomorrow")),
            "INVALID",
            "expires_at",
        ),
        (
            "no money",
            with("max_cost_usd", json!("ten")),
            "INVALID",
            "max_cost_usd",
        ),
        (
            "large metadata",
            with("metadata", json!({"a": "x".repeat(5000)})),
            "INVALID",
            "metadata",
        ),
        (
            "retry of nothing",
            with("retry_of", json!("never")),
            "INVALID",
            "retry_of",
        ),
        (
            "no one to write to",
            json!({"send_direct_message": {"text": "Hi"}}),
            "INVALID",
            "send_direct_message.recipient_id",
        ),
        (
            "long message",
            json!({"send_direct_message": {"recipient_id": "9", "text": "x".repeat(10_001)}}),
            "TEXT_TOO_LONG",
            "send_direct_message.text",
        ),
        (
            "a thread",
            json!({"send_direct_message": {"conversation_id": "post:9", "text": "Hi"}}),
            "INVALID",
            "send_direct_message.conversation_id",
        ),
        (
            "of others",
            json!({"send_direct_message": {"conversation_id": "dm:8-9", "text": "Hi"}}),
            "INVALID",
            "send_direct_message.conversation_id",
        ),
        (
            "expired republish",
            json!({"expires_at": "2020-01-01T00:00:00Z", "republish_events": {"from": "2020-01-01T00:00:00Z", "to": "2030-01-01T00:00:00Z"}}),
            "EXPIRED",
            "expires_at",
        ),
        (
            "forget for nobody",
            json!({"account_id": "12", "forget_person": {"person_id": "5"}}),
            "UNKNOWN_ACCOUNT",
            "account_id",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_rule_is_one_failure_and_nothing_at_x() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let broken = broken();
    for (place, (_, rest, ..)) in broken.iter().enumerate() {
        service
            .command(&command(&format!("c{place}"), rest.clone()))
            .await;
    }
    for (place, (name, _, code, field)) in broken.iter().enumerate() {
        let failed = core.outcome(&format!("c{place}")).await;
        assert_eq!(failed.event_type(), "command.failed", "{name}");
        assert_eq!(failed.text("/code"), *code, "{name}: {:#}", failed.body);
        assert_eq!(failed.text("/field"), *field, "{name}: {:#}", failed.body);
        assert!(!failed.text("/detail").is_empty(), "{name}");
        assert_eq!(failed.text("/cost_usd"), "0.000", "{name}");
    }
    // The consumer lives.
    core.does(&post("last", json!({"text": "Still here"})))
        .await;
    assert_eq!(writes(&service).len(), 1);
    let events = core
        .heard(|event| event.event_type().starts_with("command."))
        .await;
    assert_eq!(events.len(), broken.len() + 1, "one outcome each");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_at_the_limit_are_posted() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let urls = "https://acme.com/a-rather-long-path ".repeat(11);
    for (place, text) in [
        "x".repeat(280),
        "字".repeat(140),
        FAMILY.repeat(140),
        "e\u{301}".repeat(280),
        format!("{urls}{}", "x".repeat(16)),
    ]
    .into_iter()
    .enumerate()
    {
        core.does(&post(&format!("c{place}"), json!({"text": text})))
            .await;
        assert_eq!(service.simulator.count_posts(ACME, &text), 1, "{text}");
    }
}

async fn publish(service: &TestService, body: &[u8], properties: BasicProperties) {
    let queue = "twitter.commands";
    let broker = &service.broker;
    broker.publish_with(queue, queue, body, properties).await;
}

async fn dead_for(service: &TestService) -> String {
    let dead = async || service.broker.get("twitter.dead").await;
    let dead = eventually("a dead letter", dead).await;
    let headers = dead.delivery.properties.headers().as_ref().unwrap();
    let reason = headers.inner()["x-reason"].as_long_string().unwrap();
    reason.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_cannot_be_read_fails_under_the_id_of_its_message() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let under = |id: &str| BasicProperties::default().with_message_id(id.into());
    publish(&service, b"{\"send_post\": ", under("m1")).await;
    let failed = core.failed("m1", "INVALID").await;
    assert_eq!(
        failed.routing_key, "command.failed.command.unknown",
        "{:#}",
        failed.body
    );
    assert_eq!(failed.text("/account/id"), "");

    // What has no id of its own goes by the message's.
    let unnamed = json!({"account_id": ACME.to_string(), "send_post": {"text": "By message_id"}});
    publish(&service, unnamed.to_string().as_bytes(), under("m2")).await;
    core.succeeded("m2").await;

    let other = post("m3", json!({"text": "Whose?"})).to_string();
    publish(&service, other.as_bytes(), under("m4")).await;
    let failed = core.failed("m3", "INVALID").await;
    assert_eq!(failed.text("/field"), "command_id");

    let typed = under("m5").with_content_type("text/plain".into());
    let body = post("m5", json!({"text": "Typed"})).to_string();
    publish(&service, body.as_bytes(), typed).await;
    let failed = core.failed("m5", "INVALID").await;
    assert!(failed.text("/detail").contains("text/plain"));

    // A known id with something that cannot be read is another content.
    publish(&service, b"{\"send_post\": 7", under("m2")).await;
    assert_eq!(dead_for(&service).await, "command-id-reused");
    publish(&service, b"no JSON", BasicProperties::default()).await;
    assert_eq!(dead_for(&service).await, "unreadable");
    assert_eq!(service.simulator.posts_by(ACME).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_megabytes_are_one_failure() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let huge = post("c1", json!({"text": "x".repeat(10_000_000)}));
    let failed = core.refuses(&huge, "TEXT_TOO_LONG").await;
    assert!(failed.body.to_string().len() < 10_000);
    core.does(&post("c2", json!({"text": "Short"}))).await;
    assert_eq!(writes(&service).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_account_is_told_by_what_is_answered() {
    let other = UserId(77);
    let setup = Setup::new()
        .account(APP, other, "acmehelp", "")
        .filter("account = \"acmehelp\"\nmatch = \"mentions\"\ngroup = \"support\"");
    let service = TestService::start(setup).await;
    service.settled().await;
    let mut core = Listener::to(&service);
    let one = mention(&service, "only you").await;
    let mut told = answer(&one, "c1", "Yes?");
    told.as_object_mut().unwrap().remove("account_id");
    let outcome = core.does(&told).await;
    assert_eq!(outcome.text("/account/id"), ACME.to_string());

    let ann = service.user("ann");
    let both = service.post(NewPost::by(ann, "@acme @acmehelp who of you?"));
    let id = both.to_string();
    for account in [ACME, other] {
        let fits = |event: &Event| {
            event.event_type() == "message.received"
                && event.text("/message/id") == id
                && event.text("/account/id") == account.to_string()
        };
        core.hears("the mention of both", fits).await;
    }
    let several = json!({"command_id": "c2", "send_post": {"text": "We?", "in_reply_to": id}});
    let failed = core.refuses(&several, "UNKNOWN_ACCOUNT").await;
    assert_eq!(failed.text("/field"), "account_id");
    let detail = failed.text("/detail");
    assert!(
        detail.contains("77") && detail.contains(&ACME.to_string()),
        "{detail}"
    );

    let unknown = json!({"command_id": "c3", "send_post": {"text": "Eh?", "in_reply_to": "5"}});
    core.refuses(&unknown, "UNKNOWN_ACCOUNT").await;
    let nothing = json!({"command_id": "c4", "send_post": {"text": "Anybody?"}});
    core.refuses(&nothing, "UNKNOWN_ACCOUNT").await;

    // As the account says it, among several.
    let mut chosen = several.clone();
    chosen["command_id"] = json!("c5");
    chosen["account_id"] = json!(other.to_string());
    core.does(&chosen).await;
    assert_eq!(service.simulator.posts_by(other).len(), 1);
    assert_eq!(service.simulator.posts_by(ACME).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_expires_while_x_hangs_in_its_conversation_is_not_sent() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let mention = mention(&service, "hello").await;
    let slow = Fault::new(FaultKind::Nothing)
        .on(Endpoint::CreatePost)
        .slow(1500, 0);
    service.simulator.order(slow);
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_millis(700);
    let mut second = answer(&mention, "c2", "Too late");
    second["expires_at"] = json!(soon.to_string());
    service.command(&answer(&mention, "c1", "Slow")).await;
    service.command(&second).await;
    let failed = core.failed("c2", "EXPIRED").await;
    assert_eq!(failed.text("/field"), "expires_at");
    core.succeeded("c1").await;
    assert_eq!(service.simulator.posts_by(ACME).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_values_equal_absent_ones() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let empty = json!({
        "expires_at": "", "max_cost_usd": "", "only_if_summoned": false, "retry_of": "",
        "force": false, "metadata": null, "agent": {},
        "send_post": {"text": "Hello", "in_reply_to": "", "quote": "", "exclude_mentions": [],
                      "suffix": "", "direct_message_link": false, "when_too_long": "",
                      "attachments": []},
        "send_direct_message": null, "delete_message": "",
    });
    let outcome = core.does(&command("c1", empty)).await;
    // The same content in few words has no second effect.
    service.command(&post("c1", json!({"text": "Hello"}))).await;
    let again = |event: &Event| {
        event.event_type() == "command.succeeded" && event.properties != outcome.properties
    };
    core.hears("the outcome again", again).await;
    assert_eq!(service.simulator.posts_by(ACME).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_counted_by_name() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let name = "twitter_channel_commands_total{name=\"forget_person\"}";
    let before = service.metric(name).await;
    let forget = command("f1", json!({"forget_person": {"person_id": "99"}}));
    core.does(&forget).await;
    assert!(service.metric(name).await > before);
    core.refuses(&message("m1", json!({"text": "Hi"})), "INVALID")
        .await;
}
