//! What the helpdesk core wants done, checked as far as the command alone tells.
//!
//! The serde form of these types is the ledger's own, not the contract's: one spelling for each
//! content, and what is empty is left out, so that a field added later changes no older command.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

use super::ids::{AccountId, CommandId, ConversationId, MessageNumber, TweetId, UserId};
use super::money::Usd;

/// One command of the core.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    pub id: CommandId,
    /// `None`: the account that `in_reply_to` or the conversation was published for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Not begun after it. `None`: `commands.expire_after` after its arrival.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "written")]
    pub expires_at: Option<Timestamp>,
    /// Refused where X would charge more.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "written")]
    pub max_cost: Option<Usd>,
    /// Refused unless what it replies to named or quoted the account.
    #[serde(default, skip_serializing_if = "is_default")]
    pub only_if_summoned: bool,
    /// The failed command that this one repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<CommandId>,
    /// Goes ahead even where it is uncertain whether the repeated one reached X.
    #[serde(default, skip_serializing_if = "is_default")]
    pub force: bool,
    /// The sender's own; given back on outcomes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub metadata: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Agent>,
    pub action: Action,
}

impl Command {
    /// SHA-256 of the content: equal for two commands that mean the same, however they were spelt.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        // Neither the hash nor a form whose keys are all strings can fail.
        let _ = serde_json::to_writer(&mut hash, self);
        hash.finalize().into()
    }
}

/// The person of the helpdesk who caused a command. X never sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Id in the helpdesk; may be empty.
    #[serde(default, skip_serializing_if = "is_default")]
    pub id: String,
    /// For people to read; may be empty.
    #[serde(default, skip_serializing_if = "is_default")]
    pub name: String,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Posts, replies or quotes.
    SendPost(SendPost),
    /// Writes to a person or into a conversation.
    SendDirectMessage(SendDirectMessage),
    /// Deletes a message of the account.
    DeleteMessage { message_id: MessageNumber },
    /// Hides a reply below the account's own post, or shows it again.
    HideReply { message_id: TweetId, hidden: bool },
    /// Takes back a command that has not begun.
    CancelCommand { target: CommandId },
    /// Publishes the events again from `from` on and before `to`, which is later.
    RepublishEvents {
        #[serde(with = "written::one")]
        from: Timestamp,
        #[serde(with = "written::one")]
        to: Timestamp,
    },
    /// Erases what is held of a person.
    ForgetPerson { person_id: UserId },
}

impl Action {
    /// Stands in routing keys for what has no action, or two.
    pub const NONE: &str = "command";

    /// The names of all actions.
    pub const NAMES: [&str; 7] = [
        "send_post",
        "send_direct_message",
        "delete_message",
        "hide_reply",
        "cancel_command",
        "republish_events",
        "forget_person",
    ];

    /// As in the contract and in routing keys: `send_post`, ...
    pub fn name(&self) -> &'static str {
        match self {
            Self::SendPost(_) => "send_post",
            Self::SendDirectMessage(_) => "send_direct_message",
            Self::DeleteMessage { .. } => "delete_message",
            Self::HideReply { .. } => "hide_reply",
            Self::CancelCommand { .. } => "cancel_command",
            Self::RepublishEvents { .. } => "republish_events",
            Self::ForgetPerson { .. } => "forget_person",
        }
    }
}

/// A public post. Has a text or an attachment; its length is not checked yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendPost {
    #[serde(default, skip_serializing_if = "is_default")]
    pub text: String,
    /// `None`: a post that replies to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<TweetId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<TweetId>,
    /// Whom the reply shall not mention.
    #[serde(default, skip_serializing_if = "is_default")]
    pub exclude_mentions: Vec<UserId>,
    /// Follows the text, or its last part, after a blank; counts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub suffix: String,
    /// Puts a button below that opens a direct message with the account.
    #[serde(default, skip_serializing_if = "is_default")]
    pub direct_message_link: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub when_too_long: WhenTooLong,
    /// At most [`SendPost::MOST_ATTACHMENTS`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub attachments: Vec<OutgoingAttachment>,
}

impl SendPost {
    /// Photos of one post; of GIFs and videos X takes one.
    pub const MOST_ATTACHMENTS: usize = 4;
}

/// A direct message. Has a text or an attachment; its length is not checked yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendDirectMessage {
    pub to: Recipient,
    #[serde(default, skip_serializing_if = "is_default")]
    pub text: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub when_too_long: WhenTooLong,
    /// At most [`SendDirectMessage::MOST_ATTACHMENTS`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub attachments: Vec<OutgoingAttachment>,
}

impl SendDirectMessage {
    /// Files of one direct message.
    pub const MOST_ATTACHMENTS: usize = 1;
}

/// Where a direct message goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    /// Opens the conversation if need be.
    Person(UserId),
    /// A conversation of direct messages, one-to-one or a group; never a thread or an encrypted one.
    Conversation(#[serde(with = "written::one")] ConversationId),
}

/// What to do with a text over the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WhenTooLong {
    /// Fail with TEXT_TOO_LONG.
    #[default]
    Reject,
    /// Send it in parts.
    Split,
}

/// A file to send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutgoingAttachment {
    pub source: AttachmentSource,
    /// MIME type as the core says; empty: told from the file.
    #[serde(default, skip_serializing_if = "is_default")]
    pub content_type: String,
    /// For messages to people; may be empty.
    #[serde(default, skip_serializing_if = "is_default")]
    pub filename: String,
    /// At most [`OutgoingAttachment::LONGEST_ALT_TEXT`]; may be empty.
    #[serde(default, skip_serializing_if = "is_default")]
    pub alt_text: String,
}

impl OutgoingAttachment {
    /// Longest description, characters. Source: `metadata.alt_text.text` of X's media API.
    pub const LONGEST_ALT_TEXT: usize = 1000;
}

/// Where a file comes from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttachmentSource {
    /// An `http` or `https` address; whether its host may be asked is not checked yet.
    Url(#[serde(with = "written::one")] Url),
    /// The file itself; not empty.
    Data(#[serde(with = "base64_text")] Bytes),
}

impl fmt::Debug for AttachmentSource {
    /// Without the data: it may be megabytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.debug_tuple("Url").field(&url.as_str()).finish(),
            Self::Data(data) => write!(f, "Data({} bytes)", data.len()),
        }
    }
}

/// A command that breaks a rule, with what could be read of it: it ends as `command.failed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidCommand {
    pub id: CommandId,
    /// SHA-256 of what came: of no valid command, and the same for the same bytes.
    pub fingerprint: [u8; 32],
    /// The action's name, or [`Action::NONE`] where there is none, or two.
    pub name: &'static str,
    pub account: Option<AccountId>,
    pub retry_of: Option<CommandId>,
    /// Empty where it was too large.
    pub metadata: BTreeMap<String, String>,
    pub agent: Option<Agent>,
    pub failure: Failure,
}

/// A rule that a command breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub code: FailureCode,
    /// Path of the field that is at fault, `send_post.attachments[0].url`; empty where it is none.
    pub field: String,
    /// For people: what was found and what was expected.
    pub detail: String,
}

/// Defines the codes, so that none can miss its name or the list.
macro_rules! failure_codes {
    ($($(#[$doc:meta])* $code:ident = $name:literal,)+) => {
        /// Why a command failed or waits: the contract's closed list.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum FailureCode {
            $($(#[$doc])* #[serde(rename = $name)] $code,)+
        }

        impl FailureCode {
            /// All codes, in the contract's order.
            pub const ALL: &[Self] = &[$(Self::$code,)+];

            /// As in `code` of `command.failed` and `command.deferred`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$code => $name,)+
                }
            }
        }
    };
}

failure_codes! {
    /// A field is missing, unknown, contradictory or of the wrong form.
    Invalid = "INVALID",
    /// The text exceeds the account's or the message's limit.
    TextTooLong = "TEXT_TOO_LONG",
    /// Neither a text nor an attachment.
    TextEmpty = "TEXT_EMPTY",
    /// An attachment could not be fetched.
    MediaUnreachable = "MEDIA_UNREACHABLE",
    /// An attachment is larger or longer than X takes.
    MediaTooLarge = "MEDIA_TOO_LARGE",
    /// X does not take this kind, combination or number of attachments.
    MediaUnsupported = "MEDIA_UNSUPPORTED",
    /// An attachment's address is private and not listed in `[[attachment_sources]]`.
    AttachmentHostNotAllowed = "ATTACHMENT_HOST_NOT_ALLOWED",
    /// The account is not linked, or cannot be told from the command.
    UnknownAccount = "UNKNOWN_ACCOUNT",
    /// X does not let the account reply to this post.
    ReplyNotPermitted = "REPLY_NOT_PERMITTED",
    /// The author neither mentioned nor quoted the account, as X's self-serve rule asks.
    NotSummoned = "NOT_SUMMONED",
    /// The person takes no direct messages from the account.
    DmNotPermitted = "DM_NOT_PERMITTED",
    /// What the command is about is gone.
    Deleted = "DELETED",
    /// What the command is about is visible to approved followers only.
    Protected = "PROTECTED",
    /// The person blocks the account.
    Blocked = "BLOCKED",
    /// X has the same text of this account already, and not from this command.
    Duplicate = "DUPLICATE",
    /// X does not take the account's credentials.
    Unauthorized = "UNAUTHORIZED",
    /// X has suspended or locked the account.
    Suspended = "SUSPENDED",
    /// X takes the request for spam.
    LooksAutomated = "LOOKS_AUTOMATED",
    /// A rate window of X is used up.
    RateLimited = "RATE_LIMITED",
    /// The app's credits at X are used up.
    CreditsDepleted = "CREDITS_DEPLETED",
    /// It would cost more than `max_cost_usd`.
    TooExpensive = "TOO_EXPENSIVE",
    /// X does not offer it to this app's tier.
    NotOffered = "NOT_OFFERED",
    /// The stop switch is on `refuse`.
    SendingStopped = "SENDING_STOPPED",
    /// Its time ran out before it could be begun.
    Expired = "EXPIRED",
    /// It was taken back.
    Cancelled = "CANCELLED",
    /// Whether it reached X cannot be found out.
    Uncertain = "UNCERTAIN",
    /// X does not answer, or with errors of its own.
    XUnavailable = "X_UNAVAILABLE",
    /// X refused for a reason without a code here; its words are in the detail.
    Refused = "REFUSED",
}

impl FailureCode {
    /// The code of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Values in the one way they are written.
mod written {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let raw = Option::<String>::deserialize(deserializer)?;
        raw.map(|raw| raw.parse().map_err(D::Error::custom))
            .transpose()
    }

    pub(super) mod one {
        use super::*;

        pub(in crate::domain::command) fn serialize<T: Display, S: Serializer>(
            value: &T,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            serializer.collect_str(value)
        }

        pub(in crate::domain::command) fn deserialize<'de, T, D>(
            deserializer: D,
        ) -> Result<T, D::Error>
        where
            T: FromStr<Err: Display>,
            D: Deserializer<'de>,
        {
            let raw = String::deserialize(deserializer)?;
            raw.parse().map_err(D::Error::custom)
        }
    }
}

/// Bytes as canonical base64.
mod base64_text {
    use base64::Engine;
    use base64::display::Base64Display;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(data: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(data, &STANDARD))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        let data = STANDARD.decode(text).map_err(D::Error::custom)?;
        Ok(data.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(action: Action) -> Command {
        Command {
            id: "b7c1".parse().unwrap(),
            account: None,
            expires_at: None,
            max_cost: None,
            only_if_summoned: false,
            retry_of: None,
            force: false,
            metadata: BTreeMap::new(),
            agent: None,
            action,
        }
    }

    fn attachment(source: AttachmentSource) -> OutgoingAttachment {
        OutgoingAttachment {
            source,
            content_type: "image/png".into(),
            filename: "a.png".into(),
            alt_text: "A cat".into(),
        }
    }

    fn post() -> SendPost {
        let url = "https://files.example/a.png".parse().unwrap();
        SendPost {
            text: "Hello".into(),
            in_reply_to: Some("1209097192914313216".parse().unwrap()),
            quote: Some("7".parse().unwrap()),
            exclude_mentions: vec!["8".parse().unwrap()],
            suffix: "^JB".into(),
            direct_message_link: true,
            when_too_long: WhenTooLong::Split,
            attachments: vec![
                attachment(AttachmentSource::Url(url)),
                attachment(AttachmentSource::Data(Bytes::from_static(b"\x89PNG"))),
            ],
        }
    }

    fn message(to: Recipient) -> SendDirectMessage {
        SendDirectMessage {
            to,
            text: "Hello".into(),
            when_too_long: WhenTooLong::Split,
            attachments: vec![],
        }
    }

    fn every_action() -> Vec<Action> {
        let group = "dm:77".parse().unwrap();
        vec![
            Action::SendPost(post()),
            Action::SendDirectMessage(message(Recipient::Person("9".parse().unwrap()))),
            Action::SendDirectMessage(message(Recipient::Conversation(group))),
            Action::DeleteMessage {
                message_id: "5".parse().unwrap(),
            },
            Action::HideReply {
                message_id: "5".parse().unwrap(),
                hidden: true,
            },
            Action::CancelCommand {
                target: "a".parse().unwrap(),
            },
            Action::RepublishEvents {
                from: "2019-12-23T13:03:29.000000001Z".parse().unwrap(),
                to: "2019-12-24T13:03:29Z".parse().unwrap(),
            },
            Action::ForgetPerson {
                person_id: "5".parse().unwrap(),
            },
        ]
    }

    #[test]
    fn every_command_reads_back_as_it_was_written() {
        for action in every_action() {
            let full = Command {
                account: Some(AccountId("2975699229".parse().unwrap())),
                expires_at: Some("2019-12-23T13:03:29.5Z".parse().unwrap()),
                max_cost: Some("0.005".parse().unwrap()),
                only_if_summoned: true,
                retry_of: Some("a".parse().unwrap()),
                force: true,
                metadata: BTreeMap::from([("ticket".into(), "4711".into())]),
                agent: Some(Agent {
                    id: "7".into(),
                    name: "Jo B.".into(),
                }),
                ..command(action.clone())
            };
            for command in [full, command(action.clone())] {
                let json = serde_json::to_string(&command).unwrap();
                let read: Command = serde_json::from_str(&json).unwrap();
                assert_eq!(read, command, "{json}");
                assert_eq!(read.fingerprint(), command.fingerprint());
            }
        }
    }

    #[test]
    fn what_is_empty_is_not_written() {
        let text = SendPost {
            text: "Hello".into(),
            ..SendPost::default()
        };
        let json = serde_json::to_string(&command(Action::SendPost(text))).unwrap();
        assert_eq!(
            json,
            r#"{"id":"b7c1","action":{"send_post":{"text":"Hello"}}}"#
        );
    }

    #[test]
    fn other_content_has_another_fingerprint() {
        let base = command(Action::SendPost(post()));
        let mut other = base.clone();
        other.metadata.insert("a".into(), String::new());
        assert_ne!(base.fingerprint(), other.fingerprint());
        let mut changed = post();
        changed.attachments.reverse();
        let other = command(Action::SendPost(changed));
        assert_ne!(base.fingerprint(), other.fingerprint());
    }

    #[test]
    fn the_ledger_names_actions_as_the_contract_does() {
        for action in every_action() {
            let json = serde_json::to_value(&action).unwrap();
            assert!(json.get(action.name()).is_some(), "{json}");
            assert!(Action::NAMES.contains(&action.name()));
        }
    }

    #[test]
    fn codes_are_known_by_their_names() {
        for code in FailureCode::ALL {
            assert_eq!(FailureCode::from_name(code.name()), Some(*code));
            let json = serde_json::to_value(code).unwrap();
            assert_eq!(json, code.name());
        }
        assert_eq!(FailureCode::from_name("invalid"), None);
    }

    #[test]
    fn debug_output_holds_no_file() {
        let shown = format!("{:?}", post());
        assert!(shown.contains("Data(4 bytes)"), "{shown}");
    }
}
