//! A helpdesk core that remembers what it got.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use lapin::message::BasicGetMessage;
use lapin::types::AMQPValue;
use serde_json::Value;
use tokio::time::sleep;

use super::broker::TestBroker;

/// How long an event may be on its way.
const PATIENCE: Duration = Duration::from_secs(40);

/// What came out of the inboxes, checked against each other: the same event always has the same
/// id and the same body.
#[derive(Default)]
pub(crate) struct Core {
    events: HashMap<String, Got>,
    /// Event by the id of the message in it.
    by_message: HashMap<String, String>,
}

struct Got {
    body: Vec<u8>,
    copies: usize,
    republished: usize,
}

impl Core {
    /// Reads an inbox until all these messages came, from now or from before.
    pub(crate) async fn gets(&mut self, broker: &TestBroker, inbox: &str, told: &HashSet<String>) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.read(broker, inbox).await;
            let missing = told.iter().filter(|id| !self.has(id)).count();
            if missing == 0 {
                break;
            }
            let all = told.len();
            assert!(Instant::now() < deadline, "lost: {missing} of {all}");
            sleep(Duration::from_millis(50)).await;
        }
        let unknown = self.by_message.keys().find(|id| !told.contains(*id));
        assert_eq!(unknown, None, "nobody sent this");
    }

    /// Reads an inbox until so many events came again, marked as republished.
    pub(crate) async fn gets_again(&mut self, broker: &TestBroker, inbox: &str, wanted: usize) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.read(broker, inbox).await;
            let marked = self.events.values().filter(|got| got.republished > 0);
            let count = marked.count();
            if count >= wanted {
                return;
            }
            assert!(Instant::now() < deadline, "{count} of {wanted} republished");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Takes what lies in an inbox.
    pub(crate) async fn read(&mut self, broker: &TestBroker, inbox: &str) {
        for message in broker.drain(inbox).await {
            self.take(&message);
        }
    }

    /// Whether an event with this message came.
    pub(crate) fn has(&self, message_id: &str) -> bool {
        self.by_message.contains_key(message_id)
    }

    /// How many events with a message came, repeats aside.
    pub(crate) fn len(&self) -> usize {
        self.by_message.len()
    }

    /// How often events came beyond the first time, republished ones aside.
    pub(crate) fn repeats(&self) -> usize {
        let copies = self.events.values().map(|got| got.copies);
        copies.map(|copies| copies.saturating_sub(1)).sum()
    }

    fn take(&mut self, message: &BasicGetMessage) {
        let body: Value = serde_json::from_slice(&message.data).unwrap();
        // Events that tell of the service itself come with each start.
        let Some(message_id) = body.pointer("/message/id").and_then(Value::as_str) else {
            return;
        };
        let properties = &message.properties;
        let id = properties.message_id().as_ref().unwrap().to_string();
        assert_eq!(body["event"]["id"], id.as_str());
        let first = self.by_message.entry(message_id.to_owned());
        assert_eq!(*first.or_insert_with(|| id.clone()), id, "two event ids");
        let got = self.events.entry(id).or_insert_with(|| Got {
            body: message.data.clone(),
            copies: 0,
            republished: 0,
        });
        assert_eq!(got.body, message.data, "two bodies");
        match is_republished(message) {
            true => got.republished += 1,
            false => got.copies += 1,
        }
    }
}

/// Whether an event is marked as sent again on request.
pub(crate) fn is_republished(message: &BasicGetMessage) -> bool {
    let headers = message.properties.headers().as_ref().unwrap().inner();
    let mark = headers.get("x-republished");
    mark.inspect(|mark| assert_eq!(**mark, AMQPValue::Boolean(true)))
        .is_some()
}
