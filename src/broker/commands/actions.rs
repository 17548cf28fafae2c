//! What each action of a command holds, and its own rules.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use url::Url;

use super::fields::{Field, Fields, invalid};
use crate::domain::command::{
    Action, AttachmentSource, Failure, FailureCode, OutgoingAttachment, Recipient,
    SendDirectMessage, SendPost, WhenTooLong,
};
use crate::domain::ids::{AccountId, CommandId, ConversationId, MessageNumber};

/// Reads the one action that is given.
pub(super) fn read(
    command: &Fields<'_, '_>,
    id: &CommandId,
    account: Option<AccountId>,
) -> Result<Action, Failure> {
    let (name, fields) = only_action(command)?;
    match name {
        "send_post" => send_post(&fields).map(Action::SendPost),
        "send_direct_message" => {
            send_direct_message(&fields, account).map(Action::SendDirectMessage)
        }
        "delete_message" => delete_message(&fields),
        "hide_reply" => hide_reply(&fields),
        "cancel_command" => cancel_command(&fields, id),
        "republish_events" => republish_events(&fields),
        _ => forget_person(&fields),
    }
}

/// The name of the action that a command holds, [`Action::NONE`] where it is not exactly one.
pub(super) fn name(command: &Fields<'_, '_>) -> &'static str {
    let mut names = given(command);
    match (names.next(), names.next()) {
        (Some(name), None) => name,
        _ => Action::NONE,
    }
}

fn given(command: &Fields<'_, '_>) -> impl Iterator<Item = &'static str> {
    let names = Action::NAMES.into_iter();
    names.filter(|name| command.get(name).node.is_some())
}

fn only_action<'n, 'a>(
    command: &Fields<'n, 'a>,
) -> Result<(&'static str, Fields<'n, 'a>), Failure> {
    let names: Vec<_> = given(command).collect();
    if let [name] = names.as_slice()
        && let Some(fields) = command.get(name).object()?
    {
        return Ok((name, fields));
    }
    let found = match names.as_slice() {
        [] => "no command".to_owned(),
        several => several.join(" and "),
    };
    let expected = format!("exactly one of {}", Action::NAMES.join(", "));
    Err(invalid(String::new(), &found, &expected))
}

fn send_post(fields: &Fields<'_, '_>) -> Result<SendPost, Failure> {
    fields.only(&[
        "text",
        "in_reply_to",
        "quote",
        "exclude_mentions",
        "suffix",
        "direct_message_link",
        "when_too_long",
        "attachments",
    ])?;
    let excluded = fields.get("exclude_mentions").list()?;
    let post = SendPost {
        text: fields.get("text").text()?,
        in_reply_to: fields.get("in_reply_to").id()?,
        quote: fields.get("quote").id()?,
        exclude_mentions: excluded
            .into_iter()
            .map(Field::required_id)
            .collect::<Result<_, _>>()?,
        suffix: fields.get("suffix").text()?,
        direct_message_link: fields.get("direct_message_link").flag()?,
        when_too_long: when_too_long(fields)?,
        attachments: attachments(fields, SendPost::MOST_ATTACHMENTS)?,
    };
    check_content(fields, &post.text, &post.attachments)?;
    Ok(post)
}

fn send_direct_message(
    fields: &Fields<'_, '_>,
    account: Option<AccountId>,
) -> Result<SendDirectMessage, Failure> {
    fields.only(&[
        "recipient_id",
        "conversation_id",
        "text",
        "attachments",
        "when_too_long",
    ])?;
    let message = SendDirectMessage {
        to: recipient(fields, account)?,
        text: fields.get("text").text()?,
        when_too_long: when_too_long(fields)?,
        attachments: attachments(fields, SendDirectMessage::MOST_ATTACHMENTS)?,
    };
    check_content(fields, &message.text, &message.attachments)?;
    Ok(message)
}

fn when_too_long(fields: &Fields<'_, '_>) -> Result<WhenTooLong, Failure> {
    let parse = |raw: &str| match raw {
        "REJECT" => Some(WhenTooLong::Reject),
        "SPLIT" => Some(WhenTooLong::Split),
        _ => None,
    };
    let field = fields.get("when_too_long");
    Ok(field.parse(parse, "REJECT or SPLIT")?.unwrap_or_default())
}

/// X takes no text of blanks alone for a text.
fn check_content(
    fields: &Fields<'_, '_>,
    text: &str,
    attachments: &[OutgoingAttachment],
) -> Result<(), Failure> {
    if !text.trim().is_empty() || !attachments.is_empty() {
        return Ok(());
    }
    let field = fields.get("text");
    Err(Failure {
        code: FailureCode::TextEmpty,
        ..field.unlike("a text or an attachment")
    })
}

fn recipient(fields: &Fields<'_, '_>, account: Option<AccountId>) -> Result<Recipient, Failure> {
    let conversation = fields.get("conversation_id");
    match (fields.get("recipient_id").id()?, conversation.node) {
        (Some(person), None) => Ok(Recipient::Person(person)),
        (None, Some(_)) => conversation_of(conversation, account).map(Recipient::Conversation),
        (None, None) => Err(fields
            .get("recipient_id")
            .unlike("either recipient_id or conversation_id")),
        (Some(_), Some(_)) => Err(conversation.unlike("recipient_id or conversation_id, not both")),
    }
}

fn conversation_of(
    field: Field<'_, '_>,
    account: Option<AccountId>,
) -> Result<ConversationId, Failure> {
    let other = |expected| Err(field.unlike(expected));
    let Some(raw) = field.optional_text()? else {
        return other("the conversation.id of an event, dm:...");
    };
    match raw.parse() {
        Ok(ConversationId::DirectMessage(pair)) => match account {
            Some(AccountId(own)) if pair.other(own).is_none() => {
                other("a conversation that account_id takes part in")
            }
            _ => Ok(ConversationId::DirectMessage(pair)),
        },
        // The id becomes part of an address at X.
        Ok(ConversationId::DirectMessageGroup(id)) if id.parse::<MessageNumber>().is_ok() => {
            Ok(ConversationId::DirectMessageGroup(id))
        }
        Ok(ConversationId::Encrypted(_) | ConversationId::EncryptedGroup(_)) => {
            other("dm:...: this service cannot write encrypted messages")
        }
        Ok(ConversationId::Thread(_)) => other("dm:...: a thread is answered with send_post"),
        Ok(ConversationId::DirectMessageGroup(_)) | Err(_) => {
            other("the conversation.id of an event, dm:<low>-<high> or dm:<group id>")
        }
    }
}

fn attachments(fields: &Fields<'_, '_>, most: usize) -> Result<Vec<OutgoingAttachment>, Failure> {
    let field = fields.get("attachments");
    let path = field.path.clone();
    let items = field.list()?;
    if items.len() > most {
        let found = format!("{} attachments", items.len());
        return Err(Failure {
            code: FailureCode::MediaUnsupported,
            ..invalid(path, &found, &format!("at most {most}"))
        });
    }
    items.into_iter().map(attachment).collect()
}

fn attachment(item: Field<'_, '_>) -> Result<OutgoingAttachment, Failure> {
    let missing = item.unlike("an object with url or data");
    let fields = item.object()?.ok_or(missing)?;
    fields.only(&["url", "data", "content_type", "filename", "alt_text"])?;
    Ok(OutgoingAttachment {
        source: source(&fields)?,
        content_type: fields.get("content_type").text()?,
        filename: fields.get("filename").text()?,
        alt_text: alt_text(&fields)?,
    })
}

fn source(fields: &Fields<'_, '_>) -> Result<AttachmentSource, Failure> {
    let (url, data) = (fields.get("url"), fields.get("data"));
    match (url.node, data.node) {
        (Some(_), Some(_)) => Err(url.unlike("url or data, not both")),
        (None, None) => Err(url.unlike("either url or data")),
        (Some(_), None) => {
            let missing = url.unlike(ADDRESS);
            let address = url.parse(web_address, ADDRESS)?.ok_or(missing)?;
            Ok(AttachmentSource::Url(address))
        }
        (None, Some(_)) => {
            let path = data.path.clone();
            let text = data.optional_text()?.unwrap_or_default();
            // Never shown: it may be megabytes.
            let unreadable = || invalid(path, "not base64", "the file in base64");
            let file = base64(text).ok_or_else(unreadable)?;
            Ok(AttachmentSource::Data(file))
        }
    }
}

const ADDRESS: &str = "an address that begins with https:// or http://";

fn web_address(raw: &str) -> Option<Url> {
    let url: Url = raw.parse().ok()?;
    let web = matches!(url.scheme(), "https" | "http") && url.has_host();
    web.then_some(url)
}

/// Base64 as ProtoJSON takes it: in either alphabet, padded or not.
fn base64(text: &str) -> Option<Bytes> {
    let padding = DecodePaddingMode::Indifferent;
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(padding);
    let alphabet = if text.contains(['-', '_']) {
        &URL_SAFE
    } else {
        &STANDARD
    };
    let data = GeneralPurpose::new(alphabet, config).decode(text).ok()?;
    (!data.is_empty()).then(|| data.into())
}

fn alt_text(fields: &Fields<'_, '_>) -> Result<String, Failure> {
    const MOST: usize = OutgoingAttachment::LONGEST_ALT_TEXT;
    let field = fields.get("alt_text");
    let path = field.path.clone();
    let text = field.text()?;
    match text.chars().count() {
        ..=MOST => Ok(text),
        length => {
            let found = format!("{length} characters");
            Err(invalid(path, &found, &format!("at most {MOST}")))
        }
    }
}

fn delete_message(fields: &Fields<'_, '_>) -> Result<Action, Failure> {
    fields.only(&["message_id"])?;
    let message_id = fields.get("message_id").required_id()?;
    Ok(Action::DeleteMessage { message_id })
}

fn hide_reply(fields: &Fields<'_, '_>) -> Result<Action, Failure> {
    fields.only(&["message_id", "hidden"])?;
    Ok(Action::HideReply {
        message_id: fields.get("message_id").required_id()?,
        hidden: fields.get("hidden").flag()?,
    })
}

fn cancel_command(fields: &Fields<'_, '_>, id: &CommandId) -> Result<Action, Failure> {
    fields.only(&["target_command_id"])?;
    let field = || fields.get("target_command_id");
    match field().parsed()? {
        Some(target) if target != *id => Ok(Action::CancelCommand { target }),
        Some(_) => Err(field().unlike("the id of another command")),
        None => Err(field().unlike("the id of the command to take back")),
    }
}

fn republish_events(fields: &Fields<'_, '_>) -> Result<Action, Failure> {
    fields.only(&["from", "to"])?;
    let from = fields.get("from").required_time()?;
    let to = fields.get("to").required_time()?;
    if to <= from {
        return Err(fields.get("to").unlike("a time after `from`"));
    }
    Ok(Action::RepublishEvents { from, to })
}

fn forget_person(fields: &Fields<'_, '_>) -> Result<Action, Failure> {
    fields.only(&["person_id"])?;
    let person_id = fields.get("person_id").required_id()?;
    Ok(Action::ForgetPerson { person_id })
}
