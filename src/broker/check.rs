//! Looks whether the service could work with the broker, and changes nothing there.

use lapin::options::{BasicGetOptions, BasicPublishOptions};
use lapin::protocol::AMQPSoftError;
use lapin::{BasicProperties, Channel};

use super::connection::{ConnectError, Session, channel_fault};
use super::rights::{Denied, Entity, Right};
use super::settings::{BrokerSettings, TopologyMode};
use super::topology::{self, TopologyError};

/// Why nothing could be said.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The broker went away or silent meanwhile.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The connection ended meanwhile.
    #[error("the connection ended while rights were looked at")]
    Lost(#[source] lapin::Error),
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Exchanges and queues that are not there, and that nobody but ops will make.
    pub missing: Vec<Entity>,
    /// Those that the service will declare.
    pub to_declare: Vec<Entity>,
    /// Rights that the user lacks.
    pub denied: Vec<Denied>,
}

impl Found {
    /// Whether the service could work.
    pub fn is_good(&self) -> bool {
        self.missing.is_empty() && self.denied.is_empty()
    }

    /// A line for each thing.
    pub fn lines(&self) -> Vec<String> {
        let missing = self.missing.iter().map(|it| format!("missing: {it}"));
        let declared = self.to_declare.iter();
        let declared = declared.map(|it| format!("not there yet, will be declared: {it}"));
        let denied = self.denied.iter().map(ToString::to_string);
        missing.chain(declared).chain(denied).collect()
    }
}

/// Connects, looks for the topology, and tries the rights that are needed in any mode.
///
/// # Errors
/// Where there is no connection, or it is lost.
pub async fn look(settings: &BrokerSettings) -> Result<Found, CheckError> {
    let session = Session::connect(settings, "check").await?;
    let mut found = Found::default();
    let absent = topology::missing(&session, settings).await?;
    let names = &settings.names;
    for exchange in [&names.events, &names.dead] {
        let exchange = Entity::Exchange(exchange.clone());
        if !absent.contains(&exchange) {
            found.denied.extend(lacks_write(&session, &exchange).await?);
        }
    }
    let commands = Entity::Queue(names.commands.clone());
    if !absent.contains(&commands) {
        found.denied.extend(lacks_read(&session, &commands).await?);
    }
    match settings.topology {
        TopologyMode::Check => found.missing = absent,
        TopologyMode::Declare => found.to_declare = absent,
    }
    session.close().await;
    Ok(found)
}

async fn channel(session: &Session) -> Result<Channel, CheckError> {
    session.channel().await.map_err(CheckError::Lost)
}

/// Publishes in a transaction that is rolled back: RabbitMQ looks at the right, and routes nothing.
async fn lacks_write(session: &Session, exchange: &Entity) -> Result<Option<Denied>, CheckError> {
    let channel = channel(session).await?;
    let name = exchange.name().into();
    let tried = async {
        channel.tx_select().await?;
        let options = BasicPublishOptions::default();
        let nothing = BasicProperties::default();
        channel
            .basic_publish(name, "check".into(), options, b"", nothing)
            .await?;
        channel.tx_rollback().await
    };
    match tried.await {
        // The broker has closed the channel before the second request went out on it, which then
        // lacks the broker's words: it can but have refused the first.
        Err(source) if channel_fault(&source).is_none() && session.is_connected() => {
            Ok(Some(Denied {
                right: Right::Write,
                on: exchange.clone(),
                source,
            }))
        }
        tried => verdict(tried, Right::Write, exchange),
    }
}

/// The queue has a single active consumer, for which RabbitMQ refuses this in any case, but only to
/// those who may read at all. From another queue the message goes back when the channel is closed.
async fn lacks_read(session: &Session, queue: &Entity) -> Result<Option<Denied>, CheckError> {
    let channel = channel(session).await?;
    let options = BasicGetOptions::default();
    let tried = channel.basic_get(queue.name().into(), options).await;
    match tried {
        Err(error) if channel_fault(&error) == Some(&AMQPSoftError::RESOURCELOCKED) => Ok(None),
        other => verdict(other.map(drop), Right::Read, queue),
    }
}

fn verdict(
    tried: Result<(), lapin::Error>,
    right: Right,
    on: &Entity,
) -> Result<Option<Denied>, CheckError> {
    match tried {
        Ok(()) => Ok(None),
        Err(error) => match Denied::of(error, [(right, on.clone())]) {
            Ok(denied) => Ok(Some(denied)),
            Err(error) => Err(CheckError::Lost(error)),
        },
    }
}
