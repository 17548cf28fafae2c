//! Direct messages, what happens around them, and encrypted ones.

use super::{Refused, World};
use crate::model::event::Event;
use crate::model::ids::{MessageId, UserId};
use crate::model::message::{ChatMessage, DirectMessage, NewMessage};

impl World {
    pub(crate) fn direct_message(&mut self, new: NewMessage) -> Result<MessageId, Refused> {
        let sender = self.user(new.sender)?.id;
        let recipient = self.user(new.recipient)?.id;
        if let Some(app) = &new.source_app {
            self.app(app)?;
        }
        let at_ms = self.time.tick();
        let id = MessageId(self.time.id_at(at_ms));
        let media = match new.upload {
            Some(upload) => Some(self.uploaded(upload)?),
            None => self.new_media(new.media.into_iter().collect(), at_ms).pop(),
        };
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
        self.file(&message);
        self.messages.insert(id, message);
        Ok(id)
    }

    fn file(&mut self, message: &DirectMessage) {
        let (sender, recipient) = (message.sender, message.recipient);
        let pair = pair(sender, recipient);
        self.conversations.entry(pair).or_default().push(message.id);
        self.mailboxes.entry(sender).or_default().push(message.id);
        if recipient != sender {
            self.mailboxes
                .entry(recipient)
                .or_default()
                .push(message.id);
        }
    }

    /// What the two wrote to each other, newest first.
    pub(crate) fn messages_between(
        &self,
        one: UserId,
        other: UserId,
    ) -> impl Iterator<Item = &DirectMessage> {
        let ids = self.conversations.get(&pair(one, other));
        ids.into_iter()
            .flatten()
            .rev()
            .filter_map(|id| self.messages.get(id))
    }

    /// What the user wrote and got, newest first.
    pub(crate) fn messages_of(&self, user: UserId) -> impl Iterator<Item = &DirectMessage> {
        let ids = self.mailboxes.get(&user);
        ids.into_iter()
            .flatten()
            .rev()
            .filter_map(|id| self.messages.get(id))
    }

    /// Takes the message out of one person's view; the other keeps it.
    pub(crate) fn delete_message_for(&mut self, user: UserId, message: MessageId) {
        self.messages_deleted_for.insert((user, message));
    }

    /// Takes the message out of everybody's view.
    pub(crate) fn delete_message(&mut self, message: MessageId) -> Result<(), Refused> {
        let found = self.message(message)?;
        let (sender, recipient) = (found.sender, found.recipient);
        self.delete_message_for(sender, message);
        self.delete_message_for(recipient, message);
        Ok(())
    }

    pub(crate) fn sees_message(&self, user: UserId, message: &DirectMessage) -> bool {
        (message.sender == user || message.recipient == user)
            && !self.messages_deleted_for.contains(&(user, message.id))
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

/// The lower id first.
fn pair(one: UserId, other: UserId) -> (UserId, UserId) {
    (one.min(other), one.max(other))
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
