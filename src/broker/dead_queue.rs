//! Looks into a queue of dead letters, and brings letters back to where they died.
//!
//! AMQP has no way to look without taking: a letter is taken, and goes back to its place when the
//! channel is closed. A quorum queue counts that, and from RabbitMQ 4.0 on drops by default what it
//! has handed out 20 times: a letter that comes near is replaced by a fresh copy before.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::protocol::AMQPSoftError;
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::time::timeout;

use super::connection::{ConnectError, Session, channel_fault};
use super::settings::BrokerSettings;
use super::topology::look_at_queue;

/// So often may a letter have been handed out before it is replaced by a copy.
const MOST_LOOKS: i64 = 10;
const PERSISTENT: u8 = 2;

/// Why the queue cannot be worked on; what was brought back until then stays so.
#[derive(Debug, thiserror::Error)]
pub enum DeadQueueError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// There is no such queue.
    #[error("there is no queue {0}")]
    Missing(String),
    /// The broker did not answer in time.
    #[error("the broker did not answer within {}s", .0.as_secs_f32())]
    Late(Duration),
    /// The connection ended, or the user may not do it.
    #[error("the broker ended the work on the queue of dead letters")]
    Lost(#[source] lapin::Error),
}

/// A dead letter in hand; back in its queue unless it is brought back.
pub struct DeadLetter {
    /// AMQP `message_id`: an event's or a command's.
    pub id: Option<String>,
    /// AMQP `type`: an event's.
    pub kind: Option<String>,
    /// Where it died first; `None` for what the service itself buried.
    pub died_in: Option<String>,
    /// Its routing key then.
    pub routing_key: Option<String>,
    /// The broker's word (`rejected`, `expired`, `maxlen`, `delivery_limit`) or that of the service
    /// (`x-reason`); empty where nobody says.
    pub reason: String,
    /// In words: `x-detail`.
    pub detail: String,
    /// When it died last.
    pub died_at: Option<Timestamp>,
    /// How often it has died there.
    pub deaths: u64,
    delivery: Delivery,
}

/// What became of a letter that was to be brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Brought {
    /// Its queue has it, and the queue of dead letters no more.
    Back,
    /// It is where it was: its queue is gone, or refuses it.
    Refused {
        /// The broker's word.
        reason: String,
    },
    /// It is where it was: nothing says which queue it came from.
    Homeless,
}

impl DeadLetter {
    fn new(delivery: Delivery) -> Self {
        let text = |value: &Option<ShortString>| value.as_ref().map(ToString::to_string);
        let properties = &delivery.properties;
        let empty = FieldTable::default();
        let headers = properties.headers().as_ref().unwrap_or(&empty);
        let death = last_death(headers);
        let reason = death.and_then(|it| string(it, "reason"));
        Self {
            id: text(properties.message_id()),
            kind: text(properties.kind()),
            died_in: string(headers, "x-first-death-queue")
                .or_else(|| death.and_then(|it| string(it, "queue"))),
            routing_key: death.and_then(first_key),
            reason: string(headers, "x-reason").or(reason).unwrap_or_default(),
            detail: string(headers, "x-detail").unwrap_or_default(),
            died_at: death.and_then(|it| time(it, "time")),
            deaths: death
                .and_then(|it| number(it, "count"))
                .unwrap_or(0)
                .unsigned_abs(),
            delivery,
        }
    }

    /// As it was published.
    pub fn body(&self) -> &[u8] {
        &self.delivery.data
    }

    /// Headers with texts and numbers, by name.
    pub fn headers(&self) -> Vec<(String, String)> {
        let headers = self.delivery.properties.headers().as_ref();
        let headers = headers.into_iter().flat_map(|table| table.inner());
        let shown = headers.filter_map(|(name, value)| Some((name.to_string(), shown(value)?)));
        shown.collect()
    }

    fn looks(&self) -> i64 {
        let headers = self.delivery.properties.headers().as_ref();
        let looks = headers.and_then(|table| number(table, "x-delivery-count"));
        looks.unwrap_or(0)
    }
}

/// A queue of dead letters, over a connection of its own.
pub struct DeadQueue {
    settings: Arc<BrokerSettings>,
    queue: String,
    session: Session,
    channel: Channel,
    /// So many are there still to be looked at: what comes meanwhile is not.
    left: u32,
}

impl DeadQueue {
    /// Opens it; what is there now is what [`next`](Self::next) gives.
    ///
    /// # Errors
    /// [`DeadQueueError`].
    pub async fn open(settings: Arc<BrokerSettings>, queue: &str) -> Result<Self, DeadQueueError> {
        let session = Session::connect_consumer(&settings, "dead letters by hand").await?;
        let limit = settings.connect_timeout;
        let opening = async {
            let channel = session.channel().await?;
            channel
                .confirm_select(ConfirmSelectOptions::default())
                .await?;
            let state = look_at_queue(&channel, queue.into()).await?;
            Ok((channel, state.message_count()))
        };
        let (channel, left) = match within(limit, opening).await {
            Err(DeadQueueError::Lost(error))
                if channel_fault(&error) == Some(&AMQPSoftError::NOTFOUND) =>
            {
                return Err(DeadQueueError::Missing(queue.to_owned()));
            }
            other => other?,
        };
        Ok(Self {
            settings,
            queue: queue.to_owned(),
            session,
            channel,
            left,
        })
    }

    /// The next letter: in the order in which they came, but for those that were looked at before.
    /// None once all that were there at the beginning were given.
    ///
    /// # Errors
    /// [`DeadQueueError`].
    pub async fn next(&mut self) -> Result<Option<DeadLetter>, DeadQueueError> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        let options = BasicGetOptions { no_ack: false };
        let taking = self.channel.basic_get(self.queue.as_str().into(), options);
        let taken = within(self.settings.confirm_timeout, taking).await?;
        Ok(taken.map(|message| DeadLetter::new(message.delivery)))
    }

    /// Publishes a letter to the queue it died in, and takes it out of this one once that is
    /// confirmed. A fault in between leaves it in both: the core knows a repeat by its id.
    ///
    /// # Errors
    /// [`DeadQueueError`]; the letter is in this queue still.
    pub async fn bring_back(&mut self, letter: &DeadLetter) -> Result<Brought, DeadQueueError> {
        let is_command = self.queue == self.settings.names.dead;
        let home = match &letter.died_in {
            Some(queue) => queue.clone(),
            // What the service could not read came from there.
            None if is_command => self.settings.names.commands.clone(),
            None => return Ok(Brought::Homeless),
        };
        let properties = revived(&letter.delivery.properties, !is_command);
        match self.publish(&home, letter.body(), properties).await? {
            None => {
                self.forget(letter).await?;
                Ok(Brought::Back)
            }
            Some(reason) => Ok(Brought::Refused { reason }),
        }
    }

    /// Has a letter that was handed out often replaced by a copy, at the end of the queue.
    ///
    /// # Errors
    /// [`DeadQueueError`]; the letter is in the queue still.
    pub async fn refresh(&mut self, letter: &DeadLetter) -> Result<(), DeadQueueError> {
        if letter.looks() < MOST_LOOKS {
            return Ok(());
        }
        let properties = letter.delivery.properties.clone();
        let headers = properties.headers().clone().unwrap_or_default();
        let headers = without(&headers, is_count);
        let properties = properties.with_headers(headers);
        let queue = self.queue.clone();
        match self.publish(&queue, letter.body(), properties).await? {
            None => self.forget(letter).await,
            Some(_refused) => Ok(()),
        }
    }

    /// Straight to a queue: by the exchange others who are bound to it would hear it twice. The
    /// broker's word where it does not arrive.
    async fn publish(
        &self,
        queue: &str,
        body: &[u8],
        properties: BasicProperties,
    ) -> Result<Option<String>, DeadQueueError> {
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let channel = &self.channel;
        let publishing = async {
            let exchange = ShortString::default();
            let sent = channel.basic_publish(exchange, queue.into(), options, body, properties);
            sent.await?.await
        };
        Ok(
            match within(self.settings.confirm_timeout, publishing).await? {
                Confirmation::Ack(None) => None,
                Confirmation::Ack(Some(returned)) => Some(returned.reply_text.to_string()),
                Confirmation::Nack(_) => Some("refused".to_owned()),
                Confirmation::NotRequested => Some("no confirm".to_owned()),
            },
        )
    }

    async fn forget(&self, letter: &DeadLetter) -> Result<(), DeadQueueError> {
        let acking = letter.delivery.acker.ack(BasicAckOptions::default());
        within(self.settings.confirm_timeout, acking)
            .await
            .map(drop)
    }

    /// Gives back what is in hand.
    pub async fn close(self) {
        self.session.close().await;
    }
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = lapin::Result<T>>,
) -> Result<T, DeadQueueError> {
    let done = timeout(limit, work).await;
    done.map_err(|_elapsed| DeadQueueError::Late(limit))?
        .map_err(DeadQueueError::Lost)
}

/// Properties without the traces of its death, and what only its sender may say.
fn revived(from: &BasicProperties, is_event: bool) -> BasicProperties {
    let headers = from.headers().clone().unwrap_or_default();
    let mut headers = without(&headers, |name| is_death(name) || is_count(name));
    if is_event {
        headers.insert("x-republished".into(), AMQPValue::Boolean(true));
    }
    let to = BasicProperties::default()
        .with_headers(headers)
        .with_delivery_mode(PERSISTENT);
    super::dead::keep_sent(to, from)
}

fn is_death(name: &str) -> bool {
    let by_broker = ["x-first-death-", "x-last-death-"];
    ["x-death", "x-reason", "x-detail"].contains(&name)
        || by_broker.iter().any(|start| name.starts_with(start))
}

fn is_count(name: &str) -> bool {
    ["x-delivery-count", "x-acquired-count"].contains(&name)
}

fn without(headers: &FieldTable, is_gone: impl Fn(&str) -> bool) -> FieldTable {
    let mut kept = FieldTable::default();
    for (name, value) in headers.inner() {
        if !is_gone(name.as_str()) {
            kept.insert(name.clone(), value.clone());
        }
    }
    kept
}

/// The broker puts the newest first.
fn last_death(headers: &FieldTable) -> Option<&FieldTable> {
    let AMQPValue::FieldArray(deaths) = headers.inner().get("x-death")? else {
        return None;
    };
    match deaths.as_slice().first()? {
        AMQPValue::FieldTable(death) => Some(death),
        _ => None,
    }
}

fn first_key(death: &FieldTable) -> Option<String> {
    let AMQPValue::FieldArray(keys) = death.inner().get("routing-keys")? else {
        return None;
    };
    keys.as_slice().first().and_then(shown)
}

fn string(table: &FieldTable, name: &str) -> Option<String> {
    match table.inner().get(name)? {
        value @ (AMQPValue::LongString(_) | AMQPValue::ShortString(_)) => shown(value),
        _ => None,
    }
}

fn number(table: &FieldTable, name: &str) -> Option<i64> {
    shown(table.inner().get(name)?)?.parse().ok()
}

fn time(table: &FieldTable, name: &str) -> Option<Timestamp> {
    let seconds = number(table, name)?;
    Timestamp::from_second(seconds).ok()
}

fn shown(value: &AMQPValue) -> Option<String> {
    Some(match value {
        AMQPValue::LongString(text) => lossy(text),
        AMQPValue::ShortString(text) => text.to_string(),
        AMQPValue::Boolean(it) => it.to_string(),
        AMQPValue::ShortShortInt(it) => it.to_string(),
        AMQPValue::ShortInt(it) => it.to_string(),
        AMQPValue::LongInt(it) => it.to_string(),
        AMQPValue::LongLongInt(it) => it.to_string(),
        AMQPValue::LongUInt(it) => it.to_string(),
        AMQPValue::Timestamp(it) => it.to_string(),
        _ => return None,
    })
}

fn lossy(text: &LongString) -> String {
    String::from_utf8_lossy(text.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_brought_back_bears_no_sign_of_its_death() {
        let text = |text: &str| AMQPValue::LongString(LongString::from(text));
        let mut headers = FieldTable::default();
        for name in [
            "x-death",
            "x-first-death-queue",
            "x-last-death-reason",
            "x-delivery-count",
            "x-reason",
            "traceparent",
        ] {
            headers.insert(name.into(), text("it"));
        }
        let sent = BasicProperties::default()
            .with_headers(headers)
            .with_message_id("m".into())
            .with_expiration("1".into())
            .with_user_id("core".into());
        let revived = revived(&sent, true);
        let kept = revived.headers().clone().unwrap();
        let names: Vec<_> = kept.inner().keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["traceparent", "x-republished"]);
        assert_eq!(revived.message_id().as_ref().unwrap().as_str(), "m");
        assert!(revived.expiration().is_none() && revived.user_id().is_none());
        assert_eq!(*revived.delivery_mode(), Some(PERSISTENT));
    }
}
