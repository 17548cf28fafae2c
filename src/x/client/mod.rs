//! Calls to X: what leaves for it, and what is certain afterwards.
//!
//! Each method of [`Client`] makes one call (the upload of a file makes several) and answers with a
//! [`Reply`]: the result or a [`CallError`] that says what to do, and X's rate-limit headers.
//! Nothing is repeated here but what X refused for the kind of credential or for the names it was
//! asked in: a refusal means that nothing was done.

mod activity_subscriptions;
mod auth;
mod call;
mod check;
mod classify;
pub mod compliance;
mod direct_messages;
mod dm_media;
mod error;
mod heard;
mod hosts;
mod http;
mod limits;
mod lines;
mod linking;
mod media;
mod obstacle;
mod open;
mod posts;
mod refusals;
mod send;
pub mod stream;
mod subscriptions;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod timelines;
mod transport;
mod usage;
mod users;
mod vocabulary;
mod webhooks;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;
use url::Url;

pub use activity_subscriptions::{
    ActivityKind, ActivitySubscription, ActivitySubscriptionsDeleted, ActivitySubscriptionsFound,
};
pub use auth::{Auth, Clock, TokenVault, VaultError};
pub use call::{Call, StartingLimits};
pub use check::{Answered, AppCheck, AppFault};
pub use direct_messages::{
    DirectMessageContent, DirectMessageSent, DirectMessageTarget, DirectMessagesFound,
};
pub use dm_media::{ByteRange, MediaBody, MediaCut, MediaError, MediaFile};
pub use error::{
    CallError, LimitScope, NotSent, Refusal, RefusalReason, UncertainBecause, Upstream,
};
pub use heard::{AccessLevel, Heard};
pub(in crate::x) use http::plain_builder;
pub use http::{NoHttpClient, http_client, mirror_client};
pub use limits::{Limits, Window};
pub use linking::{Linked, Pkce, RequestToken, SCOPES};
pub use media::{Upload, UploadedMedia};
pub use obstacle::{CrcFault, Obstacle};
pub use posts::{Missing, NewPost, PostCreated, PostsFound, Since, direct_message_link};
pub use subscriptions::SubscriptionCount;
pub use timelines::{Page, PageToken, Span, Until};
#[cfg(test)]
pub(crate) use transport::error_of;
pub use usage::{Usage, UsageDay};
pub use users::{Connection, Plan, Profile, UsersFound};
pub use vocabulary::Detail;
pub use webhooks::{ReplayJob, Webhook, offers_replay};

use self::auth::bearer::Bearers;
use self::auth::tokens::Tokens;
use self::refusals::RefusalTexts;
use self::transport::Transport;
use self::vocabulary::InUse;
use crate::domain::ids::AccountId;

/// Where X is and how long it may take.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// `https://api.x.com`, or an X on this machine.
    pub base_url: Url,
    /// For one call, from the connection to the end of the answer.
    pub call_timeout: Duration,
    /// The same for one part of a file.
    pub upload_timeout: Duration,
}

/// The client of X's API, for all apps and accounts.
pub struct Client {
    transport: Transport,
    clock: Clock,
    tokens: Tokens,
    bearers: Bearers,
    words: InUse,
    leave: Leave,
}

/// Whether this process may change something at X now, and renew tokens: asked right before.
pub type Leave = Arc<dyn Fn() -> bool + Send + Sync>;

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.transport.base_url.as_str())
            .finish_non_exhaustive()
    }
}

/// The compiled-in table of X's refusals is malformed.
#[derive(Debug, thiserror::Error)]
#[error("the table of X's refusals is malformed")]
pub struct BadRefusalTable(#[source] serde_json::Error);

impl Client {
    /// `http` is best made by [`http_client`]: it must not repeat requests. Refreshes of tokens run
    /// on `tasks` to their end, so stopping has to wait for it.
    ///
    /// # Errors
    /// Never in a build that passed its tests.
    pub fn new(
        settings: ClientSettings,
        http: reqwest::Client,
        vault: Arc<dyn TokenVault>,
        clock: Clock,
        tasks: TaskTracker,
    ) -> Result<Self, BadRefusalTable> {
        let texts = RefusalTexts::compiled_in().map_err(BadRefusalTable)?;
        Ok(Self {
            transport: Transport {
                http,
                base_url: settings.base_url,
                call_timeout: settings.call_timeout,
                upload_timeout: settings.upload_timeout,
                texts: Arc::new(texts),
            },
            tokens: Tokens::new(vault, clock.clone(), tasks),
            clock,
            bearers: Bearers::default(),
            words: InUse::default(),
            leave: Arc::new(|| true),
        })
    }

    /// The same for a process that is one of several, of which one at a time acts at X. Reads, and
    /// the steps of linking an account, need no leave.
    #[must_use]
    pub fn with_leave(mut self, leave: Leave) -> Self {
        self.tokens.set_leave(Arc::clone(&leave));
        self.leave = leave;
        self
    }

    /// As [`Client::forget_tokens`], of every account: after somebody else may have renewed them.
    pub fn forget_all_tokens(&self) {
        self.tokens.forget_all();
    }

    /// Forgets the OAuth 2.0 pair of an account, so that the vault is asked for it again: after a
    /// new linking.
    pub async fn forget_tokens(&self, account: AccountId) {
        self.tokens.forget(account).await;
    }
}

/// What a call brought.
#[derive(Clone, Debug)]
pub struct Reply<T> {
    /// The call it is the answer of; of an upload the last one.
    pub call: Call,
    pub result: Result<T, CallError>,
    pub limits: Limits,
    /// What X bills a read by.
    pub resources: Resources,
}

/// How many items an answer carried, those that came along by expansion included. X bills each
/// once a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    pub posts: u32,
    pub users: u32,
    pub direct_messages: u32,
}
