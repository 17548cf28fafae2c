//! A virtual host of the real broker for each test.

use std::thread;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::BasicGetMessage;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, BasicRejectOptions,
    ConfirmSelectOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions,
    QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use serde_json::{Value, json};
use twitter_channel::broker::settings::BrokerSettings;

/// How long a test waits for the broker to do or to show something.
const PATIENCE: Duration = Duration::from_secs(20);

/// An empty virtual host, deleted when this is dropped, with a connection of the test's own to it.
///
/// Needs `TWITTER_CHANNEL__BROKER__URL` and `BROKER_MANAGEMENT_URL`, which `scripts/broker` sets.
/// What fails panics: it is a fault of the test's surroundings.
pub(crate) struct TestBroker {
    vhost: String,
    uri: AMQPUri,
    management: Management,
    connection: Connection,
}

impl TestBroker {
    /// Makes the virtual host on the broker that all tests share.
    pub(crate) async fn vhost() -> Self {
        let url = variable("TWITTER_CHANNEL__BROKER__URL");
        Self::vhost_on(&url, variable("BROKER_MANAGEMENT_URL")).await
    }

    /// Makes the virtual host on another broker.
    pub(crate) async fn vhost_on(url: &str, management: String) -> Self {
        let mut uri: AMQPUri = url.parse().unwrap();
        let management = Management::new(management);
        let vhost = format!("test-{:016x}", rand::random::<u64>());
        let path = format!("vhosts/{vhost}");
        management.send(reqwest::Method::PUT, &path, None).await;
        uri.vhost = vhost.clone();
        Self {
            vhost,
            connection: connect(&uri).await,
            uri,
            management,
        }
    }

    /// Connects again, after the broker was away.
    pub(crate) async fn reconnect(&mut self) {
        self.connection = connect(&self.uri).await;
    }

    /// Settings for this virtual host, with the contract's names and topology.
    pub(crate) fn settings(&self) -> BrokerSettings {
        BrokerSettings::new(self.url().into())
    }

    /// The same by way of another address, such as a proxy's.
    pub(crate) fn settings_through(&self, address: &str) -> BrokerSettings {
        BrokerSettings::new(self.url_through(address).into())
    }

    /// AMQP URL of this virtual host.
    pub(crate) fn url(&self) -> String {
        self.url_through(&self.address())
    }

    /// AMQP URL of this virtual host by way of another address.
    pub(crate) fn url_through(&self, address: &str) -> String {
        let user = &self.uri.authority.userinfo;
        let (name, password) = (&user.username, &user.password);
        format!("amqp://{name}:{password}@{address}/{}", self.vhost)
    }

    /// AMQP URL of this virtual host for another user.
    pub(crate) fn url_as(&self, name: &str, password: &str) -> String {
        format!("amqp://{name}:{password}@{}/{}", self.address(), self.vhost)
    }

    /// Name of the virtual host.
    pub(crate) fn name(&self) -> &str {
        &self.vhost
    }

    /// Makes a user, or gives one a new password.
    pub(crate) async fn set_user(&self, name: &str, password: &str) {
        let user = json!({"password": password, "tags": ""});
        self.put(&format!("users/{name}"), user).await;
    }

    /// Gives a user rights in the virtual host: what to configure, write and read.
    pub(crate) async fn permit(&self, name: &str, [configure, write, read]: [&str; 3]) {
        let rights = json!({"configure": configure, "write": write, "read": read});
        self.put(&format!("permissions/{}/{name}", self.vhost), rights)
            .await;
    }

    /// Removes a user.
    pub(crate) async fn delete_user(&self, name: &str) {
        let path = format!("users/{name}");
        self.management
            .send(reqwest::Method::DELETE, &path, None)
            .await;
    }

    /// What the HTTP API tells under this path, in which `{}` is the virtual host.
    pub(crate) async fn told(&self, path: &str) -> Value {
        let path = path.replace("{}", &self.vhost);
        self.management
            .send(reqwest::Method::GET, &path, None)
            .await
    }

    async fn put(&self, path: &str, body: Value) {
        self.management
            .send(reqwest::Method::PUT, path, Some(body))
            .await;
    }

    /// Where the broker listens, `host:port`.
    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.uri.authority.host, self.uri.authority.port)
    }

    /// A new channel: an answer of the broker such as "not found" ends the channel it comes on.
    pub(crate) async fn channel(&self) -> Channel {
        self.connection.create_channel().await.unwrap()
    }

    /// Declares a durable queue of a kind: `quorum` or `classic`.
    pub(crate) async fn declare_queue(&self, queue: &str, kind: &str) {
        let mut arguments = FieldTable::default();
        let kind = AMQPValue::LongString(LongString::from(kind));
        arguments.insert("x-queue-type".into(), kind);
        self.declare_queue_with(queue, arguments).await;
    }

    /// Declares a durable queue with any arguments.
    pub(crate) async fn declare_queue_with(&self, queue: &str, arguments: FieldTable) {
        let channel = self.channel().await;
        let options = QueueDeclareOptions::durable();
        channel
            .queue_declare(queue.into(), options, arguments)
            .await
            .unwrap();
    }

    /// Binds a queue to an exchange.
    pub(crate) async fn bind(&self, queue: &str, exchange: &str, key: &str) {
        let channel = self.channel().await;
        let options = QueueBindOptions::default();
        channel
            .queue_bind(
                queue.into(),
                exchange.into(),
                key.into(),
                options,
                FieldTable::default(),
            )
            .await
            .unwrap();
    }

    /// Deletes a queue.
    pub(crate) async fn delete_queue(&self, queue: &str) {
        let channel = self.channel().await;
        let options = QueueDeleteOptions::default();
        channel.queue_delete(queue.into(), options).await.unwrap();
    }

    /// Deletes an exchange.
    pub(crate) async fn delete_exchange(&self, exchange: &str) {
        let channel = self.channel().await;
        let options = ExchangeDeleteOptions::default();
        channel
            .exchange_delete(exchange.into(), options)
            .await
            .unwrap();
    }

    /// Empties a queue.
    pub(crate) async fn purge(&self, queue: &str) {
        let channel = self.channel().await;
        let options = QueuePurgeOptions::default();
        channel.queue_purge(queue.into(), options).await.unwrap();
    }

    /// How many messages wait in a queue.
    pub(crate) async fn depth(&self, queue: &str) -> u32 {
        let channel = self.channel().await;
        let options = QueueDeclareOptions::default().passive();
        let queue = channel
            .queue_declare(queue.into(), options, FieldTable::default())
            .await
            .unwrap();
        queue.message_count()
    }

    /// Whether there is such a queue.
    pub(crate) async fn has_queue(&self, queue: &str) -> bool {
        let channel = self.channel().await;
        let options = QueueDeclareOptions::default().passive();
        let declared = channel.queue_declare(queue.into(), options, FieldTable::default());
        declared.await.is_ok()
    }

    /// Takes the next message of a queue, acknowledged.
    pub(crate) async fn get(&self, queue: &str) -> Option<BasicGetMessage> {
        let channel = self.channel().await;
        let options = BasicGetOptions { no_ack: true };
        channel.basic_get(queue.into(), options).await.unwrap()
    }

    /// Takes everything out of a queue, in order; nothing where the service has not made it yet.
    pub(crate) async fn drain(&self, queue: &str) -> Vec<BasicGetMessage> {
        if !self.has_queue(queue).await {
            return Vec::new();
        }
        let channel = self.channel().await;
        let options = BasicGetOptions { no_ack: true };
        let mut messages = Vec::new();
        while let Some(message) = channel.basic_get(queue.into(), options).await.unwrap() {
            messages.push(message);
        }
        messages
    }

    /// Publishes a message, confirmed.
    pub(crate) async fn publish(&self, exchange: &str, key: &str, body: &[u8]) {
        let properties = BasicProperties::default();
        self.publish_with(exchange, key, body, properties).await;
    }

    /// The same with properties.
    pub(crate) async fn publish_with(
        &self,
        exchange: &str,
        key: &str,
        body: &[u8],
        properties: BasicProperties,
    ) {
        let channel = self.channel().await;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await
            .unwrap();
        let (exchange, key) = (exchange.into(), key.into());
        let options = BasicPublishOptions::default();
        let published = channel
            .basic_publish(exchange, key, options, body, properties)
            .await
            .unwrap();
        assert!(published.await.unwrap().is_ack());
    }

    /// Takes the next message of a queue and rejects it, so that it is dead-lettered.
    pub(crate) async fn reject(&self, queue: &str) {
        // Not by `get`: a queue with a single active consumer refuses that.
        let message = self.consume(queue).await.next().await.unwrap();
        let options = BasicRejectOptions { requeue: false };
        assert!(message.unwrap().reject(options).await.unwrap());
    }

    /// Attaches a consumer that lasts until the returned value is dropped.
    pub(crate) async fn consume(&self, queue: &str) -> Consumer {
        let channel = self.channel().await;
        let options = BasicConsumeOptions::default();
        channel
            .basic_consume(queue.into(), "".into(), options, FieldTable::default())
            .await
            .unwrap()
    }

    /// Waits until so many messages wait in a queue.
    pub(crate) async fn wait_for_depth(&self, queue: &str, depth: u32) {
        let reached = async || (self.depth(queue).await == depth).then_some(());
        eventually(&format!("{depth} messages in {queue}"), reached).await;
    }

    /// Sets a policy on every queue of that name, such as `{"max-length": 1}`.
    pub(crate) async fn set_policy(&self, queue: &str, definition: Value) {
        let path = format!("policies/{}/{queue}", self.vhost);
        let policy = json!({"pattern": format!("^{queue}$"), "definition": definition, "apply-to": "queues"});
        self.management
            .send(reqwest::Method::PUT, &path, Some(policy))
            .await;
    }

    /// Closes, as an operator would, the connections that show this name, once there are any.
    pub(crate) async fn close_connections(&self, name: &str) {
        let present = async || Some(self.connections(name).await).filter(|found| !found.is_empty());
        for connection in eventually(&format!("a connection {name}"), present).await {
            let path = format!("connections/{}", connection.replace(' ', "%20"));
            self.management
                .send(reqwest::Method::DELETE, &path, None)
                .await;
        }
    }

    /// What the broker says of one of the `queues` or `exchanges`.
    pub(crate) async fn look_up(&self, kind: &str, name: &str) -> Value {
        let path = format!("{kind}/{}/{name}", self.vhost);
        let asked = self.management.send(reqwest::Method::GET, &path, None);
        asked.await
    }

    /// Waits until no connection shows this name.
    pub(crate) async fn wait_for_no_connection(&self, name: &str) {
        let absent = async || self.connections(name).await.is_empty().then_some(());
        eventually(&format!("no connection {name}"), absent).await;
    }

    /// The broker's own names of the connections that show `name` in the management page.
    pub(crate) async fn connections(&self, name: &str) -> Vec<String> {
        let path = format!("vhosts/{}/connections", self.vhost);
        let listed = self
            .management
            .send(reqwest::Method::GET, &path, None)
            .await;
        let shows = |connection: &&Value| connection["user_provided_name"] == name;
        let connections = listed.as_array().unwrap().iter().filter(shows);
        connections
            .filter_map(|connection| connection["name"].as_str().map(str::to_owned))
            .collect()
    }
}

async fn connect(uri: &AMQPUri) -> Connection {
    let properties = ConnectionProperties::default().with_connection_name("test".into());
    Connection::connect_uri(uri.clone(), properties)
        .await
        .unwrap()
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        let path = format!("vhosts/{}", self.vhost);
        let management = self.management.clone();
        // A test's own runtime cannot wait for this while it drops.
        let deleting = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(management.send(reqwest::Method::DELETE, &path, None));
        });
        let deleted = deleting.join();
        // A second panic would hide the test's own.
        assert!(
            deleted.is_ok() || thread::panicking(),
            "{} stays",
            self.vhost
        );
    }
}

/// Asks again and again until there is an answer; fails when that takes too long.
pub(crate) async fn eventually<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    within(PATIENCE, what, ask).await
}

/// The same with another patience.
pub(crate) async fn within<T>(
    patience: Duration,
    what: &str,
    ask: impl AsyncFn() -> Option<T>,
) -> T {
    let asking = async {
        loop {
            match ask().await {
                Some(answer) => return answer,
                None => tokio::time::sleep(Duration::from_millis(25)).await,
            }
        }
    };
    let answer = tokio::time::timeout(patience, asking).await;
    answer.unwrap_or_else(|_| panic!("not seen within {patience:?}: {what}"))
}

/// RabbitMQ's HTTP API.
#[derive(Clone)]
struct Management {
    base: String,
}

impl Management {
    fn new(base: String) -> Self {
        Self { base }
    }

    async fn send(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Value {
        let url = format!("{}/api/{path}", self.base.trim_end_matches('/'));
        let asked = format!("{method} {path}");
        let mut request = client().request(method, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let answer = response.bytes().await.unwrap();
        let said = String::from_utf8_lossy(&answer);
        assert!(status.is_success(), "{asked}: {status}, {said}");
        serde_json::from_slice(&answer).unwrap_or(Value::Null)
    }
}

/// An HTTP client.
pub(crate) fn client() -> reqwest::Client {
    // Needed even for plain HTTP: reqwest sets up TLS in any case. Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

#[expect(
    clippy::disallowed_methods,
    reason = "where the tests' broker is, no setting"
)]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: run the tests with `scripts/broker run .run/broker -- cargo test`"
        )
    })
}
