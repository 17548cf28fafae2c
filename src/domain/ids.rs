//! Ids of X's things and of ours. X's ids are decimal strings on every wire: a JSON number would
//! lose digits above 2^53.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::text::written;

/// A string that is no id of X: not 1 to 19 digits, or with a leading zero.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an id: expected a string of 1 to 19 digits without leading zeros")]
pub struct InvalidId(pub String);

fn parse_digits(raw: &str) -> Result<NonZeroU64, InvalidId> {
    // `parse` alone would take "+1" and "01".
    let canonical =
        raw.len() <= 19 && raw.bytes().all(|byte| byte.is_ascii_digit()) && !raw.starts_with('0');
    match raw.parse() {
        Ok(id) if canonical => Ok(id),
        _ => Err(InvalidId(raw.chars().take(64).collect())),
    }
}

/// Refuses a JSON or TOML number with the reason, instead of coercing it.
struct DigitsVisitor;

impl Visitor<'_> for DigitsVisitor {
    type Value = NonZeroU64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id as a string of 1 to 19 digits (a number would lose digits)")
    }

    fn visit_str<E: de::Error>(self, raw: &str) -> Result<NonZeroU64, E> {
        parse_digits(raw).map_err(E::custom)
    }
}

macro_rules! digits_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(NonZeroU64);

        impl $name {
            /// The number behind the digits, for ordering and storage; never for a wire.
            pub fn get(self) -> u64 {
                self.0.get()
            }

            /// The id with this number; `None` for 0 and for more than 19 digits.
            pub fn from_number(number: u64) -> Option<Self> {
                (number < 10_000_000_000_000_000_000)
                    .then(|| NonZeroU64::new(number).map(Self))
                    .flatten()
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(raw: &str) -> Result<Self, InvalidId> {
                parse_digits(raw).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                // `any`: a lenient format must not turn a number into a string behind our back.
                deserializer.deserialize_any(DigitsVisitor).map(Self)
            }
        }
    };
}

digits_id! {
    /// Id of one version of a post ("tweet" in X's APIs).
    TweetId
}
digits_id! {
    /// Id of a person or brand at X; handles change, this does not.
    UserId
}
digits_id! {
    /// Id of a legacy (unencrypted) direct message; the same in v1.1, v2 and webhooks.
    DirectMessageId
}
digits_id! {
    /// Id of a rule of the filtered stream.
    StreamRuleId
}
digits_id! {
    /// Id of a batch compliance job.
    ComplianceJobId
}
digits_id! {
    /// Id of a post or of a direct message, before it is known which of the two it names.
    MessageNumber
}

digits_id! {
    /// Id of a webhook that X has registered.
    WebhookId
}
digits_id! {
    /// Id of one subscription of the X Activity API.
    SubscriptionId
}

impl MessageNumber {
    /// The post of this number, if it is one.
    pub fn as_post(self) -> TweetId {
        TweetId(self.0)
    }

    /// The direct message of this number, if it is one.
    pub fn as_direct_message(self) -> DirectMessageId {
        DirectMessageId(self.0)
    }
}

impl From<TweetId> for MessageNumber {
    fn from(id: TweetId) -> Self {
        Self(id.0)
    }
}

impl From<DirectMessageId> for MessageNumber {
    fn from(id: DirectMessageId) -> Self {
        Self(id.0)
    }
}

/// The core's id of a command: 1 to 128 printable ASCII characters (a blank is one).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommandId(String);

impl CommandId {
    /// Longest id, characters.
    pub const LONGEST: usize = 128;

    /// Of a command that a person repeats; `random` is its own.
    pub fn of_retry(random: u128) -> Self {
        Self(format!("retry-{random:032x}"))
    }

    /// As the core wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A string that is no id of a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to 128 printable ASCII characters")]
pub struct InvalidCommandId;

impl FromStr for CommandId {
    type Err = InvalidCommandId;

    fn from_str(raw: &str) -> Result<Self, InvalidCommandId> {
        raw.to_owned().try_into()
    }
}

impl TryFrom<String> for CommandId {
    type Error = InvalidCommandId;

    fn try_from(raw: String) -> Result<Self, InvalidCommandId> {
        let printable = raw.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let fits = (1..=Self::LONGEST).contains(&raw.len());
        (printable && fits)
            .then_some(Self(raw))
            .ok_or(InvalidCommandId)
    }
}

impl From<CommandId> for String {
    fn from(id: CommandId) -> Self {
        id.0
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

digits_id! {
    /// Id of a file uploaded to X, to be used in a post or message within a day.
    MediaId
}

/// The user id of one of *our* linked accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountId(pub UserId);

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Id of a message of any kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MessageId {
    Post(TweetId),
    DirectMessage(DirectMessageId),
    /// X Chat names its events by UUID (`payload.id`); opaque to us.
    Encrypted(String),
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Post(id) => id.fmt(f),
            Self::DirectMessage(id) => id.fmt(f),
            Self::Encrypted(id) => f.write_str(id),
        }
    }
}

/// Two people, the smaller id first: how X names a one-to-one conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    low: UserId,
    high: UserId,
}

impl Pair {
    /// The pair of two people in either order.
    pub fn new(one: UserId, other: UserId) -> Self {
        Self {
            low: one.min(other),
            high: one.max(other),
        }
    }

    /// The one who is not `person`; `None` when `person` is not of the pair.
    pub fn other(self, person: UserId) -> Option<UserId> {
        match person {
            p if p == self.low => Some(self.high),
            p if p == self.high => Some(self.low),
            _ => None,
        }
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.low, self.high)
    }
}

/// What a conversation can be; written `post:1`, `dm:1-2`, `dm:7`, `chat:1-2`, `chat:g7`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ConversationId {
    /// A thread of posts, named by its root (or the highest ancestor known when first published).
    Thread(TweetId),
    DirectMessage(Pair),
    DirectMessageGroup(String),
    Encrypted(Pair),
    EncryptedGroup(String),
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Thread(root) => write!(f, "post:{root}"),
            Self::DirectMessage(pair) => write!(f, "dm:{pair}"),
            Self::DirectMessageGroup(id) => write!(f, "dm:{id}"),
            Self::Encrypted(pair) => write!(f, "chat:{pair}"),
            Self::EncryptedGroup(id) => write!(f, "chat:{id}"),
        }
    }
}

impl ConversationId {
    /// As displayed.
    pub fn name(&self) -> String {
        written(48, self)
    }
}

/// A string that names no conversation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a conversation id: expected post:<id>, dm:<low>-<high>, dm:<id> or chat:<...>"
)]
pub struct InvalidConversationId(pub String);

impl FromStr for ConversationId {
    type Err = InvalidConversationId;

    fn from_str(raw: &str) -> Result<Self, InvalidConversationId> {
        let invalid = || InvalidConversationId(raw.chars().take(64).collect());
        let (kind, name) = raw.split_once(':').ok_or_else(invalid)?;
        let pair = || {
            let (low, high) = name.split_once('-')?;
            let pair = Pair::new(low.parse().ok()?, high.parse().ok()?);
            (pair.to_string() == name).then_some(pair)
        };
        let group = || (!name.is_empty() && !name.contains('-')).then(|| name.to_owned());
        match kind {
            "post" => name.parse().ok().map(Self::Thread),
            "dm" => pair()
                .map(Self::DirectMessage)
                .or_else(|| group().map(Self::DirectMessageGroup)),
            "chat" => pair()
                .map(Self::Encrypted)
                .or_else(|| group().map(Self::EncryptedGroup)),
            _ => None,
        }
        .ok_or_else(invalid)
    }
}

/// Id of an event we publish: a function of account, event type and object, so any repeat of X
/// gives the same id. 128 bits, written as 32 hex digits; the first half is the object's own number
/// (a snowflake or milliseconds), so ids sort by time and the store's index grows at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub [u8; 16]);

impl EventId {
    /// `account` is the digits of the account, or `unknown`; `order` is the object's number.
    pub fn new(account: &str, event_type: &str, object: &str, order: u64) -> Self {
        let mut hash = Sha256::new();
        for part in [account, event_type, object] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let digest: [u8; 32] = hash.finalize().into();
        let mut id = [0; 16];
        for (to, from) in id
            .iter_mut()
            .zip(order.to_be_bytes().into_iter().chain(digest))
        {
            *to = from;
        }
        Self(id)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// A string that is no event id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an event id: expected 32 hex digits")]
pub struct InvalidEventId(pub String);

impl FromStr for EventId {
    type Err = InvalidEventId;

    fn from_str(raw: &str) -> Result<Self, InvalidEventId> {
        let valid = raw.len() == 32 && raw.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u128::from_str_radix(raw, 16) {
            Ok(number) if valid => Ok(Self(number.to_be_bytes())),
            _ => Err(InvalidEventId(raw.chars().take(64).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_signed_id_survives_a_round_trip() {
        let json = "\"9223372036854775807\"";
        let id: TweetId = serde_json::from_str(json).unwrap();
        assert_eq!(id.get(), i64::MAX as u64);
        assert_eq!(serde_json::to_string(&id).unwrap(), json);
    }

    #[test]
    fn what_is_not_digits_without_leading_zero_is_refused() {
        for raw in [
            "",
            "0",
            "01",
            "+1",
            "-1",
            "1.0",
            "18446744073709551616",
            "1e3",
            "٣",
        ] {
            assert!(raw.parse::<UserId>().is_err(), "{raw}");
        }
    }

    #[test]
    fn a_json_number_is_refused_with_the_reason() {
        let error = serde_json::from_str::<UserId>("12")
            .unwrap_err()
            .to_string();
        assert!(error.contains("string of 1 to 19 digits"), "{error}");
    }

    #[test]
    fn conversation_ids_read_back_as_written() {
        for raw in ["post:12", "dm:1-20", "dm:77", "chat:3-4", "chat:g55"] {
            assert_eq!(raw.parse::<ConversationId>().unwrap().to_string(), raw);
        }
        for raw in ["post:x", "dm:2-1", "dm:", "mail:1", "12"] {
            assert!(raw.parse::<ConversationId>().is_err(), "{raw}");
        }
    }

    #[test]
    fn pairs_are_ordered_as_numbers_not_as_text() {
        let pair = Pair::new("100".parse().unwrap(), "9".parse().unwrap());
        assert_eq!(pair.to_string(), "9-100");
        assert_eq!(pair.other("9".parse().unwrap()).map(UserId::get), Some(100));
    }

    #[test]
    fn command_ids_are_short_and_printable() {
        let longest = "x".repeat(128);
        for raw in ["1", "b7c1-Ab", "order 7/a~", &longest] {
            assert_eq!(raw.parse::<CommandId>().unwrap().as_str(), raw);
        }
        let longer = "x".repeat(129);
        for raw in ["", "a\n", "\u{7f}", "a\0", "é", &longer] {
            assert!(raw.parse::<CommandId>().is_err(), "{raw:?}");
        }
    }

    #[test]
    fn event_ids_differ_where_parts_shift_between_fields() {
        assert_ne!(
            EventId::new("1", "a", "b", 0),
            EventId::new("1", "ab", "", 0)
        );
        let id = EventId::new("1", "a", "b", 7);
        assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
    }
}
