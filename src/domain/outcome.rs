//! What becomes of a command, as the helpdesk core hears it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::command::{Agent, Command, Failure, FailureCode};
use super::event::Conversation;
use super::ids::{CommandId, MessageNumber};
use super::message::MessageKind;
use super::money::Usd;

/// What events give back of the command that they are about.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandRef {
    pub id: CommandId,
    pub metadata: BTreeMap<String, String>,
    pub agent: Option<Agent>,
}

impl From<&Command> for CommandRef {
    fn from(command: &Command) -> Self {
        Self {
            id: command.id.clone(),
            metadata: command.metadata.clone(),
            agent: command.agent.clone(),
        }
    }
}

/// A message that a command made, deleted or hid.
#[derive(Clone, Debug, PartialEq)]
pub struct OutcomeMessage {
    pub id: MessageNumber,
    pub kind: MessageKind,
    /// When X answered, which is not told again by X.
    pub at: Timestamp,
    /// From 1.
    pub part: u32,
    pub parts: u32,
}

/// What success and failure have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub command: CommandRef,
    /// `send_post`, ...; empty where it named none or several.
    pub name: String,
    pub conversation: Option<Conversation>,
    /// What is at X, also of a command that failed half-way.
    pub messages: Vec<OutcomeMessage>,
    /// What X charged.
    pub cost: Usd,
    pub retry_of: Option<CommandId>,
    /// When it ended.
    pub at: Timestamp,
}

/// `command.succeeded`.
#[derive(Clone, Debug, PartialEq)]
pub struct Succeeded {
    pub outcome: Outcome,
    /// What else is to be known, in words; may be empty.
    pub detail: String,
}

/// `command.failed`.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    pub outcome: Outcome,
    pub failure: Failure,
    /// X's answer, where it gave one.
    pub upstream: Option<Upstream>,
}

/// How X refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upstream {
    /// HTTP status.
    pub status: u16,
    /// `type` of the problem body; empty where it had none.
    pub problem: String,
    /// `title` of the problem body; empty where it had none.
    pub title: String,
}

/// `command.deferred`.
#[derive(Clone, Debug, PartialEq)]
pub struct Deferred {
    pub command: CommandRef,
    pub name: String,
    pub code: FailureCode,
    pub detail: String,
    /// `None`: a person is needed.
    pub next_attempt_at: Option<Timestamp>,
    /// Attempts so far.
    pub attempt: u32,
    /// How many of these the command had before.
    pub told: u32,
    pub at: Timestamp,
}

impl FailureCode {
    /// Whether the same command may go through later.
    pub fn is_retryable(self) -> bool {
        match self {
            Self::MediaUnreachable
            | Self::DmNotPermitted
            | Self::Blocked
            | Self::Unauthorized
            | Self::Suspended
            | Self::RateLimited
            | Self::CreditsDepleted
            | Self::SendingStopped
            | Self::Expired
            | Self::Cancelled
            | Self::Uncertain
            | Self::XUnavailable
            | Self::UnknownAccount
            | Self::AttachmentHostNotAllowed => true,
            Self::Invalid
            | Self::TextTooLong
            | Self::TextEmpty
            | Self::MediaTooLarge
            | Self::MediaUnsupported
            | Self::ReplyNotPermitted
            | Self::NotSummoned
            | Self::Deleted
            | Self::Protected
            | Self::Duplicate
            | Self::LooksAutomated
            | Self::TooExpensive
            | Self::NotOffered
            | Self::Refused => false,
        }
    }

    /// What an agent can do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Invalid => {
                "Tell the people who run the helpdesk: it sent a command that is not right."
            }
            Self::TextTooLong => "Shorten the text, or let it be split.",
            Self::TextEmpty => "Write a text or attach a file.",
            Self::MediaUnreachable => "Check that the attachment still exists, then send again.",
            Self::MediaTooLarge => "Attach a smaller file.",
            Self::MediaUnsupported => {
                "Attach up to four photos, or one GIF, or one video of a kind X takes."
            }
            Self::AttachmentHostNotAllowed => {
                "Tell the people who run the channel: the attachment's host is not among attachment_sources."
            }
            Self::UnknownAccount => "Tell an administrator: this account is not linked.",
            Self::ReplyNotPermitted => {
                "The author lets only some people reply. Write a direct message instead."
            }
            Self::NotSummoned => {
                "X lets us answer only posts that name or quote the account. Ask the customer to mention it, or write a direct message."
            }
            Self::DmNotPermitted => {
                "This person takes no direct messages from the account. Reply in public, and ask them to write first."
            }
            Self::Deleted => "The message is gone; there is nothing left to answer.",
            Self::Protected => {
                "The author's posts are protected; the account has to follow them first."
            }
            Self::Blocked => "This person has blocked the account, or is blocked by it.",
            Self::Duplicate => "X takes no text twice in a row. Word it differently.",
            Self::Unauthorized => {
                "Tell an administrator: the account has to be linked again, with permission to write."
            }
            Self::Suspended => {
                "Tell an administrator: X has suspended or locked the account; log in at x.com."
            }
            Self::LooksAutomated => {
                "X takes this for spam. Do not send it again by machine; write it at x.com."
            }
            Self::RateLimited => "X's limit is used up. Send again later.",
            Self::CreditsDepleted => "Tell an administrator: the app's credits at X are used up.",
            Self::TooExpensive => "Take the link out of the text, or allow a higher price.",
            Self::NotOffered => "X does not offer this to the app's plan.",
            Self::SendingStopped => {
                "An operator has stopped sending. Send again once it is resumed."
            }
            Self::Expired => "It could not be sent in time. Send it again if it still matters.",
            Self::Cancelled => "It was taken back.",
            Self::Uncertain => "Look at x.com whether it is there before sending it again.",
            Self::XUnavailable => "X did not answer. Send again later.",
            Self::Refused => "See what X says, and change the message accordingly.",
        }
    }
}
