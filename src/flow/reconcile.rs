//! Was it posted? The rule by which a message found at X is the one that a command sent.

use jiff::{SignedDuration, Timestamp};

use crate::domain::ids::{ConversationId, TweetId};
use crate::domain::message::{Message, Post};
use crate::domain::text::{Added, same_text};
use crate::store::{SendKind, SendRow};

/// X's clock and ours may differ by this much.
const EARLIER: SignedDuration = SignedDuration::from_secs(5);

/// A message of the account itself, found at X or delivered by it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    pub message: &'a Message,
    /// What it answers or where it was written: as [`SendRow::target`].
    pub target: Target<'a>,
}

/// Where a message stands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target<'a> {
    Post(Option<TweetId>),
    Conversation(&'a ConversationId),
}

impl<'a> Found<'a> {
    /// A post as X shows it.
    pub(crate) fn post(post: &'a Post) -> Self {
        Self {
            message: &post.message,
            target: Target::Post(post.replied_to.as_ref().map(|parent| parent.id)),
        }
    }
}

impl Target<'_> {
    pub(crate) fn kind(self) -> SendKind {
        match self {
            Self::Post(_) => SendKind::Post,
            Self::Conversation(_) => SendKind::DirectMessage,
        }
    }

    fn is(self, target: &str) -> bool {
        match self {
            Self::Post(None) => target.is_empty(),
            Self::Post(Some(id)) => id.to_string() == target,
            Self::Conversation(id) => id.to_string() == target,
        }
    }
}

/// The send that made a message, of those of its account that nobody has claimed: same place, same
/// text, and not made before. The oldest where several fit.
pub(crate) fn send_of<'s>(sends: &'s [SendRow], found: &Found<'_>) -> Option<&'s SendRow> {
    sends.iter().find(|send| is_of(send, found))
}

fn is_of(send: &SendRow, found: &Found<'_>) -> bool {
    let trace = Trace {
        kind: found.target.kind(),
        created_at: found.message.created_at,
        text: &found.message.text,
    };
    found.target.is(&send.target) && may_have_made(send, &trace)
}

/// What is kept of a message whose place is known.
pub(crate) struct Trace<'a> {
    pub kind: SendKind,
    pub created_at: Timestamp,
    pub text: &'a str,
}

/// Whether a send made what was found in its place.
pub(crate) fn may_have_made(send: &SendRow, found: &Trace<'_>) -> bool {
    let added = Added {
        mentions: send.kind == SendKind::Post && !send.target.is_empty(),
        link: send.has_media,
    };
    send.kind == found.kind
        && !is_earlier(found.created_at, send.started_at)
        && same_text(&send.text, found.text, added)
}

fn is_earlier(created_at: Timestamp, started_at: Timestamp) -> bool {
    started_at.duration_since(created_at) > EARLIER
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{AccountId, UserId};
    use crate::domain::message::Person;
    use crate::store::SendState;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn user() -> UserId {
        "2".parse().unwrap()
    }

    fn send(text: &str, target: &str) -> SendRow {
        SendRow {
            command: 1,
            part: 1,
            account: AccountId(user()),
            kind: SendKind::Post,
            state: SendState::Uncertain,
            text: text.to_owned(),
            target: target.to_owned(),
            has_media: false,
            started_at: at(100),
            ended_at: None,
            doubted: true,
            empty_reads: 0,
            message: None,
            sent_at: None,
        }
    }

    fn message(text: &str, second: i64) -> Message {
        Message {
            created_at: at(second),
            author: Person::unknown(user()),
            ..Message::saying(text)
        }
    }

    fn fits(send: &SendRow, text: &str, second: i64, parent: Option<&str>) -> bool {
        let message = message(text, second);
        let found = Found {
            message: &message,
            target: Target::Post(parent.map(|id| id.parse().unwrap())),
        };
        is_of(send, &found)
    }

    #[test]
    fn a_reply_is_ours_by_parent_text_and_time() {
        let send = send("Hello", "7");
        assert!(fits(&send, "@ann Hello", 100, Some("7")));
        assert!(fits(&send, "Hello", 95, Some("7")));
        assert!(!fits(&send, "Hello", 94, Some("7")));
        assert!(!fits(&send, "Hello", 100, Some("8")));
        assert!(!fits(&send, "Hello", 100, None));
        assert!(!fits(&send, "Hello!", 100, Some("7")));
    }
}
