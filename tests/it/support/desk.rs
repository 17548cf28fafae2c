//! A helpdesk core that outlives its broker: it sends commands until they are confirmed, and
//! acknowledges events once it has noted them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::service::INBOX;

const COMMANDS: &str = "twitter.commands";
/// Until the broker is tried again.
const AGAIN: Duration = Duration::from_millis(100);
/// How long a confirm may take.
const CONFIRM: Duration = Duration::from_secs(3);

/// The core.
pub(crate) struct Desk {
    urls: Vec<String>,
    publishing: Option<(Connection, Channel)>,
    noted: Arc<Mutex<Noted>>,
    _reading: JoinSet<()>,
}

/// What came, each event once.
#[derive(Default)]
pub(crate) struct Noted {
    /// Events by id.
    pub(crate) events: BTreeMap<String, Value>,
    /// Ids of the outcomes of each command.
    pub(crate) outcomes: BTreeMap<String, BTreeSet<String>>,
    /// Faults against the contract: the same event with two bodies.
    pub(crate) faults: Vec<String>,
    /// Where bodies of the same event may differ: what its type begins with, and a JSON pointer.
    pub(crate) may_differ: &'static [(&'static str, &'static str)],
    /// How often events came beyond the first time, by id.
    pub(crate) repeats: BTreeMap<String, usize>,
    /// When anything came.
    pub(crate) came: Vec<Instant>,
    /// When each event came first, by id.
    pub(crate) arrivals: BTreeMap<String, Instant>,
}

impl Desk {
    /// A core at the virtual host of this URL.
    pub(crate) fn at(url: &str) -> Self {
        Self::at_any(vec![url.to_owned()])
    }

    /// The same with several hosts of a cluster: one is as good as the other.
    pub(crate) fn at_any(urls: Vec<String>) -> Self {
        let noted = Arc::<Mutex<Noted>>::default();
        let mut reading = JoinSet::new();
        reading.spawn(read(urls.clone(), Arc::clone(&noted)));
        Self {
            urls,
            publishing: None,
            noted,
            _reading: reading,
        }
    }

    /// Sends a command until the broker has confirmed it; more than once where that is open.
    pub(crate) async fn send(&mut self, command: &Value) {
        let body = command.to_string();
        while self.try_to_send(body.as_bytes()).await.is_none() {
            self.publishing = None;
            sleep(AGAIN).await;
        }
    }

    async fn try_to_send(&mut self, body: &[u8]) -> Option<()> {
        if self.publishing.is_none() {
            let connection = connect_to_any(&self.urls).await?;
            let channel = connection.create_channel().await.ok()?;
            let options = ConfirmSelectOptions::default();
            channel.confirm_select(options).await.ok()?;
            self.publishing = Some((connection, channel));
        }
        let (_, channel) = self.publishing.as_ref()?;
        let (options, properties) = (
            BasicPublishOptions::default(),
            BasicProperties::default().with_delivery_mode(2),
        );
        let published = channel
            .basic_publish(COMMANDS.into(), COMMANDS.into(), options, body, properties)
            .await
            .ok()?;
        let confirmed = timeout(CONFIRM, published).await.ok()?.ok()?;
        confirmed.is_ack().then_some(())
    }

    /// What came so far.
    pub(crate) fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap()
    }

    /// The same for others, who look while it sends.
    pub(crate) fn shared(&self) -> Arc<Mutex<Noted>> {
        Arc::clone(&self.noted)
    }

    /// Waits until what came is as wanted; whether it came to that in time.
    pub(crate) async fn sees(&self, patience: Duration, wanted: impl Fn(&Noted) -> bool) -> bool {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if wanted(&self.noted()) {
                return true;
            }
            sleep(Duration::from_millis(25)).await;
        }
        wanted(&self.noted())
    }

    /// Waits for the outcome of a command.
    pub(crate) async fn outcome(&self, command: &str, patience: Duration) -> Value {
        let came = self.sees(patience, |noted| noted.outcome(command).is_some());
        assert!(came.await, "no outcome of {command}");
        self.noted().outcome(command).cloned().unwrap()
    }
}

impl Noted {
    /// The outcome of a command.
    pub(crate) fn outcome(&self, command: &str) -> Option<&Value> {
        self.events.get(self.outcomes.get(command)?.first()?)
    }

    /// How often the outcome of a command came beyond the first time.
    pub(crate) fn outcome_repeats(&self, command: &str) -> usize {
        let outcomes = self.outcomes.get(command).into_iter().flatten();
        outcomes.filter_map(|id| self.repeats.get(id)).sum()
    }

    /// Events of a type about a message.
    pub(crate) fn about<'a>(&'a self, event_type: &'a str, message: &str) -> Vec<&'a Value> {
        let all = self.of_type(event_type);
        all.filter(|event| event["message"]["id"] == message)
            .collect()
    }

    /// Events of a type.
    pub(crate) fn of_type<'a>(&'a self, event_type: &'a str) -> impl Iterator<Item = &'a Value> {
        let all = self.events.values();
        all.filter(move |event| event["event"]["type"] == event_type)
    }

    /// The longest time without anything between what has come.
    pub(crate) fn longest_pause(&self) -> Duration {
        let neighbours = self.came.iter().zip(self.came.iter().skip(1));
        let pauses = neighbours.map(|(one, next)| next.duration_since(*one));
        pauses.max().unwrap_or_default()
    }

    fn without_what_may_differ(&self, event: &Value) -> Value {
        let event_type = event["event"]["type"].as_str().unwrap();
        let mut passing = self.may_differ.to_vec();
        passing.retain(|(begin, _)| event_type.starts_with(begin));
        let mut event = event.clone();
        for (_, place) in passing {
            if let Some(value) = event.pointer_mut(place) {
                *value = Value::Null;
            }
        }
        event
    }

    fn note(&mut self, body: &[u8]) {
        self.came.push(Instant::now());
        let event: Value = serde_json::from_slice(body).unwrap();
        let id = event["event"]["id"].as_str().unwrap().to_owned();
        if let Some(known) = self.events.get(&id) {
            *self.repeats.entry(id.clone()).or_default() += 1;
            if self.without_what_may_differ(known) != self.without_what_may_differ(&event) {
                let fault = format!("event {id} has two bodies: {known} and {event}");
                self.faults.push(fault);
            }
            return;
        }
        let event_type = event["event"]["type"].as_str().unwrap();
        if matches!(event_type, "command.succeeded" | "command.failed") {
            let command = event["command_id"].as_str().unwrap().to_owned();
            let outcomes = self.outcomes.entry(command).or_default();
            outcomes.insert(id.clone());
        }
        self.arrivals.insert(id.clone(), Instant::now());
        self.events.insert(id, event);
    }
}

async fn read(urls: Vec<String>, noted: Arc<Mutex<Noted>>) {
    loop {
        // Ends with its connection.
        let _ended = read_while_connected(&urls, &noted).await;
        sleep(AGAIN).await;
    }
}

async fn read_while_connected(urls: &[String], noted: &Mutex<Noted>) -> Option<()> {
    let connection = connect_to_any(urls).await?;
    let channel = connection.create_channel().await.ok()?;
    let options = BasicQosOptions::default();
    channel.basic_qos(200, options).await.ok()?;
    let options = BasicConsumeOptions::default();
    let events = channel.basic_consume(INBOX.into(), "".into(), options, FieldTable::default());
    let mut events = events.await.ok()?;
    while let Some(event) = events.next().await {
        let event = event.ok()?;
        noted.lock().unwrap().note(&event.data);
        event.ack(BasicAckOptions::default()).await.ok()?;
    }
    None
}

async fn connect_to_any(urls: &[String]) -> Option<Connection> {
    for url in urls {
        if let Some(connection) = connect(url).await {
            return Some(connection);
        }
    }
    None
}

async fn connect(url: &str) -> Option<Connection> {
    let properties = ConnectionProperties::default().with_connection_name("desk".into());
    let connecting = timeout(CONFIRM, Connection::connect(url, properties));
    connecting.await.ok()?.ok()
}
