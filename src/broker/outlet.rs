//! A connection to publish on, made anew whenever it is in doubt.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use lapin::Channel;
use lapin::options::ConfirmSelectOptions;
use tokio::time::timeout;

use super::connection::{ConnectError, Session};
use super::rights::{Denied, Entity, Right};
use super::settings::BrokerSettings;
use super::topology::{self, TopologyError};
use crate::telemetry::chain;

/// Why it is not known what became of what was sent. All of it may have arrived, unless there was no
/// connection yet.
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
    /// The user may not publish there; nothing was taken.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The connection or the channel ended while messages were on their way.
    #[error("the connection for publishing ended")]
    Lost(#[source] lapin::Error),
}

/// A connection with a confirm channel, kept between two uses as long as nothing went wrong.
pub(super) struct Outlet {
    settings: Arc<BrokerSettings>,
    role: &'static str,
    exchange: String,
    link: Link,
}

/// What is in hand between two uses.
#[derive(Default)]
enum Link {
    /// Nothing.
    #[default]
    None,
    /// A connection with its confirm channel, and nothing in flight.
    Ready(Session, Channel),
    /// A connection that was blocked with messages in flight. A new one would be blocked as well,
    /// and each would leave its messages with the broker, to be repeated when the alarm is over.
    Blocked(Session),
}

impl Outlet {
    /// Connects with its first use, under this role, to publish to this exchange.
    pub(super) fn new(settings: Arc<BrokerSettings>, role: &'static str, exchange: &str) -> Self {
        Self {
            settings,
            role,
            exchange: exchange.to_owned(),
            link: Link::None,
        }
    }

    /// Lets `publish` send and await its confirms. Where that fails or is dropped half-way, the
    /// channel is not used again.
    pub(super) async fn send<T>(
        &mut self,
        publish: impl AsyncFnOnce(Channel) -> lapin::Result<T>,
    ) -> Result<T, PublishError> {
        // Held here until all has gone well: every other way out drops it.
        let (session, channel) = self.take_link().await?;
        let limit = self.settings.confirm_timeout;
        match timeout(limit, publish(channel.clone())).await {
            Ok(Ok(done)) => {
                self.link = Link::Ready(session, channel);
                Ok(done)
            }
            Ok(Err(source)) => Err(self.publish_error(source)),
            Err(_) if session.is_blocked() => {
                self.link = Link::Blocked(session);
                Err(PublishError::Blocked)
            }
            Err(_) => Err(PublishError::Late { limit }),
        }
    }

    fn publish_error(&self, source: lapin::Error) -> PublishError {
        let exchange = Entity::Exchange(self.exchange.clone());
        match Denied::of(source, [(Right::Write, exchange)]) {
            Ok(denied) => PublishError::Denied(denied),
            Err(source) => PublishError::Lost(source),
        }
    }

    /// Ends the connection, between two uses.
    pub(super) async fn close(self) {
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
            Link::Ready(session, channel) if session.is_connected() => {
                Ok(self.follow(session, channel).await)
            }
            _ => {
                let session = Session::connect(&self.settings, self.role).await?;
                self.prepare(session).await
            }
        }
    }

    /// Goes over to a connection with changed credentials once that is as good as this one, on which
    /// nothing is in flight.
    async fn follow(&self, session: Session, channel: Channel) -> (Session, Channel) {
        let Some(successor) = session.successor(&self.settings).await else {
            return (session, channel);
        };
        match self.prepare(successor).await {
            Ok(link) => {
                session.close().await;
                link
            }
            Err(error) => {
                let error = chain(&error);
                tracing::warn!(error, "changed credentials for the broker do not work yet");
                (session, channel)
            }
        }
    }

    async fn prepare(&self, session: Session) -> Result<(Session, Channel), PublishError> {
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
