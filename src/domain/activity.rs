//! What X's deliveries say has happened, before it is known what our helpdesk wants of it.

use jiff::Timestamp;

use super::ids::{ConversationId, DirectMessageId, TweetId, UserId};
use super::message::{Message, Post};

/// What brought a delivery: a product of X, or a read of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// Account Activity, v1.1 premium or v2: the shapes are the same.
    AccountActivity,
    /// X Activity API.
    Activity,
    /// Filtered stream, by webhook or by connection.
    FilteredStream,
    /// We found it by recent search.
    Search,
    /// We read it from a timeline, a list of messages, or by its id.
    Lookup,
}

impl Via {
    /// Whether we asked for it: then the call is charged, not the delivery.
    pub fn is_read(self) -> bool {
        matches!(self, Self::Search | Self::Lookup)
    }

    /// As in metrics and quarantine: `account_activity`, `filtered_stream`, `search`, ...
    pub fn name(self) -> &'static str {
        match self {
            Self::AccountActivity => "account_activity",
            Self::Activity => "activity",
            Self::FilteredStream => "filtered_stream",
            Self::Search => "search",
            Self::Lookup => "lookup",
        }
    }
}

/// For which of our accounts X sent an activity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// The subscription of this user.
    User(UserId),
    /// The delivery names no subscription, but these people take part; those linked are meant.
    Participants(Vec<UserId>),
    /// A rule of the app matched, whoever it concerns: every account of the app looks at it.
    App,
}

/// One thing that happened at X.
#[derive(Clone, Debug, PartialEq)]
pub struct Activity {
    pub recipient: Recipient,
    pub event: ActivityEvent,
}

/// The kinds of thing that a helpdesk cares for. What it does not is counted, see [`Normalized`].
#[derive(Clone, Debug, PartialEq)]
pub enum ActivityEvent {
    Post(Box<Post>),
    PostDeleted {
        id: TweetId,
        author_id: UserId,
        at: Option<Timestamp>,
    },
    /// Legacy direct messages and encrypted ones.
    Direct(Box<DirectMessage>),
    Read {
        conversation: ConversationId,
        reader_id: UserId,
        last_read: DirectMessageId,
        at: Timestamp,
    },
    Typing {
        conversation: ConversationId,
        author_id: UserId,
        at: Timestamp,
    },
    /// The user removed the app: its subscription is gone and its token is dead.
    Revoked {
        user_id: UserId,
        at: Timestamp,
    },
    /// X's replay job has ended (`replay_job_status`).
    ReplayEnded {
        job_id: String,
        complete: bool,
        description: String,
    },
}

/// A direct or encrypted message with what only those have.
#[derive(Clone, Debug, PartialEq)]
pub struct DirectMessage {
    pub message: Message,
    pub conversation: ConversationId,
    /// `None` in groups and where an encrypted message does not tell.
    pub recipient_id: Option<UserId>,
    /// A message request (the sender is no contact); `None` where the form does not say.
    pub message_request: Option<bool>,
}

/// Why a part of a delivery was not understood; it goes to quarantine under this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RejectReason {
    /// No form that we know.
    UnknownShape,
    /// The form is known, the event in it is not readable.
    MalformedEvent,
}

impl RejectReason {
    /// As in metrics and quarantine.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownShape => "unknown_shape",
            Self::MalformedEvent => "malformed_event",
        }
    }
}

/// One part of a delivery that was not understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejected {
    pub reason: RejectReason,
    /// Where and why, e.g. `tweet_create_events[1].id_str: missing`; never a message's text.
    pub detail: String,
}

/// All that one delivery holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalized {
    /// `None` for a shape nobody knows.
    pub via: Option<Via>,
    pub activities: Vec<Activity>,
    pub rejected: Vec<Rejected>,
    /// X's names of events that are not for a helpdesk (likes, follows, ...), to be counted.
    pub ignored: Vec<String>,
}
