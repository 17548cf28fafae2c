//! What the helpdesk core hears: one event for each account and thing that happened.

use jiff::Timestamp;

use super::activity::Via;
use super::command::Action;
use super::filter::{Relation, Route};
use super::ids::{
    AccountId, CommandId, ConversationId, DirectMessageId, EventId, MessageId, TweetId, UserId,
};
use super::message::{Message, MessageKind, Quoted};
use super::money::Usd;
use super::outcome::{CommandRef, Deferred, Failed, Outcome, Succeeded};
use super::storm::Drawn;
use super::text::written;

/// An account as events name it.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountRef {
    /// `None`: a command named none that can be told.
    pub id: Option<AccountId>,
    /// Empty where it is not linked.
    pub username: String,
}

impl AccountRef {
    /// As in routing keys and event ids: the digits, or `unknown`.
    pub fn key(&self) -> String {
        self.id
            .map_or_else(|| "unknown".to_owned(), |id| id.to_string())
    }
}

/// One event, before it has its place in the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub account: AccountRef,
    /// When it happened at X, as far as X says.
    pub time: Timestamp,
    /// Came by replay, search or look-up, or is over an hour old: no automatic answers to it.
    pub backfilled: bool,
    pub payload: Payload,
}

/// The event types of this service, with what each carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    MessageReceived(Box<Incoming>),
    /// A `message.received` that nobody wrote, marked as such: a try of the way to the core.
    TestMessage(Box<Incoming>),
    MessageSent(Box<Outgoing>),
    MessageEdited(Box<Edited>),
    MessageDeleted(Deleted),
    ConversationRead {
        conversation: Conversation,
        reader_id: UserId,
        last_read: DirectMessageId,
        at: Timestamp,
    },
    ConversationTyping {
        conversation: Conversation,
        author_id: UserId,
        at: Timestamp,
    },
    ConversationMerged {
        survivor: Conversation,
        merged: ConversationId,
    },
    /// An account can be used, for the first time or again.
    AccountLinked {
        app: String,
        /// Of OAuth 2.0, as X granted them; empty with OAuth 1.0a.
        scopes: Vec<String>,
        reason: String,
        at: Timestamp,
        /// Commands that waited for it.
        held_commands: u64,
    },
    ConversationStorm(Storm),
    AccountRevoked {
        app: String,
        reason: String,
        at: Timestamp,
        /// Commands that wait until it is linked again.
        held_commands: u64,
    },
    AccountHealth(Health),
    CommandSucceeded(Box<Succeeded>),
    CommandFailed(Box<Failed>),
    CommandDeferred(Box<Deferred>),
}

/// Somebody wrote to, about or below the account.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming {
    pub route: Route,
    pub conversation: Conversation,
    pub message: Described,
    /// What stands above it, oldest first, where X was asked.
    pub context: Vec<Described>,
    pub reply: ReplyAdvice,
    pub delivery: Delivery,
}

/// The account wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    pub conversation: Conversation,
    pub message: Described,
    pub delivery: Delivery,
    /// `None`: the account posted elsewhere.
    pub command: Option<CommandRef>,
}

/// A published message has a new version; route and reply where it is not the account's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Edited {
    pub incoming: Option<(Route, ReplyAdvice)>,
    pub conversation: Conversation,
    pub message: Described,
    pub delivery: Delivery,
    pub previous_id: TweetId,
    /// Empty when its body is no longer kept.
    pub previous_text: String,
}

/// A message is gone.
#[derive(Clone, Debug, PartialEq)]
pub struct Deleted {
    pub conversation: Conversation,
    /// The version that is known to be gone; with it all are.
    pub id: MessageId,
    pub original_id: MessageId,
    pub author_id: Option<UserId>,
    pub reason: GoneBecause,
    pub detected_by: DetectedBy,
    /// By when its content has to be out of the helpdesk.
    pub redact_by: Timestamp,
}

/// Why a message may no longer be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GoneBecause {
    /// Its author deleted it, or X did.
    Deleted,
    /// Its author's posts are protected now.
    Protected,
    /// Its author is suspended.
    Suspended,
    /// The person asked to be forgotten.
    Erased,
}

/// What told that a message is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DetectedBy {
    /// A delivery of X.
    Webhook,
    /// A compliance job at X.
    Compliance,
    /// Reading the message again.
    Lookup,
    /// X's answer to a reply.
    Send,
    /// A command or an operator.
    Request,
}

/// A conversation draws so many messages that they are held back.
#[derive(Clone, Debug, PartialEq)]
pub struct Storm {
    pub conversation: Conversation,
    /// What came in it since the storm began.
    pub drawn: Drawn,
    /// How many of it are held back.
    pub held: u64,
    pub at: Timestamp,
}

/// The exchange that an event belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    pub id: ConversationId,
    /// Whose exchange in it; `None` for our own post that answers nobody.
    pub customer: Option<Customer>,
    /// Other conversations of the same customer and account in the last 30 days.
    pub related: Vec<ConversationId>,
}

/// The person on the other side.
#[derive(Clone, Debug, PartialEq)]
pub struct Customer {
    pub id: UserId,
    /// Empty where the delivery does not show it.
    pub username: String,
}

impl Conversation {
    /// One customer's exchange in a thread; for messages, and where there is no customer, the
    /// conversation itself.
    pub fn case_id(&self) -> String {
        match (&self.id, &self.customer) {
            (ConversationId::Thread(_), Some(customer)) => {
                written(64, format_args!("{}:{}", self.id, customer.id))
            }
            _ => self.id.name(),
        }
    }

    fn kind(&self) -> MessageKind {
        match self.id {
            ConversationId::Thread(_) => MessageKind::Post,
            ConversationId::DirectMessage(_) | ConversationId::DirectMessageGroup(_) => {
                MessageKind::DirectMessage
            }
            ConversationId::Encrypted(_) | ConversationId::EncryptedGroup(_) => {
                MessageKind::EncryptedMessage
            }
        }
    }
}

/// A message with what only its place among our accounts and versions tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    pub message: Message,
    pub original_id: MessageId,
    /// In the contract's order; the first one is *the* relation.
    pub relations: Vec<Relation>,
    /// By one of our linked accounts.
    pub own: bool,
    pub in_reply_to: Option<InReplyTo>,
    pub quoted: Option<Quoted>,
    /// What it quotes is by one of our linked accounts.
    pub quoted_own: bool,
    /// Versions, oldest first; empty for messages that cannot be edited.
    pub edit_history: Vec<TweetId>,
}

/// The post that a post answers.
#[derive(Clone, Debug, PartialEq)]
pub struct InReplyTo {
    pub id: TweetId,
    pub author_id: Option<UserId>,
}

/// How a message came here.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub via: Via,
    pub received_at: Timestamp,
    pub cost: Usd,
}

/// Whether X lets the account answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    Allowed,
    Refused(RefusedBecause),
    /// X's rule cannot be decided from what we hold.
    Unknown(Option<RefusedBecause>),
}

/// Why X would refuse an answer; the names are the contract's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedBecause {
    NotSummoned,
    RepliesRestricted,
    Blocked,
    Encrypted,
    /// X does not accept the account's credential.
    AccountRevoked,
    /// The stop switch.
    SendingStopped,
}

impl RefusedBecause {
    /// As in `reply.reason`.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotSummoned => "NOT_SUMMONED",
            Self::RepliesRestricted => "REPLIES_RESTRICTED",
            Self::Blocked => "BLOCKED",
            Self::Encrypted => "ENCRYPTED",
            Self::AccountRevoked => "ACCOUNT_REVOKED",
            Self::SendingStopped => "SENDING_STOPPED",
        }
    }
}

/// Whether and how a message can be answered.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplyAdvice {
    pub permission: Permission,
    /// Weighted characters for posts, code points for direct messages; 0 where none can be sent.
    pub max_length: u32,
    pub estimated_cost: Usd,
    /// The same for an answer with a link.
    pub estimated_cost_with_link: Usd,
}

impl ReplyAdvice {
    /// The same while the account cannot send anything.
    #[must_use]
    pub fn unless(self, silenced: Option<RefusedBecause>) -> Self {
        match (silenced, self.permission) {
            // What X refuses for good is the better reason.
            (_, Permission::Refused(_)) | (None, _) => self,
            (Some(because), _) => Self {
                permission: Permission::Refused(because),
                ..self
            },
        }
    }
}

/// How an account fares.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    pub state: HealthState,
    pub can_receive: bool,
    pub can_send: bool,
    /// `None`: nothing is known to be complete.
    pub complete_until: Option<Timestamp>,
    /// The whole state was asked for or is due, nothing changed.
    pub snapshot: bool,
    pub at: Timestamp,
    pub faults: Vec<Fault>,
}

/// The worst of an account's faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthState {
    Ok,
    Degraded,
    /// Nothing comes in or nothing goes out, because of a fault.
    Down,
}

impl HealthState {
    /// By what the faults do.
    pub fn of(faults: &[Fault]) -> Self {
        match faults.iter().map(|fault| fault.effect).max() {
            None => Self::Ok,
            Some(Effect::Nothing) => Self::Degraded,
            Some(Effect::StopsReceiving | Effect::StopsSending | Effect::StopsBoth) => Self::Down,
        }
    }
}

/// What a fault does to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Something is late, missing or soon over.
    Nothing,
    StopsReceiving,
    StopsSending,
    StopsBoth,
}

impl Effect {
    /// Whether messages of X cannot come in.
    pub fn stops_receiving(self) -> bool {
        matches!(self, Self::StopsReceiving | Self::StopsBoth)
    }

    /// Whether nothing can be sent to X.
    pub fn stops_sending(self) -> bool {
        matches!(self, Self::StopsSending | Self::StopsBoth)
    }
}

/// One thing that is wrong, in a sentence, with what mends it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    pub code: &'static str,
    pub effect: Effect,
    pub since: Timestamp,
    pub sentence: String,
    pub fix: String,
    pub fix_url: String,
}

impl Payload {
    /// CloudEvents type; also the first two words of the routing key.
    pub fn event_type(&self) -> &'static str {
        match self {
            Self::MessageReceived(_) | Self::TestMessage(_) => "message.received",
            Self::MessageSent(_) => "message.sent",
            Self::MessageEdited(_) => "message.edited",
            Self::MessageDeleted(_) => "message.deleted",
            Self::ConversationRead { .. } => "conversation.read",
            Self::ConversationTyping { .. } => "conversation.typing",
            Self::ConversationMerged { .. } => "conversation.merged",
            Self::AccountLinked { .. } => "account.linked",
            Self::ConversationStorm(_) => "conversation.storm",
            Self::AccountRevoked { .. } => "account.revoked",
            Self::AccountHealth(_) => "account.health",
            Self::CommandSucceeded(_) => "command.succeeded",
            Self::CommandFailed(_) => "command.failed",
            Self::CommandDeferred(_) => "command.deferred",
        }
    }

    /// The conversation it belongs to, where it has one.
    pub fn conversation(&self) -> Option<&Conversation> {
        match self {
            Self::MessageReceived(incoming) | Self::TestMessage(incoming) => {
                Some(&incoming.conversation)
            }
            Self::MessageSent(outgoing) => Some(&outgoing.conversation),
            Self::MessageEdited(edited) => Some(&edited.conversation),
            Self::MessageDeleted(deleted) => Some(&deleted.conversation),
            Self::ConversationRead { conversation, .. }
            | Self::ConversationTyping { conversation, .. } => Some(conversation),
            Self::ConversationMerged { survivor, .. } => Some(survivor),
            Self::ConversationStorm(storm) => Some(&storm.conversation),
            Self::CommandSucceeded(it) => it.outcome.conversation.as_ref(),
            Self::CommandFailed(it) => it.outcome.conversation.as_ref(),
            Self::AccountLinked { .. }
            | Self::AccountRevoked { .. }
            | Self::AccountHealth(_)
            | Self::CommandDeferred(_) => None,
        }
    }

    /// Id and name of the command it is about; of command events only.
    fn command(&self) -> Option<(&CommandId, &str)> {
        match self {
            Self::CommandSucceeded(it) => Some((&it.outcome.command.id, &it.outcome.name)),
            Self::CommandFailed(it) => Some((&it.outcome.command.id, &it.outcome.name)),
            Self::CommandDeferred(it) => Some((&it.command.id, &it.name)),
            _ => None,
        }
    }

    /// Third word of the routing key.
    pub fn kind(&self) -> &'static str {
        if let Some((_, name)) = self.command() {
            return Action::NAMES
                .into_iter()
                .find(|known| *known == name)
                .unwrap_or("command");
        }
        self.conversation()
            .map_or("account", |conversation| conversation.kind().name())
    }

    /// False for what nobody has to have bound.
    pub fn mandatory(&self) -> bool {
        !matches!(
            self,
            Self::ConversationRead { .. } | Self::ConversationTyping { .. }
        )
    }

    /// What the event is about, apart from account and type, and its number for ordering.
    fn object(&self) -> (String, u64) {
        match self {
            Self::MessageReceived(incoming) | Self::TestMessage(incoming) => {
                message_object(&incoming.message.original_id)
            }
            Self::MessageSent(outgoing) => message_object(&outgoing.message.original_id),
            Self::MessageEdited(edited) => message_object(&edited.message.message.id),
            Self::MessageDeleted(deleted) => message_object(&deleted.original_id),
            Self::ConversationRead {
                conversation,
                reader_id,
                last_read,
                ..
            } => (
                format!("{}/{reader_id}/{last_read}", conversation.id),
                last_read.get(),
            ),
            Self::ConversationTyping {
                conversation,
                author_id,
                at,
            } => (format!("{}/{author_id}/{at}", conversation.id), order(*at)),
            Self::ConversationMerged { survivor, merged } => {
                (format!("{}/{merged}", survivor.id), 0)
            }
            Self::AccountLinked { app, at, .. } | Self::AccountRevoked { app, at, .. } => {
                (format!("{app}/{at}"), order(*at))
            }
            Self::ConversationStorm(storm) => (
                format!("{}/{}", storm.conversation.id, storm.at),
                order(storm.at),
            ),
            Self::AccountHealth(health) => (health.at.to_string(), order(health.at)),
            Self::CommandSucceeded(it) => (it.outcome.command.id.to_string(), number(&it.outcome)),
            Self::CommandFailed(it) => (it.outcome.command.id.to_string(), order(it.outcome.at)),
            Self::CommandDeferred(it) => (format!("{}/{}", it.command.id, it.told), order(it.at)),
        }
    }
}

fn message_object(id: &MessageId) -> (String, u64) {
    let number = match id {
        MessageId::Post(id) => id.get(),
        MessageId::DirectMessage(id) => id.get(),
        MessageId::Encrypted(_) => 0,
    };
    (id.to_string(), number)
}

fn order(at: Timestamp) -> u64 {
    at.as_millisecond().unsigned_abs()
}

/// That of the first message it is about: a store which has lost the outcome finds the message at X
/// again, but not the time.
fn number(success: &Outcome) -> u64 {
    let first = success.messages.first();
    first.map_or_else(|| order(success.at), |message| message.id.get())
}

/// The id that the message event of this object has, before there is such an event.
pub fn message_event_id(account: AccountId, event_type: &str, id: &MessageId) -> EventId {
    let (object, number) = message_object(id);
    EventId::new(&account.to_string(), event_type, &object, number)
}

impl Event {
    /// The same for every repeat of X.
    pub fn id(&self) -> EventId {
        let (object, number) = self.payload.object();
        let account = self.account.key();
        EventId::new(&account, self.payload.event_type(), &object, number)
    }

    /// `<event type>.<kind>.<account id>`.
    pub fn routing_key(&self) -> String {
        let (event_type, kind) = (self.payload.event_type(), self.payload.kind());
        let account = self.account.key();
        written(64, format_args!("{event_type}.{kind}.{account}"))
    }

    /// The command's id on `command.*`, else the conversation's, where there is one.
    pub fn correlation_id(&self) -> String {
        if let Some((id, _)) = self.payload.command() {
            return id.to_string();
        }
        self.payload
            .conversation()
            .map(|conversation| conversation.id.name())
            .unwrap_or_default()
    }

    /// CloudEvents subject: the object the event is about.
    pub fn subject(&self) -> String {
        self.payload.object().0
    }
}

#[cfg(test)]
mod tests {
    use super::super::outcome::OutcomeMessage;
    use super::*;

    fn success(at: i64, message: Option<&str>) -> Event {
        let at = Timestamp::from_second(at).unwrap();
        let message = message.map(|id| OutcomeMessage {
            id: id.parse().unwrap(),
            kind: MessageKind::Post,
            at,
            part: 1,
            parts: 1,
        });
        let outcome = Outcome {
            command: CommandRef {
                id: "c1".parse().unwrap(),
                metadata: std::collections::BTreeMap::new(),
                agent: None,
            },
            name: "send_post".to_owned(),
            conversation: None,
            messages: message.into_iter().collect(),
            cost: Usd::default(),
            retry_of: None,
            at,
        };
        let detail = String::new();
        Event {
            account: AccountRef {
                id: Some(AccountId("7".parse().unwrap())),
                username: String::new(),
            },
            time: at,
            backfilled: false,
            payload: Payload::CommandSucceeded(Box::new(Succeeded { outcome, detail })),
        }
    }

    #[test]
    fn a_success_has_the_same_id_whenever_its_message_is_found() {
        let told = success(1, Some("5")).id();
        assert_eq!(success(2, Some("5")).id(), told);
        assert_ne!(success(1, Some("6")).id(), told);
        assert_ne!(success(2, None).id(), success(1, None).id());
    }
}
