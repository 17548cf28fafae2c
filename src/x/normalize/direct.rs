//! Legacy direct messages, with reading and typing. Account Activity and X Activity bring them in
//! the same shapes, with the people beside them.

use std::slice;

use jiff::Timestamp;

use super::content_v1::Content;
use super::fields::{Unreadable, object, optional_id, required_id, required_object};
use super::person;
use super::text::unescape;
use super::time;
use crate::domain::activity::{ActivityEvent, DirectMessage};
use crate::domain::ids::{ConversationId, MessageId, Pair, UserId};
use crate::domain::message::Message;
use crate::x::wire::{
    App, DirectMessageEvent, Indication, Members, MessageCreate, MessageData, Raw, Target,
};

/// What stands beside events: people and apps by id.
pub(super) struct Surroundings<'a> {
    users: Members<'a>,
    apps: Members<'a>,
}

impl<'a> Surroundings<'a> {
    /// Of the object that holds the events; what cannot be read is not known.
    pub(super) fn of(holder: &Members<'a>) -> Self {
        let map = |name| holder.get(name).and_then(|map| object(map).ok());
        Self {
            users: map("users").unwrap_or_default(),
            apps: map("apps").unwrap_or_default(),
        }
    }

    fn app_name(&self, id: &str) -> String {
        let app: Option<App<'_>> = self.apps.get(id).and_then(|app| object(app).ok());
        app.map_or_else(String::new, |app| unescape(&app.name))
    }
}

/// Reads one event of a list.
pub(super) type Reader = fn(Raw<'_>, &Surroundings<'_>) -> Result<ActivityEvent, Unreadable>;

/// How to read the events of a list with this name; `None` if it is not about direct messages.
pub(super) fn reader(list: &str) -> Option<Reader> {
    match list {
        "direct_message_events" => Some(message),
        "direct_message_mark_read_events" => Some(read),
        "direct_message_indicate_typing_events" => Some(typing),
        _ => None,
    }
}

/// A message, in either direction.
fn message(raw: Raw<'_>, around: &Surroundings<'_>) -> Result<ActivityEvent, Unreadable> {
    let event: DirectMessageEvent<'_> = object(raw)?;
    if !matches!(&*event.kind, "message_create" | "") {
        return Err(Unreadable::unknown("type", "expected message_create"));
    }
    let name = "message_create";
    let create: MessageCreate<'_> = required_object(name, event.message_create)?;
    let people = people(create.sender_id, &create.target).map_err(|error| error.inside(name))?;
    let conversation =
        conversation(&event.conversation_id, &people).map_err(|error| error.inside(name))?;
    let is_pair = matches!(conversation, ConversationId::DirectMessage(_));
    Ok(ActivityEvent::Direct(Box::new(DirectMessage {
        message: words(&event, &create, people.sender, around)?,
        recipient_id: people.recipient.filter(|_| is_pair),
        conversation,
        message_request: None,
    })))
}

fn words(
    event: &DirectMessageEvent<'_>,
    create: &MessageCreate<'_>,
    sender: UserId,
    around: &Surroundings<'_>,
) -> Result<Message, Unreadable> {
    let id = required_id("id", event.id)?;
    let data: MessageData<'_> = required_object("message_data", create.message_data)
        .map_err(|error| error.inside("message_create"))?;
    let content = content(&data);
    Ok(Message {
        id: MessageId::DirectMessage(id),
        created_at: time::of_direct_message(event.created_timestamp, id),
        author: person::in_map(&around.users, sender),
        text: content.text(),
        lang: String::new(),
        mentions: content.mentions(),
        hashtags: content.hashtags(),
        links: content.links(),
        attachments: content.attachments(true),
        possibly_sensitive: false,
        source_app: around.app_name(&create.source_app_id),
    })
}

/// A quick reply's text is what the person chose; where there is none, its metadata says it.
fn content<'w, 'a>(data: &'w MessageData<'a>) -> Content<'w, 'a> {
    let chosen = data.quick_reply_response.as_ref();
    let attachment = data.attachment.as_ref();
    let media = attachment.and_then(|attachment| attachment.media.as_ref());
    Content {
        text: match chosen {
            Some(chosen) if data.text.is_empty() => &chosen.metadata,
            _ => &data.text,
        },
        display_start: 0,
        entities: data.entities.as_ref(),
        media: media.map(slice::from_ref).unwrap_or_default(),
        quoted: None,
        quoted_permalink: None,
    }
}

/// Who does something, and towards whom; in a group there is no one.
struct People {
    sender: UserId,
    recipient: Option<UserId>,
}

fn people(sender: Option<Raw<'_>>, target: &Option<Target<'_>>) -> Result<People, Unreadable> {
    let recipient = target.as_ref().and_then(|target| target.recipient_id);
    Ok(People {
        sender: required_id("sender_id", sender)?,
        recipient: optional_id("recipient_id", recipient)
            .map_err(|error| error.inside("target"))?,
    })
}

/// X's conversation id where a form brings it, else that of the two people.
fn conversation(named: &str, people: &People) -> Result<ConversationId, Unreadable> {
    if named.is_empty() {
        let missing = || Unreadable::malformed("target.recipient_id", "missing");
        let recipient = people.recipient.ok_or_else(missing)?;
        return Ok(ConversationId::DirectMessage(Pair::new(
            people.sender,
            recipient,
        )));
    }
    let conversation = format!("dm:{named}").parse().ok();
    conversation
        .ok_or_else(|| Unreadable::malformed("conversation_id", "expected <id>-<id> or <group id>"))
}

/// The sender has read up to a message.
fn read(raw: Raw<'_>, _: &Surroundings<'_>) -> Result<ActivityEvent, Unreadable> {
    let event: Indication<'_> = object(raw)?;
    let people = people(event.sender_id, &event.target)?;
    Ok(ActivityEvent::Read {
        conversation: conversation("", &people)?,
        reader_id: people.sender,
        last_read: required_id("last_read_event_id", event.last_read_event_id)?,
        at: indicated_at(&event)?,
    })
}

/// The sender types.
fn typing(raw: Raw<'_>, _: &Surroundings<'_>) -> Result<ActivityEvent, Unreadable> {
    let event: Indication<'_> = object(raw)?;
    let people = people(event.sender_id, &event.target)?;
    Ok(ActivityEvent::Typing {
        conversation: conversation("", &people)?,
        author_id: people.sender,
        at: indicated_at(&event)?,
    })
}

fn indicated_at(event: &Indication<'_>) -> Result<Timestamp, Unreadable> {
    time::required_milliseconds("created_timestamp", event.created_timestamp)
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::activity::Rejected;

    fn try_read(list: &str, event: Value) -> Result<ActivityEvent, Unreadable> {
        let holder = to_raw_value(&json!({
            "users": {"7": {"id": "7", "screen_name": "ann"}, "8": {"data": {"id": "8", "username": "bob"}}, "6": {"id": "7"}},
            "apps": {"5": {"id": "5", "name": "A &amp; B"}}
        }))
        .unwrap();
        let around = Surroundings::of(&object(&holder).unwrap());
        reader(list).unwrap()(&to_raw_value(&event).unwrap(), &around)
    }

    fn event(sender: &str, data: Value) -> Value {
        json!({"type": "message_create", "id": "954491830116155396", "created_timestamp": "1516403560557",
            "message_create": {"target": {"recipient_id": "20"}, "sender_id": sender, "source_app_id": "5", "message_data": data}})
    }

    fn received(event: Value) -> DirectMessage {
        match try_read("direct_message_events", event).unwrap() {
            ActivityEvent::Direct(direct) => *direct,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn people_are_found_in_either_shape_or_known_by_id() {
        let author = |sender| {
            received(event(sender, json!({"text": "hi"})))
                .message
                .author
        };
        assert_eq!(author("7").username, "ann");
        assert_eq!(author("8").username, "bob");
        assert_eq!(author("9").username, "");
        // Filed under another's id.
        assert_eq!(
            (author("6").username, author("6").id.get()),
            (String::new(), 6)
        );
    }

    #[test]
    fn a_message_has_conversation_time_and_app() {
        let direct = received(event("7", json!({"text": "1 &lt; 2"})));
        assert_eq!(direct.conversation.to_string(), "dm:7-20");
        assert_eq!(direct.recipient_id.unwrap().get(), 20);
        assert_eq!(
            (&*direct.message.text, &*direct.message.source_app),
            ("1 < 2", "A & B")
        );
        assert_eq!(
            direct.message.created_at.to_string(),
            "2018-01-19T23:12:40.557Z"
        );
        assert_eq!(direct.message_request, None);
    }

    #[test]
    fn media_needs_our_credential_and_its_link_goes() {
        let data = json!({"text": "look https://t.co/m", "entities": {"urls": [
                {"url": "https://t.co/m", "expanded_url": "https://x.com/messages/media/1", "indices": [5, 19]}]},
            "attachment": {"type": "media", "media": {"id_str": "1", "type": "photo", "url": "https://t.co/m",
                "indices": [5, 19], "media_url_https": "https://ton.example/1.jpg"}}});
        let message = received(event("7", data)).message;
        assert_eq!((message.text.as_str(), message.links.len()), ("look", 0));
        assert!(message.attachments[0].requires_auth);
    }

    #[test]
    fn a_quick_reply_says_what_was_chosen() {
        let chosen = json!({"type": "options", "metadata": "yes_please"});
        let text = |text| {
            received(event(
                "7",
                json!({"text": text, "quick_reply_response": chosen}),
            ))
            .message
            .text
        };
        assert_eq!(text("Yes"), "Yes");
        assert_eq!(text(""), "yes_please");
    }

    #[test]
    fn a_group_is_told_by_the_conversation_id() {
        let mut group = event("7", json!({"text": "hi"}));
        group["conversation_id"] = json!("1234");
        let direct = received(group.clone());
        assert_eq!(direct.conversation.to_string(), "dm:1234");
        assert_eq!(direct.recipient_id, None);
        group["conversation_id"] = json!("20-7");
        assert!(try_read("direct_message_events", group).is_err());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let detail = |place: &str, value: Value| {
            let mut event = event("7", json!({"text": "hi"}));
            *event.pointer_mut(place).unwrap() = value;
            Rejected::from(try_read("direct_message_events", event).unwrap_err()).detail
        };
        assert!(detail("/type", json!("participants_join")).starts_with("type: "));
        assert!(detail("/id", json!(12)).starts_with("id: expected"));
        assert!(detail("/message_create", json!(7)).starts_with("message_create: expected"));
        let sender = detail("/message_create/sender_id", json!(7));
        assert!(
            sender.starts_with("message_create.sender_id: expected"),
            "{sender}"
        );
        let recipient = detail("/message_create/target", json!(null));
        assert_eq!(recipient, "message_create.target.recipient_id: missing");
    }

    #[test]
    fn reading_and_typing_name_the_one_who_does_it() {
        let event = json!({"created_timestamp": "1518452444662", "sender_id": "7", "target": {"recipient_id": "20"},
            "last_read_event_id": "963085315333238788"});
        let read = try_read("direct_message_mark_read_events", event.clone()).unwrap();
        assert!(matches!(read, ActivityEvent::Read { reader_id, .. } if reader_id.get() == 7));
        let typing = try_read("direct_message_indicate_typing_events", event).unwrap();
        assert!(matches!(typing, ActivityEvent::Typing { author_id, .. } if author_id.get() == 7));
        let timeless = json!({"sender_id": "7", "target": {"recipient_id": "20"}});
        assert!(try_read("direct_message_indicate_typing_events", timeless).is_err());
    }
}
