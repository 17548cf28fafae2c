//! SIGTERM while there is much to do: what was begun is ended, all of it in time.

use std::time::{Duration, Instant};

use simulator::{Echo, Endpoint, Fault, FaultKind, NewPost, NewUser};

use crate::support::broker::{TestBroker, client, eventually};
use crate::support::load::Load;
use crate::support::process::ServiceProcess;
use crate::support::service::{ACME, Setup};
use crate::support::stage::{Stage, Times, send_post};

const PATIENCE: Duration = Duration::from_secs(30);
const TIMES: Times = Times {
    call: Duration::from_secs(15),
    first_read: Duration::from_millis(500),
    second_read: Duration::from_millis(500),
};

async fn stage(setup: Setup) -> (Stage, String) {
    let (x, broker) = (simulator::Settings::default(), TestBroker::vhost().await);
    let stage = Stage::start(setup, TIMES, x, broker, async |url: &str| url.to_owned()).await;
    let customer = stage.simulator.add_user(NewUser::named("ann")).unwrap();
    let mention = stage
        .simulator
        .post(NewPost::by(customer, "@acme hello"))
        .unwrap();
    (stage, mention.to_string())
}

/// X does what it is told at once, and answers late.
fn slow_posts(stage: &Stage, milliseconds: u64) {
    let slow = Fault::new(FaultKind::Nothing)
        .slow(0, milliseconds)
        .always();
    stage.simulator.order(slow.on(Endpoint::CreatePost));
}

/// Sends a post, and waits until X has been called for it.
async fn calls_x(stage: &mut Stage, id: &str, text: &str, mention: &str) {
    stage.desk.send(&send_post(id, ACME, text, mention)).await;
    let called = async || {
        (stage
            .service
            .metric("twitter_channel_ledger_running_steps")
            .await
            > 0.0)
            .then_some(())
    };
    eventually("X is called", called).await;
}

/// Tells the service to end, and waits until it has begun to.
async fn begins_to_end(stage: &mut Stage) {
    stage.service.signal_end().await;
    let unready = async || {
        let asked = client().get(stage.service.private("/readyz")).send().await;
        asked.is_ok_and(|it| it.status() == 503).then_some(())
    };
    eventually("the service is not ready", unready).await;
}

#[track_caller]
fn took_less_than(began: Instant, seconds: u64) {
    let took = began.elapsed();
    assert!(took < Duration::from_secs(seconds), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_under_way_and_deliveries_end_before_the_service_does() {
    let (mut stage, mention) = stage(Setup::new()).await;
    slow_posts(&stage, 2500);
    calls_x(&mut stage, "slow", "Slowly.", &mention).await;
    let mut load = Load::start(stage.service.webhook(), 2000);
    load.told(20).await;
    let began = Instant::now();
    begins_to_end(&mut stage).await;
    let ended = stage.service.ended().await;
    assert_eq!(ended.code(), Some(0));
    took_less_than(began, 10);
    assert_eq!(stage.simulator.count_posts(ACME, "Slowly."), 1);
    // Settled before the end: it is not looked up after the next start.
    stage.service.start_again().await;
    let outcome = stage.desk.outcome("slow", PATIENCE).await;
    assert_eq!(outcome["event"]["type"], "command.succeeded");
    assert_eq!(stage.simulator.count_posts(ACME, "Slowly."), 1);
    let told = load.all_told().await;
    let all = stage.desk.sees(PATIENCE, |noted| {
        let came = |id: &String| !noted.about("message.received", id).is_empty();
        told.iter().all(came)
    });
    assert!(all.await, "a delivery answered 200 is lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_outlasts_the_grace_time_is_uncertain_and_looked_up() {
    let (mut stage, mention) = stage(Setup::new().set("STOP__GRACE", "4s")).await;
    // X tells nobody of it: the echo would settle it.
    let slow = Fault::new(FaultKind::Nothing)
        .slow(0, 9000)
        .with_echo(Echo::NEVER);
    stage.simulator.order(slow.on(Endpoint::CreatePost));
    calls_x(&mut stage, "late", "Too late.", &mention).await;
    let began = Instant::now();
    let ended = stage.service.terminate().await;
    assert_eq!(ended.code(), Some(0));
    took_less_than(began, 7);
    assert!(stage.service.said().contains("calls to X were cut off"));
    let shown = stage.service.run(&["commands", "list", "--json"]).await;
    assert!(shown.contains("\"uncertain\""), "{shown}");
    stage.simulator.clear_faults();
    stage.service.start_again().await;
    let outcome = stage.desk.outcome("late", PATIENCE).await;
    assert_eq!(outcome["event"]["type"], "command.succeeded");
    assert_eq!(stage.simulator.count_posts(ACME, "Too late."), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_away_does_not_keep_the_service() {
    // Nobody answers there, not even to refuse.
    let hole = tokio::net::TcpSocket::new_v4().unwrap();
    hole.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let hole = hole.listen(1).unwrap();
    let address = hole.local_addr().unwrap();
    let setup = Setup::new().set("BROKER__CONNECT_TIMEOUT", "5s");
    let url = format!("amqp://guest:guest@{address}/%2f");
    let mut service = ServiceProcess::start(&setup, &url).await;
    let began = Instant::now();
    let ended = service.terminate().await;
    assert_eq!(ended.code(), Some(0));
    took_less_than(began, 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_the_service_at_once() {
    let (mut stage, mention) = stage(Setup::new()).await;
    slow_posts(&stage, 12_000);
    calls_x(&mut stage, "cut", "Cut.", &mention).await;
    let began = Instant::now();
    begins_to_end(&mut stage).await;
    stage.service.signal_end().await;
    let ended = stage.service.ended().await;
    assert_eq!(ended.code(), Some(1));
    took_less_than(began, 8);
}
