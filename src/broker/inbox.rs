//! Watching the inboxes: how much waits in them, and whether anybody reads.

use std::sync::Arc;

use lapin::protocol::AMQPSoftError;
use tokio::time::timeout;

use super::connection::{ConnectError, Session, channel_fault};
use super::settings::BrokerSettings;
use super::topology::look_at_queue;

/// One inbox at the moment of a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxState {
    /// Name of the queue.
    pub queue: String,
    /// What was seen; `None` when there is no such queue.
    pub seen: Option<InboxDepth>,
}

/// What is in an inbox, and who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboxDepth {
    /// Messages waiting, those handed out but not acknowledged aside.
    pub messages: u32,
    /// Consumers attached.
    pub consumers: u32,
}

/// Why nothing could be seen.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The broker did not answer in time.
    #[error("the broker did not tell the depth of the inboxes in time")]
    Late,
    /// The connection ended, or the user may not look.
    #[error("the connection for watching the inboxes ended")]
    Lost(#[source] lapin::Error),
}

/// Looks at the inboxes over a connection of its own, which it keeps between looks.
pub struct InboxMonitor {
    settings: Arc<BrokerSettings>,
    session: Option<Session>,
}

impl InboxMonitor {
    /// A monitor that connects with its first look.
    pub fn new(settings: Arc<BrokerSettings>) -> Self {
        Self {
            settings,
            session: None,
        }
    }

    /// The state of each inbox of the settings, in their order; without those that the user may not
    /// look at.
    pub async fn observe(&mut self) -> Result<Vec<InboxState>, InboxError> {
        let inboxes = self.settings.inboxes.iter();
        let queues = inboxes.map(|inbox| inbox.queue.clone()).collect();
        self.observe_queues(queues).await
    }

    /// The same of the queues of dead letters: those of the inboxes, then that of commands.
    pub async fn observe_dead_letters(&mut self) -> Result<Vec<InboxState>, InboxError> {
        let queues = self.settings.dead_inboxes();
        let queues = queues.chain([self.settings.names.dead.clone()]).collect();
        self.observe_queues(queues).await
    }

    async fn observe_queues(&mut self, queues: Vec<String>) -> Result<Vec<InboxState>, InboxError> {
        // Held here until the look has gone well: every other way out drops it.
        let session = match self.session.take() {
            Some(session) if session.is_connected() => self.follow(session).await,
            _ => Session::connect(&self.settings, "monitor").await?,
        };
        let seen = timeout(self.settings.connect_timeout, look(&session, queues))
            .await
            .map_err(|_elapsed| InboxError::Late)?
            .map_err(InboxError::Lost)?;
        self.session = Some(session);
        Ok(seen)
    }

    async fn follow(&self, session: Session) -> Session {
        match session.successor(&self.settings).await {
            Some(successor) => {
                session.close().await;
                successor
            }
            None => session,
        }
    }
}

async fn look(session: &Session, queues: Vec<String>) -> lapin::Result<Vec<InboxState>> {
    let mut channel = session.channel().await?;
    let mut states = Vec::with_capacity(queues.len());
    for queue in queues {
        match look_at_queue(&channel, queue.as_str().into()).await {
            Ok(found) => {
                let seen = Some(InboxDepth {
                    messages: found.message_count(),
                    consumers: found.consumer_count(),
                });
                states.push(InboxState { queue, seen });
                continue;
            }
            Err(error) => match channel_fault(&error) {
                Some(AMQPSoftError::NOTFOUND) => states.push(InboxState { queue, seen: None }),
                // RabbitMQ 4.2.6 and later want a right on what is looked at.
                Some(AMQPSoftError::ACCESSREFUSED) => {}
                _ => return Err(error),
            },
        }
        // The broker closed the channel along with its answer.
        channel = session.channel().await?;
    }
    Ok(states)
}
