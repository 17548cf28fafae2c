//! A virtual host of the broker for this run alone, and what is in its queue.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lapin::options::{QueueDeclareOptions, QueuePurgeOptions};
use lapin::types::FieldTable;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties};
use tokio::time::{Instant, sleep};

use crate::http::{Client, request};

const QUEUE: &str = "twitter.tickets";
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

    /// Messages in the queue: confirmed and not read, as nobody reads. 0 while there is no queue.
    pub(crate) async fn depth(&self) -> anyhow::Result<usize> {
        let channel = self.connection.create_channel().await?;
        let depth = depth(&channel).await.unwrap_or(0);
        // A queue that is missing closes the channel by itself.
        let _ = channel.close(200, "OK".into()).await;
        Ok(depth)
    }

    /// Waits until the queue holds `messages`; when it did.
    pub(crate) async fn reached(&self, messages: usize) -> anyhow::Result<Instant> {
        let channel = self.connection.create_channel().await?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = depth(&channel).await?;
            let now = Instant::now();
            if found >= messages {
                return Ok(now);
            }
            ensure!(
                now < deadline,
                "{found} of {messages} messages were confirmed"
            );
            sleep(LOOK).await;
        }
    }

    /// Empties the queue.
    pub(crate) async fn purge(&self) -> anyhow::Result<()> {
        let channel = self.connection.create_channel().await?;
        channel
            .queue_purge(QUEUE.into(), QueuePurgeOptions::default())
            .await?;
        Ok(())
    }
}

async fn depth(channel: &Channel) -> anyhow::Result<usize> {
    let options = QueueDeclareOptions::default().passive();
    let declared = channel.queue_declare(QUEUE.into(), options, FieldTable::default());
    Ok(usize::try_from(declared.await?.message_count())?)
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
