//! The API side as tests drive it: credentials, rules, faults, and what came of it all.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::Simulator;
use crate::api::{
    ApiCall, ApiSettings, Bill, Credentials, Endpoint, Fault, Limits, conversation_id,
};
use crate::model::{
    DirectMessage, MediaId, MessageId, Permission, Post, PostId, Refused, Standing, UserId, World,
};

/// A post as a test looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PostSeen {
    /// Its id.
    pub id: PostId,
    /// Who wrote it.
    pub author: UserId,
    /// As it was typed, byte for byte.
    pub text: String,
    /// What it replies to.
    pub parent: Option<PostId>,
    /// The first post of its thread.
    pub conversation: PostId,
    /// What it quotes.
    pub quote: Option<PostId>,
    /// What it reposts.
    pub repost_of: Option<PostId>,
    /// Ids of what hangs on it.
    #[serde(serialize_with = "as_strings")]
    pub media: Vec<u64>,
    /// The descriptions of what hangs on it.
    pub alt_texts: Vec<String>,
    /// The address of its "send a message" button.
    pub direct_message_link: Option<String>,
    /// The app that wrote it through the API; absent for all else.
    pub app: Option<String>,
    /// Whether it is gone.
    pub deleted: bool,
    /// Whether the author of the thread has hidden it.
    pub hidden: bool,
    /// When it was written, by the simulator's clock.
    #[serde(serialize_with = "as_display")]
    pub at: Timestamp,
}

/// A direct message as a test looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MessageSeen {
    /// Its id.
    pub id: MessageId,
    /// Who wrote it.
    pub sender: UserId,
    /// Who got it.
    pub recipient: UserId,
    /// X's id of the conversation.
    pub conversation: String,
    /// As it was typed, byte for byte.
    pub text: String,
    /// Id of what hangs on it.
    #[serde(serialize_with = "as_string")]
    pub media: Option<u64>,
    /// The app that sent it through the API; absent for all else.
    pub app: Option<String>,
    /// Whether the sender has taken it out of its own view.
    pub deleted_by_sender: bool,
    /// When it was written, by the simulator's clock.
    #[serde(serialize_with = "as_display")]
    pub at: Timestamp,
}

/// Who may call.
impl Simulator {
    /// The user lets the app in, for the first time or again; who is in stays in.
    pub fn authorize(&self, app: &str, user: UserId) -> Result<Credentials, Refused> {
        let mut state = self.api().state();
        let world = self.world().lock();
        let permission = world.app(app)?.settings.permission;
        world.user(user)?;
        state.tokens.authorize(app, user, permission);
        state.tokens.credentials(&world, app, user)
    }

    /// What the app needs to act for the user, as it is now.
    pub fn credentials(&self, app: &str, user: UserId) -> Result<Credentials, Refused> {
        let state = self.api().state();
        state.tokens.credentials(&self.world().lock(), app, user)
    }

    /// All tokens of the app for the user die, and nobody is told.
    pub fn kill_tokens(&self, app: &str, user: UserId) {
        self.api().state().tokens.revoke(app, user);
    }

    /// Puts a token of one's own choice in place of the derived one (OAuth 1.0a).
    pub fn set_access_token(
        &self,
        app: &str,
        user: UserId,
        token: &str,
        secret: &str,
    ) -> Result<(), Refused> {
        self.authorize(app, user)?;
        let mut state = self.api().state();
        state.tokens.set_access_token(app, user, token, secret);
        Ok(())
    }

    /// What the app may do for the user by OAuth 1.0a, whatever the level was when the tokens were
    /// given.
    pub fn set_permission(&self, app: &str, user: UserId, permission: Permission) {
        let mut state = self.api().state();
        state.tokens.set_permission(app, user, permission);
    }

    /// What the app may do for the user by OAuth 2.0; everything unless this is called.
    pub fn set_scopes(&self, app: &str, user: UserId, scopes: &[&str]) {
        let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        self.api().state().tokens.set_scopes(app, user, &scopes);
    }

    /// From now on the app's bearer token is another.
    pub fn renew_bearer(&self, app: &str) {
        self.api().state().tokens.renew_bearer(app);
    }

    /// The account that owns the app: its own reads are cheap.
    pub fn set_owner(&self, app: &str, owner: UserId) {
        self.api().state().tokens.set_owner(app, owner);
    }
}

/// The rules.
impl Simulator {
    /// The rules in force.
    pub fn api_settings(&self) -> ApiSettings {
        self.api().state().settings.clone()
    }

    /// Changes the rules; how many calls are kept is settled at the start.
    pub fn change_api(&self, change: impl FnOnce(&mut ApiSettings)) {
        change(&mut self.api().state().settings);
    }

    /// How often a call may be made, from now on.
    pub fn limit(&self, endpoint: Endpoint, limits: Limits) {
        self.api().state().windows.limit(endpoint, limits);
    }

    /// How often a call may be made.
    pub fn limits(&self, endpoint: Endpoint) -> Limits {
        self.api().state().windows.limits(endpoint)
    }

    /// What an account may do.
    pub fn standing(&self, user: UserId) -> Result<Standing, Refused> {
        Ok(self.world().lock().user(user)?.standing)
    }

    /// Changes what an account may do.
    pub fn change_standing(
        &self,
        user: UserId,
        change: impl FnOnce(&mut Standing),
    ) -> Result<(), Refused> {
        change(&mut self.world().lock().user_mut(user)?.standing);
        Ok(())
    }

    /// Whether only its followers see the account's posts.
    pub fn set_protected(&self, user: UserId, protected: bool) -> Result<(), Refused> {
        self.world().lock().user_mut(user)?.protected = protected;
        Ok(())
    }

    /// What the app has left to spend, in millionths of a dollar; without end when absent.
    pub fn set_credit(&self, app: &str, micro_usd: Option<i64>) {
        self.api().ledger().set_credit(app, micro_usd);
    }

    /// What is left of it.
    pub fn credit(&self, app: &str) -> Option<i64> {
        self.api().ledger().credit(app)
    }

    /// What the app has used so far, calls and deliveries, at X's prices.
    pub fn bill(&self, app: &str) -> Bill {
        self.api().ledger().bill(app)
    }
}

/// What goes wrong.
impl Simulator {
    /// Orders a fault; of several that fit a call the oldest counts.
    pub fn order(&self, fault: Fault) {
        self.api().state().faults.order(fault);
    }

    /// From now on nothing goes wrong.
    pub fn clear_faults(&self) {
        self.api().state().faults.clear();
    }

    /// The orders that are not used up.
    pub fn faults(&self) -> Vec<Fault> {
        self.api().state().faults.orders().to_vec()
    }
}

/// What came of it.
impl Simulator {
    /// What time it is here.
    pub fn now(&self) -> Timestamp {
        at(self.world().lock().now_ms())
    }

    /// The latest calls, in the order in which they ended.
    pub fn calls(&self) -> Vec<ApiCall> {
        self.calls_after(0)
    }

    /// The same after a number.
    pub fn calls_after(&self, id: u64) -> Vec<ApiCall> {
        self.api().calls.after(id)
    }

    /// Waits until no call is being answered, those included whose caller has gone away.
    pub async fn calls_idle(&self) {
        self.api().calls.idle().await;
    }

    /// All posts of an account, deleted ones too, oldest first.
    pub fn posts_by(&self, author: UserId) -> Vec<PostSeen> {
        let world = self.world().lock();
        let mut posts: Vec<PostSeen> = world.posts_by(author).map(seen).collect();
        posts.reverse();
        posts
    }

    /// How many posts of the account have this text, deleted ones too.
    pub fn count_posts(&self, author: UserId, text: &str) -> usize {
        let world = self.world().lock();
        world
            .posts_by(author)
            .filter(|post| post.text == text)
            .count()
    }

    /// All messages that an account wrote or got, oldest first.
    pub fn messages_of(&self, user: UserId) -> Vec<MessageSeen> {
        let world = self.world().lock();
        let newest_first = world.messages_of(user);
        let mut messages: Vec<MessageSeen> = newest_first
            .map(|message| message_seen(&world, message))
            .collect();
        messages.reverse();
        messages
    }

    /// How many messages of the account have this text.
    pub fn count_messages(&self, sender: UserId, text: &str) -> usize {
        let world = self.world().lock();
        world
            .messages_of(sender)
            .filter(|message| message.sender == sender && message.text == text)
            .count()
    }

    /// The bytes of an upload.
    pub fn uploaded(&self, media: u64) -> Option<Bytes> {
        let world = self.world().lock();
        world
            .upload(MediaId(media))
            .map(|upload| upload.content.clone())
    }
}

fn seen(post: &Post) -> PostSeen {
    PostSeen {
        id: post.id,
        author: post.author,
        text: post.text.clone(),
        parent: post.parent,
        conversation: post.conversation,
        quote: post.quote,
        repost_of: post.repost_of,
        media: post.media.iter().map(|media| media.id.0).collect(),
        alt_texts: post
            .media
            .iter()
            .map(|media| media.alt_text.clone())
            .collect(),
        direct_message_link: post.direct_message_link.clone(),
        app: post.source_app.clone(),
        deleted: post.deleted,
        hidden: post.hidden,
        at: at(post.created_at_ms),
    }
}

fn message_seen(world: &World, message: &DirectMessage) -> MessageSeen {
    MessageSeen {
        id: message.id,
        sender: message.sender,
        recipient: message.recipient,
        conversation: conversation_id(message.sender, message.recipient),
        text: message.text.clone(),
        media: message.media.as_ref().map(|media| media.id.0),
        app: message.source_app.clone(),
        deleted_by_sender: !world.sees_message(message.sender, message),
        at: at(message.created_at_ms),
    }
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn as_display<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

fn as_strings<S: Serializer>(ids: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(ids.iter().map(u64::to_string))
}

fn as_string<S: Serializer>(id: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    id.map(|id| id.to_string()).serialize(serializer)
}
