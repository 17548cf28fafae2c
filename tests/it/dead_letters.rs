//! Dead letters brought back by the command line, on the real broker.

use std::collections::BTreeSet;

use lapin::BasicProperties;
use lapin::message::BasicGetMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, LongString};
use serde_json::Value;
use simulator::NewPost;

use crate::support::broker::eventually;
use crate::support::service::{INBOX, Setup, TestService};

const DEAD: &str = "twitter.tickets.dead";

/// A service with so many tickets that the core rejected, oldest first; their ids, and what they
/// were.
async fn rejected(count: usize) -> (TestService, Vec<String>, Vec<Vec<u8>>) {
    let service = TestService::start(Setup::new()).await;
    let ann = service.user("ann");
    service.settled().await;
    service.broker.drain(INBOX).await;
    let (mut ids, mut bodies) = (Vec::new(), Vec::new());
    for number in 0..count {
        service.post(NewPost::by(
            ann,
            &format!("@acme number {number} is secret"),
        ));
        service.settled().await;
        let message = service.broker.get(INBOX).await.unwrap();
        ids.push(id(&message));
        bodies.push(message.delivery.data.clone());
        // As it came, to be rejected.
        let (properties, key) = (&message.delivery.properties, &message.delivery.routing_key);
        let (key, body) = (key.as_str(), &message.delivery.data);
        let again = (service.broker).publish_with("twitter.events", key, body, properties.clone());
        again.await;
        service.broker.reject(INBOX).await;
        let depth = u32::try_from(number + 1).unwrap();
        service.broker.wait_for_depth(DEAD, depth).await;
    }
    (service, ids, bodies)
}

fn id(message: &BasicGetMessage) -> String {
    let properties = &message.delivery.properties;
    properties.message_id().as_ref().unwrap().to_string()
}

fn header<'a>(message: &'a BasicGetMessage, name: &str) -> Option<&'a AMQPValue> {
    message
        .delivery
        .properties
        .headers()
        .as_ref()?
        .inner()
        .get(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_tells_of_dead_letters_without_what_people_wrote() {
    let (mut service, ids, _) = rejected(2).await;
    let (status, said) = service.run(&["dead-letters", "list"]).await;
    assert_eq!(status, 0, "{said}");
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    for (line, id) in lines.iter().zip(&ids) {
        for word in [
            id.as_str(),
            "message.received",
            "2975699229",
            "rejected",
            DEAD,
        ] {
            assert!(line.contains(word), "{word} is not in {line}");
        }
    }
    assert!(!said.contains("secret"), "{said}");
    let (_, said) = service.run(&["dead-letters", "list", "--json"]).await;
    let first: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert_eq!(first["id"], ids[0].as_str());
    assert_eq!(first["died_in"], INBOX);
    assert_eq!(first["deaths"], 1);

    let (_, said) = service.run(&["dead-letters", "show", &ids[1]]).await;
    assert!(said.contains("cloudEvents_type"), "{said}");
    assert!(!said.contains("secret"), "{said}");
    let (_, said) = service
        .run(&["dead-letters", "show", &ids[1], "--body"])
        .await;
    assert!(said.contains("number 1 is secret"), "{said}");
    // Looking takes nothing away.
    service.broker.wait_for_depth(DEAD, 2).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_comes_back_as_it_was_and_only_the_one_that_was_named() {
    let (mut service, ids, bodies) = rejected(3).await;
    let dry = ["dead-letters", "retry", "--all", "--dry-run"];
    let (status, said) = service.run(&dry).await;
    assert_eq!(status, 0, "{said}");
    assert!(said.ends_with("3 would be brought back\n"), "{said}");
    service.broker.wait_for_depth(DEAD, 3).await;

    let (status, said) = service.run(&["dead-letters", "retry", &ids[1]]).await;
    assert_eq!(status, 0, "{said}");
    let back = service.broker.get(INBOX).await.unwrap();
    assert_eq!(id(&back), ids[1]);
    assert_eq!(back.delivery.data, bodies[1]);
    for gone in ["x-death", "x-first-death-queue"] {
        assert_eq!(header(&back, gone), None, "{gone}");
    }
    // Some brokers count from 0, others say nothing until it is handed out again.
    let looks = header(&back, "x-delivery-count");
    let fresh = [None, Some(&AMQPValue::LongLongInt(0))];
    assert!(fresh.contains(&looks), "{looks:?}");
    let republished = header(&back, "x-republished");
    assert_eq!(republished, Some(&AMQPValue::Boolean(true)));
    assert!(header(&back, "cloudEvents_id").is_some());
    service.broker.wait_for_depth(DEAD, 2).await;

    let (status, said) = service.run(&["dead-letters", "retry", "--all"]).await;
    assert_eq!(status, 0, "{said}");
    // In whichever order: what was looked at comes back into the queue as the broker likes.
    let back: BTreeSet<_> = service.broker.drain(INBOX).await.iter().map(id).collect();
    assert_eq!(back, BTreeSet::from([ids[0].clone(), ids[2].clone()]));
    service.broker.wait_for_depth(DEAD, 0).await;
    let (status, said) = service.run(&["dead-letters", "retry", &ids[0]]).await;
    assert_eq!(status, 1);
    assert!(said.contains("there is no dead letter"), "{said}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_whose_queue_is_gone_or_full_or_unknown_stays() {
    let (mut service, ids, _) = rejected(1).await;
    let full = serde_json::json!({"max-length": 1});
    service.broker.set_policy(INBOX, full).await;
    let channel = service.broker.channel().await;
    let confirmed = ConfirmSelectOptions::default();
    channel.confirm_select(confirmed).await.unwrap();
    let refuses = async || {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let published = channel.basic_publish("".into(), INBOX.into(), options, b"{}", properties);
        published
            .await
            .unwrap()
            .await
            .unwrap()
            .is_nack()
            .then_some(())
    };
    eventually("the queue is full", refuses).await;
    let (status, said) = service.run(&["dead-letters", "retry", &ids[0]]).await;
    assert_eq!(status, 1);
    assert!(said.contains("stays, refused (refused)"), "{said}");
    service.broker.wait_for_depth(DEAD, 1).await;

    service.stop().await;
    service.broker.delete_queue(INBOX).await;
    let (status, said) = service.run(&["dead-letters", "retry", "--all"]).await;
    assert_eq!(status, 1);
    assert!(said.contains("stays, refused (NO_ROUTE)"), "{said}");
    service.broker.wait_for_depth(DEAD, 1).await;

    service.broker.publish("", DEAD, b"from nowhere").await;
    let (status, said) = service.run(&["dead-letters", "retry", "--all"]).await;
    assert_eq!(status, 1);
    assert!(
        said.contains("2 stay dead letters, 0 were brought back"),
        "{said}"
    );
    service.broker.wait_for_depth(DEAD, 2).await;
    let (status, said) = service
        .run(&["dead-letters", "list", "--queue", "no.such.queue"])
        .await;
    assert_eq!(status, 1);
    assert!(said.contains("there is no queue no.such.queue"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_command_goes_back_to_the_queue_of_commands() {
    let service = TestService::start(Setup::new()).await;
    service.settled().await;
    let mut headers = FieldTable::default();
    let reason = AMQPValue::LongString(LongString::from("handler-panicked"));
    headers.insert("x-reason".into(), reason);
    let properties = BasicProperties::default()
        .with_message_id("c1".into())
        .with_headers(headers);
    let body = br#"{"command_id": "c1", "account_id": "1", "send_post": {"text": "Hello"}}"#;
    let dead = "twitter.dead";
    service
        .broker
        .publish_with(dead, "", body, properties)
        .await;
    let list = ["dead-letters", "list", "--queue", dead];
    let (_, said) = service.run(&list).await;
    assert!(said.contains("handler-panicked"), "{said}");
    let retry = ["dead-letters", "retry", "c1", "--queue", dead];
    let (status, said) = service.run(&retry).await;
    assert_eq!(status, 0, "{said}");
    let outcome = service.outcome("c1", &mut Vec::new()).await;
    assert_eq!(outcome.text("/code"), "UNKNOWN_ACCOUNT");
    service.broker.wait_for_depth(dead, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looking_again_and_again_never_uses_a_letter_up() {
    let (mut service, ids, bodies) = rejected(1).await;
    for _ in 0..25 {
        let (status, said) = service.run(&["dead-letters", "list"]).await;
        assert_eq!(status, 0, "{said}");
        assert!(said.contains(&ids[0]), "{said}");
    }
    let messages = service.broker.drain(DEAD).await;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].delivery.data, bodies[0]);
    let looks = match header(&messages[0], "x-delivery-count") {
        Some(AMQPValue::LongLongInt(looks)) => *looks,
        Some(AMQPValue::LongInt(looks)) => i64::from(*looks),
        other => panic!("{other:?}"),
    };
    assert!(looks <= 11, "{looks}");
    service.stop().await;
}
