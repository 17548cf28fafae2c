//! Settings of the broker adapter.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// How the service reaches RabbitMQ and what it expects to find there.
#[derive(Clone, Debug)]
pub struct BrokerSettings {
    /// `amqp[s]://user:password@host:port/vhost`; secret for the password in it.
    pub url: SecretString,
    /// PEM file of the authorities an `amqps` broker is checked against, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Whether exchanges and queues are declared or only looked for.
    pub topology: TopologyMode,
    /// Queues for events; empty when the core declares and binds its own.
    pub inboxes: Vec<Inbox>,
    /// Names of the exchanges and queues that every deployment has.
    pub names: Names,
    /// Most messages sent before their confirms are awaited.
    pub publish_window: usize,
    /// Longest wait for the confirms of one window; then its connection is ended.
    pub confirm_timeout: Duration,
    /// Longest wait for a connection, from the TCP handshake to the declared topology.
    pub connect_timeout: Duration,
    /// Heartbeat asked of the broker, in whole seconds; a silent peer is given up after two.
    pub heartbeat: Duration,
}

impl BrokerSettings {
    /// The defaults, for a broker at `url`.
    pub fn new(url: SecretString) -> Self {
        Self {
            url,
            ca_file: None,
            topology: TopologyMode::Declare,
            inboxes: vec![Inbox::default()],
            names: Names::default(),
            publish_window: 500,
            confirm_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(15),
        }
    }
}

impl BrokerSettings {
    /// Queues with what was dead-lettered from the inboxes.
    pub fn dead_inboxes(&self) -> impl Iterator<Item = String> {
        self.inboxes
            .iter()
            .map(|inbox| format!("{}.dead", inbox.queue))
    }
}

/// Who makes the exchanges and queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopologyMode {
    /// The service declares them on each new connection.
    Declare,
    /// Somebody else does; the service looks passively and names what is missing.
    Check,
}

/// A queue that collects events for the core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbox {
    /// Name of the queue; `<queue>.dead` takes what is dead-lettered from it.
    pub queue: String,
    /// Routing patterns it is bound to the events exchange with.
    pub bind: Vec<String>,
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            queue: "twitter.tickets".to_owned(),
            bind: vec!["#".to_owned()],
        }
    }
}

/// Names of the exchanges and queues that every deployment has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Topic exchange that every event goes to.
    pub events: String,
    /// Direct exchange and queue of the core's commands; also their routing key.
    pub commands: String,
    /// Fanout exchange and queue for commands that could not be read.
    pub dead: String,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            events: "twitter.events".to_owned(),
            commands: "twitter.commands".to_owned(),
            dead: "twitter.dead".to_owned(),
        }
    }
}
