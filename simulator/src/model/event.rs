//! Things that happen, before anybody is told.

use super::ids::{MessageId, PostId, UserId};
use super::message::ChatMessage;
use super::user::ProfileField;

/// One thing that happened.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A post, reply, quote, repost, or a new version of one.
    Posted(PostId),
    Deleted {
        post: PostId,
        author: UserId,
        at_ms: i64,
    },
    DirectMessage(MessageId),
    Typing {
        sender: UserId,
        recipient: UserId,
        at_ms: i64,
    },
    /// `reader` has read what `writer` wrote, up to `last`.
    Read {
        reader: UserId,
        writer: UserId,
        last: MessageId,
        at_ms: i64,
    },
    Chat(ChatMessage),
    Liked(Like),
    Related {
        relation: Relation,
        source: UserId,
        target: UserId,
        at_ms: i64,
    },
    ProfileUpdated(ProfileUpdate),
    Revoked {
        user: UserId,
        app: String,
        at_ms: i64,
    },
    ReplayEnded {
        app: String,
        job: u64,
        complete: bool,
    },
}

/// Somebody liked a post.
#[derive(Clone, Debug)]
pub(crate) struct Like {
    pub(crate) user: UserId,
    pub(crate) post: PostId,
    pub(crate) at_ms: i64,
}

/// Somebody changed a line of the profile.
#[derive(Clone, Debug)]
pub(crate) struct ProfileUpdate {
    pub(crate) user: UserId,
    pub(crate) field: ProfileField,
    pub(crate) before: String,
    pub(crate) after: String,
    pub(crate) at_ms: i64,
}

/// A tie between two accounts, made or cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Follow,
    Unfollow,
    Block,
    Unblock,
    Mute,
    Unmute,
}

impl Relation {
    /// X's word for it, and for the tie.
    pub(crate) fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Follow => ("follow", "follow"),
            Self::Unfollow => ("unfollow", "follow"),
            Self::Block => ("block", "block"),
            Self::Unblock => ("unblock", "block"),
            Self::Mute => ("mute", "mute"),
            Self::Unmute => ("unmute", "mute"),
        }
    }

    /// Whether the other side is told as well.
    pub(crate) fn is_told_to_target(self) -> bool {
        matches!(self, Self::Follow | Self::Unfollow)
    }
}
