//! The state of the simulated X and everything that can change it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::app::{App, Form, NewApp, SigningSecret};
use super::event::{Event, Like, Relation};
use super::ids::{MediaId, MessageId, PostId, UserId};
use super::media::{Media, MediaHosts, MediaKind, NewMedia};
use super::message::{ChatMessage, DirectMessage, NewMessage};
use super::post::{NewPost, Post};
use super::rule::Rule;
use super::time::{Clock, Timekeeper};
use super::user::{NewUser, ProfileField, User};
use crate::text;

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
    /// There is no earlier secret to sign with.
    #[error("app {0} has no previous secret")]
    NoPreviousSecret(String),
}

/// Everything X knows.
pub(crate) struct World {
    pub(crate) hosts: MediaHosts,
    seed: u64,
    time: Timekeeper,
    apps: BTreeMap<String, App>,
    users: BTreeMap<UserId, User>,
    posts: BTreeMap<PostId, Post>,
    messages: BTreeMap<MessageId, DirectMessage>,
    subscriptions: BTreeMap<(String, UserId), BTreeSet<Form>>,
    follows: BTreeSet<(UserId, UserId)>,
    blocks: BTreeSet<(UserId, UserId)>,
    likes: Vec<Like>,
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
            posts: BTreeMap::new(),
            messages: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            follows: BTreeSet::new(),
            blocks: BTreeSet::new(),
            likes: Vec::new(),
        }
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.time.advance(by);
    }

    pub(crate) fn tick(&mut self) -> i64 {
        self.time.tick()
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

/// Apps, and what they are subscribed to.
impl World {
    pub(crate) fn add_app(&mut self, new: NewApp) -> Result<(), Refused> {
        if self.apps.contains_key(&new.name) {
            return Err(Refused::Taken(new.name));
        }
        let at_ms = self.time.tick();
        let app = App {
            id: 10_000_000 + self.apps.len() as u64,
            webhook_id: self.time.id_at(at_ms),
            previous_secret: None,
            signing: SigningSecret::Current,
            rules: Vec::new(),
            valid: true,
            validated_at_ms: at_ms,
            last_crc: None,
            settings: new,
        };
        self.apps.insert(app.settings.name.clone(), app);
        Ok(())
    }

    pub(crate) fn app(&self, name: &str) -> Result<&App, Refused> {
        self.apps
            .get(name)
            .ok_or_else(|| Refused::UnknownApp(name.to_owned()))
    }

    pub(crate) fn app_mut(&mut self, name: &str) -> Result<&mut App, Refused> {
        self.apps
            .get_mut(name)
            .ok_or_else(|| Refused::UnknownApp(name.to_owned()))
    }

    pub(crate) fn apps(&self) -> impl Iterator<Item = &App> {
        self.apps.values()
    }

    /// Puts a new secret in force; the one before can still sign.
    pub(crate) fn rotate_secret(&mut self, app: &str, secret: &str) -> Result<(), Refused> {
        let app = self.app_mut(app)?;
        let previous = std::mem::replace(&mut app.settings.consumer_secret, secret.to_owned());
        app.previous_secret = Some(previous);
        Ok(())
    }

    pub(crate) fn sign_with(&mut self, app: &str, signing: SigningSecret) -> Result<(), Refused> {
        let app = self.app_mut(app)?;
        if signing == SigningSecret::Previous && app.previous_secret.is_none() {
            return Err(Refused::NoPreviousSecret(app.settings.name.clone()));
        }
        app.signing = signing;
        Ok(())
    }

    pub(crate) fn subscribe(
        &mut self,
        app: &str,
        user: UserId,
        forms: &[Form],
    ) -> Result<(), Refused> {
        self.app(app)?;
        let username = self.user(user)?.username.clone();
        if forms.contains(&Form::FilteredStream) {
            self.add_rule(app, &format!("@{username} OR from:{username}"), &username)?;
        }
        self.subscriptions
            .entry((app.to_owned(), user))
            .or_default()
            .extend(forms);
        Ok(())
    }

    pub(crate) fn unsubscribe(&mut self, app: &str, user: UserId) {
        self.subscriptions.remove(&(app.to_owned(), user));
    }

    /// The accounts an app gets in `form`.
    pub(crate) fn subscribers(&self, app: &str, form: Form) -> impl Iterator<Item = &User> {
        self.subscriptions
            .iter()
            .filter(move |((name, _), forms)| name == app && forms.contains(&form))
            .filter_map(|((_, user), _)| self.users.get(user))
    }

    pub(crate) fn add_rule(&mut self, app: &str, value: &str, tag: &str) -> Result<(), Refused> {
        let at_ms = self.time.tick();
        let rule = Rule {
            id: self.time.id_at(at_ms),
            value: value.to_owned(),
            tag: tag.to_owned(),
        };
        self.app_mut(app)?.rules.push(rule);
        Ok(())
    }
}

/// Accounts and their ties.
impl World {
    pub(crate) fn add_user(&mut self, new: NewUser) -> Result<UserId, Refused> {
        let at_ms = self.time.tick();
        let id = UserId(new.id.unwrap_or_else(|| self.time.id_at(at_ms)));
        if self.users.contains_key(&id) || self.user_named(&new.username).is_some() {
            return Err(Refused::Taken(new.username));
        }
        let user = new.into_user(id, at_ms, &self.hosts.images);
        self.users.insert(id, user);
        Ok(id)
    }

    pub(crate) fn user(&self, id: UserId) -> Result<&User, Refused> {
        self.users
            .get(&id)
            .ok_or_else(|| Refused::UnknownUser(id.to_string()))
    }

    pub(crate) fn user_named(&self, username: &str) -> Option<&User> {
        self.users
            .values()
            .find(|user| user.username.eq_ignore_ascii_case(username))
    }

    pub(crate) fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    pub(crate) fn relate(
        &mut self,
        relation: Relation,
        source: UserId,
        target: UserId,
    ) -> Result<Event, Refused> {
        self.user(source)?;
        self.user(target)?;
        let tie = (source, target);
        match relation {
            Relation::Follow => self.follows.insert(tie),
            Relation::Unfollow => self.follows.remove(&tie),
            Relation::Block => self.blocks.insert(tie),
            Relation::Unblock => self.blocks.remove(&tie),
            // Muting changes nothing that is delivered.
            Relation::Mute | Relation::Unmute => true,
        };
        Ok(Event::Related {
            relation,
            source,
            target,
            at_ms: self.time.tick(),
        })
    }

    pub(crate) fn follows(&self, source: UserId, target: UserId) -> bool {
        self.follows.contains(&(source, target))
    }

    pub(crate) fn blocks(&self, source: UserId, target: UserId) -> bool {
        self.blocks.contains(&(source, target))
    }

    pub(crate) fn update_profile(
        &mut self,
        user: UserId,
        field: ProfileField,
        after: &str,
    ) -> Result<Event, Refused> {
        let at_ms = self.time.tick();
        let owner = self
            .users
            .get_mut(&user)
            .ok_or_else(|| Refused::UnknownUser(user.to_string()))?;
        let before = std::mem::replace(field.of(owner), after.to_owned());
        Ok(Event::ProfileUpdated {
            user,
            field,
            before,
            after: after.to_owned(),
            at_ms,
        })
    }

    /// The user removes the app; who is told is settled before the subscription goes.
    pub(crate) fn revoke(&mut self, app: &str, user: UserId) -> Result<Event, Refused> {
        self.app(app)?;
        self.user(user)?;
        Ok(Event::Revoked {
            user,
            app: app.to_owned(),
            at_ms: self.time.tick(),
        })
    }

    pub(crate) fn end_replay(&mut self, app: &str, complete: bool) -> Result<Event, Refused> {
        self.app(app)?;
        let at_ms = self.time.tick();
        Ok(Event::ReplayEnded {
            app: app.to_owned(),
            job: self.time.id_at(at_ms),
            complete,
        })
    }
}

/// Posts.
impl World {
    pub(crate) fn post(&mut self, new: NewPost) -> Result<PostId, Refused> {
        let author = self.user(new.author)?.id;
        let parent = new
            .in_reply_to
            .map(|id| self.visible_post(id))
            .transpose()?
            .cloned();
        if let Some(quoted) = new.quote {
            self.visible_post(quoted)?;
        }
        check_media(&new.media)?;
        let inherited_mentions = parent
            .as_ref()
            .map(|parent| self.inherited_mentions(parent, author, &new.exclude_mentions))
            .unwrap_or_default();
        let at_ms = self.time.tick();
        let id = PostId(self.time.id_at(at_ms));
        let media = self.new_media(new.media, at_ms);
        self.insert(Post {
            id,
            author,
            created_at_ms: at_ms,
            text: new.text,
            conversation: parent.as_ref().map_or(id, |parent| parent.conversation),
            parent: parent.map(|parent| parent.id),
            quote: new.quote,
            repost_of: None,
            media,
            inherited_mentions,
            history: vec![id],
            lang: language(new.lang),
            possibly_sensitive: new.possibly_sensitive,
            deleted: false,
        });
        Ok(id)
    }

    /// A repost of a repost points to the original.
    pub(crate) fn repost(&mut self, author: UserId, of: PostId) -> Result<PostId, Refused> {
        self.user(author)?;
        let original = self.visible_post(of)?;
        let original = original.repost_of.unwrap_or(original.id);
        let source = self.visible_post(original)?.clone();
        let at_ms = self.time.tick();
        let id = PostId(self.time.id_at(at_ms));
        self.insert(Post {
            id,
            author,
            created_at_ms: at_ms,
            text: String::new(),
            parent: None,
            conversation: id,
            quote: None,
            repost_of: Some(original),
            media: Vec::new(),
            inherited_mentions: Vec::new(),
            history: vec![id],
            deleted: false,
            ..source
        });
        Ok(id)
    }

    /// A new version with a new id.
    pub(crate) fn edit(&mut self, of: PostId, text: &str) -> Result<PostId, Refused> {
        let before = self.visible_post(of)?.clone();
        if !before.is_editable() {
            return Err(Refused::NotEditable(of));
        }
        let at_ms = self.time.tick();
        let id = PostId(self.time.id_at(at_ms));
        let mut history = before.history.clone();
        history.push(id);
        self.insert(Post {
            id,
            created_at_ms: at_ms,
            text: text.to_owned(),
            history,
            ..before
        });
        Ok(id)
    }

    /// Removing one version removes all of them.
    pub(crate) fn delete(&mut self, post: PostId) -> Result<Event, Refused> {
        let gone = self.visible_post(post)?.clone();
        let first = gone.history.first().copied();
        for version in self
            .posts
            .values_mut()
            .filter(|post| post.history.first().copied() == first)
        {
            version.deleted = true;
        }
        Ok(Event::Deleted {
            post,
            author: gone.author,
            at_ms: self.time.tick(),
        })
    }

    pub(crate) fn like(&mut self, user: UserId, post: PostId) -> Result<Event, Refused> {
        self.user(user)?;
        self.visible_post(post)?;
        let at_ms = self.time.tick();
        let like = Like { user, post, at_ms };
        self.likes.push(like.clone());
        Ok(Event::Liked(like))
    }

    /// A post that is still there.
    pub(crate) fn visible_post(&self, id: PostId) -> Result<&Post, Refused> {
        self.any_post(id)
            .filter(|post| !post.deleted)
            .ok_or(Refused::UnknownPost(id))
    }

    /// A post, deleted or not.
    pub(crate) fn any_post(&self, id: PostId) -> Option<&Post> {
        self.posts.get(&id)
    }

    pub(crate) fn posts(&self) -> impl DoubleEndedIterator<Item = &Post> {
        self.posts.values()
    }

    pub(crate) fn count_posts(&self, counted: impl Fn(&Post) -> bool) -> usize {
        self.posts
            .values()
            .filter(|post| !post.deleted && counted(post))
            .count()
    }

    pub(crate) fn count_likes(&self, counted: impl Fn(&Like) -> bool) -> usize {
        self.likes.iter().filter(|like| counted(like)).count()
    }

    fn insert(&mut self, post: Post) {
        if let Some(author) = self.users.get_mut(&post.author) {
            author.posts += 1;
        }
        self.posts.insert(post.id, post);
    }

    /// X begins a reply with the parent's author and everybody the parent mentions, but never
    /// with the writer.
    fn inherited_mentions(
        &self,
        parent: &Post,
        author: UserId,
        excluded: &[UserId],
    ) -> Vec<UserId> {
        let mut people = vec![parent.author];
        people.extend(text::compose(self, parent, text::QuoteLink::Omitted).mentions());
        let mut kept = Vec::new();
        for person in people {
            if person != author && !excluded.contains(&person) && !kept.contains(&person) {
                kept.push(person);
            }
        }
        kept
    }
}

/// Messages.
impl World {
    pub(crate) fn direct_message(&mut self, new: NewMessage) -> Result<MessageId, Refused> {
        let sender = self.user(new.sender)?.id;
        let recipient = self.user(new.recipient)?.id;
        if let Some(app) = &new.source_app {
            self.app(app)?;
        }
        let at_ms = self.time.tick();
        let id = MessageId(self.time.id_at(at_ms));
        let media = self.new_media(new.media.into_iter().collect(), at_ms).pop();
        let message = DirectMessage {
            id,
            sender,
            recipient,
            text: new.text,
            created_at_ms: at_ms,
            media,
            quick_reply: new.quick_reply,
            initiated_via: new.initiated_via,
            source_app: new.source_app,
        };
        self.messages.insert(id, message);
        Ok(id)
    }

    pub(crate) fn message(&self, id: MessageId) -> Result<&DirectMessage, Refused> {
        self.messages.get(&id).ok_or(Refused::UnknownMessage(id))
    }

    pub(crate) fn messages(&self) -> impl DoubleEndedIterator<Item = &DirectMessage> {
        self.messages.values()
    }

    pub(crate) fn typing(&mut self, sender: UserId, recipient: UserId) -> Result<Event, Refused> {
        self.user(sender)?;
        self.user(recipient)?;
        Ok(Event::Typing {
            sender,
            recipient,
            at_ms: self.time.tick(),
        })
    }

    /// The recipient of `last` has read it and all before it.
    pub(crate) fn mark_read(&mut self, last: MessageId) -> Result<Event, Refused> {
        let message = self.message(last)?;
        let (reader, writer) = (message.recipient, message.sender);
        Ok(Event::Read {
            reader,
            writer,
            last,
            at_ms: self.time.tick(),
        })
    }

    pub(crate) fn chat_message(
        &mut self,
        sender: UserId,
        recipient: UserId,
    ) -> Result<ChatMessage, Refused> {
        self.user(sender)?;
        self.user(recipient)?;
        let created_at_ms = self.time.tick();
        let id = uuid(&self.draw(&format!("chat/{sender}/{recipient}/{created_at_ms}")));
        Ok(ChatMessage {
            id,
            sender,
            recipient,
            created_at_ms,
        })
    }
}

fn check_media(media: &[NewMedia]) -> Result<(), Refused> {
    let photos = media
        .iter()
        .filter(|media| media.kind == MediaKind::Photo)
        .count();
    let fits = media.len() <= 1 || (photos == media.len() && photos <= 4);
    fits.then_some(()).ok_or(Refused::TooMuchMedia)
}

fn language(given: String) -> String {
    if given.is_empty() {
        "und".to_owned()
    } else {
        given
    }
}

fn uuid(bytes: &[u8]) -> String {
    let hex: String = bytes
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let part = |from, to| hex.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )
}
