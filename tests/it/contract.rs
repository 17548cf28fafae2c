//! The published contract: the files of `proto/` and their samples.
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use jiff::Timestamp;
use protox::prost_reflect::{
    DescriptorPool, EnumDescriptor, FileDescriptor, Kind, MessageDescriptor,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use twitter_channel::broker::commands::{self, Reading};
use twitter_channel::broker::proto;
use twitter_channel::domain::command::{
    Action, AttachmentSource, Command, Failure, FailureCode, OutgoingAttachment, Recipient,
};

use crate::schemas::check_schema;

type Check = fn(&[u8]) -> Result<(), String>;

const EVENTS: [(&str, Check); 14] = [
    ("account.health", round_trip::<proto::AccountHealth>),
    ("account.linked", round_trip::<proto::AccountLinked>),
    ("account.revoked", round_trip::<proto::AccountRevoked>),
    ("command.deferred", round_trip::<proto::CommandDeferred>),
    ("command.failed", round_trip::<proto::CommandFailed>),
    ("command.succeeded", round_trip::<proto::CommandSucceeded>),
    (
        "conversation.merged",
        round_trip::<proto::ConversationMerged>,
    ),
    ("conversation.read", round_trip::<proto::ConversationRead>),
    ("conversation.storm", round_trip::<proto::ConversationStorm>),
    (
        "conversation.typing",
        round_trip::<proto::ConversationTyping>,
    ),
    ("message.deleted", round_trip::<proto::MessageDeleted>),
    ("message.edited", round_trip::<proto::MessageEdited>),
    ("message.received", round_trip::<proto::MessageReceived>),
    ("message.sent", round_trip::<proto::MessageSent>),
];

/// Whether `body` is exactly what the contract says of events of this type: it begins as every
/// event does, and holds every field, none besides, each in its one spelling.
pub(crate) fn check_event(event_type: &str, body: &[u8]) -> Result<(), String> {
    let (_, check) = EVENTS
        .iter()
        .find(|(name, _)| *name == event_type)
        .ok_or_else(|| format!("no event type `{event_type}`"))?;
    check(body).map_err(|error| format!("{event_type}: {error}"))?;
    let value = parse(body)?;
    check_schema(event_type, &value)?;
    if type_of(&value) == Some(event_type) && value.get("account").is_some() {
        Ok(())
    } else {
        Err(format!("does not begin as a {event_type}:\n{value:#}"))
    }
}

pub(crate) fn parse(body: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn type_of(event: &Value) -> Option<&str> {
    event.pointer("/event/type")?.as_str()
}

fn round_trip<M: DeserializeOwned + Serialize>(body: &[u8]) -> Result<(), String> {
    let value = parse(body)?;
    let message: M = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let written = serde_json::to_value(&message).map_err(|error| error.to_string())?;
    if written == value {
        Ok(())
    } else {
        Err(format!("reads as\n{written:#}\nbut is\n{value:#}"))
    }
}

pub(crate) fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("proto")
}

static DESCRIPTORS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let files = ["commands", "common", "events"].map(proto_file);
    let set = protox::compile(files, [directory()]).unwrap();
    DescriptorPool::from_file_descriptor_set(set).unwrap()
});

fn proto_file(name: &str) -> String {
    format!("helpdesk/twitter/v1/{name}.proto")
}

/// Every message of the contract, nested ones too.
fn messages() -> impl Iterator<Item = MessageDescriptor> {
    let messages = DESCRIPTORS.all_messages();
    messages.filter(|message| !message.is_map_entry())
}

pub(crate) fn event_messages() -> Vec<MessageDescriptor> {
    let file = DESCRIPTORS.get_file_by_name(&proto_file("events"));
    file.unwrap().messages().collect()
}

pub(crate) fn command_message() -> MessageDescriptor {
    let message = DESCRIPTORS.get_message_by_name("helpdesk.twitter.v1.Command");
    message.unwrap()
}

pub(crate) struct Sample {
    /// File name without `.json`.
    pub(crate) name: String,
    body: Vec<u8>,
}

impl Sample {
    pub(crate) fn value(&self) -> Value {
        parse(&self.body).unwrap()
    }

    /// The event type or command that the file is named after, be it with a word to follow:
    /// `message.received.reply` is a `message.received`.
    fn is_named_after(&self, name: &str) -> bool {
        let rest = self.name.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

pub(crate) fn samples() -> Vec<Sample> {
    let entries = fs::read_dir(directory().join("helpdesk/twitter/v1/samples")).unwrap();
    entries
        .map(|entry| {
            let path = entry.unwrap().path();
            assert_eq!(path.extension().unwrap(), "json", "{}", path.display());
            Sample {
                name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
                body: fs::read(&path).unwrap(),
            }
        })
        .collect()
}

pub(crate) fn sample(name: &str) -> Value {
    let sample = samples().into_iter().find(|sample| sample.name == name);
    sample.unwrap().value()
}

pub(crate) fn command_names() -> Vec<String> {
    let action = command_message().oneofs().next().unwrap();
    action
        .fields()
        .map(|field| field.name().to_owned())
        .collect()
}

/// `message.received` for `MessageReceived`.
pub(crate) fn event_type(message: &MessageDescriptor) -> String {
    let mut name = String::new();
    for letter in message.name().chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('.');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

#[test]
fn the_event_messages_are_the_event_types() {
    let messages: BTreeSet<_> = event_messages().iter().map(event_type).collect();
    let listed = EVENTS.map(|(name, _)| name.to_owned());
    assert_eq!(messages, BTreeSet::from(listed));
}

#[test]
fn every_event_type_and_command_has_a_sample_and_every_sample_is_one() {
    let mut names = command_names();
    names.extend(EVENTS.iter().map(|(name, _)| (*name).to_owned()));
    let samples = samples();
    for name in &names {
        assert!(
            samples.iter().any(|sample| sample.name == *name),
            "no sample of {name}"
        );
    }
    for sample in &samples {
        let known = names.iter().any(|name| sample.is_named_after(name));
        assert!(known, "{} is named after nothing", sample.name);
    }
}

#[test]
fn samples_of_events_are_exactly_the_contract() {
    for sample in samples().iter().filter(|sample| sample.name.contains('.')) {
        let value = sample.value();
        let event_type = type_of(&value).unwrap();
        assert!(
            sample.is_named_after(event_type),
            "{} is a {event_type}",
            sample.name
        );
        check_event(event_type, &sample.body).unwrap();
    }
}

#[test]
fn samples_of_commands_are_exactly_the_contract() {
    for name in command_names() {
        let sample = sample(&name);
        assert!(sample.get(&name).is_some(), "{name} holds another command");
        round_trip::<proto::Command>(sample.to_string().as_bytes()).unwrap();
    }
}

#[test]
fn every_field_is_shown_by_a_sample() {
    let mut shown = BTreeSet::new();
    for body in samples().iter().map(Sample::value) {
        collect_fields(&root(&body), &body, &mut shown);
    }
    let fields = messages().flat_map(|message| message.fields().collect::<Vec<_>>());
    let missing: Vec<_> = fields
        .map(|field| field.full_name().to_owned())
        .filter(|name| !shown.contains(name))
        .collect();
    assert!(missing.is_empty(), "in no sample: {missing:?}");
}

/// The message that a sample's body is.
fn root(body: &Value) -> MessageDescriptor {
    let Some(name) = type_of(body) else {
        return command_message();
    };
    let mut messages = event_messages().into_iter();
    messages
        .find(|message| event_type(message) == name)
        .unwrap()
}

fn collect_fields(message: &MessageDescriptor, value: &Value, shown: &mut BTreeSet<String>) {
    for (name, value) in value.as_object().unwrap() {
        let field = message.get_field_by_name(name).unwrap();
        shown.insert(field.full_name().to_owned());
        match (field.kind(), value) {
            (Kind::Message(_), Value::Object(_)) if field.is_map() => {}
            (Kind::Message(inner), Value::Array(items)) => {
                items
                    .iter()
                    .for_each(|item| collect_fields(&inner, item, shown));
            }
            (Kind::Message(inner), _) => collect_fields(&inner, value, shown),
            _ => {}
        }
    }
}

#[test]
fn every_message_field_enum_and_value_has_a_comment() {
    for message in messages() {
        let commented = commented(&message.parent_file());
        assert!(
            commented.contains(message.path()),
            "{}",
            message.full_name()
        );
        for field in message.fields() {
            assert!(commented.contains(field.path()), "{}", field.full_name());
        }
        for enumeration in message.child_enums() {
            assert!(
                commented.contains(enumeration.path()),
                "{}",
                enumeration.full_name()
            );
            for value in enumeration.values() {
                assert!(commented.contains(value.path()), "{}", value.full_name());
            }
        }
    }
}

/// Paths of what has a comment before it.
fn commented(file: &FileDescriptor) -> BTreeSet<Vec<i32>> {
    let source = file.file_descriptor_proto().source_code_info.as_ref();
    let locations = source.unwrap().location.iter();
    locations
        .filter(|location| !location.leading_comments().trim().is_empty())
        .map(|location| location.path.clone())
        .collect()
}

/// Names are the wire form, so none may vanish or change; the first is the zero value.
const ENUMS: [(&str, &str); 11] = [
    (
        "Attachment.Kind",
        "KIND_UNSPECIFIED PHOTO VIDEO ANIMATED_GIF",
    ),
    (
        "Conversation.Kind",
        "KIND_UNSPECIFIED POST_THREAD DIRECT_MESSAGE ENCRYPTED_MESSAGE",
    ),
    (
        "Message.Kind",
        "KIND_UNSPECIFIED POST DIRECT_MESSAGE ENCRYPTED_MESSAGE",
    ),
    (
        "Message.Relation",
        "RELATION_UNSPECIFIED REPOST REPLY QUOTE MENTION KEYWORD THREAD DIRECT",
    ),
    ("Reply.Permission", "UNKNOWN ALLOWED REFUSED"),
    (
        "Delivery.Via",
        "VIA_UNSPECIFIED ACCOUNT_ACTIVITY ACTIVITY FILTERED_STREAM SEARCH LOOKUP IMPORT",
    ),
    (
        "MessageDeleted.Reason",
        "REASON_UNSPECIFIED DELETED PROTECTED SUSPENDED ERASED",
    ),
    (
        "MessageDeleted.DetectedBy",
        "DETECTED_BY_UNSPECIFIED WEBHOOK COMPLIANCE LOOKUP SEND REQUEST",
    ),
    ("AccountHealth.State", "STATE_UNSPECIFIED OK DEGRADED DOWN"),
    ("SendPost.WhenTooLong", "REJECT SPLIT"),
    (
        "CommandFailed.Code",
        "CODE_UNSPECIFIED INVALID TEXT_TOO_LONG TEXT_EMPTY MEDIA_UNREACHABLE MEDIA_TOO_LARGE \
         MEDIA_UNSUPPORTED ATTACHMENT_HOST_NOT_ALLOWED UNKNOWN_ACCOUNT REPLY_NOT_PERMITTED \
         NOT_SUMMONED DM_NOT_PERMITTED DELETED PROTECTED BLOCKED DUPLICATE UNAUTHORIZED SUSPENDED \
         LOOKS_AUTOMATED RATE_LIMITED CREDITS_DEPLETED TOO_EXPENSIVE NOT_OFFERED SENDING_STOPPED \
         EXPIRED CANCELLED UNCERTAIN X_UNAVAILABLE REFUSED",
    ),
];

#[test]
fn the_enums_are_the_contract() {
    let relative = |name: &str| name.replacen("helpdesk.twitter.v1.", "", 1);
    let values = |enumeration: &EnumDescriptor| {
        let names: Vec<_> = enumeration
            .values()
            .map(|value| value.name().to_owned())
            .collect();
        names.join(" ")
    };
    let found: BTreeSet<_> = DESCRIPTORS
        .all_enums()
        .map(|enumeration| (relative(enumeration.full_name()), values(&enumeration)))
        .collect();
    let expected = ENUMS.map(|(name, values)| (name.to_owned(), values.to_owned()));
    assert_eq!(found, BTreeSet::from(expected));
}

/// A command as the service reads it.
fn read_command(body: &Value) -> Reading {
    commands::read(body.to_string().as_bytes(), None, None)
}

fn accepted(body: &Value) -> Command {
    match read_command(body) {
        Reading::Command(command) => *command,
        other => panic!("{other:?}"),
    }
}

fn refused(body: &Value) -> Failure {
    // Where the id in the body is wrong, there is one to fail under.
    let message_id = body["command_id"].is_number().then_some("m1");
    match commands::read(body.to_string().as_bytes(), message_id, None) {
        Reading::Invalid(invalid) => invalid.failure,
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn samples_of_commands_are_read_as_the_generated_code_reads_them() {
    for name in command_names() {
        let sample = sample(&name);
        let generated = proto::Command::deserialize(&sample).unwrap();
        assert_eq!(command_to_proto(&accepted(&sample)), generated, "{name}");
    }
}

/// What a sender would have had to write for this.
fn command_to_proto(command: &Command) -> proto::Command {
    proto::Command {
        command_id: command.id.to_string(),
        account_id: optional(&command.account),
        expires_at: command.expires_at.map(milliseconds).unwrap_or_default(),
        max_cost_usd: optional(&command.max_cost),
        only_if_summoned: command.only_if_summoned,
        retry_of: optional(&command.retry_of),
        force: command.force,
        metadata: command.metadata.clone(),
        agent: command.agent.clone().map(|agent| proto::Agent {
            id: agent.id,
            name: agent.name,
        }),
        action: Some(action_to_proto(&command.action)),
    }
}

fn action_to_proto(action: &Action) -> proto::command::Action {
    use proto::command::Action as Written;
    match action {
        Action::SendPost(post) => Written::SendPost(proto::SendPost {
            text: post.text.clone(),
            in_reply_to: optional(&post.in_reply_to),
            quote: optional(&post.quote),
            exclude_mentions: post
                .exclude_mentions
                .iter()
                .map(ToString::to_string)
                .collect(),
            suffix: post.suffix.clone(),
            direct_message_link: post.direct_message_link,
            when_too_long: post.when_too_long as i32,
            attachments: attachments_to_proto(&post.attachments),
        }),
        Action::SendDirectMessage(message) => {
            let (recipient_id, conversation_id) = match &message.to {
                Recipient::Person(id) => (id.to_string(), String::new()),
                Recipient::Conversation(id) => (String::new(), id.to_string()),
            };
            Written::SendDirectMessage(proto::SendDirectMessage {
                recipient_id,
                conversation_id,
                text: message.text.clone(),
                attachments: attachments_to_proto(&message.attachments),
                when_too_long: message.when_too_long as i32,
            })
        }
        Action::DeleteMessage { message_id } => Written::DeleteMessage(proto::DeleteMessage {
            message_id: message_id.to_string(),
        }),
        Action::HideReply { message_id, hidden } => Written::HideReply(proto::HideReply {
            message_id: message_id.to_string(),
            hidden: *hidden,
        }),
        Action::CancelCommand { target } => Written::CancelCommand(proto::CancelCommand {
            target_command_id: target.to_string(),
        }),
        Action::RepublishEvents { from, to } => Written::RepublishEvents(proto::RepublishEvents {
            from: milliseconds(*from),
            to: milliseconds(*to),
        }),
        Action::ForgetPerson { person_id } => Written::ForgetPerson(proto::ForgetPerson {
            person_id: person_id.to_string(),
        }),
    }
}

fn attachments_to_proto(attachments: &[OutgoingAttachment]) -> Vec<proto::OutgoingAttachment> {
    let write = |attachment: &OutgoingAttachment| {
        let (url, data) = match &attachment.source {
            AttachmentSource::Url(url) => (url.to_string(), Vec::new()),
            AttachmentSource::Data(data) => (String::new(), data.to_vec()),
        };
        proto::OutgoingAttachment {
            url,
            data,
            content_type: attachment.content_type.clone(),
            filename: attachment.filename.clone(),
            alt_text: attachment.alt_text.clone(),
        }
    };
    attachments.iter().map(write).collect()
}

fn optional(value: &Option<impl ToString>) -> String {
    value.as_ref().map(ToString::to_string).unwrap_or_default()
}

fn milliseconds(at: Timestamp) -> String {
    format!("{at:.3}")
}

#[test]
fn the_reader_knows_exactly_the_fields_of_the_contract() {
    for name in command_names() {
        let sample = sample(&name);
        check_fields(&sample, &command_message(), "");
    }
}

/// Every field of the message is known at this place, and no other is.
fn check_fields(sample: &Value, message: &MessageDescriptor, place: &str) {
    let spoilt = |name: &str| {
        let mut spoilt = sample.clone();
        let object = spoilt.pointer_mut(place).unwrap().as_object_mut().unwrap();
        // Of no field's type.
        object.insert(name.to_owned(), json!(0.5));
        refused(&spoilt)
    };
    let unknown = spoilt("colour");
    assert!(unknown.field.ends_with("colour"), "{place}: {unknown:?}");
    let known = unknown.detail.split("one of ").nth(1).unwrap();
    let known: BTreeSet<_> = known.split(", ").map(str::to_owned).collect();
    let fields: BTreeSet<_> = message
        .fields()
        .map(|field| field.name().to_owned())
        .collect();
    assert_eq!(known, fields, "{place}");
    for field in message.fields() {
        let inner = format!("{place}/{}", field.name());
        let wrong = spoilt(field.name());
        assert!(
            !wrong.detail.contains("unknown field"),
            "{inner}: {wrong:?}"
        );
        match (field.kind(), sample.pointer(&inner)) {
            (Kind::Message(inner_message), Some(Value::Object(_))) if !field.is_map() => {
                check_fields(sample, &inner_message, &inner);
            }
            (Kind::Message(inner_message), Some(Value::Array(items))) => {
                for at in 0..items.len() {
                    check_fields(sample, &inner_message, &format!("{inner}/{at}"));
                }
            }
            _ => {}
        }
    }
}

#[test]
fn the_codes_of_failures_are_those_of_the_contract() {
    let code = DESCRIPTORS
        .get_enum_by_name("helpdesk.twitter.v1.CommandFailed.Code")
        .unwrap();
    let written: Vec<_> = code
        .values()
        .skip(1)
        .map(|value| value.name().to_owned())
        .collect();
    let ours: Vec<_> = FailureCode::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(ours, written);
}

#[test]
fn the_command_in_an_event_needs_only_an_id_and_a_text() {
    for (name, action) in [
        ("message.received", "send_post"),
        ("message.received.direct_message", "send_direct_message"),
    ] {
        let mut command = sample(name)["reply"]["command"].clone();
        command["command_id"] = json!("b7c1");
        command[action]["text"] = json!("Hello");
        let read = command_to_proto(&accepted(&command));
        assert_eq!(serde_json::to_value(read).unwrap(), command);
    }
}

#[test]
fn a_body_that_lacks_a_field_or_has_one_more_is_no_event() {
    let lacking = |value: &mut Value| value["message"].as_object_mut().unwrap().remove("lang");
    let more = |value: &mut Value| {
        value["message"]
            .as_object_mut()
            .unwrap()
            .insert("mood".into(), json!(""))
    };
    for change in [lacking as fn(&mut Value) -> Option<Value>, more] {
        let mut value = sample("message.received");
        change(&mut value);
        assert!(check_event("message.received", value.to_string().as_bytes()).is_err());
    }
    assert!(check_event("message.liked", b"{}").is_err());
}

/// The blocks of JSON in the page that tells of the contract.
fn documented() -> Vec<Value> {
    let page = fs::read_to_string(directory().join("../docs/contract.md")).unwrap();
    let blocks = page.split("```json\n").skip(1);
    let block = |text: &str| parse(text.split("```").next().unwrap().as_bytes()).unwrap();
    blocks.map(block).collect()
}

#[test]
fn what_the_documentation_shows_is_the_contract() {
    let (events, commands): (Vec<_>, Vec<_>) = documented()
        .into_iter()
        .partition(|body| type_of(body).is_some());
    assert_eq!((events.len(), commands.len()), (2, 1));
    for event in &events {
        check_event(type_of(event).unwrap(), event.to_string().as_bytes()).unwrap();
    }
    for command in &commands {
        accepted(command);
        check_schema("command", command).unwrap();
        // The answer to the one is what the other tells of.
        let [received, outcome] = events.as_slice() else {
            unreachable!("counted above")
        };
        assert_eq!(
            command["send_post"]["in_reply_to"],
            received["message"]["id"]
        );
        assert_eq!(command["command_id"], outcome["command_id"]);
        assert_eq!(command["metadata"], outcome["metadata"]);
    }
}
