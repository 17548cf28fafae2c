//! What X refuses, and how the core hears of it.

use serde_json::{Value, json};
use simulator::{Endpoint, Fault, FaultKind, NewPost, ReplySettings};

use super::listener::{Listener, message, post};
use super::{answer, mention, start, writes};
use crate::support::service::{ACME, TestService};

/// What a refusal tells, with a part of X's words.
async fn refused(core: &mut Listener<'_>, command: &Value, code: &str, words: &str) {
    let failed = core.refuses(command, code).await;
    let detail = failed.text("/detail");
    assert!(detail.contains(words), "{code}: {detail}");
    assert_eq!(failed.at("/upstream/status"), 403, "{:#}", failed.body);
    assert_eq!(failed.text("/cost_usd"), "0.000");
    assert_eq!(failed.text("/field"), "");
    assert_eq!(failed.at("/messages"), &json!([]));
}

fn reply_to(id: &str, parent: impl ToString, text: &str) -> Value {
    let fields = json!({"text": text, "in_reply_to": parent.to_string()});
    post(id, fields)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_replies_have_codes_and_keep_xs_words() {
    let service = start().await;
    let (x, mut core) = (&service.simulator, Listener::to(&service));
    let names = ["ann", "bob", "cat", "dan", "eve", "fay"];
    let [ann, bob, cat, dan, eve, fay] = names.map(|name| service.user(name));
    let to_us = |author| service.post(NewPost::by(author, "@acme hello"));

    let unnamed = service.post(NewPost::by(ann, "nobody is named"));
    let command = reply_to("c1", unnamed, "a");
    refused(&mut core, &command, "NOT_SUMMONED", "not been mentioned").await;

    let root = service.post(NewPost {
        reply_settings: ReplySettings::MentionedUsers,
        ..NewPost::by(bob, "for few")
    });
    let inside = service.post(NewPost::by(ann, "@acme look").replying_to(root));
    let command = reply_to("c2", inside, "b");
    refused(
        &mut core,
        &command,
        "REPLY_NOT_PERMITTED",
        "restricted who can reply",
    )
    .await;

    let hidden = to_us(cat);
    x.set_protected(cat, true).unwrap();
    let command = reply_to("c3", hidden, "c");
    refused(&mut core, &command, "PROTECTED", "not authorized to see").await;

    let gone = to_us(dan);
    x.delete(gone).unwrap();
    let command = reply_to("c4", gone, "d");
    refused(&mut core, &command, "DELETED", "deleted or not visible").await;

    let angry = to_us(eve);
    x.block(eve, ACME).unwrap();
    let command = reply_to("c5", angry, "e");
    refused(&mut core, &command, "BLOCKED", "blocked").await;

    let twice = to_us(fay);
    core.does(&reply_to("c6", twice, "Please write to us"))
        .await;
    let command = reply_to("c7", twice, "Please write to us");
    refused(&mut core, &command, "DUPLICATE", "duplicate content").await;
    assert_eq!(x.count_posts(ACME, "Please write to us"), 1);

    let stranger = service.user("gus");
    x.change_standing(stranger, |standing| standing.accepts_messages = false)
        .unwrap();
    let fields = json!({"recipient_id": stranger.to_string(), "text": "Hi"});
    let command = message("c8", fields);
    refused(
        &mut core,
        &command,
        "DM_NOT_PERMITTED",
        "cannot send messages",
    )
    .await;
    assert_eq!(x.posts_by(ACME).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_the_account_have_codes() {
    let service = start().await;
    let (x, mut core) = (&service.simulator, Listener::to(&service));
    let mention = mention(&service, "hello").await;
    for (id, answered, code, words) in [
        (
            "c1",
            code(226, "This request looks like it might be automated."),
            "LOOKS_AUTOMATED",
            "automated",
        ),
        (
            "c2",
            code(64, "Your account is suspended."),
            "SUSPENDED",
            "suspended",
        ),
        (
            "c3",
            code(93, "This application is not allowed."),
            "UNAUTHORIZED",
            "not allowed",
        ),
        (
            "c4",
            json!({"title": "Forbidden", "detail": "The moon is full.", "type": "about:blank", "status": 403}),
            "REFUSED",
            "The moon is full.",
        ),
    ] {
        order(&service, answered);
        refused(&mut core, &answer(&mention, id, id), code, words).await;
    }
    let standing = x.change_standing(ACME, |standing| standing.suspended = true);
    standing.unwrap();
    let command = answer(&mention, "c5", "c5");
    refused(&mut core, &command, "SUSPENDED", "suspended").await;
    let standing = x.change_standing(ACME, |standing| {
        standing.suspended = false;
        standing.locked = true;
    });
    standing.unwrap();
    let command = answer(&mention, "c6", "c6");
    refused(&mut core, &command, "SUSPENDED", "locked").await;
    assert!(x.posts_by(ACME).is_empty());
}

fn code(code: u32, message: &str) -> Value {
    json!({"errors": [{"code": code, "message": message}]})
}

fn order(service: &TestService, body: Value) {
    let what = FaultKind::Status {
        status: 403,
        body: Some(body),
        effect: false,
    };
    let fault = Fault::new(what).on(Endpoint::CreatePost);
    service.simulator.order(fault);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duplicate_after_a_lost_answer_is_ours() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let mention = mention(&service, "hello").await;
    // X has it, but shows it to nobody while it is looked up; then it says so itself.
    let lost = Fault::new(FaultKind::AnswerLost)
        .on(Endpoint::CreatePost)
        .with_echo(simulator::Echo::NEVER);
    service.simulator.order(lost);
    let empty = FaultKind::Status {
        status: 200,
        body: Some(json!({"meta": {"result_count": 0}})),
        effect: false,
    };
    let blind = Fault::new(empty).on(Endpoint::UserPosts).next(2);
    service.simulator.order(blind);
    let outcome = core.does(&answer(&mention, "c1", "Only one")).await;
    let posts = service.simulator.posts_by(ACME);
    assert_eq!(posts.len(), 1);
    assert_eq!(outcome.text("/messages/0/id"), posts[0].id.to_string());
    let calls = writes(&service);
    let tries = calls
        .iter()
        .filter(|it| it.endpoint == Endpoint::CreatePost);
    assert_eq!(tries.count(), 2, "it was sent again, and refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duplicate_of_another_after_a_lost_call_is_a_failure() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let [first, second] = [
        mention(&service, "one").await,
        mention(&service, "two").await,
    ];
    core.does(&answer(&first, "c1", "The same")).await;
    let lost = Fault::new(FaultKind::ResetAfterReading).on(Endpoint::CreatePost);
    service.simulator.order(lost);
    let failed = core
        .refuses(&answer(&second, "c2", "The same"), "DUPLICATE")
        .await;
    assert!(failed.text("/detail").contains("duplicate content"));
    assert_eq!(failed.at("/upstream/status"), 403);
    assert_eq!(service.simulator.posts_by(ACME).len(), 1);
}
