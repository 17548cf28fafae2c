//! A virtual host of the broker for this run alone, and what is in its queues.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions,
    QueueDeclareOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer};
use tokio::time::{Instant, sleep};

use crate::http::{Client, request};

/// Where the service's events go.
pub(crate) const EVENTS: &str = "twitter.tickets";
/// Where it takes commands from.
pub(crate) const COMMANDS: &str = "twitter.commands";
/// A queue of the same kind that the service has nothing to do with.
const ECHO: &str = "bench.echo";
const PERSISTENT: u8 = 2;
/// Messages sent before their confirms are awaited.
const PUBLISH_WINDOW: usize = 500;
/// How long the broker may take to show what is expected of it.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is asked: seldom enough to cost nothing, often enough for a run of seconds.
const LOOK: Duration = Duration::from_millis(5);

pub(crate) struct Broker {
    management: Management,
    vhost: String,
    url: String,
    connection: Connection,
}

impl Broker {
    /// `url` is its AMQP URL, `management` that of its HTTP API; both with user and password.
    pub(crate) async fn prepare(url: &str, management: &str) -> anyhow::Result<Self> {
        let management = Management::parse(management)?;
        let vhost = format!("bench-{}", std::process::id());
        management.send("PUT", &format!("vhosts/{vhost}")).await?;
        let mut uri: AMQPUri = url.parse().map_err(anyhow::Error::msg)?;
        uri.vhost = vhost.clone();
        let url = url_of(&uri);
        let properties = ConnectionProperties::default().with_connection_name("load".into());
        Ok(Self {
            connection: Connection::connect_uri(uri, properties).await?,
            management,
            vhost,
            url,
        })
    }

    /// AMQP URL of the virtual host.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Deletes the virtual host with all that is in it.
    pub(crate) async fn remove(self) -> anyhow::Result<()> {
        let path = format!("vhosts/{}", self.vhost);
        self.management.send("DELETE", &path).await
    }

    /// Events in their queue: confirmed and not read, as nobody reads. 0 while there is no queue.
    pub(crate) async fn depth(&self) -> anyhow::Result<usize> {
        let channel = self.connection.create_channel().await?;
        let depth = depth(&channel, EVENTS).await.unwrap_or(0);
        // A queue that is missing closes the channel by itself.
        let _ = channel.close(200, "OK".into()).await;
        Ok(depth)
    }

    /// Waits until there are `messages` events; when there were.
    pub(crate) async fn reached(&self, messages: usize) -> anyhow::Result<Instant> {
        self.until(EVENTS, |found| found >= messages).await
    }

    /// Waits until every command has been read.
    pub(crate) async fn commands_read(&self) -> anyhow::Result<Instant> {
        self.until(COMMANDS, |found| found == 0).await
    }

    /// Waits until a queue is as deep as it should be; when it was.
    async fn until(&self, queue: &str, fits: impl Fn(usize) -> bool) -> anyhow::Result<Instant> {
        let mut channel = self.connection.create_channel().await?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = match depth(&channel, queue).await {
                Ok(found) => found,
                // A service that has just started may not have made the queue yet, and to look for
                // it costs the channel.
                Err(_) => {
                    channel = self.connection.create_channel().await?;
                    0
                }
            };
            let now = Instant::now();
            if fits(found) {
                channel.close(200, "OK".into()).await?;
                return Ok(now);
            }
            ensure!(now < deadline, "{found} messages are in {queue}");
            sleep(LOOK).await;
        }
    }

    /// Drops the events.
    pub(crate) async fn purge(&self) -> anyhow::Result<()> {
        let channel = self.connection.create_channel().await?;
        let options = QueuePurgeOptions::default();
        channel.queue_purge(EVENTS.into(), options).await?;
        Ok(channel.close(200, "OK".into()).await?)
    }

    /// Puts commands into their queue, in this order.
    pub(crate) async fn publish(&self, commands: &[Message]) -> anyhow::Result<()> {
        let channel = self.connection.create_channel().await?;
        let options = ConfirmSelectOptions::default();
        channel.confirm_select(options).await?;
        for window in commands.chunks(PUBLISH_WINDOW) {
            let mut confirms = Vec::new();
            for command in window {
                confirms.push(command.publish(&channel, COMMANDS, COMMANDS).await?);
            }
            for confirm in try_join_all(confirms).await? {
                ensure!(confirm.is_ack(), "the broker takes no commands");
            }
        }
        Ok(channel.close(200, "OK".into()).await?)
    }

    /// A queue whose messages come back at once.
    pub(crate) async fn echo(&self) -> anyhow::Result<Echo> {
        let channel = self.connection.create_channel().await?;
        let mut arguments = FieldTable::default();
        let quorum = AMQPValue::LongString("quorum".into());
        arguments.insert("x-queue-type".into(), quorum);
        let options = QueueDeclareOptions::durable();
        channel
            .queue_declare(ECHO.into(), options, arguments)
            .await?;
        let options = BasicConsumeOptions::default();
        let arguments = FieldTable::default();
        let consumer = channel.basic_consume(ECHO.into(), "load".into(), options, arguments);
        let messages = consumer.await?;
        Ok(Echo { channel, messages })
    }
}

async fn depth(channel: &Channel, queue: &str) -> anyhow::Result<usize> {
    let options = QueueDeclareOptions::default().passive();
    let declared = channel.queue_declare(queue.into(), options, FieldTable::default());
    Ok(usize::try_from(declared.await?.message_count())?)
}

/// A command as the core sends it.
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) body: String,
}

impl Message {
    async fn publish(
        &self,
        channel: &Channel,
        exchange: &str,
        key: &str,
    ) -> lapin::Result<impl Future<Output = lapin::Result<Confirmation>> + use<>> {
        let properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type("application/json".into())
            .with_message_id(self.id.as_str().into());
        let options = BasicPublishOptions::default();
        let body = self.body.as_bytes();
        channel
            .basic_publish(exchange.into(), key.into(), options, body, properties)
            .await
    }
}

/// See [`Broker::echo`].
pub(crate) struct Echo {
    channel: Channel,
    messages: Consumer,
}

impl Echo {
    /// Sends a message; when it was back.
    pub(crate) async fn there_and_back(&mut self, message: &Message) -> anyhow::Result<Instant> {
        let _confirm = message.publish(&self.channel, "", ECHO).await?;
        let message = self.messages.next().await.context("the queue is gone")??;
        let arrived = Instant::now();
        message.ack(BasicAckOptions::default()).await?;
        Ok(arrived)
    }
}

fn url_of(uri: &AMQPUri) -> String {
    let (user, at) = (&uri.authority.userinfo, &uri.authority);
    format!(
        "amqp://{}:{}@{}:{}/{}",
        user.username, user.password, at.host, at.port, uri.vhost
    )
}

/// RabbitMQ's HTTP API.
struct Management {
    address: SocketAddr,
    credentials: String,
}

impl Management {
    /// Reads `http://user:password@host:port`.
    fn parse(url: &str) -> anyhow::Result<Self> {
        let rest = url.strip_prefix("http://").context("no http:// URL")?;
        let (credentials, host) = rest
            .trim_end_matches('/')
            .split_once('@')
            .context("no user")?;
        Ok(Self {
            address: host.parse().context("no address")?,
            credentials: STANDARD.encode(credentials),
        })
    }

    async fn send(&self, method: &str, path: &str) -> anyhow::Result<()> {
        let headers = format!("authorization: Basic {}\r\n", self.credentials);
        let request = request(method, &format!("/api/{path}"), &headers);
        let status = Client::connect(self.address)
            .await?
            .exchange(&request)
            .await?;
        if !(200..300).contains(&status) {
            bail!("{method} {path} at the broker's management: {status}");
        }
        Ok(())
    }
}
