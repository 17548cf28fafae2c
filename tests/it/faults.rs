//! The promise: an event that X was told 200 for is never lost, and always has the same id and body.
//! Each test runs the service's own binary under load, breaks something around it, mends it, and
//! looks for every delivery in the inbox. Nobody helps the service meanwhile.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;

use crate::support::broker::{TestBroker, eventually};
use crate::support::core::{Core, is_republished};
use crate::support::disk::SmallDisk;
use crate::support::load::{Load, is_direct};
use crate::support::process::{PrivateBroker, ServiceProcess};
use crate::support::proxy::Proxy;
use crate::support::service::{INBOX, Setup};

const DELIVERIES: u64 = 600;
/// All that was ever stored.
const REPUBLISH_ALL: [&str; 6] = [
    "events",
    "republish",
    "--from",
    "2020-01-01T00:00:00Z",
    "--to",
    "2100-01-01T00:00:00Z",
];
/// Routing keys of direct messages.
const DIRECT: &str = "message.received.direct_message.*";
/// A frame of the broker's `connection.blocked` with an empty reason.
const CONNECTION_BLOCKED: [u8; 13] = [1, 0, 0, 0, 0, 0, 5, 0, 10, 0, 60, 0, 0xCE];
/// A frame of the broker's `connection.unblocked`.
const CONNECTION_UNBLOCKED: [u8; 12] = [1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 61, 0xCE];

/// The service gives up soon on a broker that does not answer.
fn impatient() -> Setup {
    Setup::new()
        .set("BROKER__CONFIRM_TIMEOUT", "1s")
        .set("BROKER__CONNECT_TIMEOUT", "2s")
}

/// The service with its default inbox, beside a broker that is there.
async fn started(setup: &Setup) -> (TestBroker, ServiceProcess) {
    let broker = TestBroker::vhost().await;
    let service = ServiceProcess::start(setup, &broker.url()).await;
    service.wait_for_part("broker: connected").await;
    // Each of its connections declares what the broker lacks when it is made.
    service.wait_for_part("consumer: connected").await;
    (broker, service)
}

async fn published(service: &ServiceProcess) {
    service.wait_for_part("journal: 0 unpublished").await;
}

async fn lane_depth(service: &ServiceProcess, lane: &str) -> usize {
    let name = format!(r#"twitter_channel_side_lane_events{{lane="{lane}"}}"#);
    service.metric(&name).await as usize
}

async fn lane_holds(service: &ServiceProcess, lane: &str, least: usize) {
    let filled = async || (lane_depth(service, lane).await >= least).then_some(());
    eventually(&format!("at least {least} events {lane}"), filled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_the_service_is_killed() {
    let (broker, mut service) = started(&Setup::new()).await;
    let mut load = Load::start(service.webhook(), DELIVERIES);
    for percent in [20, 45, 70] {
        load.told(percent).await;
        service.crash().await;
    }
    let told = load.all_told().await;
    Core::default().gets(&broker, INBOX, &told).await;
    published(&service).await;
    assert!(service.has_gap("downtime").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_the_database_is_away() {
    let (broker, service) = started(&Setup::new().on_server()).await;
    let mut load = Load::start(service.webhook(), DELIVERIES);
    load.told(30).await;
    service.server().close();
    tokio::time::sleep(Duration::from_secs(2)).await;
    service.server().reopen();
    let told = load.all_told().await;
    Core::default().gets(&broker, INBOX, &told).await;
    published(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_order_loses_and_repeats_nothing() {
    let (broker, mut service) = started(&Setup::new()).await;
    let mut load = Load::start(service.webhook(), DELIVERIES);
    for percent in [30, 60] {
        load.told(percent).await;
        let status = service.terminate().await;
        assert!(status.success(), "{status}");
        service.start_again().await;
    }
    let (told, mut core) = (load.all_told().await, Core::default());
    core.gets(&broker, INBOX, &told).await;
    published(&service).await;
    core.read(&broker, INBOX).await;
    assert_eq!(core.repeats(), 0);
    assert!(service.has_gap("downtime").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_the_broker_is_killed_or_away_and_x_does_not_notice() {
    let private = PrivateBroker::start().await;
    let mut broker = TestBroker::vhost_on(&private.url(), private.management()).await;
    let mut service = ServiceProcess::start(&impatient(), &broker.url()).await;
    // RabbitMQ itself can lose a quorum queue that it declared less than a second before its end.
    service.wait_for_part("broker: connected").await;
    tokio::time::sleep(Duration::from_secs(3)).await;

    let mut load = Load::start(service.webhook(), DELIVERIES);
    load.told(40).await;
    private.kill().await;
    let mut told = load.all_told().await;
    assert_eq!(load.refusals(), 0);
    service.wait_for_part("broker: away").await;
    // The backlog outlives the service too.
    service.crash().await;
    let mut load = Load::start_after(DELIVERIES, service.webhook(), DELIVERIES);
    told.extend(load.all_told().await);
    assert_eq!(load.refusals(), 0);
    service.answers_challenges().await;

    private.start_again().await;
    broker.reconnect().await;
    Core::default().gets(&broker, INBOX, &told).await;
    published(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_to_x_and_recovers_by_itself() {
    let Some(disk) = SmallDisk::mount("48m") else {
        return;
    };
    let broker = TestBroker::vhost().await;
    let mut service = ServiceProcess::stopped(&Setup::new(), &broker.url(), Some(disk.path()));
    service.start_again().await;
    // More than the disk holds: what the log gets back by starting over must not be enough.
    let mut load = Load::start(service.webhook(), 10_000);
    for percent in [1, 2] {
        load.told(percent).await;
        disk.fill();
        load.refused(30).await;
        service.answers_challenges().await;
        disk.free();
    }
    load.told(3).await;
    disk.fill();
    load.refused(30).await;
    // What was told before the crash is there after it, although nothing could be tidied up.
    service.kill().await;
    disk.free();
    service.start_again().await;
    load.end();
    let told = load.all_told().await;
    Core::default().gets(&broker, INBOX, &told).await;
    published(&service).await;
    assert!(service.has_gap("refused").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_takes_no_writes_is_told_to_x_and_recovers_by_itself() {
    let (broker, service) = started(&Setup::new()).await;
    let mut load = Load::start(service.webhook(), DELIVERIES);
    for percent in [20, 50] {
        load.told(percent).await;
        service.set_writable(false).await;
        load.refused(30).await;
        service.answers_challenges().await;
        service.set_writable(true).await;
    }
    let told = load.all_told().await;
    Core::default().gets(&broker, INBOX, &told).await;
    published(&service).await;
    assert!(service.has_gap("refused").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_a_gap_also_when_nothing_comes_after_it() {
    let (_broker, service) = started(&Setup::new()).await;
    service.set_writable(false).await;
    let load = Load::start(service.webhook(), DELIVERIES);
    load.refused(20).await;
    drop(load);
    service.set_writable(true).await;
    let noted = async || service.has_gap("refused").await.then_some(());
    eventually("a gap for the refusals", noted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_disk_ends_the_start_with_a_failure_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount("16m") else {
        return;
    };
    let broker = TestBroker::vhost().await;
    let mut service = ServiceProcess::stopped(&Setup::new(), &broker.url(), Some(disk.path()));
    service.start_again().await;
    let mut load = Load::start(service.webhook(), DELIVERIES);
    load.told(40).await;
    service.kill().await;
    assert!(disk.remount("ro"));
    assert_eq!(service.start_in_vain().await.code(), Some(1));
    assert!(disk.remount("rw"));
    service.start_again().await;
    let told = load.all_told().await;
    Core::default().gets(&broker, INBOX, &told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_nobody_has_bound_wait_and_go_out_once_bound() {
    let setup = Setup::new().set("BROKER__INBOXES", "[]");
    let (broker, mut service) = started(&setup).await;
    let mut load = Load::start(service.webhook(), DELIVERIES);
    let told = load.all_told().await;
    lane_holds(&service, "unrouted", told.len()).await;
    service.crash().await;
    broker.declare_queue("late", "quorum").await;
    broker.bind("late", "twitter.events", "#").await;
    let mut core = Core::default();
    core.gets(&broker, "late", &told).await;
    published(&service).await;
    core.read(&broker, "late").await;
    assert_eq!(core.repeats(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_nobody_has_bound_hold_up_no_others() {
    let posts_only = r#"[{ queue = "posts", bind = ["message.received.post.*"] }]"#;
    let setup = Setup::new().set("BROKER__INBOXES", posts_only);
    let (broker, service) = started(&setup).await;
    let mut load = Load::start(service.webhook(), DELIVERIES);
    let told = load.all_told().await;
    let (direct, posts): (HashSet<_>, _) = told.iter().cloned().partition(|id| is_direct(id));
    let mut core = Core::default();
    core.gets(&broker, "posts", &posts).await;
    lane_holds(&service, "unrouted", direct.len()).await;

    broker.declare_queue("late", "quorum").await;
    broker.bind("late", "twitter.events", DIRECT).await;
    core.gets(&broker, "late", &told).await;
    assert_eq!(core.repeats(), 0);
    // Nobody has bound what tells of the service itself: that still waits.
    let rest = async || {
        let waiting = lane_depth(&service, "unrouted").await;
        (1..direct.len()).contains(&waiting).then_some(())
    };
    eventually("only unbound events wait", rest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_deleted_under_load_is_declared_again() {
    let (broker, service) = started(&Setup::new()).await;
    let mut load = Load::start(service.webhook(), DELIVERIES);
    for percent in [20, 50] {
        load.told(percent).await;
        broker.delete_exchange("twitter.events").await;
    }
    let told = load.all_told().await;
    Core::default().gets(&broker, INBOX, &told).await;
    published(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_went_with_a_deleted_queue_is_republished() {
    let (broker, service) = started(&Setup::new()).await;
    let mut load = Load::start(service.webhook(), DELIVERIES);
    load.told(50).await;
    broker.delete_queue(INBOX).await;
    let mut told = load.all_told().await;
    let mut load = Load::start_after(DELIVERIES, service.webhook(), 50);
    told.extend(load.all_told().await);
    // Events are unrouted now, unless the broker ended the connection that published to the queue
    // while it went away: with a new connection the inbox is declared again.
    let noticed = async || {
        let unrouted = lane_depth(&service, "unrouted").await > 0;
        (unrouted || broker.has_queue(INBOX).await).then_some(())
    };
    eventually("the queue is missed", noticed).await;
    // As an operator mends it.
    broker.close_connections("twitter-channel publisher").await;
    published(&service).await;
    service.run(&REPUBLISH_ALL).await;
    Core::default().gets(&broker, INBOX, &told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_published_is_republished_with_the_same_ids_and_bodies() {
    let (broker, mut service) = started(&Setup::new()).await;
    let mut load = Load::start(service.webhook(), DELIVERIES);
    let (told, mut core) = (load.all_told().await, Core::default());
    core.gets(&broker, INBOX, &told).await;
    assert_eq!((core.len(), core.repeats()), (told.len(), 0));
    service.run(&REPUBLISH_ALL).await;
    // Asked for is asked for, also after a crash.
    service.crash().await;
    core.gets_again(&broker, INBOX, told.len()).await;
    assert_eq!(core.repeats(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_republish_does_not_hold_up_new_events() {
    let broker = TestBroker::vhost().await;
    let proxy = Proxy::to(&broker.address()).await;
    let url = broker.url_through(&proxy.address().to_string());
    let setup = impatient().set("BROKER__PUBLISH_WINDOW", "10");
    let service = ServiceProcess::start(&setup, &url).await;
    let mut load = Load::start(service.webhook(), DELIVERIES / 4);
    let told = load.all_told().await;
    Core::default().gets(&broker, INBOX, &told).await;
    published(&service).await;

    proxy.cut();
    proxy.pause();
    service.wait_for_part("broker: away").await;
    service.run(&REPUBLISH_ALL).await;
    Load::start_after(DELIVERIES, service.webhook(), 20)
        .all_told()
        .await;
    broker.drain(INBOX).await;
    proxy.resume();
    published(&service).await;
    let all_again = async || (lane_depth(&service, "republish").await == 0).then_some(());
    eventually("all republished", all_again).await;
    let again: Vec<_> = broker
        .drain(INBOX)
        .await
        .iter()
        .map(is_republished)
        .collect();
    let first_new = again.iter().position(|again| !again).unwrap();
    assert!(again.iter().rposition(|again| *again).unwrap() > first_new);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_full_inbox_refuses_goes_out_when_there_is_room() {
    let (broker, mut service) = started(&Setup::new()).await;
    broker.set_policy(INBOX, json!({"max-length": 50})).await;
    let mut load = Load::start(service.webhook(), DELIVERIES);
    let told = load.all_told().await;
    assert_eq!(load.refusals(), 0);
    lane_holds(&service, "nacked", told.len() / 2).await;
    service.crash().await;
    let mut core = Core::default();
    broker
        .set_policy(INBOX, json!({"max-length": 100_000}))
        .await;
    core.gets(&broker, INBOX, &told).await;
    published(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_on_a_bad_line_to_the_broker() {
    let broker = TestBroker::vhost().await;
    let proxy = Proxy::to(&broker.address()).await;
    let url = broker.url_through(&proxy.address().to_string());
    let service = ServiceProcess::start(&impatient(), &url).await;
    let mut load = Load::start(service.webhook(), DELIVERIES);
    for percent in [10, 20, 30, 40] {
        load.told(percent).await;
        proxy.cut();
    }
    // Confirms come too late: nobody can tell whether the events arrived.
    for percent in [60, 80] {
        load.told(percent).await;
        proxy.pause();
        service.wait_for_part("broker: away").await;
        proxy.resume();
    }
    let told = load.all_told().await;
    assert_eq!(load.refusals(), 0);
    Core::default().gets(&broker, INBOX, &told).await;
    published(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_nobody_reads_stops_nothing() {
    let broker = TestBroker::vhost().await;
    let proxy = Proxy::to(&broker.address()).await;
    let url = broker.url_through(&proxy.address().to_string());
    let mut service = ServiceProcess::stopped(&impatient(), &url, None);
    service.start_unheard().await;
    let mut load = Load::start(service.webhook(), DELIVERIES);
    for percent in [20, 40] {
        load.told(percent).await;
        proxy.cut();
    }
    let told = load.all_told().await;
    Core::default().gets(&broker, INBOX, &told).await;
    published(&service).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_blocks_publishes_holds_up_nothing_but_them() {
    let broker = TestBroker::vhost().await;
    let proxy = Proxy::to(&broker.address()).await;
    let url = broker.url_through(&proxy.address().to_string());
    let service = ServiceProcess::start(&impatient(), &url).await;
    service.wait_for_part("broker: connected").await;
    published(&service).await;
    proxy.inject(&CONNECTION_BLOCKED);
    let mut load = Load::start(service.webhook(), DELIVERIES);
    service.wait_for_part("broker: away").await;
    let told = load.all_told().await;
    assert_eq!(load.refusals(), 0);
    proxy.inject(&CONNECTION_UNBLOCKED);
    Core::default().gets(&broker, INBOX, &told).await;
    published(&service).await;
}
