//! The end of the line for messages that nothing can be made of: `twitter.dead`.

use std::sync::Arc;

use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{BasicProperties, Confirmation};

use super::outlet::{Outlet, PublishError};
use super::settings::BrokerSettings;

/// Most bytes of the sender's own headers that are kept. AMQP cannot divide headers among frames,
/// and those of a connection that publishes are smaller than what RabbitMQ allows a sender.
const MAX_HEADERS: usize = 16 * 1024;

/// Why a letter has not reached the queue for certain; it may be there all the same.
#[derive(Debug, thiserror::Error)]
pub enum BuryError {
    /// The broker is away, blocked or silent.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// No queue is bound to the exchange, or the queue refuses it.
    #[error("{exchange} does not take dead letters: {reason}")]
    Refused {
        /// The exchange of dead letters.
        exchange: String,
        /// The broker's word for it.
        reason: String,
    },
}

/// A message with the reason for which it ends here.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// As it came.
    pub body: &'a [u8],
    /// As they came.
    pub properties: &'a BasicProperties,
    /// For programs; header `x-reason`.
    pub reason: &'a str,
    /// For people; header `x-detail`, left out where it is empty.
    pub detail: &'a str,
}

/// Publishes dead letters over a connection of its own: during an alarm the broker stops reading from
/// one that publishes, lapin stops writing to it, and acknowledgements must not wait for that.
pub struct DeadLetters {
    exchange: ShortString,
    outlet: Outlet,
}

impl DeadLetters {
    /// Connects with the first letter.
    pub fn new(settings: Arc<BrokerSettings>) -> Self {
        Self {
            exchange: settings.names.dead.as_str().into(),
            outlet: Outlet::new(Arc::clone(&settings), "dead letters", &settings.names.dead),
        }
    }

    /// Returns once a majority of the queue's replicas has the letter on disk.
    ///
    /// # Errors
    /// When that is not certain: bury it again, later.
    pub async fn bury(&mut self, letter: Letter<'_>) -> Result<(), BuryError> {
        let exchange = &self.exchange;
        let properties = properties(letter);
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let publishing = async |channel: lapin::Channel| {
            let key = ShortString::default();
            let sent =
                channel.basic_publish(exchange.clone(), key, options, letter.body, properties);
            sent.await?.await
        };
        let reason = match self.outlet.send(publishing).await? {
            Confirmation::Ack(None) => return Ok(()),
            Confirmation::Ack(Some(returned)) => returned.reply_text.to_string(),
            Confirmation::Nack(_) => "refused".to_owned(),
            Confirmation::NotRequested => "no confirm".to_owned(),
        };
        let exchange = self.exchange.to_string();
        Err(BuryError::Refused { exchange, reason })
    }

    /// Ends the connection, between two letters.
    pub async fn close(self) {
        self.outlet.close().await;
    }
}

/// Those of the message without what would end it (its expiration) or what only its sender may say
/// (its user id).
fn properties(letter: Letter<'_>) -> BasicProperties {
    const PERSISTENT: u8 = 2;
    let from = letter.properties;
    let mut headers = from.headers().clone().unwrap_or_default();
    if table_size(&headers) > MAX_HEADERS {
        headers = FieldTable::default();
    }
    headers.insert("x-reason".into(), text(letter.reason));
    if !letter.detail.is_empty() {
        headers.insert("x-detail".into(), text(letter.detail));
    }
    let to = BasicProperties::default()
        .with_headers(headers)
        .with_delivery_mode(PERSISTENT);
    keep_sent(to, from)
}

/// What its sender said of a message, but for its expiration, its user id and its headers.
pub(super) fn keep_sent(to: BasicProperties, from: &BasicProperties) -> BasicProperties {
    let to = keep(to, from.content_type(), BasicProperties::with_content_type);
    let to = keep(
        to,
        from.content_encoding(),
        BasicProperties::with_content_encoding,
    );
    let to = keep(to, from.priority(), BasicProperties::with_priority);
    let to = keep(
        to,
        from.correlation_id(),
        BasicProperties::with_correlation_id,
    );
    let to = keep(to, from.reply_to(), BasicProperties::with_reply_to);
    let to = keep(to, from.message_id(), BasicProperties::with_message_id);
    let to = keep(to, from.timestamp(), BasicProperties::with_timestamp);
    let to = keep(to, from.kind(), BasicProperties::with_type);
    keep(to, from.app_id(), BasicProperties::with_app_id)
}

fn keep<T: Clone>(
    to: BasicProperties,
    value: &Option<T>,
    with: fn(BasicProperties, T) -> BasicProperties,
) -> BasicProperties {
    match value {
        Some(value) => with(to, value.clone()),
        None => to,
    }
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(text))
}

/// About how many bytes a table takes.
fn table_size(table: &FieldTable) -> usize {
    let entries = table.into_iter();
    entries
        .map(|(name, value)| name.as_str().len() + size(value))
        .sum()
}

fn size(value: &AMQPValue) -> usize {
    const FIXED: usize = 10;
    FIXED
        + match value {
            AMQPValue::LongString(text) => text.as_bytes().len(),
            AMQPValue::ShortString(text) => text.as_str().len(),
            AMQPValue::ByteArray(bytes) => bytes.len(),
            AMQPValue::FieldArray(items) => items.as_slice().iter().map(size).sum(),
            AMQPValue::FieldTable(table) => table_size(table),
            _ => 0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_kept_but_for_those_that_would_end_or_forbid_the_letter() {
        let mut headers = FieldTable::default();
        headers.insert("traceparent".into(), text("00-1"));
        let sent = BasicProperties::default()
            .with_content_type("text/plain".into())
            .with_content_encoding("gzip".into())
            .with_priority(3)
            .with_correlation_id("c".into())
            .with_reply_to("r".into())
            .with_message_id("m".into())
            .with_timestamp(7)
            .with_type("t".into())
            .with_app_id("a".into())
            .with_headers(headers.clone());
        let letter = |properties| Letter {
            body: b"",
            properties,
            reason: "unreadable",
            detail: "why",
        };
        headers.insert("x-reason".into(), text("unreadable"));
        headers.insert("x-detail".into(), text("why"));
        let expected = sent.clone().with_headers(headers).with_delivery_mode(2);
        let marked = sent
            .with_delivery_mode(1)
            .with_expiration("1".into())
            .with_user_id("core".into())
            .with_cluster_id("c".into());
        assert_eq!(properties(letter(&marked)), expected);
    }

    #[test]
    fn headers_too_large_for_a_frame_are_left_out() {
        let mut inner = FieldTable::default();
        inner.insert("long".into(), text(&"x".repeat(MAX_HEADERS)));
        let mut headers = FieldTable::default();
        headers.insert("table".into(), AMQPValue::FieldTable(inner));
        let sent = BasicProperties::default().with_headers(headers);
        let letter = Letter {
            body: b"",
            properties: &sent,
            reason: "unreadable",
            detail: "",
        };
        let kept = properties(letter).headers().clone().unwrap();
        let names: Vec<_> = kept.into_iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["x-reason"]);
    }
}
