//! From a command of the core to X, and its outcome back.

mod bill;
mod changes;
mod control;
mod files;
mod listener;
mod messages;
mod posts;
mod refreshes;
mod refusals;
mod retries;
mod rules;
mod texts;
mod waiting;

use serde_json::{Value, json};
use simulator::{ApiCall, Endpoint, Fault, FaultKind, NewMessage, NewPost};

use crate::support::broker::eventually;
use crate::support::service::{ACME, Event, Setup, TestService};

/// A service whose look-ups come soon.
async fn start() -> TestService {
    let setup = Setup::new()
        .set("RECONCILE__FIRST_READ", "300ms")
        .set("RECONCILE__SECOND_READ", "300ms")
        .set("X_API__CALL_TIMEOUT", "2s");
    let service = TestService::start(setup).await;
    // The queues are there once the first event has gone out.
    service.settled().await;
    service
}

/// What X was asked to do; what it was asked about, such as the account's plan, is left out.
fn writes(service: &TestService) -> Vec<ApiCall> {
    let calls = service.simulator.calls().into_iter();
    calls.filter(|call| call.method != "GET").collect()
}

/// A customer mentions us; the event that told of it.
async fn mention(service: &TestService, text: &str) -> Event {
    let ann = service.user("ann");
    service.post(NewPost::by(ann, &format!("@acme {text}")));
    service.next_event().await
}

/// The answer that the event proposes, with id and text.
fn answer(mention: &Event, id: &str, text: &str) -> Value {
    let mut command = mention.at("/reply/command").clone();
    command["command_id"] = json!(id);
    let kind = match command.get("send_post") {
        Some(_) => "send_post",
        None => "send_direct_message",
    };
    command[kind]["text"] = json!(text);
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_posted_and_its_outcome_told() {
    let service = start().await;
    let mention = mention(&service, "my parcel is late").await;
    let mut command = answer(&mention, "c1", "We look into it.");
    command["metadata"] = json!({"ticket": "4711"});
    command["agent"] = json!({"id": "7", "name": "Jo B."});
    service.command(&command).await;
    let mut others = Vec::new();
    let outcome = service.outcome("c1", &mut others).await;
    assert_eq!(
        outcome.event_type(),
        "command.succeeded",
        "{:#}",
        outcome.body
    );
    let posts = service.simulator.posts_by(ACME);
    assert_eq!(posts.len(), 1);
    assert_eq!(posts[0].text, "We look into it.");
    assert_eq!(
        posts[0].parent.unwrap().to_string(),
        mention.text("/message/id")
    );
    assert_eq!(outcome.text("/messages/0/id"), posts[0].id.to_string());
    assert_eq!(outcome.text("/cost_usd"), "0.010");
    assert_eq!(outcome.text("/metadata/ticket"), "4711");
    assert_eq!(outcome.text("/agent/name"), "Jo B.");
    assert_eq!(
        outcome.text("/conversation/id"),
        mention.text("/conversation/id")
    );
    assert_eq!(
        outcome.text("/conversation/case_id"),
        mention.text("/conversation/case_id")
    );
    assert_eq!(
        outcome.routing_key,
        format!("command.succeeded.send_post.{ACME}")
    );
    let sent = match others.pop() {
        Some(event) => event,
        None => service.next_event().await,
    };
    assert_eq!(sent.event_type(), "message.sent", "{:#}", sent.body);
    assert_eq!(sent.text("/command_id"), "c1");
    assert_eq!(sent.text("/metadata/ticket"), "4711");
    assert_eq!(
        sent.text("/conversation/case_id"),
        mention.text("/conversation/case_id")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_direct_message_is_answered() {
    let service = start().await;
    let ann = service.user("ann");
    let message = NewMessage::between(ann, ACME, "Where is it?");
    service.simulator.direct_message(message).unwrap();
    let received = service.next_event().await;
    service
        .command(&answer(&received, "d1", "On its way & soon there."))
        .await;
    let outcome = service.outcome("d1", &mut Vec::new()).await;
    assert_eq!(
        outcome.event_type(),
        "command.succeeded",
        "{:#}",
        outcome.body
    );
    assert_eq!(
        service
            .simulator
            .count_messages(ACME, "On its way & soon there."),
        1
    );
    assert_eq!(outcome.text("/cost_usd"), "0.015");
    assert_eq!(
        outcome.text("/conversation/id"),
        received.text("/conversation/id")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_looked_up_and_not_posted_again() {
    let service = start().await;
    let mention = mention(&service, "hello").await;
    let lost = Fault::new(FaultKind::AnswerLost).on(Endpoint::CreatePost);
    service.simulator.order(Fault {
        echo: Some(simulator::Echo::NEVER),
        ..lost
    });
    service
        .command(&answer(&mention, "c1", "Found again"))
        .await;
    let mut others = Vec::new();
    let outcome = service.outcome("c1", &mut others).await;
    assert_eq!(
        outcome.event_type(),
        "command.succeeded",
        "{:#}",
        outcome.body
    );
    assert_eq!(service.simulator.count_posts(ACME, "Found again"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_that_never_arrived_is_sent_again() {
    let service = start().await;
    let mention = mention(&service, "hello").await;
    let lost = Fault::new(FaultKind::ResetAfterReading).on(Endpoint::CreatePost);
    service.simulator.order(lost);
    service.command(&answer(&mention, "c1", "Sent again")).await;
    let outcome = service.outcome("c1", &mut Vec::new()).await;
    assert_eq!(
        outcome.event_type(),
        "command.succeeded",
        "{:#}",
        outcome.body
    );
    assert_eq!(service.simulator.count_posts(ACME, "Sent again"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_of_ours_that_x_delivered_back_is_deleted_as_a_post() {
    let service = start().await;
    let mention = mention(&service, "hello").await;
    service.command(&answer(&mention, "c1", "A typo")).await;
    let mut others = Vec::new();
    let outcome = service.outcome("c1", &mut others).await;
    service.settled().await;
    let delete = json!({
        "command_id": "c2",
        "account_id": ACME.to_string(),
        "delete_message": {"message_id": outcome.text("/messages/0/id")},
    });
    service.command(&delete).await;
    let outcome = service.outcome("c2", &mut others).await;
    assert_eq!(
        outcome.event_type(),
        "command.succeeded",
        "{:#}",
        outcome.body
    );
    assert!(service.simulator.posts_by(ACME)[0].deleted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_command_again_has_no_second_effect() {
    let service = start().await;
    let mention = mention(&service, "hello").await;
    let command = answer(&mention, "c1", "Once");
    service.command(&command).await;
    let first = service.outcome("c1", &mut Vec::new()).await;
    service.command(&command).await;
    let second = service.outcome("c1", &mut Vec::new()).await;
    assert_eq!(first.body, second.body);
    assert!(
        second
            .properties
            .headers()
            .as_ref()
            .unwrap()
            .inner()
            .contains_key("x-republished")
    );
    assert_eq!(service.simulator.count_posts(ACME, "Once"), 1);
    let mut other = command.clone();
    other["send_post"]["text"] = json!("Twice");
    service.command(&other).await;
    let dead = async || service.broker.get("twitter.dead").await;
    let dead = eventually("a dead letter", dead).await;
    let reason = dead.delivery.properties.headers().as_ref().unwrap().inner()["x-reason"].clone();
    assert_eq!(
        reason.as_long_string().unwrap().to_string(),
        "command-id-reused"
    );
    assert_eq!(service.simulator.count_posts(ACME, "Twice"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_is_too_long_fails_with_the_excess() {
    let service = start().await;
    let mention = mention(&service, "hello").await;
    service
        .command(&answer(&mention, "c1", &"x".repeat(281)))
        .await;
    let outcome = service.outcome("c1", &mut Vec::new()).await;
    assert_eq!(outcome.text("/code"), "TEXT_TOO_LONG");
    assert_eq!(outcome.text("/field"), "send_post.text");
    assert!(
        outcome.text("/detail").contains("281"),
        "{:#}",
        outcome.body
    );
    assert!(service.simulator.posts_by(ACME).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_split_text_is_a_chain_of_replies() {
    let service = start().await;
    let mention = mention(&service, "hello").await;
    let mut command = answer(&mention, "c1", &"word ".repeat(100));
    command["send_post"]["when_too_long"] = json!("SPLIT");
    service.command(&command).await;
    let outcome = service.outcome("c1", &mut Vec::new()).await;
    assert_eq!(
        outcome.event_type(),
        "command.succeeded",
        "{:#}",
        outcome.body
    );
    let posts = service.simulator.posts_by(ACME);
    assert_eq!(posts.len(), 2);
    assert_eq!(posts[1].parent, Some(posts[0].id));
    assert_eq!(outcome.at("/messages").as_array().unwrap().len(), 2);
    assert_eq!(outcome.text("/messages/1/id"), posts[1].id.to_string());
}
