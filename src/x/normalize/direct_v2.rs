//! Legacy direct messages of the v2 form, which lookups carry.

use super::fields::{Unreadable, object, required_id};
use super::inclusions::Inclusions;
use super::text::{TextLink, render};
use super::time;
use crate::domain::activity::DirectMessage;
use crate::domain::ids::{ConversationId, DirectMessageId, MessageId, Pair, UserId};
use crate::domain::message::{Attachment, Link, Mention, Message};
use crate::x::wire::Raw;
use crate::x::wire::answer::DirectMessageEvent;
use crate::x::wire::v2::{Entities, Url};

/// A message; `None` for an event of another kind. `asked_for` is the conversation that was read,
/// where the question tells it: X may leave it out of the answer.
pub(super) fn direct_message(
    raw: Raw<'_>,
    inclusions: &Inclusions<'_>,
    asked_for: Option<&ConversationId>,
) -> Result<Option<DirectMessage>, Unreadable> {
    let event: DirectMessageEvent<'_> = object(raw)?;
    if !matches!(&*event.event_type, "MessageCreate" | "") {
        return Ok(None);
    }
    let id = required_id("id", event.id)?;
    let sender = required_id("sender_id", event.sender_id)?;
    let conversation = conversation(&event.dm_conversation_id, asked_for)?;
    let recipient_id = match &conversation {
        ConversationId::DirectMessage(pair) => pair.other(sender),
        _ => None,
    };
    Ok(Some(DirectMessage {
        message: message(&event, id, sender, inclusions),
        conversation,
        recipient_id,
        message_request: None,
    }))
}

fn conversation(
    named: &str,
    asked_for: Option<&ConversationId>,
) -> Result<ConversationId, Unreadable> {
    let found = match named {
        "" => asked_for.cloned(),
        named => conversation_id(named),
    };
    found.ok_or_else(|| {
        let expected = "expected <id>-<id> or <group id>";
        Unreadable::malformed("dm_conversation_id", expected)
    })
}

/// X's id of a conversation: two people in whatever order, or a group's number.
pub(super) fn conversation_id(named: &str) -> Option<ConversationId> {
    match named.split_once('-') {
        Some((one, other)) => Some(ConversationId::DirectMessage(Pair::new(
            one.parse().ok()?,
            other.parse().ok()?,
        ))),
        None => format!("dm:{named}").parse().ok(),
    }
}

fn message(
    event: &DirectMessageEvent<'_>,
    id: DirectMessageId,
    sender: UserId,
    inclusions: &Inclusions<'_>,
) -> Message {
    let entities = event.entities.as_ref();
    let attachments = attachments(event, inclusions);
    Message {
        id: MessageId::DirectMessage(id),
        created_at: time::parse(&event.created_at)
            .unwrap_or_else(|| time::of_direct_message(None, id)),
        author: inclusions.person(sender),
        text: text(event, !attachments.is_empty()),
        lang: String::new(),
        mentions: entities.map_or_else(Vec::new, mentions),
        hashtags: entities.map_or_else(Vec::new, hashtags),
        links: links(event, !attachments.is_empty()),
        attachments,
        possibly_sensitive: false,
        source_app: String::new(),
    }
}

/// X serves the files of direct messages to participants only.
fn attachments(event: &DirectMessageEvent<'_>, inclusions: &Inclusions<'_>) -> Vec<Attachment> {
    let attached = event.attachments.as_ref();
    let keys = attached.map_or(&[][..], |found| &found.media_keys);
    let found = inclusions.attachments(keys).into_iter();
    found
        .map(|attachment| Attachment {
            requires_auth: true,
            ..attachment
        })
        .collect()
}

fn text(event: &DirectMessageEvent<'_>, has_media: bool) -> String {
    let links = urls(event).iter().map(|url| TextLink {
        span: url.start.zip(*url.end),
        url: &url.url,
        expanded: &url.expanded_url,
        own: has_media && leads_to_media(url),
    });
    render(&event.text, &links.collect::<Vec<_>>())
}

fn links(event: &DirectMessageEvent<'_>, has_media: bool) -> Vec<Link> {
    let shown = urls(event)
        .iter()
        .filter(|url| !(has_media && leads_to_media(url)));
    shown
        .map(|url| Link {
            url: url.url.to_string(),
            expanded_url: url.expanded_url.to_string(),
            display_url: url.display_url.to_string(),
        })
        .collect()
}

fn urls<'w, 'a>(event: &'w DirectMessageEvent<'a>) -> &'w [Url<'a>] {
    event
        .entities
        .as_ref()
        .map_or(&[][..], |entities| &entities.urls)
}

/// The link that X puts at the end of a message with a file.
fn leads_to_media(url: &Url<'_>) -> bool {
    !url.media_key.is_empty() || url.expanded_url.contains("/messages/media/")
}

fn mentions(entities: &Entities<'_>) -> Vec<Mention> {
    let mentions = entities.mentions.iter();
    mentions
        .map(|mention| Mention {
            id: *mention.id,
            username: mention.username.to_string(),
            name: String::new(),
            explicit: true,
        })
        .collect()
}

fn hashtags(entities: &Entities<'_>) -> Vec<String> {
    let hashtags = entities.hashtags.iter();
    hashtags.map(|hashtag| hashtag.tag.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::activity::Rejected;

    fn try_read(
        changes: Value,
        asked_for: Option<&str>,
    ) -> Result<Option<DirectMessage>, Unreadable> {
        let mut event = json!({"id": "954491830116155396", "event_type": "MessageCreate", "text": "hi", "sender_id": "9",
            "created_at": "2024-01-15T10:30:00.123Z", "dm_conversation_id": "100-9"});
        for (name, value) in changes.as_object().unwrap() {
            event[name] = value.clone();
        }
        let includes = to_raw_value(&json!({"users": [{"id": "9", "username": "ann"}],
            "media": [{"media_key": "3_1", "type": "photo", "url": "https://p.example/a.jpg"}]}))
        .unwrap();
        let inclusions = Inclusions::new(object(&includes).unwrap());
        let asked_for = asked_for.map(|id| id.parse().unwrap());
        direct_message(
            &to_raw_value(&event).unwrap(),
            &inclusions,
            asked_for.as_ref(),
        )
    }

    fn read(changes: Value) -> DirectMessage {
        try_read(changes, None).unwrap().unwrap()
    }

    #[test]
    fn a_message_knows_who_wrote_to_whom() {
        let direct = read(json!({}));
        assert_eq!(direct.conversation.to_string(), "dm:9-100");
        assert_eq!(direct.recipient_id.unwrap().get(), 100);
        assert_eq!(direct.message.author.username, "ann");
        assert_eq!(
            direct.message.created_at.to_string(),
            "2024-01-15T10:30:00.123Z"
        );
    }

    #[test]
    fn a_group_has_no_recipient() {
        let direct = read(json!({"dm_conversation_id": "1582103724607971328"}));
        assert_eq!(direct.conversation.to_string(), "dm:1582103724607971328");
        assert_eq!(direct.recipient_id, None);
    }

    #[test]
    fn a_conversation_that_the_answer_leaves_out_is_the_one_asked_for() {
        let without = json!({"dm_conversation_id": null});
        let direct = try_read(without.clone(), Some("dm:7-9")).unwrap().unwrap();
        assert_eq!(direct.recipient_id.unwrap().get(), 7);
        let error = Rejected::from(try_read(without, None).unwrap_err());
        assert!(error.detail.starts_with("dm_conversation_id: expected"));
    }

    #[test]
    fn links_are_expanded_and_the_link_to_the_file_goes() {
        let url = |short: &str, long: &str, start: usize| json!({"url": short, "expanded_url": long, "display_url": "d", "start": start, "end": start + short.len()});
        let direct = read(
            json!({"text": "a &amp; https://t.co/y https://t.co/m", "attachments": {"media_keys": ["3_1"]},
            "entities": {"urls": [url("https://t.co/y", "https://y.example", 8), url("https://t.co/m", "https://x.com/messages/media/954491830116155396", 23)]}}),
        );
        assert_eq!(direct.message.text, "a & https://y.example");
        assert_eq!(direct.message.links.len(), 1);
        assert!(direct.message.attachments[0].requires_auth);
    }

    #[test]
    fn joining_and_leaving_are_no_messages() {
        assert_eq!(
            try_read(json!({"event_type": "ParticipantsJoin"}), None),
            Ok(None)
        );
    }
}
