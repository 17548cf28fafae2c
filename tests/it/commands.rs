//! Commands on their way from the real broker to whoever takes them in.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use lapin::BasicProperties;
use lapin::options::{BasicAckOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, LongString};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use twitter_channel::broker::consumer::{Consumer, ConsumerState};
use twitter_channel::broker::delivery::{Delivery, Verdict};
use twitter_channel::broker::settings::BrokerSettings;

use crate::support::address::free_address;
use crate::support::broker::{TestBroker, eventually};
use crate::support::proxy::Proxy;

const COMMANDS: &str = "twitter.commands";
const DEAD: &str = "twitter.dead";
/// A frame of the broker's `connection.blocked` with an empty reason.
const CONNECTION_BLOCKED: [u8; 13] = [1, 0, 0, 0, 0, 0, 5, 0, 10, 0, 60, 0, 0xCE];
/// A frame of the broker's `connection.unblocked`.
const CONNECTION_UNBLOCKED: [u8; 12] = [1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 61, 0xCE];

fn dead() -> Verdict {
    Verdict::Dead {
        reason: "unreadable",
        detail: "no JSON".to_owned(),
    }
}

/// One delivery that was judged.
#[derive(Clone)]
struct Judged {
    id: String,
    redelivered: bool,
    verdict: Verdict,
}

/// A consumer whose verdicts the test decides.
struct Running {
    state: ConsumerState,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    judged: Arc<Mutex<Vec<Judged>>>,
    batches: Arc<Mutex<Vec<usize>>>,
}

impl Running {
    fn start(
        settings: BrokerSettings,
        judge: impl Fn(&Delivery) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        Self::start_gated(settings, judge, Arc::new(Semaphore::new(10_000)))
    }

    /// Every call of the handler waits for a permit of the gate.
    fn start_gated(
        settings: BrokerSettings,
        judge: impl Fn(&Delivery) -> Verdict + Send + Sync + 'static,
        gate: Arc<Semaphore>,
    ) -> Self {
        let consumer = Consumer::new(Arc::new(settings));
        let (state, stop) = (consumer.state(), CancellationToken::new());
        let judged = Arc::new(Mutex::new(Vec::new()));
        let batches = Arc::new(Mutex::new(Vec::new()));
        let judge = Arc::new(judge);
        let handler = {
            let (judged, batches) = (judged.clone(), batches.clone());
            move |batch: Vec<Delivery>| {
                batches.lock().unwrap().push(batch.len());
                let (judge, judged, gate) = (judge.clone(), judged.clone(), gate.clone());
                async move {
                    gate.acquire().await.unwrap().forget();
                    let verdicts: Vec<_> = batch.iter().map(|delivery| judge(delivery)).collect();
                    let pairs = batch.into_iter().zip(verdicts.clone());
                    judged
                        .lock()
                        .unwrap()
                        .extend(pairs.map(|(delivery, verdict)| Judged {
                            id: delivery.message_id.unwrap_or_default(),
                            redelivered: delivery.redelivered,
                            verdict,
                        }));
                    verdicts
                }
            }
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(consumer.run(handler, stop.clone()));
        Self {
            state,
            stop,
            tasks,
            judged,
            batches,
        }
    }

    fn judged(&self) -> Vec<Judged> {
        self.judged.lock().unwrap().clone()
    }

    /// The ids that were accepted, in that order.
    fn accepted(&self) -> Vec<String> {
        let judged = self.judged();
        let accepted = judged
            .into_iter()
            .filter(|one| one.verdict == Verdict::Accepted);
        accepted.map(|one| one.id).collect()
    }

    async fn accepts(&self, count: usize) {
        let what = format!("{count} accepted");
        let reached = async || (self.accepted().len() >= count).then_some(());
        eventually(&what, reached).await;
    }

    async fn judges(&self, count: usize) {
        let what = format!("{count} judged");
        let reached = async || (self.judged().len() >= count).then_some(());
        eventually(&what, reached).await;
    }

    async fn connects(&self) {
        let connected = async || self.state.is_connected().then_some(());
        eventually("the consumer connected", connected).await;
    }

    async fn disconnects(&self) {
        let gone = async || (!self.state.is_connected()).then_some(());
        eventually("the consumer disconnected", gone).await;
    }

    async fn stop(mut self) -> Vec<Judged> {
        self.stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(20), self.tasks.join_next()).await;
        ended.unwrap().unwrap().unwrap();
        assert!(!self.state.is_connected());
        self.judged()
    }
}

/// Settings that notice a fault soon.
fn impatient(broker: &TestBroker, proxy: &Proxy) -> BrokerSettings {
    BrokerSettings {
        confirm_timeout: Duration::from_secs(2),
        connect_timeout: Duration::from_secs(5),
        ..broker.settings_through(&proxy.address().to_string())
    }
}

fn named(ids: std::ops::Range<usize>) -> Vec<String> {
    ids.map(|n| format!("c{n}")).collect()
}

/// Makes the topology, as any earlier run of the service has.
async fn prepared(broker: &TestBroker) {
    let running = Running::start(broker.settings(), |_| Verdict::Accepted);
    running.connects().await;
    running.stop().await;
}

async fn send(broker: &TestBroker, ids: &[String]) {
    for id in ids {
        let properties = BasicProperties::default().with_message_id(id.as_str().into());
        send_with(broker, b"{}", properties).await;
    }
}

async fn send_with(broker: &TestBroker, body: &[u8], properties: BasicProperties) {
    let channel = broker.channel().await;
    let options = ConfirmSelectOptions::default();
    channel.confirm_select(options).await.unwrap();
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let sent = channel.basic_publish(COMMANDS.into(), COMMANDS.into(), options, body, properties);
    let confirmation = sent.await.unwrap().await.unwrap();
    assert!(confirmation.is_ack() && confirmation.take_message().is_none());
}

/// What a stopped consumer left in the queue. What it did not acknowledge comes before the last.
async fn left(broker: &TestBroker) -> Vec<String> {
    send(broker, &["last".to_owned()]).await;
    let mut queue = broker.consume(COMMANDS).await;
    let mut left = Vec::new();
    loop {
        let message = queue.next().await.unwrap().unwrap();
        message.ack(BasicAckOptions::default()).await.unwrap();
        let id = message.properties.message_id().clone().unwrap().to_string();
        if id == "last" {
            return left;
        }
        left.push(id);
    }
}

#[tokio::test]
async fn accepted_commands_are_acknowledged_and_come_in_order() {
    let broker = TestBroker::vhost().await;
    prepared(&broker).await;
    send(&broker, &named(0..60)).await;

    let running = Running::start(broker.settings(), |_| Verdict::Accepted);
    running.accepts(60).await;
    send(&broker, &named(60..100)).await;
    running.accepts(100).await;

    assert_eq!(running.accepted(), named(0..100));
    let batches = running.batches.lock().unwrap().clone();
    assert!(batches.iter().any(|size| *size > 1), "{batches:?}");
    assert!(batches.iter().all(|size| *size <= 32), "{batches:?}");
    running.stop().await;
    assert_eq!(left(&broker).await, named(0..0));
}

#[tokio::test]
async fn a_delivery_shows_body_and_properties() {
    let broker = TestBroker::vhost().await;
    prepared(&broker).await;
    let mut headers = FieldTable::default();
    let trace = AMQPValue::LongString(LongString::from("00-1-2-01"));
    headers.insert("traceparent".into(), trace);
    let properties = BasicProperties::default()
        .with_content_type("text/plain".into())
        .with_headers(headers);
    let body = vec![b'x'; 10 * 1024 * 1024];
    send_with(&broker, &body, properties).await;

    let running = Running::start(broker.settings(), move |delivery| {
        assert!(delivery.body == body, "another body");
        assert_eq!(delivery.message_id, None);
        assert_eq!(delivery.content_type.as_deref(), Some("text/plain"));
        assert_eq!(delivery.traceparent.as_deref(), Some("00-1-2-01"));
        Verdict::Accepted
    });
    running.accepts(1).await;
    running.stop().await;
}

#[tokio::test]
async fn dead_commands_are_buried_as_they_came_with_the_reason() {
    let broker = TestBroker::vhost().await;
    prepared(&broker).await;
    let mut headers = FieldTable::default();
    headers.insert("tenant".into(), AMQPValue::LongInt(7));
    // The user id may be said by its own user only; an expiration would end the letter as well.
    let properties = BasicProperties::default()
        .with_message_id("c0".into())
        .with_user_id("guest".into())
        .with_expiration("60000".into())
        .with_headers(headers);
    send_with(&broker, b"no json", properties).await;
    send(&broker, &named(1..3)).await;

    let running = Running::start(broker.settings(), |delivery| {
        match delivery.message_id.as_deref() {
            Some("c0") => dead(),
            _ => Verdict::Accepted,
        }
    });
    running.accepts(2).await;
    broker.wait_for_depth(DEAD, 1).await;
    running.stop().await;

    let letter = broker.get(DEAD).await.unwrap().delivery;
    assert_eq!(letter.data, b"no json");
    let properties = &letter.properties;
    assert_eq!(properties.message_id().as_ref().unwrap().as_str(), "c0");
    assert_eq!(*properties.delivery_mode(), Some(2));
    assert_eq!(*properties.expiration(), None);
    let headers = properties.headers().as_ref().unwrap().inner();
    let text = |text: &str| AMQPValue::LongString(LongString::from(text));
    assert_eq!(headers["tenant"], AMQPValue::LongInt(7));
    assert_eq!(headers["x-reason"], text("unreadable"));
    assert_eq!(headers["x-detail"], text("no JSON"));
    assert_eq!(left(&broker).await, named(0..0));
}

#[tokio::test]
async fn headers_of_a_hundred_kilobytes_stop_nothing() {
    let broker = TestBroker::vhost().await;
    prepared(&broker).await;
    let mut headers = FieldTable::default();
    let long = AMQPValue::LongString(LongString::from("x".repeat(100_000)));
    headers.insert("long".into(), long);
    let properties = BasicProperties::default().with_headers(headers);
    send_with(&broker, b"{}", properties).await;
    send(&broker, &named(1..2)).await;

    let running = Running::start(broker.settings(), |delivery| match delivery.message_id {
        None => dead(),
        Some(_) => Verdict::Accepted,
    });
    running.accepts(1).await;
    broker.wait_for_depth(DEAD, 1).await;
    running.stop().await;
    assert_eq!(left(&broker).await, named(0..0));
}

#[tokio::test]
async fn a_command_whose_letter_is_refused_stays_in_the_queue() {
    let broker = TestBroker::vhost().await;
    prepared(&broker).await;
    let full = json!({"max-length": 0, "overflow": "reject-publish"});
    broker.set_policy(DEAD, full).await;
    // The limit of a quorum queue is soft: the first letters may still get in.
    let running = Running::start(broker.settings(), |delivery| {
        match delivery.message_id.as_deref() {
            Some("good") => Verdict::Accepted,
            _ => dead(),
        }
    });
    send(&broker, &named(0..20)).await;
    running.judges(20).await;
    send(&broker, &["good".to_owned()]).await;
    running.accepts(1).await;
    let buried = async || Some(broker.depth(DEAD).await).filter(|depth| *depth > 0);
    eventually("a letter", buried).await;
    running.stop().await;

    let buried: Vec<_> = broker.drain(DEAD).await;
    let left = left(&broker).await;
    assert!(!left.is_empty(), "nothing was refused");
    // A letter whose refusal is not certain may be there and come again.
    assert!(
        buried.len() + left.len() >= 20,
        "{} and {left:?}",
        buried.len()
    );
    assert!(!left.contains(&"good".to_owned()), "the others waited");
}

#[tokio::test]
async fn a_command_is_not_acknowledged_before_its_letter_is_confirmed() {
    let broker = TestBroker::vhost().await;
    prepared(&broker).await;
    let proxy = Arc::new(Proxy::to(&broker.address()).await);
    let settings = BrokerSettings {
        confirm_timeout: Duration::from_secs(60),
        connect_timeout: Duration::from_secs(60),
        ..impatient(&broker, &proxy)
    };
    let silenced = proxy.clone();
    let running = Running::start(settings, move |delivery| {
        if !delivery.redelivered {
            silenced.pause();
        }
        dead()
    });
    running.connects().await;
    send(&broker, &named(0..1)).await;

    // Judged dead, but neither a letter nor an acknowledgement can leave.
    running.judges(1).await;
    assert_eq!(broker.depth(DEAD).await, 0);
    proxy.cut();
    proxy.resume();

    broker.wait_for_depth(DEAD, 1).await;
    running.judges(2).await;
    let judged = running.stop().await;
    assert!(judged[1].redelivered, "it was acknowledged");
    assert_eq!(left(&broker).await, named(0..0));
}

#[tokio::test]
async fn a_blocked_connection_holds_up_dead_letters_alone() {
    let broker = TestBroker::vhost().await;
    let proxy = Proxy::to(&broker.address()).await;
    let running = Running::start(impatient(&broker, &proxy), |delivery| {
        match delivery.message_id.as_deref() {
            Some("dead") => dead(),
            _ => Verdict::Accepted,
        }
    });
    running.connects().await;
    send(&broker, &["dead".to_owned()]).await;
    broker.wait_for_depth(DEAD, 1).await;

    // The connection made second. The broker blocks only those that publish.
    let dead_letters = 1;
    proxy.inject_into(dead_letters, &CONNECTION_BLOCKED);
    // The first may still get out; its confirm comes behind the block.
    send(&broker, &["dead".to_owned(), "dead".to_owned()]).await;
    send(&broker, &named(0..40)).await;
    running.accepts(40).await;
    assert!(broker.depth(DEAD).await < 3);

    proxy.inject_into(dead_letters, &CONNECTION_UNBLOCKED);
    let buried = async || (broker.depth(DEAD).await >= 3).then_some(());
    eventually("three letters", buried).await;
    assert_eq!(running.accepted(), named(0..40));
    running.stop().await;
    assert_eq!(left(&broker).await, named(0..0));
}

#[tokio::test]
async fn what_cannot_be_stored_yet_is_held_and_handed_in_again_before_anything_newer() {
    let broker = TestBroker::vhost().await;
    prepared(&broker).await;
    send(&broker, &named(0..40)).await;
    let refusals = Mutex::new(3);
    // As a store that fails: nothing of the batch goes in.
    let running = Running::start(broker.settings(), move |delivery| {
        let mut refusals = refusals.lock().unwrap();
        let first = delivery.message_id.as_deref() == Some("c0");
        if *refusals > 0 && first {
            *refusals -= 1;
        }
        match *refusals {
            0 => Verdict::Accepted,
            _ => Verdict::Later,
        }
    });
    running.accepts(40).await;

    assert_eq!(running.accepted(), named(0..40));
    let judged = running.stop().await;
    assert!(judged.len() > 40, "none was handed in twice");
    assert!(
        judged.iter().all(|one| !one.redelivered),
        "one was requeued"
    );
    assert_eq!(left(&broker).await, named(0..0));
}

#[tokio::test]
async fn a_missing_verdict_counts_as_later() {
    let broker = TestBroker::vhost().await;
    prepared(&broker).await;
    send(&broker, &named(0..5)).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let record = seen.clone();
    let one_at_a_time = move |batch: Vec<Delivery>| {
        record.lock().unwrap().extend(batch[0].message_id.clone());
        std::future::ready(vec![Verdict::Accepted])
    };
    let consumer = Consumer::new(Arc::new(broker.settings()));
    tasks.spawn(consumer.run(one_at_a_time, stop.clone()));

    let all = async || (seen.lock().unwrap().len() == 5).then_some(());
    eventually("five handed in", all).await;
    stop.cancel();
    tasks.join_next().await.unwrap().unwrap();
    assert_eq!(*seen.lock().unwrap(), named(0..5));
    assert_eq!(left(&broker).await, named(0..0));
}

#[tokio::test]
async fn a_cut_connection_brings_back_what_was_held_in_order() {
    let broker = TestBroker::vhost().await;
    let proxy = Proxy::to(&broker.address()).await;
    let ready = Arc::new(Mutex::new(false));
    let store = ready.clone();
    let running = Running::start(impatient(&broker, &proxy), move |_| {
        match *store.lock().unwrap() {
            true => Verdict::Accepted,
            false => Verdict::Later,
        }
    });
    running.connects().await;
    send(&broker, &named(0..20)).await;
    running.judges(20).await;
    // Silent too, so that the next connection waits for the test.
    proxy.pause();
    proxy.cut();
    running.disconnects().await;
    *ready.lock().unwrap() = true;
    proxy.resume();
    running.accepts(20).await;

    assert_eq!(running.accepted(), named(0..20));
    let judged = running.stop().await;
    let accepted = judged.iter().filter(|one| one.verdict == Verdict::Accepted);
    assert!(accepted.into_iter().all(|one| one.redelivered));
    assert_eq!(left(&broker).await, named(0..0));
}

#[tokio::test]
async fn a_connection_that_ends_before_the_acknowledgement_brings_the_command_back() {
    let broker = TestBroker::vhost().await;
    let proxy = Arc::new(Proxy::to(&broker.address()).await);
    let silenced = proxy.clone();
    let running = Running::start(impatient(&broker, &proxy), move |delivery| {
        if !delivery.redelivered {
            silenced.pause();
        }
        Verdict::Accepted
    });
    running.connects().await;
    send(&broker, &named(0..1)).await;
    running.accepts(1).await;
    proxy.cut();
    proxy.resume();

    running.accepts(2).await;
    let judged = running.stop().await;
    assert!(judged[1].redelivered);
    assert_eq!(left(&broker).await, named(0..0));
}

#[tokio::test]
async fn a_connection_closed_by_an_operator_is_made_anew() {
    let broker = TestBroker::vhost().await;
    let running = Running::start(broker.settings(), |_| Verdict::Accepted);
    running.connects().await;
    broker.close_connections("twitter-channel consumer").await;
    send(&broker, &named(0..3)).await;
    running.accepts(3).await;
    running.stop().await;
    let name = "twitter-channel consumer";
    broker.wait_for_no_connection(name).await;
}

#[tokio::test]
async fn a_silent_broker_is_given_up_and_a_new_connection_serves() {
    let broker = TestBroker::vhost().await;
    let proxy = Proxy::to(&broker.address()).await;
    let settings = BrokerSettings {
        heartbeat: Duration::from_secs(1),
        ..impatient(&broker, &proxy)
    };
    let running = Running::start(settings, |_| Verdict::Accepted);
    running.connects().await;
    proxy.pause();
    running.disconnects().await;
    proxy.resume();
    running.connects().await;
    send(&broker, &named(0..1)).await;
    running.accepts(1).await;
    running.stop().await;
}

#[tokio::test]
async fn a_deleted_queue_is_made_anew_and_what_was_in_hand_is_not_lost() {
    let broker = TestBroker::vhost().await;
    let ready = Arc::new(Mutex::new(false));
    let store = ready.clone();
    let running = Running::start(broker.settings(), move |_| match *store.lock().unwrap() {
        true => Verdict::Accepted,
        false => Verdict::Later,
    });
    running.connects().await;
    send(&broker, &named(0..3)).await;
    running.judges(3).await;
    broker.delete_queue(COMMANDS).await;
    *ready.lock().unwrap() = true;
    running.accepts(3).await;
    assert_eq!(running.accepted(), named(0..3));

    // Nothing takes them before there is a queue again.
    let arrives = async || {
        broker.publish(COMMANDS, COMMANDS, b"{}").await;
        (running.accepted().len() > 3).then_some(())
    };
    eventually("a command by the new queue", arrives).await;
    running.stop().await;
}

#[tokio::test]
async fn a_stop_finishes_the_batch_in_hand_and_gives_back_the_rest() {
    let broker = TestBroker::vhost().await;
    prepared(&broker).await;
    send(&broker, &named(0..50)).await;
    let gate = Arc::new(Semaphore::new(0));
    let running = Running::start_gated(broker.settings(), |_| Verdict::Accepted, gate.clone());
    let called = async || running.batches.lock().unwrap().first().copied();
    let in_hand = eventually("a batch in hand", called).await;

    running.stop.cancel();
    gate.add_permits(10_000);
    let judged = running.stop().await;

    let ids: Vec<_> = judged.into_iter().map(|one| one.id).collect();
    assert_eq!(ids, named(0..in_hand));
    assert_eq!(left(&broker).await, named(in_hand..50));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_what_cannot_be_stored() {
    let broker = TestBroker::vhost().await;
    prepared(&broker).await;
    send(&broker, &named(0..3)).await;
    let running = Running::start(broker.settings(), |_| Verdict::Later);
    running.judges(3).await;
    running.stop().await;
    assert_eq!(left(&broker).await, named(0..3));
}

#[tokio::test]
async fn a_stop_ends_a_consumer_that_finds_no_broker() {
    let broker = TestBroker::vhost().await;
    let settings = broker.settings_through(&free_address().to_string());
    let running = Running::start(settings, |_| Verdict::Accepted);
    running.stop().await;
}

#[tokio::test]
async fn a_panic_over_one_command_harms_no_other() {
    let broker = TestBroker::vhost().await;
    prepared(&broker).await;
    send(&broker, &named(0..8)).await;
    let once = Mutex::new(true);
    let running = Running::start(broker.settings(), move |delivery| {
        let id = delivery.message_id.as_deref();
        // The lock is let go before the panic.
        let first = id == Some("c5") && std::mem::take(&mut *once.lock().unwrap());
        assert!(id != Some("c2") && !first, "a fault of the handler");
        Verdict::Accepted
    });
    running.accepts(7).await;
    broker.wait_for_depth(DEAD, 1).await;

    let mut expected = named(0..8);
    expected.remove(2);
    assert_eq!(running.accepted(), expected);
    running.stop().await;
    let letter = broker.get(DEAD).await.unwrap().delivery;
    assert_eq!(
        letter.properties.message_id().as_ref().unwrap().as_str(),
        "c2"
    );
    let headers = letter.properties.headers().as_ref().unwrap().inner();
    let reason = AMQPValue::LongString(LongString::from("handler-panicked"));
    assert_eq!(headers["x-reason"], reason);
    assert_eq!(left(&broker).await, named(0..0));
}
