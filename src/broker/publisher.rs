//! Publishing events: windows of messages, each with its fate.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use bytes::Bytes;
use futures_util::future::{MaybeDone, maybe_done};
use lapin::message::BasicReturnMessage;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, ErrorKind, PublisherConfirm};

use super::outlet::Outlet;
pub use super::outlet::PublishError;
use super::settings::BrokerSettings;

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
    /// What its sender wants handed on with it.
    pub tracestate: Option<String>,
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

/// Publishes to the events exchange over a connection and a confirm channel of its own.
///
/// One task only, by `&mut`: lapin assigns delivery tags and queues frames under different locks.
/// After an error nothing is sent again on a channel with messages in flight; the next window makes
/// a new connection, topology first.
pub struct Publisher {
    exchange: ShortString,
    outlet: Outlet,
}

impl Publisher {
    /// A publisher that connects with its first window.
    pub fn new(settings: Arc<BrokerSettings>) -> Self {
        Self {
            exchange: settings.names.events.as_str().into(),
            outlet: Outlet::new(Arc::clone(&settings), "publisher", &settings.names.events),
        }
    }

    /// Name of the exchange that it publishes to.
    pub fn exchange(&self) -> &str {
        self.exchange.as_str()
    }

    /// Publishes the messages and waits for all their confirms; the fates are in their order.
    ///
    /// At most [`BrokerSettings::publish_window`] messages at once keep the wait short. A call that
    /// is dropped half-way ends the connection.
    pub async fn publish_window(&mut self, window: &[Outgoing]) -> Result<Vec<Fate>, PublishError> {
        let exchange = &self.exchange;
        let publishing = async |channel| publish(&channel, exchange, window).await;
        self.outlet.send(publishing).await
    }

    /// Ends the connection, between two windows.
    pub async fn close(self) {
        self.outlet.close().await;
    }
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
    if let Some(tracestate) = &message.tracestate {
        set("tracestate", tracestate);
    }
    if message.republished {
        headers.insert("x-republished".into(), AMQPValue::Boolean(true));
    }
    headers
}
