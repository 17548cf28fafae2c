//! The state of the simulated X and everything that can change it.

mod apps;
mod messages;
mod people;
mod posts;
mod subscriptions;
mod uploads;
mod webhooks;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::app::App;
use super::ids::{MediaId, MessageId, PostId, UserId};
use super::media::{Media, MediaHosts, NewMedia};
use super::message::DirectMessage;
use super::post::Post;
use super::subscription::Subscription;
use super::time::{Clock, Timekeeper};
use super::upload::Upload;
use super::user::User;
use super::webhook::Webhook;

pub(crate) use subscriptions::NewSubscription;

/// The wish cannot be granted, as X would say.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Refused {
    /// There is no such account.
    #[error("there is no user {0}")]
    UnknownUser(String),
    /// There is no such post, or it is deleted.
    #[error("there is no post {0}")]
    UnknownPost(PostId),
    /// There is no such message.
    #[error("there is no direct message {0}")]
    UnknownMessage(MessageId),
    /// There is no such app.
    #[error("there is no app {0}")]
    UnknownApp(String),
    /// The id, @name or app name belongs to another.
    #[error("{0} is taken")]
    Taken(String),
    /// Neither four photos nor one video nor one GIF.
    #[error("up to four photos, or one video, or one GIF")]
    TooMuchMedia,
    /// Replies and reposts stay as they are.
    #[error("post {0} cannot be edited")]
    NotEditable(PostId),
    /// There is no such upload, or it cannot be used.
    #[error("there is no medium {0} to use")]
    UnknownUpload(u64),
    /// The user has not let the app in.
    #[error("app {app} has no access to user {user}")]
    NotAuthorized {
        /// The app, by name.
        app: String,
        /// The user.
        user: UserId,
    },
    /// The rule of the filtered stream cannot be read, and why.
    #[error("not a rule: {0}")]
    BadRule(String),
    /// There is no earlier secret to sign with.
    #[error("app {0} has no previous secret")]
    NoPreviousSecret(String),
    /// There is no such webhook.
    #[error("there is no webhook {0}")]
    UnknownWebhook(u64),
    /// The app has no webhook.
    #[error("app {0} has no webhook")]
    NoWebhook(String),
    /// There is no such subscription.
    #[error("there is no subscription {0}")]
    UnknownSubscription(u64),
    /// X Activity has no such event.
    #[error("there is no event {0}")]
    UnknownEvent(String),
    /// More than ten.
    #[error("app {0} has too many callback addresses")]
    TooManyCallbacks(String),
}

/// Everything X knows.
pub(crate) struct World {
    pub(crate) hosts: MediaHosts,
    seed: u64,
    time: Timekeeper,
    apps: BTreeMap<String, App>,
    users: BTreeMap<UserId, User>,
    /// Users by @name in lower case.
    names: HashMap<String, UserId>,
    posts: BTreeMap<PostId, Post>,
    post_index: posts::PostIndex,
    messages: BTreeMap<MessageId, DirectMessage>,
    /// The messages between two people, the lower id first, in order.
    conversations: HashMap<(UserId, UserId), Vec<MessageId>>,
    /// The messages that a user wrote or got, in order.
    mailboxes: HashMap<UserId, Vec<MessageId>>,
    /// Who no longer sees a message.
    messages_deleted_for: HashSet<(UserId, MessageId)>,
    uploads: BTreeMap<MediaId, Upload>,
    webhooks: BTreeMap<u64, Webhook>,
    /// By app and account.
    subscriptions: BTreeMap<(String, UserId), Vec<Subscription>>,
    last_subscription: u64,
    follows: BTreeSet<(UserId, UserId)>,
    blocks: BTreeSet<(UserId, UserId)>,
    /// When a post was removed.
    redacted: HashMap<PostId, i64>,
    /// When a user had the places taken off all posts.
    scrubbed: HashMap<UserId, i64>,
}

/// Time and ids.
impl World {
    pub(crate) fn new(clock: Clock, seed: u64, hosts: MediaHosts) -> Self {
        Self {
            hosts,
            seed,
            time: Timekeeper::new(clock, seed),
            apps: BTreeMap::new(),
            users: BTreeMap::new(),
            names: HashMap::new(),
            posts: BTreeMap::new(),
            post_index: posts::PostIndex::default(),
            messages: BTreeMap::new(),
            conversations: HashMap::new(),
            mailboxes: HashMap::new(),
            messages_deleted_for: HashSet::new(),
            uploads: BTreeMap::new(),
            webhooks: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            last_subscription: subscriptions::FIRST_ID,
            follows: BTreeSet::new(),
            blocks: BTreeSet::new(),
            redacted: HashMap::new(),
            scrubbed: HashMap::new(),
        }
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.time.advance(by);
    }

    /// How far each thing moves the clock on from now on; what it was comes back.
    pub(crate) fn set_step(&mut self, step: Duration) -> Duration {
        self.time.set_step(step)
    }

    pub(crate) fn tick(&mut self) -> i64 {
        self.time.tick()
    }

    /// Milliseconds since 1970; looking takes no time.
    pub(crate) fn now_ms(&self) -> i64 {
        self.time.now()
    }

    /// 32 bytes that depend on the seed and `of` alone: what X draws at random, drawn the same
    /// each time.
    pub(crate) fn draw(&self, of: &str) -> [u8; 32] {
        Sha256::digest(format!("{}/{of}", self.seed)).into()
    }

    /// A short link for `of`; always 23 characters, as X's.
    pub(crate) fn short_link(&self, of: &str) -> String {
        let letters = STANDARD_NO_PAD.encode(self.draw(of));
        let slug: String = letters
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(10)
            .collect();
        format!("https://t.co/{slug:x<10}")
    }

    fn new_media(&mut self, media: Vec<NewMedia>, at_ms: i64) -> Vec<Media> {
        media
            .into_iter()
            .map(|new| Media::new(MediaId(self.time.id_at(at_ms)), new))
            .collect()
    }
}
