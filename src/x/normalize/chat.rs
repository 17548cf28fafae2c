//! X Chat: encrypted messages. Who wrote, when and in which conversation can be read, no more.

use super::fields::{Unreadable, object, required_id};
use super::time;
use crate::domain::activity::DirectMessage;
use crate::domain::ids::{ConversationId, MessageId, Pair, UserId};
use crate::domain::message::{Message, Person};
use crate::x::wire::Raw;
use crate::x::wire::v2::ChatMessage;

/// The payload of `chat.received` and `chat.sent`.
pub(super) fn message(raw: Raw<'_>) -> Result<DirectMessage, Unreadable> {
    let chat: ChatMessage<'_> = object(raw)?;
    if chat.id.is_empty() {
        return Err(Unreadable::malformed("id", "expected a string"));
    }
    let sender = required_id("sender_id", chat.sender_id)?;
    let conversation = conversation(&chat.conversation_id)?;
    Ok(DirectMessage {
        message: Message {
            id: MessageId::Encrypted(chat.id.to_string()),
            created_at: time::required_milliseconds("created_at_msec", chat.created_at_msec)?,
            author: Person::unknown(sender),
            text: String::new(),
            lang: String::new(),
            mentions: Vec::new(),
            hashtags: Vec::new(),
            links: Vec::new(),
            attachments: Vec::new(),
            possibly_sensitive: false,
            source_app: String::new(),
        },
        recipient_id: other(&conversation, sender),
        conversation,
        message_request: None,
    })
}

fn other(conversation: &ConversationId, sender: UserId) -> Option<UserId> {
    match conversation {
        ConversationId::Encrypted(pair) => pair.other(sender),
        _ => None,
    }
}

/// `A:B` in events and `A-B` in paths, in no fixed order; `g...` for groups.
fn conversation(named: &str) -> Result<ConversationId, Unreadable> {
    if let Some((one, other)) = named.split_once([':', '-']) {
        let id = |digits: &str| digits.parse::<UserId>().ok();
        let pair = id(one).zip(id(other));
        return pair
            .map(|(one, other)| ConversationId::Encrypted(Pair::new(one, other)))
            .ok_or_else(malformed);
    }
    let is_group = named.starts_with('g') && named.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let group = is_group.then(|| ConversationId::EncryptedGroup(named.to_owned()));
    group.ok_or_else(malformed)
}

fn malformed() -> Unreadable {
    Unreadable::malformed("conversation_id", "expected <id>:<id> or g<...>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_one_conversation_however_written() {
        for named in ["20:3", "3:20", "20-3"] {
            assert_eq!(
                conversation(named).unwrap().to_string(),
                "chat:3-20",
                "{named}"
            );
        }
        assert_eq!(conversation("g17").unwrap().to_string(), "chat:g17");
        for named in ["", "7", "1:", "1:2:3", "a:b", "g1 2", "x1"] {
            assert!(conversation(named).is_err(), "{named}");
        }
    }

    #[test]
    fn the_credential_in_a_chat_event_goes_nowhere() {
        let raw: Box<serde_json::value::RawValue> = serde_json::from_str(
            r#"{"id":"e4f4","conversation_token":"eyJhbGci","conversation_id":"2:1","sender_id":"2",
                "created_at_msec":"1784841183370","encoded_event":"CwAB"}"#,
        )
        .unwrap();
        let message = message(&raw).unwrap();
        assert_eq!(message.recipient_id.map(UserId::get), Some(1));
        assert_eq!(
            message.message.created_at.to_string(),
            "2026-07-23T21:13:03.37Z"
        );
        let all = format!("{message:?}");
        assert!(!all.contains("eyJhbGci") && !all.contains("CwAB"), "{all}");
    }
}
