//! Apps: who receives deliveries, in which form.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::rule::Rule;

/// One of X's ways to tell an app what happened.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Form {
    /// Account Activity as premium v1.1 had it.
    AccountActivityV1,
    /// Account Activity v2.
    AccountActivity,
    /// The X Activity API.
    Activity,
    /// Filtered-stream webhooks.
    FilteredStream,
}

impl Form {
    /// All four.
    pub const ALL: [Self; 4] = [
        Self::AccountActivityV1,
        Self::AccountActivity,
        Self::Activity,
        Self::FilteredStream,
    ];

    /// As settings and the control API spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AccountActivityV1 => "account_activity_v1",
            Self::AccountActivity => "account_activity",
            Self::Activity => "activity",
            Self::FilteredStream => "filtered_stream",
        }
    }

    pub(crate) fn is_account_activity(self) -> bool {
        matches!(self, Self::AccountActivityV1 | Self::AccountActivity)
    }
}

/// The words of v2: X's pages and its specification disagree since 2026-08.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vocabulary {
    /// `referenced_tweets`, `note_tweet`, `edit_history_tweet_ids`, `includes.tweets`.
    #[default]
    Tweets,
    /// `referenced_posts`, `note_post`, `edit_history_post_ids`, `includes.posts`.
    Posts,
}

/// How much X Activity tells beside the post itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Includes {
    /// Users, media and posts with every post.
    #[default]
    Full,
    /// As X's samples: `{}` with replies, quotes and reposts.
    Sparse,
}

/// Which of its two secrets signs deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SigningSecret {
    /// The one in force.
    #[default]
    Current,
    /// The one before: X was still delivering when it was replaced.
    Previous,
}

/// What an app may do for a user by OAuth 1.0a; each includes the ones before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Look.
    Read,
    /// And post.
    ReadWrite,
    /// And read and write direct messages.
    #[default]
    ReadWriteMessages,
}

impl Permission {
    /// As the header `x-access-level` has it.
    pub fn access_level(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::ReadWrite => "read-write",
            Self::ReadWriteMessages => "read-write-directmessages",
        }
    }
}

/// At most so many callback addresses per app.
pub(crate) const MAX_CALLBACKS: usize = 10;

/// An app to be registered.
#[derive(Clone, Debug)]
pub struct NewApp {
    /// Its name, by which everything here finds it.
    pub name: String,
    /// The API key.
    pub consumer_key: String,
    /// The API key secret, which signs.
    pub consumer_secret: String,
    /// OAuth 2.0: the app.
    pub client_id: String,
    /// OAuth 2.0: its secret.
    pub client_secret: String,
    /// OAuth 2.0: whether it goes without its secret.
    pub public_client: bool,
    /// The level of the tokens that users give it from now on.
    pub permission: Permission,
    /// Where users may be sent back to, byte for byte; ten at most.
    pub callbacks: Vec<String>,
    /// The labels of its environments in Account Activity v1.1.
    pub environments: Vec<String>,
    /// The developer account it belongs to: limits of webhooks count for all its apps.
    pub developer: String,
    /// A webhook that is there from the start; none when empty.
    pub webhook: String,
    /// The delivery forms that are on: those of X's products that the app is let into.
    pub forms: BTreeSet<Form>,
    /// The words of v2.
    pub vocabulary: Vocabulary,
    /// How much X Activity includes.
    pub includes: Includes,
    /// Whether `post.reply.create` fires for a reply to a reply of the account; X's pages say both.
    pub replies_to_replies: bool,
}

impl NewApp {
    /// An app with all four forms on, without callback addresses, alone in its developer account.
    pub fn new(name: &str, consumer_secret: &str, webhook: &str) -> Self {
        Self {
            name: name.to_owned(),
            consumer_key: format!("{name}-key"),
            consumer_secret: consumer_secret.to_owned(),
            client_id: format!("{name}-client"),
            client_secret: format!("{name}-client-secret"),
            public_client: false,
            permission: Permission::default(),
            callbacks: Vec::new(),
            environments: vec!["prod".to_owned()],
            developer: name.to_owned(),
            webhook: webhook.to_owned(),
            forms: Form::ALL.into(),
            vocabulary: Vocabulary::default(),
            includes: Includes::default(),
            replies_to_replies: true,
        }
    }

    /// The same with only these forms on.
    #[must_use]
    pub fn with_forms(mut self, forms: &[Form]) -> Self {
        self.forms = forms.iter().copied().collect();
        self
    }

    /// The same with these callback addresses.
    #[must_use]
    pub fn with_callbacks(mut self, callbacks: &[&str]) -> Self {
        self.callbacks = callbacks.iter().map(|url| (*url).to_owned()).collect();
        self
    }
}

/// A registered app.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) id: u64,
    pub(crate) settings: NewApp,
    pub(crate) previous_secret: Option<String>,
    pub(crate) signing: SigningSecret,
    pub(crate) rules: Vec<Rule>,
    /// X has closed it: its calls are refused, and it is told nothing.
    pub(crate) suspended: bool,
}

impl App {
    /// The secret that signs the next delivery.
    pub(crate) fn delivery_secret(&self) -> &str {
        match (self.signing, &self.previous_secret) {
            (SigningSecret::Previous, Some(previous)) => previous,
            _ => &self.settings.consumer_secret,
        }
    }
}
