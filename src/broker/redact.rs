//! Bodies of events without what has to go: still what the contract says, with ids and no words.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::messages::json;
use super::proto;
use crate::domain::ids::UserId;

/// Instead of a summary, which is never empty.
const GONE: &str = "[deleted]";
/// Instead of a handle in somebody else's text.
const SOMEBODY: &str = "@…";

/// The body without the text of its message; `None` where it holds none, or cannot be read.
pub fn without_message(event_type: &str, body: &[u8]) -> Option<Bytes> {
    change(event_type, body, &mut |part| match part {
        Part::Message { message, .. } => blank(message),
        Part::Context(context) => context.clear(),
        Part::Conversation(_) => {}
    })
}

/// The body without what it tells of a person, who may have written it or be its customer, or only
/// be named in it; `None` where it holds nothing, or cannot be read.
pub fn without_person(event_type: &str, body: &[u8], person: UserId) -> Option<Bytes> {
    let id = person.to_string();
    change(event_type, body, &mut |part| match part {
        Part::Message { message, customer } => {
            let author = message.author.as_ref().is_some_and(|it| it.id == id);
            let reposts = message.relation == proto::message::Relation::Repost as i32;
            if author || customer == Some(id.as_str()) || (reposts && names(message, &id)) {
                blank(message);
            } else {
                leave_out(message, &id);
            }
        }
        Part::Context(context) => {
            context.retain(|above| above.author.as_ref().is_none_or(|it| it.id != id));
            for above in context {
                leave_out(above, &id);
            }
        }
        Part::Conversation(conversation) => {
            if let Some(customer) = conversation.customer.as_mut().filter(|it| it.id == id) {
                customer.username.clear();
            }
        }
    })
}

/// A part of a body that may tell of somebody.
enum Part<'a> {
    Message {
        message: &'a mut proto::Message,
        customer: Option<&'a str>,
    },
    Context(&'a mut Vec<proto::Message>),
    Conversation(&'a mut proto::Conversation),
}

type Change<'a> = &'a mut dyn FnMut(Part<'_>);

fn change(event_type: &str, body: &[u8], change: Change<'_>) -> Option<Bytes> {
    match event_type {
        "message.received" => typed(body, |it: &mut proto::MessageReceived| {
            message(&mut it.message, &mut it.conversation, change);
            change(Part::Context(&mut it.context));
        }),
        "message.sent" => typed(body, |it: &mut proto::MessageSent| {
            message(&mut it.message, &mut it.conversation, change);
            change(Part::Context(&mut it.context));
        }),
        "message.edited" => typed(body, |it: &mut proto::MessageEdited| {
            let text = it.message.as_ref().map(|it| it.text.clone());
            message(&mut it.message, &mut it.conversation, change);
            change(Part::Context(&mut it.context));
            // What the newer version may not say, the older one has said too.
            let changed = it.message.as_ref().map(|it| it.text.clone()) != text;
            if let Some(previous) = it.previous.as_mut().filter(|_| changed) {
                previous.text.clear();
            }
        }),
        "message.deleted" => typed(body, |it: &mut proto::MessageDeleted| {
            conversation(&mut it.conversation, change);
        }),
        "conversation.read" => typed(body, |it: &mut proto::ConversationRead| {
            conversation(&mut it.conversation, change);
        }),
        "conversation.merged" => typed(body, |it: &mut proto::ConversationMerged| {
            conversation(&mut it.conversation, change);
        }),
        "command.succeeded" => typed(body, |it: &mut proto::CommandSucceeded| {
            conversation(&mut it.conversation, change);
        }),
        "command.failed" => typed(body, |it: &mut proto::CommandFailed| {
            conversation(&mut it.conversation, change);
        }),
        _ => None,
    }
}

fn typed<T: DeserializeOwned + Serialize>(
    body: &[u8],
    change: impl FnOnce(&mut T),
) -> Option<Bytes> {
    let mut read: T = serde_json::from_slice(body).ok()?;
    change(&mut read);
    let written = json(&read);
    (written != body).then_some(written)
}

fn conversation(conversation: &mut Option<proto::Conversation>, change: Change<'_>) {
    if let Some(conversation) = conversation {
        change(Part::Conversation(conversation));
    }
}

fn message(
    message: &mut Option<proto::Message>,
    of: &mut Option<proto::Conversation>,
    change: Change<'_>,
) {
    let customer = of.as_ref().and_then(|of| of.customer.as_ref());
    let customer = customer.map(|customer| customer.id.clone());
    if let Some(message) = message {
        let customer = customer.as_deref();
        change(Part::Message { message, customer });
    }
    conversation(of, change);
}

/// Leaves ids, kind, time and place of a message.
fn blank(message: &mut proto::Message) {
    let kept = proto::Message {
        id: std::mem::take(&mut message.id),
        original_id: std::mem::take(&mut message.original_id),
        kind: message.kind,
        relation: message.relation,
        relations: std::mem::take(&mut message.relations),
        url: std::mem::take(&mut message.url),
        summary: GONE.to_owned(),
        created_at: std::mem::take(&mut message.created_at),
        author: message.author.as_ref().map(unknown),
        in_reply_to: message.in_reply_to.take(),
        edit_history: std::mem::take(&mut message.edit_history),
        ..proto::Message::default()
    };
    *message = kept;
}

fn unknown(author: &proto::Author) -> proto::Author {
    proto::Author {
        id: author.id.clone(),
        own: author.own,
        ..proto::Author::default()
    }
}

fn names(message: &proto::Message, id: &str) -> bool {
    message.mentions.iter().any(|it| it.id == id)
}

/// Leaves a person out of somebody else's message.
fn leave_out(message: &mut proto::Message, id: &str) {
    let mentioned = message.mentions.iter().filter(|it| it.id == id);
    let handles: Vec<_> = mentioned.map(|it| it.username.clone()).collect();
    message.mentions.retain(|it| it.id != id);
    for handle in handles.iter().filter(|handle| !handle.is_empty()) {
        message.text = without_handle(&message.text, handle);
        message.summary = without_handle(&message.summary, handle);
    }
    if let Some(to) = message.in_reply_to.as_mut().filter(|it| it.author_id == id) {
        to.author_id.clear();
    }
    if let Some(quoted) = &mut message.quoted
        && quoted.author.as_ref().is_some_and(|it| it.id == id)
    {
        quoted.text.clear();
        quoted.author = None;
    }
}

/// `@handle` in any case, where it ends.
fn without_handle(text: &str, handle: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once('@') {
        out.push_str(before);
        let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let (name, tail) = after.split_at(end.unwrap_or(after.len()));
        if name.eq_ignore_ascii_case(handle) {
            out.push_str(SOMEBODY);
        } else {
            out.push('@');
            out.push_str(name);
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author(id: &str, name: &str) -> Option<proto::Author> {
        Some(proto::Author {
            id: id.to_owned(),
            username: name.to_owned(),
            name: format!("{name} Miller"),
            ..proto::Author::default()
        })
    }

    fn received(by: &str, text: &str) -> proto::MessageReceived {
        proto::MessageReceived {
            conversation: Some(proto::Conversation {
                customer: Some(proto::Customer {
                    id: by.to_owned(),
                    username: "whoever".to_owned(),
                }),
                ..proto::Conversation::default()
            }),
            message: Some(proto::Message {
                id: "7".to_owned(),
                text: text.to_owned(),
                summary: text.to_owned(),
                author: author(by, "whoever"),
                mentions: vec![proto::Mention {
                    id: "5".to_owned(),
                    username: "Ann".to_owned(),
                    ..proto::Mention::default()
                }],
                quoted: Some(proto::Quoted {
                    message_id: "6".to_owned(),
                    text: "my illness".to_owned(),
                    author: author("5", "ann"),
                }),
                ..proto::Message::default()
            }),
            context: vec![proto::Message {
                text: "before".to_owned(),
                author: author("5", "ann"),
                ..proto::Message::default()
            }],
            ..proto::MessageReceived::default()
        }
    }

    fn ann() -> UserId {
        "5".parse().unwrap()
    }

    fn redacted(it: &proto::MessageReceived) -> (proto::MessageReceived, String) {
        let body = without_person("message.received", &json(it), ann()).unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        (serde_json::from_slice(&body).unwrap(), text)
    }

    #[test]
    fn of_a_persons_own_message_only_ids_stay() {
        let (it, text) = redacted(&received("5", "@acme my illness"));
        for word in ["illness", "before", "Miller", "whoever", "ann", "Ann"] {
            assert!(!text.contains(word), "{word} in {text}");
        }
        let message = it.message.unwrap();
        assert_eq!((message.id.as_str(), message.summary.as_str()), ("7", GONE));
        assert_eq!(message.author.unwrap().id, "5");
    }

    #[test]
    fn somebody_elses_message_keeps_its_own_words() {
        let (it, text) = redacted(&received("9", "@ANN @annabel mail ann@acme"));
        for word in ["illness", "before", "Ann", "ANN"] {
            assert!(!text.contains(word), "{word} in {text}");
        }
        let message = it.message.unwrap();
        assert_eq!(message.text, "@… @annabel mail ann@acme");
        assert_eq!(message.author.unwrap().username, "whoever");
    }

    #[test]
    fn a_body_that_tells_nothing_stays_as_it_is() {
        let it = proto::ConversationRead::default();
        assert_eq!(without_person("conversation.read", &json(&it), ann()), None);
        assert_eq!(without_person("account.health", b"{}", ann()), None);
        assert_eq!(without_message("message.received", b"no json"), None);
    }
}
