//! The broker adapter against the real broker.

use std::str::from_utf8;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::json;
use tokio::task::JoinSet;
use twitter_channel::broker::connection::{ConnectError, Session};
use twitter_channel::broker::inbox::{InboxDepth, InboxError, InboxMonitor, InboxState};
use twitter_channel::broker::publisher::{Attributes, Fate, Outgoing, PublishError, Publisher};
use twitter_channel::broker::settings::{BrokerSettings, Inbox, TopologyMode};
use twitter_channel::broker::topology::{Entity, TopologyError};

use crate::support::broker::TestBroker;
use crate::support::proxy::Proxy;

const BOUND: &str = "message.received.post.1";
const UNBOUND: &str = "message.sent.post.1";

fn event(id: impl Into<String>, routing_key: &str) -> Outgoing {
    Outgoing {
        message_id: id.into(),
        event_type: "message.received".to_owned(),
        routing_key: routing_key.to_owned(),
        correlation_id: "post:20".to_owned(),
        timestamp: 1_577_106_209,
        attributes: Attributes {
            source: "/accounts/1".to_owned(),
            time: "2019-12-23T13:03:29.000Z".to_owned(),
            subject: "21".to_owned(),
            dataschema: "helpdesk.twitter.v1.MessageReceived".to_owned(),
        },
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        tracestate: None,
        body: Bytes::from_static(b"{}"),
        mandatory: true,
        expiration_ms: None,
        republished: false,
    }
}

/// The headers that are texts, by name.
fn texts(headers: &FieldTable) -> Vec<(&str, &str)> {
    let mut texts = Vec::new();
    for (name, value) in headers {
        if let AMQPValue::LongString(text) = value {
            texts.push((name.as_str(), from_utf8(text.as_bytes()).unwrap()));
        }
    }
    texts
}

fn returned() -> Fate {
    let reason = "NO_ROUTE".to_owned();
    Fate::Returned { reason }
}

fn exchange(name: &str) -> Entity {
    Entity::Exchange(name.to_owned())
}

fn queue(name: &str) -> Entity {
    Entity::Queue(name.to_owned())
}

/// Settings with one inbox bound to received messages only, so that others are returned.
fn received_only(broker: &TestBroker) -> BrokerSettings {
    let inbox = Inbox {
        queue: "inbox".to_owned(),
        bind: vec!["message.received.#".to_owned()],
    };
    BrokerSettings {
        inboxes: vec![inbox],
        ..broker.settings()
    }
}

/// Settings that declare no inbox, by way of a proxy, and give up soon.
fn impatient(broker: &TestBroker, proxy: &Proxy) -> BrokerSettings {
    BrokerSettings {
        inboxes: Vec::new(),
        confirm_timeout: Duration::from_secs(2),
        connect_timeout: Duration::from_secs(5),
        ..broker.settings_through(&proxy.address().to_string())
    }
}

/// A frame of the broker's `connection.blocked` with an empty reason.
const CONNECTION_BLOCKED: [u8; 13] = [1, 0, 0, 0, 0, 0, 5, 0, 10, 0, 60, 0, 0xCE];
/// A frame of the broker's `connection.unblocked`.
const CONNECTION_UNBLOCKED: [u8; 12] = [1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 61, 0xCE];

#[tokio::test]
async fn events_are_confirmed_with_properties_and_headers() {
    let broker = TestBroker::vhost().await;
    let mut publisher = Publisher::new(Arc::new(broker.settings()));
    let mut sent = event("e1", BOUND);
    sent.body = Bytes::from_static(br#"{"event":{"id":"e1"}}"#);
    sent.republished = true;
    sent.expiration_ms = Some(30_000);

    let fates = publisher.publish_window(&[sent]).await.unwrap();

    assert_eq!(fates, [Fate::Confirmed]);
    let message = broker.get("twitter.tickets").await.unwrap().delivery;
    assert_eq!(message.exchange.as_str(), "twitter.events");
    assert_eq!(message.routing_key.as_str(), BOUND);
    assert_eq!(message.data, br#"{"event":{"id":"e1"}}"#);
    let properties = BasicProperties::default()
        .with_message_id("e1".into())
        .with_type("message.received".into())
        .with_timestamp(1_577_106_209)
        .with_app_id("twitter-channel".into())
        .with_content_type("application/json".into())
        .with_delivery_mode(2)
        .with_correlation_id("post:20".into())
        .with_expiration("30000".into());
    let headers = message.properties.headers().clone().unwrap();
    assert_eq!(message.properties, properties.with_headers(headers.clone()));
    assert_eq!(
        texts(&headers),
        [
            (
                "cloudEvents_dataschema",
                "helpdesk.twitter.v1.MessageReceived"
            ),
            ("cloudEvents_id", "e1"),
            ("cloudEvents_source", "/accounts/1"),
            ("cloudEvents_specversion", "1.0"),
            ("cloudEvents_subject", "21"),
            ("cloudEvents_time", "2019-12-23T13:03:29.000Z"),
            ("cloudEvents_type", "message.received"),
            (
                "traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
            ),
        ]
    );
    assert_eq!(
        headers.inner().get("x-republished"),
        Some(&AMQPValue::Boolean(true))
    );
    publisher.close().await;
}

#[tokio::test]
async fn an_event_without_expiration_or_trace_has_neither_header() {
    let broker = TestBroker::vhost().await;
    let mut publisher = Publisher::new(Arc::new(broker.settings()));
    let mut sent = event("e1", BOUND);
    sent.traceparent = None;

    publisher.publish_window(&[sent]).await.unwrap();

    let properties = broker
        .get("twitter.tickets")
        .await
        .unwrap()
        .delivery
        .properties;
    assert_eq!(*properties.expiration(), None);
    let headers = properties.headers().as_ref().unwrap().inner();
    assert!(!headers.contains_key("traceparent") && !headers.contains_key("x-republished"));
}

#[tokio::test]
async fn a_window_arrives_in_order_whatever_the_size_of_its_bodies() {
    let broker = TestBroker::vhost().await;
    let mut publisher = Publisher::new(Arc::new(broker.settings()));
    let window: Vec<_> = (0..40)
        .map(|n: u8| Outgoing {
            body: Bytes::from(vec![b'a' + n % 26; usize::from(n) * 6_553]),
            ..event(format!("e{n}"), BOUND)
        })
        .collect();

    let fates = publisher.publish_window(&window).await.unwrap();

    assert_eq!(fates, vec![Fate::Confirmed; 40]);
    let arrived = broker.drain("twitter.tickets").await;
    let bodies: Vec<_> = arrived
        .iter()
        .map(|message| &message.delivery.data[..])
        .collect();
    let expected: Vec<_> = window.iter().map(|message| &message.body[..]).collect();
    assert!(bodies == expected, "bodies differ");
}

#[tokio::test]
async fn exactly_the_unbound_events_of_a_mixed_window_are_returned() {
    let broker = TestBroker::vhost().await;
    let mut publisher = Publisher::new(Arc::new(received_only(&broker)));
    // Runs of different lengths, and every other one: returns and confirms come interleaved.
    let is_bound = |round: usize, n: usize| !(n / (round + 1)).is_multiple_of(2);
    for round in 0..6 {
        let window: Vec<_> = (0..500)
            .map(|n| {
                let key = if is_bound(round, n) { BOUND } else { UNBOUND };
                event(format!("e{round}-{n}"), key)
            })
            .collect();
        let fates = publisher.publish_window(&window).await.unwrap();
        for (n, fate) in fates.into_iter().enumerate() {
            let expected = if is_bound(round, n) {
                Fate::Confirmed
            } else {
                returned()
            };
            assert_eq!(fate, expected, "round {round}, message {n}");
        }
    }
}

#[tokio::test]
async fn a_returned_event_goes_out_when_a_binding_appears() {
    let broker = TestBroker::vhost().await;
    let settings = BrokerSettings {
        inboxes: Vec::new(),
        ..broker.settings()
    };
    let mut publisher = Publisher::new(Arc::new(settings));
    let window = vec![event("e", BOUND); 500];
    assert_eq!(
        publisher.publish_window(&window).await.unwrap(),
        vec![returned(); 500]
    );

    broker.declare_queue("late", "quorum").await;
    broker.bind("late", "twitter.events", "#").await;

    assert_eq!(
        publisher.publish_window(&window).await.unwrap(),
        vec![Fate::Confirmed; 500]
    );
    assert_eq!(broker.depth("late").await, 500);
    broker.purge("late").await;
    assert_eq!(broker.depth("late").await, 0);
}

#[tokio::test]
async fn an_event_that_is_not_mandatory_is_confirmed_without_a_binding() {
    let broker = TestBroker::vhost().await;
    let mut publisher = Publisher::new(Arc::new(received_only(&broker)));
    let mut typing = event("e1", UNBOUND);
    typing.mandatory = false;

    let fates = publisher.publish_window(&[typing]).await.unwrap();

    assert_eq!(fates, [Fate::Confirmed]);
}

#[tokio::test]
async fn a_full_inbox_nacks_what_is_new() {
    let broker = TestBroker::vhost().await;
    let mut publisher = Publisher::new(Arc::new(broker.settings()));
    publisher.publish_window(&[]).await.unwrap();
    broker
        .set_policy("twitter.tickets", json!({"max-length": 1}))
        .await;

    // The limit of a quorum queue is soft and its refusal takes a moment to reach the channel.
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut n = 0;
    loop {
        let fates = publisher
            .publish_window(&[event(format!("e{n}"), BOUND)])
            .await
            .unwrap();
        if fates == [Fate::Nacked] {
            break;
        }
        assert_eq!(fates, [Fate::Confirmed]);
        assert!(Instant::now() < deadline, "still taken after {n} events");
        n += 1;
    }
    broker.purge("twitter.tickets").await;
}

#[tokio::test]
async fn a_property_too_long_for_amqp_spoils_its_own_event_only() {
    let broker = TestBroker::vhost().await;
    let mut publisher = Publisher::new(Arc::new(broker.settings()));
    let mut long = event("e1", BOUND);
    long.correlation_id = "x".repeat(256);

    let window = [event("e0", BOUND), long, event("e2", BOUND)];
    let fates = publisher.publish_window(&window).await.unwrap();

    let property = "correlation_id";
    assert_eq!(
        fates,
        [
            Fate::Confirmed,
            Fate::Unsendable { property },
            Fate::Confirmed
        ]
    );
}

#[tokio::test]
async fn a_deleted_exchange_is_an_error_and_is_declared_anew() {
    let broker = TestBroker::vhost().await;
    let mut publisher = Publisher::new(Arc::new(broker.settings()));
    let window = vec![event("e", BOUND); 100];
    publisher.publish_window(&window).await.unwrap();
    broker.delete_exchange("twitter.events").await;

    let lost = publisher.publish_window(&window).await.unwrap_err();

    assert!(matches!(lost, PublishError::Lost(_)), "{lost:?}");
    assert_eq!(
        publisher.publish_window(&window).await.unwrap(),
        vec![Fate::Confirmed; 100]
    );
}

#[tokio::test]
async fn events_for_a_deleted_queue_are_returned() {
    let broker = TestBroker::vhost().await;
    let mut publisher = Publisher::new(Arc::new(broker.settings()));
    publisher
        .publish_window(&[event("e0", BOUND)])
        .await
        .unwrap();
    broker.delete_queue("twitter.tickets").await;

    let fates = publisher
        .publish_window(&[event("e1", BOUND)])
        .await
        .unwrap();

    assert_eq!(fates, [returned()]);
}

#[tokio::test]
async fn a_connection_closed_by_an_operator_in_mid_window_is_an_error() {
    let broker = TestBroker::vhost().await;
    let proxy = Proxy::to(&broker.address()).await;
    let settings = BrokerSettings {
        confirm_timeout: Duration::from_secs(60),
        ..impatient(&broker, &proxy)
    };
    let mut publisher = Publisher::new(Arc::new(settings));
    publisher.publish_window(&[]).await.unwrap();
    // Seen on the way to the broker, the window is never confirmed: it is in flight for sure.
    proxy.pause();
    let mut window = JoinSet::new();
    window.spawn(async move {
        let lost = publisher
            .publish_window(&[event("e1", BOUND)])
            .await
            .unwrap_err();
        (lost, publisher)
    });

    broker.close_connections("twitter-channel publisher").await;
    proxy.resume();

    let (lost, mut publisher) = window.join_next().await.unwrap().unwrap();
    assert!(matches!(lost, PublishError::Lost(_)), "{lost:?}");
    assert_eq!(
        publisher
            .publish_window(&[event("e1", BOUND)])
            .await
            .unwrap(),
        [returned()]
    );
}

#[tokio::test]
async fn a_silent_broker_is_late_and_a_new_connection_serves() {
    let broker = TestBroker::vhost().await;
    let proxy = Proxy::to(&broker.address()).await;
    let mut publisher = Publisher::new(Arc::new(impatient(&broker, &proxy)));
    publisher.publish_window(&[]).await.unwrap();
    proxy.pause();

    let late = publisher
        .publish_window(&[event("e1", BOUND)])
        .await
        .unwrap_err();
    assert!(matches!(late, PublishError::Late { .. }), "{late:?}");
    let silent = publisher
        .publish_window(&[event("e1", BOUND)])
        .await
        .unwrap_err();
    assert!(
        matches!(silent, PublishError::Connect(ConnectError::TimedOut { .. })),
        "{silent:?}"
    );

    proxy.resume();
    assert_eq!(
        publisher
            .publish_window(&[event("e1", BOUND)])
            .await
            .unwrap(),
        [returned()]
    );
}

#[tokio::test]
async fn a_cut_connection_is_an_error_and_a_new_one_serves() {
    let broker = TestBroker::vhost().await;
    let proxy = Proxy::to(&broker.address()).await;
    let settings = BrokerSettings {
        confirm_timeout: Duration::from_secs(60),
        ..impatient(&broker, &proxy)
    };
    let mut publisher = Publisher::new(Arc::new(settings));
    publisher.publish_window(&[]).await.unwrap();
    proxy.pause();
    let window = vec![event("e1", BOUND); 500];
    let cut = async {
        // Past the first poll of the window: all of it is queued.
        tokio::task::yield_now().await;
        proxy.cut();
    };

    let (lost, ()) = tokio::join!(publisher.publish_window(&window), cut);

    assert!(matches!(lost, Err(PublishError::Lost(_))), "{lost:?}");
    proxy.resume();
    assert_eq!(
        publisher.publish_window(&window).await.unwrap(),
        vec![returned(); 500]
    );
}

#[tokio::test]
async fn a_window_that_is_dropped_half_way_leaves_no_connection_behind() {
    let broker = TestBroker::vhost().await;
    let proxy = Proxy::to(&broker.address()).await;
    let mut publisher = Publisher::new(Arc::new(impatient(&broker, &proxy)));
    publisher.publish_window(&[]).await.unwrap();
    proxy.pause();
    let window = [event("e1", BOUND)];
    let abandoned = tokio::time::timeout(
        Duration::from_millis(100),
        publisher.publish_window(&window),
    );
    assert!(abandoned.await.is_err());
    proxy.resume();

    assert_eq!(
        publisher.publish_window(&window).await.unwrap(),
        [returned()]
    );
    publisher.close().await;
    broker
        .wait_for_no_connection("twitter-channel publisher")
        .await;
}

#[tokio::test]
async fn a_connection_blocked_in_mid_window_is_kept_until_it_is_unblocked() {
    let broker = TestBroker::vhost().await;
    let proxy = Proxy::to(&broker.address()).await;
    let mut publisher = Publisher::new(Arc::new(impatient(&broker, &proxy)));
    publisher.publish_window(&[]).await.unwrap();
    let window = [event("e1", BOUND)];
    proxy.pause();
    let block = async { proxy.inject(&CONNECTION_BLOCKED) };
    let (blocked, ()) = tokio::join!(publisher.publish_window(&window), block);
    assert!(matches!(blocked, Err(PublishError::Blocked)), "{blocked:?}");

    // A new connection would be blocked only by its own first window, and leave that behind too.
    let asked = Instant::now();
    let blocked = publisher.publish_window(&window).await;
    assert!(matches!(blocked, Err(PublishError::Blocked)), "{blocked:?}");
    assert!(asked.elapsed() < Duration::from_secs(1));

    proxy.inject(&CONNECTION_UNBLOCKED);
    proxy.resume();
    assert_eq!(
        publish_once_unblocked(&mut publisher, &window).await,
        [returned()]
    );
}

#[tokio::test]
async fn a_connection_blocked_between_windows_takes_none_until_it_is_unblocked() {
    let broker = TestBroker::vhost().await;
    let proxy = Proxy::to(&broker.address()).await;
    let mut publisher = Publisher::new(Arc::new(impatient(&broker, &proxy)));
    let window = [event("e1", BOUND)];
    publisher.publish_window(&[]).await.unwrap();
    proxy.inject(&CONNECTION_BLOCKED);
    // Windows go through until lapin has read the notice; then none is sent.
    let deadline = Instant::now() + Duration::from_secs(10);
    while publisher.publish_window(&[]).await.is_ok() {
        assert!(Instant::now() < deadline, "not blocked");
        tokio::task::yield_now().await;
    }
    let asked = Instant::now();
    let blocked = publisher.publish_window(&window).await;
    assert!(matches!(blocked, Err(PublishError::Blocked)), "{blocked:?}");
    assert!(asked.elapsed() < Duration::from_secs(1));

    proxy.inject(&CONNECTION_UNBLOCKED);
    assert_eq!(
        publish_once_unblocked(&mut publisher, &window).await,
        [returned()]
    );
}

/// Publishes as soon as the notice that ends a block has been read.
async fn publish_once_unblocked(publisher: &mut Publisher, window: &[Outgoing]) -> Vec<Fate> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match publisher.publish_window(window).await {
            Err(PublishError::Blocked) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => return other.unwrap(),
        }
    }
}

#[tokio::test]
async fn check_mode_names_everything_that_is_missing_and_works_when_it_appears() {
    let broker = TestBroker::vhost().await;
    let settings = BrokerSettings {
        topology: TopologyMode::Check,
        ..broker.settings()
    };
    let mut publisher = Publisher::new(Arc::new(settings));
    let window = [event("e1", BOUND)];

    let error = publisher.publish_window(&window).await.unwrap_err();
    let PublishError::Topology(TopologyError::Missing(missing)) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(
        *missing,
        [
            exchange("twitter.events"),
            exchange("twitter.tickets.dead"),
            queue("twitter.tickets.dead"),
            queue("twitter.tickets"),
            exchange("twitter.dead"),
            queue("twitter.dead"),
            exchange("twitter.commands"),
            queue("twitter.commands"),
        ]
    );
    assert!(
        error
            .to_string()
            .contains("queue twitter.tickets.dead, queue twitter.tickets")
    );

    let mut declaring = Publisher::new(Arc::new(broker.settings()));
    declaring.publish_window(&[]).await.unwrap();
    broker.delete_queue("twitter.dead").await;
    let error = publisher.publish_window(&window).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "missing on the broker: queue twitter.dead"
    );

    broker.declare_queue("twitter.dead", "classic").await;
    assert_eq!(
        publisher.publish_window(&window).await.unwrap(),
        [Fate::Confirmed]
    );
}

#[tokio::test]
async fn a_queue_that_exists_with_other_arguments_is_named() {
    let broker = TestBroker::vhost().await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(7));
    broker
        .declare_queue_with("twitter.tickets", arguments)
        .await;
    let mut publisher = Publisher::new(Arc::new(broker.settings()));

    let error = publisher.publish_window(&[]).await.unwrap_err();

    let PublishError::Topology(TopologyError::Conflict { entity, source }) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*entity, queue("twitter.tickets"));
    assert!(
        source.to_string().contains("PRECONDITION_FAILED"),
        "{source}"
    );
    assert!(
        error
            .to_string()
            .starts_with("queue twitter.tickets exists with other arguments")
    );
}

#[tokio::test]
async fn rejected_tickets_and_commands_end_in_their_dead_letter_queues() {
    let broker = TestBroker::vhost().await;
    let mut publisher = Publisher::new(Arc::new(broker.settings()));
    publisher
        .publish_window(&[event("e1", BOUND)])
        .await
        .unwrap();
    broker
        .publish("twitter.commands", "twitter.commands", b"{}")
        .await;

    broker.reject("twitter.tickets").await;
    broker.reject("twitter.commands").await;

    broker.wait_for_depth("twitter.tickets.dead", 1).await;
    broker.wait_for_depth("twitter.dead", 1).await;
}

#[tokio::test]
async fn no_password_is_shown_when_the_connection_fails() {
    let broker = TestBroker::vhost().await;
    let secret = "hunter2-is-secret";
    let address = broker.address();
    let urls = [
        format!("amqp://guest:{secret}@{address}/"),
        format!("amqp://guest:{secret}@127.0.0.1:1/"),
        format!("http://guest:{secret}@{address}/"),
        format!("amqp://guest:{secret}@{address}:x/"),
    ];
    for url in urls {
        let settings = BrokerSettings::new(url.into());
        let Err(error) = Session::connect(&settings, "test").await else {
            panic!("connected");
        };
        let shown = format!("{error} {error:?} {settings:?}");
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn a_wrong_password_and_a_closed_port_are_told_apart() {
    let broker = TestBroker::vhost().await;
    let address = broker.address();
    let failing = async |url: String| {
        let settings = BrokerSettings::new(url.into());
        Session::connect(&settings, "test").await.err().unwrap()
    };
    let refused = failing(format!("amqp://guest:wrong@{address}/")).await;
    assert!(
        matches!(refused, ConnectError::Refused { .. }),
        "{refused:?}"
    );
    let unreachable = failing("amqp://guest:guest@127.0.0.1:1/".to_owned()).await;
    assert!(
        matches!(unreachable, ConnectError::Unreachable { .. }),
        "{unreachable:?}"
    );
}

#[tokio::test]
async fn the_monitor_tells_depth_consumers_and_what_is_missing() {
    let broker = TestBroker::vhost().await;
    let inbox = |queue: &str| Inbox {
        queue: queue.to_owned(),
        bind: Vec::new(),
    };
    let settings = BrokerSettings {
        inboxes: vec![inbox("missing"), inbox("read"), inbox("unread")],
        ..broker.settings()
    };
    broker.declare_queue("read", "quorum").await;
    broker.declare_queue("unread", "quorum").await;
    broker.publish("", "unread", b"{}").await;
    let _reader = broker.consume("read").await;
    let mut monitor = InboxMonitor::new(Arc::new(settings));

    let state = |queue: &str, seen| InboxState {
        queue: queue.to_owned(),
        seen,
    };
    let depth = |messages, consumers| {
        Some(InboxDepth {
            messages,
            consumers,
        })
    };
    let expected = [
        state("missing", None),
        state("read", depth(0, 1)),
        state("unread", depth(1, 0)),
    ];
    assert_eq!(monitor.observe().await.unwrap(), expected);
    assert_eq!(monitor.observe().await.unwrap(), expected);
}

#[tokio::test]
async fn the_monitor_says_when_the_broker_is_away_and_sees_again_when_it_is_back() {
    let broker = TestBroker::vhost().await;
    let proxy = Proxy::to(&broker.address()).await;
    let mut settings = impatient(&broker, &proxy);
    settings.inboxes = vec![Inbox::default()];
    settings.connect_timeout = Duration::from_secs(2);
    let mut monitor = InboxMonitor::new(Arc::new(settings));
    let missing = [InboxState {
        queue: "twitter.tickets".to_owned(),
        seen: None,
    }];
    assert_eq!(monitor.observe().await.unwrap(), missing);

    proxy.pause();
    let late = monitor.observe().await.unwrap_err();
    assert!(matches!(late, InboxError::Late), "{late:?}");

    proxy.resume();
    assert_eq!(monitor.observe().await.unwrap(), missing);
}
