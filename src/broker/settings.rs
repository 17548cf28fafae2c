//! Settings of the broker adapter.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::settings::secret::FollowedSecret;

/// How the service reaches RabbitMQ and what it expects to find there.
#[derive(Clone, Debug)]
pub struct BrokerSettings {
    /// `amqp[s]://user:password@host:port/vhost`; secret for the password in it.
    pub url: FollowedSecret,
    /// Further hosts of the same cluster, each with a port or with that of the URL.
    pub hosts: Vec<String>,
    /// Name of the user, instead of that in the URL.
    pub username: Option<FollowedSecret>,
    /// Password, instead of that in the URL.
    pub password: Option<FollowedSecret>,
    /// Virtual host, instead of that in the URL.
    pub vhost: Option<String>,
    /// What tells the broker who we are.
    pub auth: Auth,
    /// Files and names for `amqps`.
    pub tls: TlsSettings,
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
    /// Longest wait for one host, from the TCP handshake to the open connection; then again for the
    /// topology. With several hosts, each has only its share of this to take the TCP handshake.
    pub connect_timeout: Duration,
    /// Heartbeat asked of the broker, in whole seconds; a silent peer is given up after two.
    pub heartbeat: Duration,
}

impl BrokerSettings {
    /// The defaults, for a broker at `url`.
    pub fn new(url: SecretString) -> Self {
        Self {
            url: FollowedSecret::given("broker.url", url),
            hosts: Vec::new(),
            username: None,
            password: None,
            vhost: None,
            auth: Auth::Password,
            tls: TlsSettings::default(),
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

    /// Whether what a connection is made with may change while the service runs.
    pub(super) fn follows_files(&self) -> bool {
        let secrets = [
            Some(&self.url),
            self.username.as_ref(),
            self.password.as_ref(),
        ];
        let mut secrets = secrets.into_iter().flatten();
        secrets.any(FollowedSecret::is_file) || self.tls.has_files()
    }
}

/// What tells the broker who we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Name and password.
    Password,
    /// The client certificate (SASL EXTERNAL; RabbitMQ's plugin `rabbitmq_auth_mechanism_ssl`).
    External,
}

/// What an `amqps` connection is made with. The files are read for each new connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// PEM file of the authorities the broker is checked against, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file of our certificate, with those between it and its authority.
    pub cert_file: Option<PathBuf>,
    /// PEM file of its key, without a password.
    pub key_file: Option<PathBuf>,
    /// Name that the broker's certificate must have, instead of the host's.
    pub server_name: Option<String>,
}

impl TlsSettings {
    fn has_files(&self) -> bool {
        [&self.ca_file, &self.cert_file, &self.key_file]
            .iter()
            .any(|file| file.is_some())
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
