//! Deleting and hiding.

use serde_json::{Value, json};
use simulator::{Endpoint, Fault, FaultKind, NewPost};

use super::listener::{Listener, command, message, named, post};
use super::{answer, mention, start, writes};
use crate::support::service::{ACME, Event, TestService};

fn delete(id: &str, message: &str) -> Value {
    command(id, json!({"delete_message": {"message_id": message}}))
}

fn hide(id: &str, message: &str, hidden: bool) -> Value {
    let fields = json!({"message_id": message, "hidden": hidden});
    command(id, json!({"hide_reply": fields}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_post_is_deleted_once() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let mention = mention(&service, "hello").await;
    let sent = core.does(&answer(&mention, "c1", "A slip")).await;
    let id = sent.text("/messages/0/id");
    let echo = |event: &Event| event.event_type() == "message.sent";
    core.hears("the echo", echo).await;

    let mut first = delete("d1", id);
    // Whose post it is, is known by its echo.
    first.as_object_mut().unwrap().remove("account_id");
    let outcome = core.does(&first).await;
    assert_eq!(named(&outcome), [id]);
    assert_eq!(outcome.text("/cost_usd"), "0.010");
    assert_eq!(
        outcome.text("/conversation/id"),
        mention.text("/conversation/id")
    );
    assert!(service.simulator.posts_by(ACME)[0].deleted);

    let failed = core.refuses(&delete("d2", id), "DELETED").await;
    assert_eq!(failed.at("/upstream/status"), 404);
    assert_eq!(failed.text("/cost_usd"), "0.000");
    assert!(named(&failed).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_id_is_taken_for_a_post_and_anothers_stays() {
    let service = start().await;
    let mut core = Listener::to(&service);
    core.refuses(&delete("d1", "12345"), "DELETED").await;
    let ann = service.user("ann");
    let theirs = service.post(NewPost::by(ann, "mine")).to_string();
    let failed = core.refuses(&delete("d2", &theirs), "REFUSED").await;
    assert!(failed.text("/detail").contains("not authorized to delete"));
    assert!(!service.simulator.posts_by(ann)[0].deleted);
    let calls = writes(&service);
    assert!(
        calls
            .iter()
            .all(|call| call.target.starts_with("/2/tweets/"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_direct_message_is_deleted_from_our_view_only() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let ann = service.user("ann").to_string();
    let fields = json!({"recipient_id": ann, "text": "A slip"});
    let sent = core.does(&message("c1", fields)).await;
    let id = sent.text("/messages/0/id");
    let outcome = core.does(&delete("d1", id)).await;
    assert!(outcome.text("/detail").contains("own view only"));
    assert_eq!(named(&outcome), [id]);
    assert_eq!(outcome.text("/cost_usd"), "0.010");
    assert_eq!(
        outcome.text("/conversation/id"),
        sent.text("/conversation/id")
    );
    let messages = service.simulator.messages_of(ACME);
    assert!(messages[0].deleted_by_sender);
    core.refuses(&delete("d2", id), "DELETED").await;
}

/// A customer's answer below a post of ours.
async fn answer_below_ours(service: &TestService, core: &mut Listener<'_>) -> String {
    let own = service.post(NewPost::by(ACME, "News of the day"));
    let bob = service.user("bob");
    let reply = service.post(NewPost::by(bob, "Rubbish").replying_to(own));
    let id = reply.to_string();
    let fits =
        |event: &Event| event.event_type() == "message.received" && event.text("/message/id") == id;
    core.hears("the answer", fits).await;
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_is_hidden_and_shown_again() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let reply = answer_below_ours(&service, &mut core).await;
    let bob = service.user("bob");
    let is_hidden = || service.simulator.posts_by(bob)[0].hidden;
    let outcome = core.does(&hide("h1", &reply, true)).await;
    assert!(is_hidden());
    assert_eq!(named(&outcome), [reply.as_str()]);
    assert_eq!(outcome.text("/cost_usd"), "0.005");
    core.does(&hide("h2", &reply, false)).await;
    assert!(!is_hidden());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_in_anothers_thread_is_not_hidden() {
    let service = start().await;
    let mut core = Listener::to(&service);
    mention(&service, "look at this").await;
    let (ann, bob) = (service.user("ann"), service.user("bob"));
    let root = service.simulator.posts_by(ann)[0].id;
    let reply = service.post(NewPost::by(bob, "Rubbish").replying_to(root));
    let failed = core
        .refuses(&hide("h1", &reply.to_string(), true), "REFUSED")
        .await;
    assert!(
        failed
            .text("/detail")
            .contains("conversations that you started")
    );
    assert_eq!(failed.at("/upstream/status"), 403);
    assert!(!service.simulator.posts_by(bob)[0].hidden);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_to_a_deletion_is_asked_again() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let sent = core.does(&post("c1", json!({"text": "A slip"}))).await;
    let lost = Fault::new(FaultKind::AnswerLost).on(Endpoint::DeletePost);
    service.simulator.order(lost);
    let id = sent.text("/messages/0/id");
    let outcome = core.does(&delete("d1", id)).await;
    assert_eq!(named(&outcome), [id]);
    assert!(service.simulator.posts_by(ACME)[0].deleted);
}
