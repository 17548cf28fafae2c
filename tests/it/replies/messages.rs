//! Direct messages.

use serde_json::json;
use simulator::NewMessage;

use super::listener::{Listener, message, named};
use super::{start, writes};
use crate::support::service::{ACME, Event};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_goes_to_a_person_or_into_a_conversation() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let ann = service.user("ann");
    let fields = json!({"recipient_id": ann.to_string(), "text": "Hello"});
    let first = core.does(&message("c1", fields)).await;
    let conversation = format!("dm:{}-{}", ann.min(ACME), ann.max(ACME));
    assert_eq!(first.text("/conversation/id"), conversation);
    assert_eq!(first.text("/conversation/customer/id"), ann.to_string());
    assert_eq!(
        first.text("/messages/0/url"),
        format!("https://x.com/messages/{}", &conversation[3..])
    );

    let reply = NewMessage::between(ann, ACME, "Who are you?");
    service.simulator.direct_message(reply).unwrap();
    let received = |event: &Event| event.event_type() == "message.received";
    core.hears("her answer", received).await;
    // Without account_id: the conversation was published for one.
    let fields = json!({"conversation_id": conversation, "text": "acme"});
    let mut second = message("c2", fields);
    second.as_object_mut().unwrap().remove("account_id");
    let second = core.does(&second).await;
    assert_eq!(second.text("/conversation/id"), conversation);
    assert_eq!(second.text("/cost_usd"), "0.015");
    let messages = service.simulator.messages_of(ACME);
    let texts: Vec<_> = messages.iter().map(|it| it.text.as_str()).collect();
    assert_eq!(texts, ["Hello", "Who are you?", "acme"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_message_is_split_only_when_asked() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let ann = service.user("ann").to_string();
    let text = "word ".repeat(4_100).trim_end().to_owned();
    let fields = json!({"recipient_id": ann, "text": text});
    let failed = core
        .refuses(&message("c1", fields.clone()), "TEXT_TOO_LONG")
        .await;
    let detail = failed.text("/detail");
    for number in ["10000", "20499", "10499"] {
        assert!(detail.contains(number), "{detail}");
    }
    assert!(writes(&service).is_empty());
    let mut fields = fields;
    fields["when_too_long"] = json!("SPLIT");
    let outcome = core.does(&message("c2", fields)).await;
    let messages = service.simulator.messages_of(ACME);
    let ids: Vec<_> = messages.iter().map(|it| it.id.to_string()).collect();
    assert_eq!(named(&outcome), ids);
    assert_eq!(messages.len(), 3);
    assert_eq!(outcome.text("/cost_usd"), "0.045");
    let words: Vec<_> = messages
        .iter()
        .flat_map(|it| it.text.split_whitespace())
        .filter(|word| *word == "word")
        .collect();
    assert_eq!(words.len(), 4_100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_to_nobody_fails() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let fields = json!({"recipient_id": "987654321", "text": "Hello"});
    let failed = core.refuses(&message("c1", fields), "DELETED").await;
    assert_eq!(failed.at("/upstream/status"), 404);
    let fields = json!({"recipient_id": ACME.to_string(), "text": "Me"});
    let failed = core.outcome_of(&message("c2", fields)).await;
    assert_eq!(failed.event_type(), "command.failed");
    assert!(service.simulator.messages_of(ACME).is_empty());
}
