//! How long an account's posts may be: by its plan at X, or by its settings.

use serde_json::json;
use simulator::{Endpoint, NewPost};
use twitter_channel::domain::ids::AccountId;
use twitter_channel::store::{AccountState, Cost, Tx};

use crate::support::broker::eventually;
use crate::support::service::{ACME, Event, Setup, TestService};

/// A service that X knows when it is started, with or without Premium.
async fn start(premium: bool, account_keys: &str) -> TestService {
    let mut service =
        TestService::start(Setup::new().asking_for_plans().account_keys(account_keys)).await;
    let simulator = &service.simulator;
    simulator
        .change_standing(ACME, |standing| standing.premium = premium)
        .unwrap();
    // At its first start X did not know the account yet.
    restart(&mut service).await;
    service
}

async fn restart(service: &mut TestService) {
    service.stop().await;
    service.start_again(|setup| setup).await;
}

fn account() -> AccountId {
    AccountId(ACME.to_string().parse().unwrap())
}

async fn state(service: &TestService) -> AccountState {
    let read = service
        .store
        .read(|tx: &Tx<'_>| tx.account_state(account()));
    read.await.unwrap()
}

/// Waits until X has told the plan.
async fn plan_is_known(service: &TestService) {
    let known = async || state(service).await.post_limit.map(drop);
    eventually("the account's plan", known).await;
}

async fn mention(service: &TestService, text: &str) -> Event {
    let ann = service.user("ann");
    service.post(NewPost::by(ann, &format!("@acme {text}")));
    service.next_event().await
}

async fn answer(
    service: &TestService,
    mention: &Event,
    id: &str,
    text: &str,
    split: bool,
) -> Event {
    let mut command = mention.at("/reply/command").clone();
    command["command_id"] = json!(id);
    command["send_post"]["text"] = json!(text);
    if split {
        command["send_post"]["when_too_long"] = json!("SPLIT");
    }
    service.command(&command).await;
    service.outcome(id, &mut Vec::new()).await
}

/// Text of 1,000 characters.
fn long() -> String {
    "Turn it. ".repeat(200)[..1_000].trim_end().to_owned() + "!"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_premium_a_long_post_goes_out_whole() {
    let service = start(true, "").await;
    plan_is_known(&service).await;
    let mention = mention(&service, "how does it open?").await;
    assert_eq!(mention.at("/reply/max_length"), 25_000);
    let outcome = answer(&service, &mention, "c1", &long(), true).await;
    assert_eq!(
        outcome.event_type(),
        "command.succeeded",
        "{:#}",
        outcome.body
    );
    let posts = service.simulator.posts_by(ACME);
    let texts: Vec<_> = posts.iter().map(|post| post.text.as_str()).collect();
    assert_eq!(texts, [long()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_premium_a_long_post_is_refused_or_split() {
    let service = start(false, "").await;
    plan_is_known(&service).await;
    let mention = mention(&service, "how does it open?").await;
    assert_eq!(mention.at("/reply/max_length"), 280);
    let refused = answer(&service, &mention, "c1", &long(), false).await;
    assert_eq!(refused.text("/code"), "TEXT_TOO_LONG");
    assert!(refused.text("/detail").contains("limit is 280"));
    assert!(service.simulator.posts_by(ACME).is_empty());
    let split = answer(&service, &mention, "c2", &long(), true).await;
    assert_eq!(split.event_type(), "command.succeeded", "{:#}", split.body);
    assert_eq!(service.simulator.posts_by(ACME).len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plan_is_asked_for_at_each_start_and_charged_once_a_day() {
    let mut service = start(true, "").await;
    plan_is_known(&service).await;
    let simulator = &service.simulator;
    simulator
        .change_standing(ACME, |standing| standing.premium = false)
        .unwrap();
    restart(&mut service).await;
    let lower = async || (state(&service).await.post_limit == Some(280)).then_some(());
    eventually("the lower limit", lower).await;
    // Before anybody writes: what a gap filled after the restart would find costs, too.
    let costs = service
        .store
        .read(|tx: &Tx<'_>| tx.costs_since(jiff::Timestamp::UNIX_EPOCH));
    let costs = costs.await.unwrap().into_iter();
    let reads: Vec<Cost> = costs.filter(|cost| cost.kind == "user_read").collect();
    let [read] = &reads[..] else {
        panic!("{reads:?}");
    };
    // Midnight may pass between the two.
    assert!((1..=2).contains(&read.count), "{read:?}");
    assert_eq!(read.amount.micros(), 10_000 * read.count);
    let mention = mention(&service, "hello").await;
    assert_eq!(mention.at("/reply/max_length"), 280);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_by_the_settings_holds_and_x_is_not_asked() {
    let service = start(true, "max_post_length = 500").await;
    let mention = mention(&service, "hello").await;
    assert_eq!(mention.at("/reply/max_length"), 500);
    let refused = answer(&service, &mention, "c1", &long(), false).await;
    assert!(refused.text("/detail").contains("limit is 500"));
    let fits = answer(&service, &mention, "c2", &long()[..500], false).await;
    assert_eq!(fits.event_type(), "command.succeeded", "{:#}", fits.body);
    assert_eq!(state(&service).await.post_limit, None);
    let mut calls = service.simulator.calls().into_iter();
    assert!(calls.all(|call| call.endpoint != Endpoint::Me));
}
