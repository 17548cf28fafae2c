//! Direct messages: v1.1 shapes, which X Activity has kept.

use serde_json::{Value, json};

use super::json::with;
use super::post_v1::{rounded, sizes, text_entities, video_info};
use crate::model::{DirectMessage, Media, MessageId, UserId, World};
use crate::text::{Composed, Entity, EntityKind, Link, compose_message};

/// One element of `direct_message_events`.
pub(super) fn event(world: &World, message: &DirectMessage) -> Value {
    let value = json!({
        "type": "message_create",
        "id": message.id,
        "created_timestamp": message.created_at_ms.to_string(),
        "message_create": {
            "target": { "recipient_id": message.recipient },
            "sender_id": message.sender,
            "message_data": message_data(world, message),
        },
    });
    let initiated = message
        .initiated_via
        .map(|post| json!({ "tweet_id": post }));
    with(value, "initiated_via", initiated)
}

/// One element of `direct_message_indicate_typing_events`.
pub(super) fn typing(sender: UserId, recipient: UserId, at_ms: i64) -> Value {
    json!({
        "created_timestamp": at_ms.to_string(),
        "sender_id": sender,
        "target": { "recipient_id": recipient },
    })
}

/// One element of `direct_message_mark_read_events`.
pub(super) fn read(reader: UserId, writer: UserId, last: MessageId, at_ms: i64) -> Value {
    let last = Some(json!(last));
    with(typing(reader, writer, at_ms), "last_read_event_id", last)
}

fn message_data(world: &World, message: &DirectMessage) -> Value {
    let link = message.media.as_ref().map(|_| media_link(world, message));
    let text = compose_message(
        world,
        &message.text,
        &format!("message/{}", message.id),
        link,
    );
    let value = json!({ "text": text.text, "entities": text_entities(world, &text) });
    let media = message.media.as_ref().zip(last_link(&text));
    let attachment = media.map(|(medium, (found, link))| {
        json!({ "type": "media", "media": media_object(world, message, medium, found, link) })
    });
    let value = with(value, "attachment", attachment);
    let answer = message.quick_reply.as_ref();
    with(
        value,
        "quick_reply_response",
        answer.map(|metadata| json!({ "type": "options", "metadata": metadata })),
    )
}

fn media_link(world: &World, message: &DirectMessage) -> Link {
    let short = world.short_link(&format!("message/{}/media", message.id));
    Link {
        display: short.replace("https://t.co/", "pic.x.com/"),
        expanded: format!("https://x.com/messages/media/{}", message.id),
        short,
    }
}

fn last_link(text: &Composed) -> Option<(&Entity, &Link)> {
    text.entities
        .iter()
        .rev()
        .find_map(|found| match &found.kind {
            EntityKind::Link(link) => Some((found, link)),
            _ => None,
        })
}

fn media_object(
    world: &World,
    message: &DirectMessage,
    medium: &Media,
    found: &Entity,
    link: &Link,
) -> Value {
    let address = world.hosts.message_still(message.id, medium);
    let value = json!({
        "id": rounded(medium.id.0),
        "id_str": medium.id,
        "indices": [found.start, found.end],
        "media_url": address,
        "media_url_https": address,
        "url": link.short,
        "display_url": link.display,
        "expanded_url": link.expanded,
        "type": medium.kind.name(),
        "sizes": sizes(medium),
    });
    with(value, "video_info", video_info(&world.hosts, medium))
}
