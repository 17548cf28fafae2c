//! The exchanges and queues the service lives on: declared or checked, all from one list.

use std::fmt;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::AMQPSoftError;
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{Channel, ExchangeKind, Queue};
use tokio::time::timeout;

use super::connection::{Session, channel_fault};
use super::settings::{BrokerSettings, Inbox, TopologyMode};

/// Why the topology is not there.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// Everything that is not there, in check mode.
    #[error("missing on the broker: {}", list(.0))]
    Missing(Vec<Entity>),
    /// It exists with other arguments; the broker's words name the one that differs.
    #[error("{entity} exists with other arguments; delete it or configure another name")]
    Conflict {
        /// What was to be declared.
        entity: Entity,
        /// The broker's words.
        #[source]
        source: lapin::Error,
    },
    /// The user may not declare it.
    #[error("the broker user may not declare {entity}")]
    Forbidden {
        /// What was to be declared.
        entity: Entity,
        /// The broker's words.
        #[source]
        source: lapin::Error,
    },
    /// The broker went silent meanwhile.
    #[error("the broker went silent while its exchanges and queues were looked at")]
    TimedOut,
    /// The connection failed meanwhile.
    #[error("the broker went away while its exchanges and queues were looked at")]
    Lost(#[source] lapin::Error),
}

/// An exchange or a queue, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entity {
    /// An exchange.
    Exchange(String),
    /// A queue.
    Queue(String),
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exchange(name) => write!(f, "exchange {name}"),
            Self::Queue(name) => write!(f, "queue {name}"),
        }
    }
}

fn list(entities: &[Entity]) -> String {
    entities
        .iter()
        .map(Entity::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Declares everything, or looks for everything, as the settings say.
///
/// Bindings cannot be looked for over AMQP: in check mode a missing one shows itself by returned
/// events.
pub async fn ensure(session: &Session, settings: &BrokerSettings) -> Result<(), TopologyError> {
    let steps = plan(settings);
    let work = async {
        match settings.topology {
            TopologyMode::Declare => declare(session, &steps).await,
            TopologyMode::Check => check(session, &steps).await,
        }
    };
    let done = timeout(settings.connect_timeout, work).await;
    done.unwrap_or(Err(TopologyError::TimedOut))
}

/// One thing to declare.
enum Step {
    Exchange {
        name: ShortString,
        kind: ExchangeKind,
    },
    Queue {
        name: ShortString,
        arguments: FieldTable,
    },
    Binding {
        queue: ShortString,
        exchange: ShortString,
        key: ShortString,
    },
}

/// Everything, in an order in which each step finds what it refers to.
fn plan(settings: &BrokerSettings) -> Vec<Step> {
    let names = &settings.names;
    let mut steps = vec![exchange(&names.events, ExchangeKind::Topic)];
    for inbox in &settings.inboxes {
        steps.extend(inbox_steps(&names.events, inbox));
    }
    steps.extend(dead_letter_steps(&names.dead));
    steps.push(exchange(&names.commands, ExchangeKind::Direct));
    steps.push(Step::Queue {
        name: names.commands.as_str().into(),
        arguments: command_queue(&names.dead),
    });
    steps.push(binding(&names.commands, &names.commands, &names.commands));
    steps
}

fn inbox_steps(events: &str, inbox: &Inbox) -> Vec<Step> {
    let dead = format!("{}.dead", inbox.queue);
    let mut steps = dead_letter_steps(&dead);
    steps.push(Step::Queue {
        name: inbox.queue.as_str().into(),
        arguments: dead_lettering_queue(&dead),
    });
    steps.extend(
        inbox
            .bind
            .iter()
            .map(|pattern| binding(&inbox.queue, events, pattern)),
    );
    steps
}

/// A fanout exchange and the queue of the same name behind it: the end of the line, so that queue
/// dead-letters nowhere.
fn dead_letter_steps(name: &str) -> Vec<Step> {
    vec![
        exchange(name, ExchangeKind::Fanout),
        Step::Queue {
            name: name.into(),
            arguments: quorum_queue(),
        },
        binding(name, name, ""),
    ]
}

fn exchange(name: &str, kind: ExchangeKind) -> Step {
    Step::Exchange {
        name: name.into(),
        kind,
    }
}

fn binding(queue: &str, exchange: &str, key: &str) -> Step {
    Step::Binding {
        queue: queue.into(),
        exchange: exchange.into(),
        key: key.into(),
    }
}

/// Replicated, and confirmed only once a majority has it on disk. Cannot be set by a policy.
fn quorum_queue() -> FieldTable {
    let mut arguments = FieldTable::default();
    set(&mut arguments, "x-queue-type", "quorum");
    arguments
}

/// A quorum queue that loses nothing on the way to its dead letters.
fn dead_lettering_queue(dead: &str) -> FieldTable {
    let mut arguments = quorum_queue();
    // Without it a message over the delivery limit is dropped.
    set(&mut arguments, "x-dead-letter-exchange", dead);
    // The default is at-most-once: the message leaves this queue before the other has it.
    set(&mut arguments, "x-dead-letter-strategy", "at-least-once");
    // At-least-once falls back to at-most-once without it. A length policy then refuses (nacks)
    // what is new instead of dropping what is old.
    set(&mut arguments, "x-overflow", "reject-publish");
    arguments
}

/// The queue of commands: one replica at a time reads it, so a conversation's replies stay in order.
fn command_queue(dead: &str) -> FieldTable {
    let mut arguments = dead_lettering_queue(dead);
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    arguments
}

fn set(arguments: &mut FieldTable, key: &str, value: &str) {
    arguments.insert(key.into(), AMQPValue::LongString(LongString::from(value)));
}

async fn declare(session: &Session, steps: &[Step]) -> Result<(), TopologyError> {
    let channel = session.channel().await.map_err(TopologyError::Lost)?;
    for step in steps {
        let declared = step.declare(&channel).await;
        declared.map_err(|source| declare_error(step.entity(), source))?;
    }
    Ok(())
}

fn declare_error(entity: Entity, source: lapin::Error) -> TopologyError {
    match channel_fault(&source) {
        Some(AMQPSoftError::PRECONDITIONFAILED) => TopologyError::Conflict { entity, source },
        Some(AMQPSoftError::ACCESSREFUSED) => TopologyError::Forbidden { entity, source },
        _ => TopologyError::Lost(source),
    }
}

async fn check(session: &Session, steps: &[Step]) -> Result<(), TopologyError> {
    let mut channel = session.channel().await.map_err(TopologyError::Lost)?;
    let mut missing = Vec::new();
    for step in steps {
        let Err(error) = step.look(&channel).await else {
            continue;
        };
        if channel_fault(&error) != Some(&AMQPSoftError::NOTFOUND) {
            return Err(TopologyError::Lost(error));
        }
        missing.push(step.entity());
        // The broker closed the channel along with its answer.
        channel = session.channel().await.map_err(TopologyError::Lost)?;
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(TopologyError::Missing(missing))
    }
}

impl Step {
    /// What this step makes, or for a binding whose it is.
    fn entity(&self) -> Entity {
        match self {
            Self::Exchange { name, .. } => Entity::Exchange(name.to_string()),
            Self::Queue { name, .. } | Self::Binding { queue: name, .. } => {
                Entity::Queue(name.to_string())
            }
        }
    }

    async fn declare(&self, channel: &Channel) -> Result<(), lapin::Error> {
        match self {
            Self::Exchange { name, kind } => {
                let options = ExchangeDeclareOptions {
                    durable: true,
                    ..ExchangeDeclareOptions::default()
                };
                let none = FieldTable::default();
                channel
                    .exchange_declare(name.clone(), kind.clone(), options, none)
                    .await
            }
            Self::Queue { name, arguments } => {
                let options = QueueDeclareOptions::durable();
                let declared = channel.queue_declare(name.clone(), options, arguments.clone());
                declared.await.map(drop)
            }
            Self::Binding {
                queue,
                exchange,
                key,
            } => {
                let (queue, exchange, key) = (queue.clone(), exchange.clone(), key.clone());
                let options = QueueBindOptions::default();
                channel
                    .queue_bind(queue, exchange, key, options, FieldTable::default())
                    .await
            }
        }
    }

    async fn look(&self, channel: &Channel) -> Result<(), lapin::Error> {
        match self {
            Self::Exchange { name, kind } => {
                let options = ExchangeDeclareOptions {
                    passive: true,
                    ..ExchangeDeclareOptions::default()
                };
                let none = FieldTable::default();
                channel
                    .exchange_declare(name.clone(), kind.clone(), options, none)
                    .await
            }
            Self::Queue { name, .. } => look_at_queue(channel, name.clone()).await.map(drop),
            Self::Binding { .. } => Ok(()),
        }
    }
}

/// Depth and consumers of a queue. A missing one closes the channel.
pub(super) async fn look_at_queue(channel: &Channel, name: ShortString) -> lapin::Result<Queue> {
    let options = QueueDeclareOptions::default().passive();
    channel
        .queue_declare(name, options, FieldTable::default())
        .await
}
