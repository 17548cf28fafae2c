//! Things that happen on this X.

use std::time::Duration;

use super::Simulator;
use crate::api::{Echo, EchoWhen};
use crate::dispatch::{Letter, letters};
use crate::model::{
    Event, MessageId, NewMessage, NewPost, PostId, ProfileField, Refused, Relation, UserId, World,
};

impl Simulator {
    /// Somebody posts.
    pub fn post(&self, post: NewPost) -> Result<PostId, Refused> {
        self.posted(|world| world.post(post))
    }

    /// Somebody reposts.
    pub fn repost(&self, author: UserId, post: PostId) -> Result<PostId, Refused> {
        self.posted(|world| world.repost(author, post))
    }

    /// The author changes the text; the new version has a new id.
    pub fn edit(&self, post: PostId, text: &str) -> Result<PostId, Refused> {
        self.posted(|world| world.edit(post, text))
    }

    /// The author removes a post with all its versions.
    pub fn delete(&self, post: PostId) -> Result<(), Refused> {
        self.happened(|world| world.delete(post))
    }

    /// Somebody writes a direct message.
    pub fn direct_message(&self, message: NewMessage) -> Result<MessageId, Refused> {
        let mut world = self.world().lock();
        let id = world.direct_message(message)?;
        self.announce(&world, &Event::DirectMessage(id));
        Ok(id)
    }

    /// Somebody types a direct message.
    pub fn typing(&self, sender: UserId, recipient: UserId) -> Result<(), Refused> {
        self.happened(|world| world.typing(sender, recipient))
    }

    /// The recipient has read `last` and all before it.
    pub fn mark_read(&self, last: MessageId) -> Result<(), Refused> {
        self.happened(|world| world.mark_read(last))
    }

    /// Somebody writes an encrypted message; its id comes back.
    pub fn chat_message(&self, sender: UserId, recipient: UserId) -> Result<String, Refused> {
        let mut world = self.world().lock();
        let message = world.chat_message(sender, recipient)?;
        self.announce(&world, &Event::Chat(message.clone()));
        Ok(message.id)
    }

    /// Somebody likes a post.
    pub fn like(&self, user: UserId, post: PostId) -> Result<(), Refused> {
        self.happened(|world| world.like(user, post))
    }

    /// Somebody follows somebody.
    pub fn follow(&self, source: UserId, target: UserId) -> Result<(), Refused> {
        self.happened(|world| world.relate(Relation::Follow, source, target))
    }

    /// And no longer.
    pub fn unfollow(&self, source: UserId, target: UserId) -> Result<(), Refused> {
        self.happened(|world| world.relate(Relation::Unfollow, source, target))
    }

    /// Somebody blocks somebody.
    pub fn block(&self, source: UserId, target: UserId) -> Result<(), Refused> {
        self.happened(|world| world.relate(Relation::Block, source, target))
    }

    /// And no longer.
    pub fn unblock(&self, source: UserId, target: UserId) -> Result<(), Refused> {
        self.happened(|world| world.relate(Relation::Unblock, source, target))
    }

    /// Somebody mutes somebody.
    pub fn mute(&self, source: UserId, target: UserId) -> Result<(), Refused> {
        self.happened(|world| world.relate(Relation::Mute, source, target))
    }

    /// And no longer.
    pub fn unmute(&self, source: UserId, target: UserId) -> Result<(), Refused> {
        self.happened(|world| world.relate(Relation::Unmute, source, target))
    }

    /// Somebody changes a line of the profile.
    pub fn update_profile(
        &self,
        user: UserId,
        field: ProfileField,
        value: &str,
    ) -> Result<(), Refused> {
        self.happened(|world| world.update_profile(user, field, value))
    }

    /// A replay job of the app is over.
    pub fn end_replay(&self, app: &str, complete: bool) -> Result<(), Refused> {
        self.happened(|world| world.end_replay(app, complete))
    }

    fn posted(
        &self,
        post: impl FnOnce(&mut World) -> Result<PostId, Refused>,
    ) -> Result<PostId, Refused> {
        let mut world = self.world().lock();
        let id = post(&mut world)?;
        self.announce(&world, &Event::Posted(id));
        Ok(id)
    }

    fn happened(
        &self,
        happen: impl FnOnce(&mut World) -> Result<Event, Refused>,
    ) -> Result<(), Refused> {
        let mut world = self.world().lock();
        let event = happen(&mut world)?;
        self.announce(&world, &event);
        Ok(())
    }

    /// Still under the world's lock, so that deliveries leave in the order of what happened.
    pub(super) fn announce(&self, world: &World, event: &Event) {
        self.inner.outbox.put(self.charged(world, event));
    }

    /// What an app is told of what it did itself, when and if at all; the numbers of the
    /// deliveries come back.
    pub(crate) fn echo(&self, world: &World, event: &Event, echo: Echo) -> Vec<u64> {
        if echo.when == EchoWhen::Never {
            return Vec::new();
        }
        let delay = Duration::from_millis(echo.delay_ms);
        let letters = self.charged(world, event);
        self.inner.outbox.put_later(letters, delay)
    }

    /// Waits until each of these deliveries has been tried once.
    pub(crate) async fn first_attempts(&self, deliveries: &[u64]) {
        if !deliveries.is_empty() {
            self.courier().record.tried(deliveries).await;
        }
    }

    fn charged(&self, world: &World, event: &Event) -> Vec<Letter> {
        let letters = match self.inner.outbox.is_silent() {
            true => Vec::new(),
            false => letters(world, event),
        };
        let mut ledger = self.api().ledger();
        ledger.charge_deliveries(&letters, world.now_ms());
        drop(ledger);
        self.stream(world, event);
        letters
    }
}
