//! Commands that repeat a failed one.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulator::{Echo, Endpoint, Fault, FaultKind};

use super::listener::{Listener, named, post};
use super::{answer, mention, start, writes};
use crate::support::broker::eventually;
use crate::support::service::{ACME, TestService};

fn retry(command: &Value, id: &str) -> Value {
    let mut retry = command.clone();
    retry["retry_of"] = command["command_id"].clone();
    retry["command_id"] = json!(id);
    retry.as_object_mut().unwrap().remove("expires_at");
    retry
}

/// X says this to the next call whose body has the text in it.
fn refuse_once(service: &TestService, text: &str) {
    let what = FaultKind::Status {
        status: 403,
        body: Some(json!({"errors": [{"code": 226, "message": "It looks automated."}]})),
        effect: false,
    };
    let fault = Fault::new(what).on(Endpoint::CreatePost).with_text(text);
    service.simulator.order(fault);
}

/// A command that ends UNCERTAIN: its answer is lost, and while it lives nothing can be looked up.
async fn uncertain(service: &TestService, core: &mut Listener<'_>, lost: FaultKind) -> Value {
    let mention = mention(service, "hello").await;
    let lost = Fault::new(lost).on(Endpoint::CreatePost);
    service.simulator.order(lost.with_echo(Echo::NEVER));
    blind(service);
    let mut command = answer(&mention, "c1", "Is it there?");
    let soon = Timestamp::now() + SignedDuration::from_secs(1);
    command["expires_at"] = json!(soon.to_string());
    let failed = core.refuses(&command, "UNCERTAIN").await;
    assert_eq!(failed.at("/retryable"), true);
    service.simulator.clear_faults();
    command
}

/// Look-ups answer with a page behind which there is more.
fn blind(service: &TestService) {
    let partial = FaultKind::Status {
        status: 200,
        body: Some(json!({"data": [], "meta": {"result_count": 0, "next_token": "more"}})),
        effect: false,
    };
    let blind = Fault::new(partial).on(Endpoint::UserPosts);
    service.simulator.order(blind.always());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_after_a_refusal_is_sent() {
    let service = start().await;
    let mut core = Listener::to(&service);
    refuse_once(&service, "Try");
    let first = post("c1", json!({"text": "Try"}));
    core.refuses(&first, "LOOKS_AUTOMATED").await;
    let outcome = core.does(&retry(&first, "c2")).await;
    assert_eq!(outcome.text("/retry_of"), "c1");
    // Nothing of the first is at X: another text is as good.
    refuse_once(&service, "Third");
    let third = post("c3", json!({"text": "Third"}));
    core.refuses(&third, "LOOKS_AUTOMATED").await;
    let mut other = retry(&third, "c4");
    other["send_post"]["text"] = json!("In other words");
    core.does(&other).await;
    // A retry of what has succeeded succeeds with it.
    let again = core.does(&retry(&other, "c5")).await;
    let posts = service.simulator.posts_by(ACME);
    assert_eq!(named(&again), [posts[1].id.to_string()]);
    assert_eq!(posts.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_finds_what_is_at_x_after_all() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let command = uncertain(&service, &mut core, FaultKind::AnswerLost).await;
    let outcome = core.does(&retry(&command, "c2")).await;
    let posts = service.simulator.posts_by(ACME);
    assert_eq!(posts.len(), 1);
    assert_eq!(named(&outcome), [posts[0].id.to_string()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_sends_what_is_not_at_x() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let command = uncertain(&service, &mut core, FaultKind::ResetAfterReading).await;
    core.does(&retry(&command, "c2")).await;
    assert_eq!(service.simulator.posts_by(ACME).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stays_uncertain_is_refused_unless_forced() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let command = uncertain(&service, &mut core, FaultKind::ResetAfterReading).await;
    blind(&service);
    core.refuses(&retry(&command, "c2"), "UNCERTAIN").await;
    assert!(service.simulator.posts_by(ACME).is_empty());
    let mut forced = retry(&command, "c3");
    forced["retry_of"] = json!("c2");
    forced["force"] = json!(true);
    core.does(&forced).await;
    assert_eq!(service.simulator.posts_by(ACME).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_that_are_out_are_not_repeated() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let mention = mention(&service, "hello").await;
    let mut command = answer(&mention, "c1", &"word ".repeat(150));
    command["send_post"]["when_too_long"] = json!("SPLIT");
    refuse_once(&service, " 2/3");
    let failed = core.refuses(&command, "LOOKS_AUTOMATED").await;
    let posts = service.simulator.posts_by(ACME);
    assert_eq!(named(&failed), [posts[0].id.to_string()]);
    assert_eq!(failed.text("/cost_usd"), "0.010");

    let mut other = retry(&command, "c2");
    other["send_post"]["text"] = json!("Something else");
    let refused = core.refuses(&other, "INVALID").await;
    assert_eq!(refused.text("/field"), "retry_of");

    let outcome = core.does(&retry(&command, "c3")).await;
    let posts = service.simulator.posts_by(ACME);
    let ids: Vec<_> = posts.iter().map(|post| post.id.to_string()).collect();
    assert_eq!(named(&outcome), ids);
    assert_eq!(ids.len(), 3);
    assert_eq!(posts[1].parent, Some(posts[0].id));
    assert_eq!(outcome.text("/cost_usd"), "0.030");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_command_is_not_repeated() {
    let service = start().await;
    let mut core = Listener::to(&service);
    let slow = Fault::new(FaultKind::Nothing)
        .on(Endpoint::CreatePost)
        .slow(1000, 0);
    service.simulator.order(slow);
    let command = post("c1", json!({"text": "Slow"}));
    service.command(&command).await;
    let refused = core.refuses(&retry(&command, "c2"), "INVALID").await;
    assert_eq!(refused.text("/field"), "retry_of");
    core.succeeded("c1").await;
    assert_eq!(service.simulator.posts_by(ACME).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stop_switch_holds_a_retry_and_what_is_not_at_x() {
    let mut service = start().await;
    let first = post("c1", json!({"text": "Try"}));
    let doubtful = post("d1", json!({"text": "Doubtful"}));
    {
        let mut core = Listener::to(&service);
        refuse_once(&service, "Try");
        core.refuses(&first, "LOOKS_AUTOMATED").await;
        let lost = Fault::new(FaultKind::ResetAfterReading).on(Endpoint::CreatePost);
        service.simulator.order(lost.with_text("Doubtful"));
        let calls = writes(&service).len();
        service.command(&doubtful).await;
        let lost = async || (writes(&service).len() > calls).then_some(());
        eventually("a lost call", lost).await;
    }
    service.stop().await;
    service
        .start_again(|setup| setup.account_keys("sending = \"hold\""))
        .await;
    let mut core = Listener::to(&service);
    service.command(&retry(&first, "c2")).await;
    core.deferred("c2", "SENDING_STOPPED").await;
    core.deferred("d1", "SENDING_STOPPED").await;
    assert!(service.simulator.posts_by(ACME).is_empty());
    drop(core);
    service.stop().await;
    service.start_again(|setup| setup.account_keys("")).await;
    let mut core = Listener::to(&service);
    core.succeeded("c2").await;
    core.succeeded("d1").await;
    assert_eq!(service.simulator.posts_by(ACME).len(), 2);
}
