//! What of a post, user, message or medium is shown: what is asked for, and little else.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::auth::Caller;
use super::incoming::Incoming;
use super::ledger::{Charge, Price};
use super::problem::{self, Missing, Reason};
use crate::forms::json::{non_empty, with};
use crate::forms::{post_v2, user};
use crate::model::{
    DirectMessage, Media, MessageId, Post, PostId, User, UserId, Vocabulary, World, format,
};
use crate::text::{self, QuoteLink};

const POST: &[&str] = &["id", "text", "edit_history_tweet_ids"];
const USER: &[&str] = &["id", "name", "username"];
const MEDIUM: &[&str] = &["media_key", "type"];
const MESSAGE: &[&str] = &["id", "event_type", "text"];

/// The fields and expansions that a request asks for, in the old words.
pub(super) struct Selection {
    posts: BTreeSet<String>,
    users: BTreeSet<String>,
    media: BTreeSet<String>,
    messages: BTreeSet<String>,
    expansions: BTreeSet<String>,
    vocabulary: Vocabulary,
}

impl Selection {
    /// X refuses parameters that it does not know, `also` being those of the call beside fields.
    pub(super) fn parse(
        incoming: &Incoming,
        caller: &Caller,
        world: &World,
        also: &[&str],
    ) -> Result<Self, Box<Answer>> {
        let app = world.app(&caller.app);
        let vocabulary = app.map(|app| app.settings.vocabulary).unwrap_or_default();
        Self::in_words(vocabulary, incoming, also)
    }

    /// Streams keep the old words.
    pub(super) fn of_stream(incoming: &Incoming, also: &[&str]) -> Result<Self, Box<Answer>> {
        Self::in_words(Vocabulary::Tweets, incoming, also)
    }

    fn in_words(
        vocabulary: Vocabulary,
        incoming: &Incoming,
        also: &[&str],
    ) -> Result<Self, Box<Answer>> {
        let posts = match vocabulary {
            Vocabulary::Tweets => "tweet.fields",
            Vocabulary::Posts => "post.fields",
        };
        let known = [
            posts,
            "user.fields",
            "media.fields",
            "dm_event.fields",
            "expansions",
            "poll.fields",
            "place.fields",
        ];
        for (name, value) in &incoming.query {
            if !known.contains(&name.as_str()) && !also.contains(&name.as_str()) {
                let message = format!(
                    "The query parameter [{name}] is not one of [{}]",
                    known.join(",")
                );
                return Err(problem::invalid(name, value, &message));
            }
        }
        let list = |name| {
            let given = incoming.parameter(name).unwrap_or_default().split(',');
            given
                .map(old_word)
                .filter(|word| !word.is_empty())
                .collect()
        };
        Ok(Self {
            posts: list(posts),
            users: list("user.fields"),
            media: list("media.fields"),
            messages: list("dm_event.fields"),
            expansions: list("expansions"),
            vocabulary,
        })
    }

    fn expands(&self, what: &str) -> bool {
        self.expansions.contains(what)
    }

    fn post(&self, world: &World, post: &Post) -> Value {
        let whole = post_v2::post(world, post);
        post_v2::reword(pick(whole, POST, &self.posts), self.vocabulary)
    }

    fn user(&self, view: Sight<'_>, user: &User) -> Value {
        let whole = user::v2(view.world, user);
        let whole = match view.viewer {
            Some(viewer) => seen_by(view.world, viewer, user, whole),
            None => whole,
        };
        post_v2::reword(pick(whole, USER, &self.users), self.vocabulary)
    }

    fn medium(&self, world: &World, medium: &Media) -> Value {
        pick(post_v2::media(&world.hosts, medium), MEDIUM, &self.media)
    }

    /// Its address is that of the message, and not public.
    fn message_medium(&self, world: &World, message: MessageId, medium: &Media) -> Value {
        let mut whole = post_v2::media(&world.hosts, medium);
        for name in ["url", "preview_image_url"] {
            if let Some(address) = whole.get_mut(name) {
                *address = json!(world.hosts.message_still(message, medium));
            }
        }
        pick(whole, MEDIUM, &self.media)
    }

    fn message(&self, world: &World, message: &DirectMessage) -> Value {
        pick(whole_message(world, message), MESSAGE, &self.messages)
    }
}

/// Who looks at what.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    pub(super) world: &'a World,
    /// Absent with a bearer token.
    pub(super) viewer: Option<UserId>,
}

impl<'a> Sight<'a> {
    /// A post, or why it cannot be seen.
    pub(super) fn post(self, id: PostId) -> Result<&'a Post, Reason> {
        let post = self.world.visible_post(id).map_err(|_gone| Reason::Gone)?;
        let author = self.world.user(post.author).map_err(|_gone| Reason::Gone)?;
        if author.standing.is_closed() {
            return Err(Reason::Gone);
        }
        let follows = |viewer| self.world.follows(viewer, author.id) || viewer == author.id;
        if author.protected && !self.viewer.is_some_and(follows) {
            return Err(Reason::Protected);
        }
        Ok(post)
    }

    /// A user, or why it cannot be seen.
    pub(super) fn user(self, id: UserId) -> Result<&'a User, Reason> {
        let user = self.world.user(id).map_err(|_gone| Reason::Gone)?;
        if user.standing.suspended {
            return Err(Reason::Suspended);
        }
        if user.standing.deactivated {
            return Err(Reason::Gone);
        }
        Ok(user)
    }
}

fn seen_by(world: &World, viewer: UserId, user: &User, whole: Value) -> Value {
    let mut status = Vec::new();
    for (is_so, word) in [
        (world.follows(user.id, viewer), "followed_by"),
        (world.follows(viewer, user.id), "following"),
        (world.blocks(viewer, user.id), "blocking"),
    ] {
        if is_so {
            status.push(json!(word));
        }
    }
    if status.is_empty() {
        status.push(json!("none"));
    }
    let receives = super::messages::may_write(world, viewer, user.id);
    let plan = if user.standing.premium {
        "Premium"
    } else {
        "None"
    };
    let whole = with(whole, "connection_status", Some(Value::Array(status)));
    let whole = with(whole, "receives_your_dm", Some(json!(receives)));
    // X tells nobody but the owner.
    let own = (viewer == user.id).then(|| json!(plan));
    with(whole, "subscription_type", own)
}

fn whole_message(world: &World, message: &DirectMessage) -> Value {
    let link = message.media.as_ref().map(|_| {
        let short = world.short_link(&format!("message/{}/media", message.id));
        text::Link::to(
            short,
            format!("https://x.com/messages/media/{}", message.id),
        )
    });
    let key = format!("message/{}", message.id);
    let composed = text::compose_message(world, &message.text, &key, link);
    let entities = post_v2::entities(world, &composed);
    let value = json!({
        "id": message.id,
        "event_type": "MessageCreate",
        "text": composed.text,
        "sender_id": message.sender,
        "dm_conversation_id": super::messages::conversation_id(message.sender, message.recipient),
        "created_at": format(message.created_at_ms, post_v2::V2_TIME),
    });
    let media = message.media.as_ref();
    let attachments = media.map(|media| json!({ "media_keys": [media.key()] }));
    let value = with(value, "entities", entities);
    with(value, "attachments", attachments)
}

fn pick(value: Value, defaults: &[&str], asked: &BTreeSet<String>) -> Value {
    let Value::Object(fields) = value else {
        return value;
    };
    let kept: Map<String, Value> = fields
        .into_iter()
        .filter(|(name, _)| defaults.contains(&name.as_str()) || asked.contains(name))
        .collect();
    Value::Object(kept)
}

/// Requests may use the new words; inside, the old ones are used.
fn old_word(word: &str) -> String {
    match word {
        "note_post" => "note_tweet".to_owned(),
        "edit_history_post_ids" => "edit_history_tweet_ids".to_owned(),
        "referenced_posts" => "referenced_tweets.id".to_owned(),
        other => other.to_owned(),
    }
}

/// What a call shows, what goes with it, and what that costs.
pub(super) struct Shown<'a> {
    sight: Sight<'a>,
    selection: &'a Selection,
    users: Vec<UserId>,
    posts: Vec<PostId>,
    media: Vec<&'a Media>,
    message_media: Vec<(MessageId, &'a Media)>,
    errors: Vec<Value>,
    charges: Vec<Charge>,
    /// What a post costs.
    post_price: Price,
}

impl<'a> Shown<'a> {
    pub(super) fn new(sight: Sight<'a>, selection: &'a Selection) -> Self {
        Self {
            sight,
            selection,
            users: Vec::new(),
            posts: Vec::new(),
            media: Vec::new(),
            message_media: Vec::new(),
            errors: Vec::new(),
            charges: Vec::new(),
            post_price: Price::PostRead,
        }
    }

    pub(super) fn at(mut self, price: Price) -> Self {
        self.post_price = price;
        self
    }

    pub(super) fn missing(&mut self, missing: &Missing<'_>) {
        self.errors.push(missing.entry());
    }

    pub(super) fn post(&mut self, post: &'a Post) -> Value {
        self.charges
            .push(Charge::of(self.post_price, "post", post.id));
        let selection = self.selection;
        let parent = post.parent.and_then(|id| self.sight.world.any_post(id));
        if selection.expands("author_id") {
            self.users.push(post.author);
        }
        if selection.expands("in_reply_to_user_id") {
            self.users.extend(parent.map(|parent| parent.author));
        }
        if selection.expands("entities.mentions.username") {
            let text = text::compose(self.sight.world, post, QuoteLink::Omitted);
            self.users.extend(text.mentions());
        }
        if selection.expands("attachments.media_keys") {
            self.media.extend(&post.media);
        }
        if selection.expands("referenced_tweets.id") {
            self.refer(post);
        }
        selection.post(self.sight.world, post)
    }

    fn refer(&mut self, post: &Post) {
        for (_, id) in post_v2::referenced(post) {
            match self.sight.post(id) {
                Ok(found) => {
                    self.posts.push(id);
                    if self.selection.expands("referenced_tweets.id.author_id") {
                        self.users.push(found.author);
                    }
                }
                Err(reason) => self.missing(&Missing {
                    resource: "tweet",
                    parameter: "referenced_tweets.id",
                    value: id.to_string(),
                    reason,
                }),
            }
        }
    }

    pub(super) fn user(&mut self, user: &User) -> Value {
        self.charges
            .push(Charge::of(Price::UserRead, "user", user.id));
        self.selection.user(self.sight, user)
    }

    pub(super) fn message(&mut self, message: &'a DirectMessage) -> Value {
        self.charges
            .push(Charge::of(Price::MessageRead, "dm", message.id));
        if self.selection.expands("sender_id") {
            self.users.push(message.sender);
        }
        if self.selection.expands("attachments.media_keys") {
            let id = message.id;
            self.message_media
                .extend(message.media.iter().map(|medium| (id, medium)));
        }
        self.selection.message(self.sight.world, message)
    }

    /// The answer with `data`, what goes with it, and `meta`.
    pub(super) fn answer(self, data: Option<Value>, meta: Option<Value>) -> Answer {
        let (body, charges) = self.whole(data, meta);
        Answer::ok(&body).charging(charges)
    }

    /// The body of that answer, and what it costs.
    pub(super) fn whole(
        mut self,
        data: Option<Value>,
        meta: Option<Value>,
    ) -> (Value, Vec<Charge>) {
        let includes = self.includes();
        let body = with(json!({}), "data", data);
        let body = with(body, "includes", includes);
        let body = with(body, "errors", non_empty(self.errors));
        (with(body, "meta", meta), self.charges)
    }

    fn includes(&mut self) -> Option<Value> {
        let (world, selection) = (self.sight.world, self.selection);
        let mut users = Vec::new();
        for id in distinct(&self.users) {
            if let Ok(user) = self.sight.user(id) {
                self.charges.push(Charge::of(Price::UserRead, "user", id));
                users.push(selection.user(self.sight, user));
            }
        }
        let mut posts = Vec::new();
        for id in distinct(&self.posts) {
            if let Ok(post) = self.sight.post(id) {
                self.charges.push(Charge::of(Price::PostRead, "post", id));
                posts.push(selection.post(world, post));
            }
        }
        let media = self
            .media
            .iter()
            .map(|medium| selection.medium(world, medium));
        let of_messages = self
            .message_media
            .iter()
            .map(|(id, medium)| selection.message_medium(world, *id, medium));
        let media = media.chain(of_messages);
        let includes = with(json!({}), "users", non_empty(users));
        let includes = with(includes, "tweets", non_empty(posts));
        let includes = with(includes, "media", non_empty(media.collect()));
        let is_empty = includes.as_object().is_none_or(Map::is_empty);
        (!is_empty).then(|| match selection.vocabulary {
            Vocabulary::Tweets => includes,
            Vocabulary::Posts => post_v2::reword(includes, Vocabulary::Posts),
        })
    }
}

fn distinct<T: Copy + Ord>(ids: &[T]) -> BTreeSet<T> {
    ids.iter().copied().collect()
}
