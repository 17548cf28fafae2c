//! Times for which X has what we have not: filled by X's replay, or by reads of its lists.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use simulator::{Clock, Endpoint, Fault, FaultKind, NewMessage, NewPost, Traffic, Written};
use twitter_channel::domain::ids::AccountId;
use twitter_channel::domain::registry::Registry;
use twitter_channel::flow::upkeep;
use twitter_channel::store::{Gap, GapEnd, GapMethod, GapReason, Tx};

use crate::support::broker::eventually;
use crate::support::service::{ACME, APP, Event, INBOX, Setup, TestService};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// An app to whose webhooks X replays nothing.
const WITHOUT_REPLAY: &str = "delivery = \"account_activity_v1\"\nenvironment = \"prod\"";

fn ago(span: SignedDuration) -> Timestamp {
    Timestamp::now() - span
}

/// A service before an X whose clock is so far behind.
async fn start(setup: Setup, behind: SignedDuration) -> TestService {
    let behind = Duration::try_from(behind).unwrap();
    TestService::start(setup.clock(Clock::Behind(behind))).await
}

/// The store as it is when the service did not run from then till then, and has run since.
async fn down(service: &TestService, from: Timestamp, until: Timestamp) {
    let apps = Setup::new().settings().apps;
    let registry = Registry::new(apps, vec![], vec![]);
    let store = &service.store;
    store.write(move |tx| tx.note_alive(from)).await.unwrap();
    upkeep::note_downtime(store, &registry, until)
        .await
        .unwrap();
    let alive = |tx: &mut Tx<'_>| tx.note_alive(Timestamp::now());
    store.write(alive).await.unwrap();
}

/// Two hours of traffic while the service is stopped: ids of what was written.
async fn miss_two_hours(service: &mut TestService) -> HashSet<String> {
    service.stop().await;
    let traffic = Traffic::of_two_hours(ACME);
    let written = service.simulator.traffic(&traffic).await.unwrap();
    service.simulator.settled().await;
    service.simulator.advance(Duration::from_hours(1));
    down(service, ago(HOUR * 3), ago(HOUR)).await;
    let ids = written.into_iter().map(|one| match one {
        Written::Post(id) => id.to_string(),
        Written::Message(id) => id.to_string(),
    });
    ids.collect()
}

/// All gaps but those of the test's own restarts, newest first.
async fn gaps(service: &TestService) -> Vec<Gap> {
    let read = |tx: &Tx<'_>| tx.gap_page(false, None, 100);
    let mut gaps = service.store.read(read).await.unwrap();
    gaps.retain(|gap| gap.until.duration_since(gap.from) > SignedDuration::from_mins(2));
    gaps
}

async fn gap_that(service: &TestService, what: &str, is: impl Fn(&Gap) -> bool) -> Gap {
    let found = async || gaps(service).await.into_iter().find(|gap| is(gap));
    eventually(what, found).await
}

async fn closed(service: &TestService) -> Gap {
    gap_that(service, "a gap that is closed", |gap| gap.closed.is_some()).await
}

fn how(gap: &Gap) -> GapEnd {
    gap.closed.unwrap().1
}

/// What came, by the id of its message; twice is a fault.
async fn messages(service: &TestService) -> BTreeMap<String, Event> {
    by_message(service.events().await)
}

fn check_all_backfilled(found: &BTreeMap<String, Event>, missed: &HashSet<String>, via: &str) {
    let came: HashSet<_> = found.keys().cloned().collect();
    assert_eq!(came, *missed);
    for event in found.values() {
        assert_eq!(event.at("/event/backfilled"), &json!(true));
        assert_eq!(event.text("/delivery/via"), via);
    }
}

fn calls(service: &TestService, endpoint: Endpoint) -> usize {
    let calls = service.simulator.calls().into_iter();
    calls.filter(|call| call.endpoint == endpoint).count()
}

/// X begins a job of this id, it says; nothing comes of it.
fn order_that_is_lost(service: &TestService, job: &str) {
    let what = FaultKind::Status {
        status: 200,
        body: Some(json!({"data": {"job_id": job, "created_at": "2026-03-02T09:00:00.000Z"}})),
        effect: false,
    };
    service
        .simulator
        .order(Fault::new(what).on(Endpoint::Replay));
}

fn ended(job: &str, state: &str) -> Value {
    json!({"replay_job_status": {
        "webhook_id": "1", "job_state": state, "job_state_description": "", "job_id": job,
    }})
}

/// One post missed two hours ago; its id.
async fn miss_a_post(service: &mut TestService) -> String {
    service.stop().await;
    let post = NewPost::by(service.user("jane"), "@acme where is my order?");
    let post = service.post(post);
    service.simulator.settled().await;
    service.simulator.advance(Duration::from_hours(2));
    let (from, until) = (ago(HOUR * 2 + HOUR / 2), ago(HOUR * 2 - HOUR / 2));
    down(service, from, until).await;
    post.to_string()
}

/// Waits until the core is told of a fault; what else came meanwhile.
async fn fault_told(service: &TestService, code: &str) -> Vec<Event> {
    let mut others = Vec::new();
    loop {
        let came = async || Some(service.take_events_of(INBOX).await).filter(|it| !it.is_empty());
        let (health, messages): (Vec<_>, Vec<_>) = eventually(code, came)
            .await
            .into_iter()
            .partition(|event| event.event_type() == "account.health");
        others.extend(messages);
        let mut faults = health
            .iter()
            .flat_map(|it| it.at("/faults").as_array().unwrap());
        if faults.any(|fault| fault["code"] == code) {
            return others;
        }
    }
}

fn by_message(events: Vec<Event>) -> BTreeMap<String, Event> {
    let mut found = BTreeMap::new();
    for event in events {
        let id = event.text("/message/id").to_owned();
        assert!(found.insert(id, event).is_none(), "a message came twice");
    }
    found
}

/// Which pages of mentions were asked for, with repeats.
fn pages_of_mentions(service: &TestService) -> Vec<String> {
    let calls = service.simulator.calls().into_iter();
    let mentions = calls.filter(|call| call.endpoint == Endpoint::UserMentions);
    mentions.map(|call| call.target).collect()
}

#[tokio::test]
async fn two_hours_without_the_service_come_by_replay_once_each() {
    // The poll of mentions beside the webhook is not counted among what fills a gap.
    let setup = Setup::new().account_keys("poll_mentions = \"off\"");
    let mut service = start(setup, HOUR * 3).await;
    let jane = service.user("jane");
    let before = service.post(NewPost::by(jane, "@acme a first word"));
    assert_eq!(
        service.only_event().await.text("/message/id"),
        before.to_string()
    );
    let missed = miss_two_hours(&mut service).await;
    service.start_again(|setup| setup).await;
    let gap = closed(&service).await;
    assert_eq!(how(&gap), GapEnd::Filled(GapMethod::Replay));
    let found = messages(&service).await;
    check_all_backfilled(&found, &missed, "ACCOUNT_ACTIVITY");
    assert_eq!(calls(&service, Endpoint::UserMentions), 0);
    service.stop().await;
}

#[tokio::test]
async fn without_replay_they_are_read_and_charged() {
    let mut service = start(Setup::new().app_keys(WITHOUT_REPLAY), HOUR * 3).await;
    let missed = miss_two_hours(&mut service).await;
    let billed_before = service.simulator.bill(APP).total_micro_usd;
    service.start_again(|setup| setup).await;
    let gap = closed(&service).await;
    assert_eq!(how(&gap), GapEnd::Filled(GapMethod::Reads));
    let found = messages(&service).await;
    check_all_backfilled(&found, &missed, "LOOKUP");
    assert_eq!(calls(&service, Endpoint::Replay), 0);
    let costs = service
        .store
        .read(|tx| tx.costs_since(Timestamp::UNIX_EPOCH));
    let charged: u64 = costs
        .await
        .unwrap()
        .iter()
        .map(|it| it.amount.micros())
        .sum();
    assert!(charged > 0);
    let billed = service.simulator.bill(APP).total_micro_usd - billed_before;
    assert!(billed > 0);
    service.stop().await;
}

#[tokio::test]
async fn a_replay_that_x_refuses_is_left_to_reads() {
    let mut service = start(Setup::new(), HOUR * 2).await;
    let what = FaultKind::Status {
        status: 403,
        body: Some(
            json!({"title": "Forbidden", "status": 403, "reason": "client-not-enrolled",
            "type": "https://api.twitter.com/2/problems/client-forbidden"}),
        ),
        effect: false,
    };
    let refusal = Fault::new(what).on(Endpoint::Replay).always();
    service.simulator.order(refusal);
    let missed = miss_a_post(&mut service).await;
    service.start_again(|setup| setup).await;
    assert_eq!(
        how(&closed(&service).await),
        GapEnd::Filled(GapMethod::Reads)
    );
    check_all_backfilled(&messages(&service).await, &[missed].into(), "LOOKUP");
    service.stop().await;
}

#[tokio::test]
async fn an_incomplete_job_is_ordered_again_also_after_a_restart() {
    let mut service = start(Setup::new(), HOUR * 2).await;
    order_that_is_lost(&service, "77");
    let missed = miss_a_post(&mut service).await;
    service.start_again(|setup| setup).await;
    gap_that(&service, "an order", |gap| {
        gap.order.as_ref().is_some_and(|order| order.job == "77")
    })
    .await;
    service.stop().await;
    service.start_again(|setup| setup).await;
    service.take(&ended("76", "Complete")).await;
    service.take(&ended("77", "Incomplete")).await;
    let gap = closed(&service).await;
    assert_eq!(how(&gap), GapEnd::Filled(GapMethod::Replay));
    check_all_backfilled(
        &messages(&service).await,
        &[missed].into(),
        "ACCOUNT_ACTIVITY",
    );
    assert_eq!(calls(&service, Endpoint::Replay), 2);
    service.stop().await;
}

#[tokio::test]
async fn a_job_whose_end_never_comes_is_ordered_again() {
    let setup = Setup::new().set("GAPS__REPLAY_END_WITHIN", "3s");
    let mut service = start(setup, HOUR * 2).await;
    order_that_is_lost(&service, "77");
    let missed = miss_a_post(&mut service).await;
    service.start_again(|setup| setup).await;
    assert_eq!(
        how(&closed(&service).await),
        GapEnd::Filled(GapMethod::Replay)
    );
    check_all_backfilled(
        &messages(&service).await,
        &[missed].into(),
        "ACCOUNT_ACTIVITY",
    );
    assert_eq!(calls(&service, Endpoint::Replay), 2);
    service.stop().await;
}

#[tokio::test]
async fn an_order_whose_answer_is_lost_is_known_by_its_end() {
    let mut service = start(Setup::new(), HOUR * 2).await;
    let fault = Fault::new(FaultKind::AnswerLost).on(Endpoint::Replay);
    service.simulator.order(fault);
    let missed = miss_a_post(&mut service).await;
    service.start_again(|setup| setup).await;
    assert_eq!(
        how(&closed(&service).await),
        GapEnd::Filled(GapMethod::Replay)
    );
    check_all_backfilled(
        &messages(&service).await,
        &[missed].into(),
        "ACCOUNT_ACTIVITY",
    );
    assert_eq!(calls(&service, Endpoint::Replay), 1);
    service.stop().await;
}

#[tokio::test]
async fn what_is_replayed_within_the_hour_is_backfilled_too() {
    let minutes = SignedDuration::from_mins;
    let mut service = start(Setup::new(), minutes(40)).await;
    service.stop().await;
    let post = NewPost::by(service.user("jane"), "@acme where is my order?");
    let missed = service.post(post).to_string();
    service.simulator.settled().await;
    service.simulator.advance(Duration::from_mins(40));
    down(&service, ago(minutes(45)), ago(minutes(35))).await;
    service.start_again(|setup| setup).await;
    closed(&service).await;
    check_all_backfilled(
        &messages(&service).await,
        &[missed].into(),
        "ACCOUNT_ACTIVITY",
    );
    service.stop().await;
}

#[tokio::test]
async fn reads_stop_at_the_budget_and_go_on_where_they_were() {
    let budget = "monthly_budget_usd = \"0.01\"";
    let setup = Setup::new().app_keys(WITHOUT_REPLAY).account_keys(budget);
    let mut service = start(setup, HOUR * 3).await;
    let missed = miss_two_hours(&mut service).await;
    service.start_again(|setup| setup).await;
    let mut came = fault_told(&service, "GAP_BUDGET").await;
    came.extend(service.events().await);
    assert!(came.len() < missed.len());
    assert!(gaps(&service).await.iter().all(|gap| gap.closed.is_none()));
    service.stop().await;
    service.start_again(|setup| setup.account_keys("")).await;
    closed(&service).await;
    came.extend(service.events().await);
    check_all_backfilled(&by_message(came), &missed, "LOOKUP");
    let pages = pages_of_mentions(&service);
    let different: HashSet<_> = pages.iter().collect();
    assert!(
        pages.len() > 1 && pages.len() == different.len(),
        "{pages:#?}"
    );
    service.stop().await;
}

#[tokio::test]
async fn an_account_that_cannot_be_read_does_not_hold_up_others() {
    let other = simulator::UserId(7);
    let setup = Setup::new().app_keys(WITHOUT_REPLAY);
    let setup = setup.account(APP, other, "other", "");
    let mut service = start(setup, HOUR * 2).await;
    // The account with the lower id is looked at first.
    let refusal = Fault::new(FaultKind::Outage).of(other).always();
    service.simulator.order(refusal);
    let missed = miss_a_post(&mut service).await;
    service.start_again(|setup| setup).await;
    let came = service.next_event().await;
    assert_eq!(came.text("/message/id"), missed);
    let gap = gap_that(&service, "a gap that waits", |gap| gap.settled.len() == 1).await;
    assert!(gap.closed.is_none() && gap.is_open_for("7".parse().map(AccountId).unwrap()));
    service.stop().await;
}

#[tokio::test]
async fn a_gap_filled_by_hand_brings_only_what_lies_in_it() {
    let setup = Setup::new().app_keys(WITHOUT_REPLAY);
    let setup = setup
        .filter("account = \"acme\"\nmatch = \"term\"\nterm = \"#acmehelp\"\ngroup = \"field\"");
    let mut service = start(setup, HOUR * 5).await;
    service.stop().await;
    let jane = service.user("jane");
    let mut written = Vec::new();
    for _ in 0..4 {
        let direct = NewMessage::between(jane, ACME, "My order has not come");
        written.push([
            service
                .post(NewPost::by(jane, "where is it? #acmehelp"))
                .to_string(),
            service
                .simulator
                .direct_message(direct)
                .unwrap()
                .to_string(),
        ]);
        service.simulator.advance(Duration::from_hours(1));
    }
    service.simulator.advance(Duration::from_hours(1));
    service.simulator.settled().await;
    let alive = |tx: &mut Tx<'_>| tx.note_alive(Timestamp::now());
    service.store.write(alive).await.unwrap();
    service.start_again(|setup| setup).await;
    let (from, to) = (ago(HOUR * 4 + HOUR / 2), ago(HOUR * 2 + HOUR / 2));
    let (from, to) = (from.to_string(), to.to_string());
    let fill = ["gaps", "fill", "--app", APP, "--from", &from, "--to", &to];
    let (code, said) = service.run(&fill).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(
        how(&closed(&service).await),
        GapEnd::Filled(GapMethod::Reads)
    );
    let expected: HashSet<_> = written[1..3].iter().flatten().cloned().collect();
    let found = messages(&service).await;
    assert_eq!(found.keys().cloned().collect::<HashSet<_>>(), expected);
    let (_, listed) = service.run(&["gaps", "list", "--all"]).await;
    assert!(listed.contains("by_hand   reads"), "{listed}");
    let unknown = ["gaps", "fill", "--app", "other", "--from", &from];
    assert_eq!(service.run(&unknown).await.0, 1);
    service.stop().await;
}

#[tokio::test]
async fn what_cannot_be_had_any_more_is_lost_and_told() {
    let service = TestService::start(Setup::new()).await;
    service.settled().await;
    let (from, until) = (ago(HOUR * 24 * 9), ago(HOUR * 24 * 8));
    let open = move |tx: &mut Tx<'_>| tx.open_gap(APP, from, until, GapReason::Downtime);
    service.store.write(open).await.unwrap();
    let gap = closed(&service).await;
    assert_eq!(how(&gap), GapEnd::Lost);
    fault_told(&service, "GAP_LOST").await;
    let id = gap.id.to_string();
    let (code, said) = service.run(&["gaps", "acknowledge", &id]).await;
    assert_eq!(code, 0, "{said}");
    let over = async || {
        let events = service.take_events_of(INBOX).await;
        let last = events
            .iter()
            .rfind(|event| event.event_type() == "account.health")?;
        let none = last.at("/faults").as_array().unwrap().is_empty();
        none.then_some(())
    };
    eventually("no more of it", over).await;
}
