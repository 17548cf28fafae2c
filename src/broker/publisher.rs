//! Publishing events: windows of messages, each with its fate.

use std::collections::HashMap;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{MaybeDone, maybe_done};
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, ErrorKind, PublisherConfirm};
use tokio::time::timeout;

use super::connection::{ConnectError, Session};
use super::settings::BrokerSettings;
use super::topology::{self, TopologyError};

/// One event on its way out; properties and headers follow from it as the contract says.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The event's id. At most 255 bytes, as are type, routing key and correlation id.
    pub message_id: String,
    /// The event's type, such as `message.received`.
    pub event_type: String,
    /// `<event type>.<kind>.<account id>`.
    pub routing_key: String,
    /// The command's id on `command.*`, else the conversation's.
    pub correlation_id: String,
    /// When it happened, in seconds since 1970.
    pub timestamp: u64,
    /// What CloudEvents wants beside id and type.
    pub attributes: Attributes,
    /// W3C trace context of what caused the event.
    pub traceparent: Option<String>,
    /// The event as JSON.
    pub body: Bytes,
    /// Whether an event that no queue takes is returned, instead of dropped.
    pub mandatory: bool,
    /// After how long a queue may drop it.
    pub expiration_ms: Option<u32>,
    /// Whether it is sent again on request.
    pub republished: bool,
}

/// CloudEvents attributes that no AMQP property holds as well.
#[derive(Clone, Debug)]
pub struct Attributes {
    /// URI of the deployment and account the event comes from.
    pub source: String,
    /// When it happened, RFC 3339 in UTC.
    pub time: String,
    /// What it is about.
    pub subject: String,
    /// Where the shape of the body is described.
    pub dataschema: String,
}

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Every queue bound for it has it on disk.
    Confirmed,
    /// No queue is bound for it.
    Returned {
        /// The broker's word for it.
        reason: String,
    },
    /// A queue refused it: it is full, or its leader is lost.
    Nacked,
    /// It was never sent, as AMQP has no room for one of its properties.
    Unsendable {
        /// The property that is too long.
        property: &'static str,
    },
}

/// Why the fates of a window are not known. Any of its messages may have arrived, unless there was
/// no connection yet.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// No connection; nothing was sent.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Exchanges or queues are missing; nothing was sent.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The channel for publishing could not be opened; nothing was sent.
    #[error("the broker gave no channel to publish on")]
    NoChannel(#[source] lapin::Error),
    /// A memory or disk alarm: the broker takes no publishes until it is over.
    #[error("the broker takes no publishes at present (a memory or disk alarm)")]
    Blocked,
    /// The confirms did not come in time.
    #[error("the broker did not confirm within {}s", limit.as_secs_f32())]
    Late {
        /// How long was waited.
        limit: Duration,
    },
    /// The connection or the channel ended while the window was on its way.
    #[error("the connection for publishing ended")]
    Lost(#[source] lapin::Error),
}

/// Publishes to the events exchange over a connection and a confirm channel of its own.
///
/// One task only, by `&mut`: lapin assigns delivery tags and queues frames under different locks.
/// After an error nothing is sent again on a channel with messages in flight; the next window makes
/// a new connection, topology first.
pub struct Publisher {
    settings: Arc<BrokerSettings>,
    exchange: ShortString,
    link: Link,
}

/// What the publisher has in hand between two windows.
#[derive(Default)]
enum Link {
    /// Nothing.
    #[default]
    None,
    /// A connection with its confirm channel, and nothing in flight.
    Ready(Session, Channel),
    /// A connection that was blocked with a window in flight. A new one would be blocked as well,
    /// and each would leave its window with the broker, to be repeated when the alarm is over.
    Blocked(Session),
}

impl Publisher {
    /// A publisher that connects with its first window.
    pub fn new(settings: Arc<BrokerSettings>) -> Self {
        let exchange = settings.names.events.as_str().into();
        Self {
            settings,
            exchange,
            link: Link::None,
        }
    }

    /// Publishes the messages and waits for all their confirms; the fates are in their order.
    ///
    /// At most [`BrokerSettings::publish_window`] messages at once keep the wait short. A call that
    /// is dropped half-way ends the connection.
    pub async fn publish_window(&mut self, window: &[Outgoing]) -> Result<Vec<Fate>, PublishError> {
        // Held here until the window has gone well: every other way out drops it.
        let (session, channel) = self.take_link().await?;
        let limit = self.settings.confirm_timeout;
        match timeout(limit, publish(&channel, &self.exchange, window)).await {
            Ok(Ok(fates)) => {
                self.link = Link::Ready(session, channel);
                Ok(fates)
            }
            Ok(Err(source)) => Err(PublishError::Lost(source)),
            Err(_) if session.is_blocked() => {
                self.link = Link::Blocked(session);
                Err(PublishError::Blocked)
            }
            Err(_) => Err(PublishError::Late { limit }),
        }
    }

    /// Ends the connection, between two windows.
    pub async fn close(self) {
        if let Link::Ready(session, _) = self.link {
            session.close().await;
        }
    }

    async fn take_link(&mut self) -> Result<(Session, Channel), PublishError> {
        match &self.link {
            Link::Ready(session, _) | Link::Blocked(session)
                if session.is_connected() && session.is_blocked() =>
            {
                return Err(PublishError::Blocked);
            }
            _ => {}
        }
        match mem::take(&mut self.link) {
            Link::Ready(session, channel) if session.is_connected() => Ok((session, channel)),
            _ => self.connect().await,
        }
    }

    async fn connect(&self) -> Result<(Session, Channel), PublishError> {
        let session = Session::connect(&self.settings, "publisher").await?;
        topology::ensure(&session, &self.settings).await?;
        let limit = self.settings.connect_timeout;
        let channel = timeout(limit, confirm_channel(&session))
            .await
            .map_err(|_elapsed| PublishError::Late { limit })?
            .map_err(PublishError::NoChannel)?;
        Ok((session, channel))
    }
}

async fn confirm_channel(session: &Session) -> lapin::Result<Channel> {
    let channel = session.channel().await?;
    // Before the first publish: else its confirm would say `NotRequested`.
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    Ok(channel)
}

async fn publish(
    channel: &Channel,
    exchange: &ShortString,
    window: &[Outgoing],
) -> lapin::Result<Vec<Fate>> {
    let sends: Vec<_> = window
        .iter()
        .map(|message| send(channel, exchange, message))
        .collect();
    let mut fates = Vec::with_capacity(window.len());
    let mut returned = HashMap::new();
    for send in sends {
        let confirmation = match send {
            Ok(send) => confirmation(send).await?,
            Err(TooLong(property)) => {
                fates.push(Fate::Unsendable { property });
                continue;
            }
        };
        fates.push(if confirmation.is_nack() {
            Fate::Nacked
        } else {
            Fate::Confirmed
        });
        returned.extend(confirmation.take_message().and_then(returned_id));
    }
    mark_returned(window, &mut fates, &returned);
    Ok(fates)
}

/// Queues one message for lapin's thread.
///
/// lapin's future takes its delivery tag and queues its frames when it is first polled, then waits
/// until they are written. Polling all of a window once, in order, lets that thread write many
/// messages at a time; nobody needs to be woken for each of them.
fn send<'a>(
    channel: &'a Channel,
    exchange: &ShortString,
    message: &'a Outgoing,
) -> Result<Pin<Box<MaybeDone<impl Future<Output = lapin::Result<PublisherConfirm>> + 'a>>>, TooLong>
{
    let routing_key = short(&message.routing_key, "routing_key")?;
    let options = BasicPublishOptions {
        mandatory: message.mandatory,
        ..BasicPublishOptions::default()
    };
    let properties = properties(message)?;
    let mut send = Box::pin(maybe_done(channel.basic_publish(
        exchange.clone(),
        routing_key,
        options,
        &message.body,
        properties,
    )));
    let _ = send.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    Ok(send)
}

async fn confirmation<F>(mut send: Pin<Box<MaybeDone<F>>>) -> lapin::Result<Confirmation>
where
    F: Future<Output = lapin::Result<PublisherConfirm>>,
{
    send.as_mut().await;
    match send.as_mut().take_output() {
        Some(sent) => sent?.await,
        None => Err(ErrorKind::FutureCompleted.into()),
    }
}

/// The id and the reason of a returned message.
fn returned_id(message: BasicReturnMessage) -> Option<(String, String)> {
    let id = message.properties.message_id().as_ref()?;
    Some((id.to_string(), message.reply_text.to_string()))
}

/// A returned message is acknowledged too, and its return comes with *some* confirm of the window:
/// only the ids tell whose it is. By the last confirm every return has come, as the broker sends it
/// before the message's own confirm.
fn mark_returned(window: &[Outgoing], fates: &mut [Fate], returned: &HashMap<String, String>) {
    if returned.is_empty() {
        return;
    }
    for (message, fate) in window.iter().zip(fates) {
        if let Some(reason) = returned.get(&message.message_id) {
            *fate = Fate::Returned {
                reason: reason.clone(),
            };
        }
    }
}

/// This property is longer than AMQP's short strings can be.
struct TooLong(&'static str);

fn short(text: &str, property: &'static str) -> Result<ShortString, TooLong> {
    ShortString::try_new(text).map_err(|_length| TooLong(property))
}

fn properties(message: &Outgoing) -> Result<BasicProperties, TooLong> {
    const PERSISTENT: u8 = 2;
    let properties = BasicProperties::default()
        .with_message_id(short(&message.message_id, "message_id")?)
        .with_type(short(&message.event_type, "type")?)
        .with_correlation_id(short(&message.correlation_id, "correlation_id")?)
        .with_timestamp(message.timestamp)
        .with_app_id("twitter-channel".into())
        .with_content_type("application/json".into())
        .with_delivery_mode(PERSISTENT)
        .with_headers(headers(message));
    Ok(match message.expiration_ms {
        Some(limit) => properties.with_expiration(limit.to_string().into()),
        None => properties,
    })
}

fn headers(message: &Outgoing) -> FieldTable {
    let Attributes {
        source,
        time,
        subject,
        dataschema,
    } = &message.attributes;
    let mut headers = FieldTable::default();
    let mut set = |name: &str, value: &str| {
        headers.insert(name.into(), AMQPValue::LongString(LongString::from(value)));
    };
    set("cloudEvents_specversion", "1.0");
    set("cloudEvents_id", &message.message_id);
    set("cloudEvents_source", source);
    set("cloudEvents_type", &message.event_type);
    set("cloudEvents_time", time);
    set("cloudEvents_subject", subject);
    set("cloudEvents_dataschema", dataschema);
    if let Some(traceparent) = &message.traceparent {
        set("traceparent", traceparent);
    }
    if message.republished {
        headers.insert("x-republished".into(), AMQPValue::Boolean(true));
    }
    headers
}
