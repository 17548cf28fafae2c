//! The exchanges and queues the service lives on: declared or checked, all from one list.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::AMQPSoftError;
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{Channel, ExchangeKind, Queue};
use tokio::time::timeout;

use super::connection::{Session, channel_fault};
pub use super::rights::Entity;
use super::rights::{Denied, Right};
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
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The broker went silent meanwhile.
    #[error("the broker went silent while its exchanges and queues were looked at")]
    TimedOut,
    /// The connection failed meanwhile.
    #[error("the broker went away while its exchanges and queues were looked at")]
    Lost(#[source] lapin::Error),
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
        declared.map_err(|source| declare_error(step, source))?;
    }
    Ok(())
}

fn declare_error(step: &Step, source: lapin::Error) -> TopologyError {
    if channel_fault(&source) == Some(&AMQPSoftError::PRECONDITIONFAILED) {
        let entity = step.entity();
        return TopologyError::Conflict { entity, source };
    }
    match Denied::of(source, step.rights()) {
        Ok(denied) => TopologyError::Denied(denied),
        Err(source) => TopologyError::Lost(source),
    }
}

/// What is not there, looked for passively in either mode.
pub(super) async fn missing(
    session: &Session,
    settings: &BrokerSettings,
) -> Result<Vec<Entity>, TopologyError> {
    let steps = plan(settings);
    let looked = timeout(settings.connect_timeout, look_for(session, &steps)).await;
    looked.unwrap_or(Err(TopologyError::TimedOut))
}

async fn check(session: &Session, steps: &[Step]) -> Result<(), TopologyError> {
    match look_for(session, steps).await? {
        missing if missing.is_empty() => Ok(()),
        missing => Err(TopologyError::Missing(missing)),
    }
}

async fn look_for(session: &Session, steps: &[Step]) -> Result<Vec<Entity>, TopologyError> {
    let mut channel = session.channel().await.map_err(TopologyError::Lost)?;
    let mut missing = Vec::new();
    for step in steps {
        let Err(error) = step.look(&channel).await else {
            continue;
        };
        match channel_fault(&error) {
            Some(AMQPSoftError::NOTFOUND) => missing.push(step.entity()),
            // RabbitMQ 4.2.6 and later want a right on what is looked at. What we need rights for
            // tells by itself when they are missing.
            Some(AMQPSoftError::ACCESSREFUSED) => {
                tracing::debug!(entity = %step.entity(), "the broker user may not look at it");
            }
            _ => return Err(TopologyError::Lost(error)),
        }
        // The broker closed the channel along with its answer.
        channel = session.channel().await.map_err(TopologyError::Lost)?;
    }
    Ok(missing)
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

    /// What RabbitMQ wants of who declares it, the likeliest to lack first.
    fn rights(&self) -> Vec<(Right, Entity)> {
        match self {
            Self::Exchange { .. } => vec![(Right::Configure, self.entity())],
            Self::Queue { arguments, .. } => {
                let mut rights = vec![(Right::Configure, self.entity())];
                if let Some(AMQPValue::LongString(dead)) =
                    arguments.inner().get("x-dead-letter-exchange")
                {
                    rights.push((Right::Write, Entity::Exchange(dead.to_string())));
                    rights.push((Right::Read, self.entity()));
                }
                rights
            }
            Self::Binding { exchange, .. } => vec![
                (Right::Write, self.entity()),
                (Right::Read, Entity::Exchange(exchange.to_string())),
            ],
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
