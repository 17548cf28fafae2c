//! Direct messages.

use std::time::Duration;

use serde_json::{Value, json};
use simulator::{NewMessage, UserId};

use super::client::{APP, Answered, Caller};

async fn write(caller: &Caller, to: UserId, text: &str) -> Answered {
    let path = format!("/2/dm_conversations/with/{to}/messages");
    caller.post(&path, &json!({ "text": text })).await
}

#[actix_web::test]
async fn a_message_arrives_and_comes_back_to_the_app() {
    let caller = Caller::new().await;
    let (ann, acme) = (caller.stage.ann, caller.acme());
    let sent = write(&caller, ann, "Hello & <welcome>").await;
    assert_eq!(sent.status, 201, "{sent:?}");
    let conversation = format!("{acme}-{ann}");
    assert_eq!(sent.body["data"]["dm_conversation_id"], json!(conversation));
    let path = format!("/2/dm_conversations/{conversation}/messages");
    assert_eq!(
        caller.post(&path, &json!({ "text": "more" })).await.status,
        201
    );

    let messages = caller.simulator().messages_of(ann);
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0].text, "Hello & <welcome>");
    assert_eq!(messages[0].conversation, conversation);
    assert_eq!(messages[0].app.as_deref(), Some(APP));
    let told = caller.stage.delivered().await;
    assert_eq!(told[0]["data"]["event_type"], "dm.sent");
}

#[actix_web::test]
async fn a_closed_mailbox_opens_to_whom_it_knows() {
    let caller = Caller::new().await;
    let (ann, acme, simulator) = (caller.stage.ann, caller.acme(), caller.simulator());
    simulator
        .change_standing(ann, |standing| standing.accepts_messages = false)
        .unwrap();
    let refused = write(&caller, ann, "hello").await;
    assert_eq!(
        (refused.status, &refused.body["type"]),
        (403, &json!("about:blank"))
    );
    let hello = NewMessage::between(ann, acme, "help");
    simulator.direct_message(hello).unwrap();
    assert_eq!(write(&caller, ann, "hello").await.status, 201);
    simulator.block(ann, acme).unwrap();
    assert_eq!(write(&caller, ann, "hello?").await.status, 403);
    simulator.unblock(ann, acme).unwrap();
    simulator
        .change_standing(ann, |standing| standing.suspended = true)
        .unwrap();
    assert_eq!(write(&caller, ann, "hello?").await.status, 404);
}

#[actix_web::test]
async fn wrong_messages_are_refused() {
    let caller = Caller::new().await;
    let (ann, bob) = (caller.stage.ann, caller.stage.bob);
    assert_eq!(write(&caller, ann, &"a".repeat(10_001)).await.status, 403);
    assert_eq!(write(&caller, ann, "").await.status, 400);
    assert_eq!(write(&caller, caller.acme(), "me").await.status, 403);
    assert_eq!(write(&caller, UserId(17), "who").await.status, 404);
    let theirs = format!("/2/dm_conversations/{bob}-{ann}/messages");
    assert_eq!(
        caller.post(&theirs, &json!({ "text": "x" })).await.status,
        403
    );
    assert!(caller.simulator().messages_of(ann).is_empty());
}

#[actix_web::test]
async fn messages_are_listed_newest_first_for_a_month() {
    let caller = Caller::new().await;
    let (ann, bob, acme, simulator) = (
        caller.stage.ann,
        caller.stage.bob,
        caller.acme(),
        caller.simulator(),
    );
    let old = NewMessage::between(ann, acme, "old");
    simulator.direct_message(old).unwrap();
    simulator.advance(Duration::from_secs(31 * 24 * 3600));
    let id = simulator
        .direct_message(NewMessage::between(ann, acme, "new"))
        .unwrap();
    simulator
        .direct_message(NewMessage::between(bob, acme, "other"))
        .unwrap();
    simulator
        .direct_message(NewMessage::between(bob, ann, "secret"))
        .unwrap();
    let texts = |answer: &Answered| -> Vec<String> {
        let data = answer.body["data"].as_array().cloned().unwrap_or_default();
        data.iter()
            .map(|message| message["text"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        texts(&caller.get("/2/dm_events", &[]).await),
        ["other", "new"]
    );
    let first = caller.get("/2/dm_events", &[("max_results", "1")]).await;
    let next = first.body["meta"]["next_token"].as_str().unwrap();
    let second = caller
        .get("/2/dm_events", &[("pagination_token", next)])
        .await;
    assert_eq!(texts(&second), ["new"]);
    for path in [
        format!("/2/dm_conversations/with/{ann}/dm_events"),
        format!("/2/dm_conversations/{ann}-{acme}/dm_events"),
    ] {
        assert_eq!(texts(&caller.get(&path, &[]).await), ["new"], "{path}");
    }
    let fields = [
        ("dm_event.fields", "sender_id,dm_conversation_id,created_at"),
        ("expansions", "sender_id"),
    ];
    let one = caller.get(&format!("/2/dm_events/{id}"), &fields).await;
    let data: &Value = &one.body["data"];
    assert_eq!(data["event_type"], "MessageCreate");
    assert_eq!(data["sender_id"], ann.to_string());
    assert_eq!(data["dm_conversation_id"], format!("{acme}-{ann}"));
    assert_eq!(one.body["includes"]["users"][0]["username"], "ann");
}

#[actix_web::test]
async fn deleting_takes_a_message_out_of_the_own_view_only() {
    let caller = Caller::new().await;
    let (ann, acme) = (caller.stage.ann, caller.acme());
    let sent = write(&caller, ann, "oops").await;
    let path = format!(
        "/2/dm_events/{}",
        sent.body["data"]["dm_event_id"].as_str().unwrap()
    );
    let theirs = NewMessage::between(ann, acme, "mine");
    let theirs = caller.simulator().direct_message(theirs).unwrap();
    assert_eq!(
        caller
            .delete(&format!("/2/dm_events/{theirs}"))
            .await
            .status,
        403
    );
    assert_eq!(
        caller.delete(&path).await.body,
        json!({ "data": { "deleted": true } })
    );
    assert_eq!(caller.get(&path, &[]).await.status, 404);
    assert_eq!(caller.delete(&path).await.status, 404);
    let kept = &caller.simulator().messages_of(ann)[0];
    assert!(kept.deleted_by_sender && kept.text == "oops");
}
