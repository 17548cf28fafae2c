//! The AsyncAPI document: what goes over the broker, and how.

use protox::prost_reflect::MessageDescriptor;
use serde_json::{Map, Value, json};
use twitter_channel::broker::settings::{Inbox, Names};

use super::json_schema::{DRAFT, Form, Writer, comment};
use super::{command_message, event_messages, event_type, samples};

const PLACE: &str = "#/components/schemas/";
const BINDING: &str = "0.3.0";

/// Events by the first word of their type: name of the channel, that word, what the third word of
/// the routing key is.
const FAMILIES: [(&str, &str, &str); 4] = [
    ("messages", "message", "kind"),
    ("conversations", "conversation", "kind"),
    ("accounts", "account", "kind"),
    ("outcomes", "command", "command"),
];

/// The whole document.
pub(super) fn document() -> Value {
    json!({
        "asyncapi": "3.0.0",
        "info": info(),
        "defaultContentType": "application/json",
        "servers": {"broker": {
            "host": "rabbitmq:5672",
            "protocol": "amqp",
            "protocolVersion": "0.9.1",
            "description": "Any RabbitMQ since 3.10; `broker.url` of the service's settings.",
            "security": [{"$ref": "#/components/securitySchemes/user"}],
        }},
        "channels": channels(),
        "operations": operations(),
        "components": {
            "messages": messages(),
            "schemas": schemas(),
            "securitySchemes": {"user": {
                "type": "userPassword",
                "description": "One deployment is one trust domain: who may publish on the \
                    commands' exchange may post for every account in it.",
            }},
        },
    })
}

fn info() -> Value {
    json!({
        "title": "twitter-channel",
        "version": env!("CARGO_PKG_VERSION"),
        "license": {"name": "MIT OR Apache-2.0"},
        "description": "X (Twitter) as a channel of a helpdesk, seen from the service: it sends \
            events and receives commands. A helpdesk core does the reverse. Names of exchanges and \
            queues are the defaults. Events come at least once, a repeat under the same \
            `message_id` with the same body; every command ends in exactly one `command.succeeded` \
            or `command.failed`. Within v1 there are only additions: ignore fields, event types \
            and enum values you do not know. docs/contract.md has the rules in full.",
    })
}

fn channels() -> Value {
    let names = Names::default();
    let mut channels = Map::new();
    for (name, word, third) in FAMILIES {
        let parameters = json!({
            "event": {"description": "The second word of the event's type.", "enum": second_words(word)},
            third: third_word(word),
            "account_id": {"description": "User id of the account; `unknown` where it is not digits."},
        });
        channels.insert(
            name.to_owned(),
            json!({
                "address": format!("{word}.{{event}}.{{{third}}}.{{account_id}}"),
                "description": format!("Events whose type begins with `{word}.`. The address is the routing key."),
                "parameters": parameters,
                "messages": references(&types_of(word), "#/components/messages/"),
                "bindings": routing(&names.events, "topic"),
            }),
        );
    }
    channels.insert("commands".to_owned(), command_channel(&names));
    channels.extend(queues(&names));
    Value::Object(channels)
}

fn third_word(word: &str) -> Value {
    match word {
        "command" => {
            let mut names = action_names();
            names.push("command".to_owned());
            json!({"description": "The command's name; `command` where it had none or two.", "enum": names})
        }
        "account" => json!({"description": "Always this word.", "enum": ["account"]}),
        _ => json!({
            "description": "What kind of message or conversation it is about.",
            "enum": ["post", "direct_message", "encrypted_message"],
        }),
    }
}

fn command_channel(names: &Names) -> Value {
    json!({
        "address": names.commands,
        "description": "What the core wants done. The address is the routing key; behind the \
            exchange lies the queue of the same name, which one replica of the service reads.",
        "messages": references(&["command".to_owned()], "#/components/messages/"),
        "bindings": routing(&names.commands, "direct"),
    })
}

/// The queues, to read from or to look into.
fn queues(names: &Names) -> Vec<(String, Value)> {
    let inbox = Inbox::default();
    let dead = format!("{}.dead", inbox.queue);
    let events: Vec<_> = event_messages().iter().map(event_type).collect();
    let command = vec!["command".to_owned()];
    let inbox_text = format!(
        "Default inbox of the core, bound to `{}` with `{}` (`broker.inboxes`; `[]` if the core \
         declares its own).",
        names.events,
        inbox.bind.join("`, `")
    );
    let dead_text = format!(
        "What the core rejected or let fail too often in `{}`, by way of a fanout exchange of this name.",
        inbox.queue
    );
    vec![
        (
            "inbox".to_owned(),
            queue(&inbox.queue, &inbox_text, &events, dead_lettering(&dead)),
        ),
        (
            "inboxDead".to_owned(),
            queue(&dead, &dead_text, &events, quorum()),
        ),
        (
            "commandQueue".to_owned(),
            queue(
                &names.commands,
                "The commands. For the service alone.",
                &command,
                command_arguments(&names.dead),
            ),
        ),
        (
            "commandsDead".to_owned(),
            queue(
                &names.dead,
                "Commands that could not be read or reuse an id, by way of a fanout exchange of \
                 this name. The header `x-reason` is `unreadable`, `no-command-id`, \
                 `command-id-reused` or `handler-panicked`; `x-detail` says more.",
                &command,
                quorum(),
            ),
        ),
    ]
}

fn quorum() -> Value {
    json!({"x-queue-type": "quorum"})
}

fn dead_lettering(dead: &str) -> Value {
    json!({
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": dead,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    })
}

fn command_arguments(dead: &str) -> Value {
    let mut arguments = dead_lettering(dead);
    arguments["x-single-active-consumer"] = json!(true);
    arguments
}

fn queue(name: &str, text: &str, types: &[String], arguments: Value) -> Value {
    json!({
        "address": name,
        "description": text,
        "messages": references(types, "#/components/messages/"),
        "bindings": {"amqp": {
            "is": "queue",
            "queue": {"name": name, "durable": true, "exclusive": false, "autoDelete": false},
            "x-arguments": arguments,
            "bindingVersion": BINDING,
        }},
    })
}

fn routing(exchange: &str, kind: &str) -> Value {
    json!({"amqp": {
        "is": "routingKey",
        "exchange": {"name": exchange, "type": kind, "durable": true, "autoDelete": false},
        "bindingVersion": BINDING,
    }})
}

fn operations() -> Value {
    let mut operations = Map::new();
    let sends = [
        (
            "sendMessages",
            "messages",
            "A message concerns an account.",
            json!({"mandatory": true}),
        ),
        (
            "sendAccounts",
            "accounts",
            "An account is linked, revoked, or well or unwell.",
            json!({"mandatory": true}),
        ),
        (
            "sendOutcomes",
            "outcomes",
            "A command waits, or has come to its end.",
            json!({"mandatory": true}),
        ),
        (
            "sendConversations",
            "conversations",
            "A conversation is read, merged or in a storm. `conversation.read` and \
             `conversation.typing` are not mandatory, and the latter expires after 30 s.",
            json!({}),
        ),
    ];
    for (name, channel, summary, more) in sends {
        operations.insert(name.to_owned(), send(channel, summary, more));
    }
    operations.insert("receiveCommands".to_owned(), receive_commands());
    Value::Object(operations)
}

fn send(channel: &str, summary: &str, more: Value) -> Value {
    let mut binding = json!({"deliveryMode": 2, "timestamp": true, "bindingVersion": BINDING});
    binding
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({
        "action": "send",
        "channel": {"$ref": format!("#/channels/{channel}")},
        "summary": summary,
        "bindings": {"amqp": binding},
    })
}

fn receive_commands() -> Value {
    let outcomes = types_of("command");
    let messages: Vec<_> = outcomes
        .iter()
        .map(|name| json!({"$ref": format!("#/channels/outcomes/messages/{name}")}))
        .collect();
    json!({
        "action": "receive",
        "channel": {"$ref": "#/channels/commands"},
        "summary": "The core has a command carried out.",
        "description": "Publish persistent, mandatory and confirmed. Any number of \
            `command.deferred` may come, then one `command.succeeded` or `command.failed`, all \
            with the `command_id`, which is also their AMQP `correlation_id`. A core that hears \
            nothing for ten minutes sends the same command again under the same id.",
        "bindings": {"amqp": {"ack": true, "bindingVersion": BINDING}},
        "reply": {"channel": {"$ref": "#/channels/outcomes"}, "messages": messages},
    })
}

fn messages() -> Value {
    let mut messages: Map<_, _> = event_messages()
        .iter()
        .map(|message| (event_type(message), event_entry(message)))
        .collect();
    messages.insert("command".to_owned(), command_entry());
    Value::Object(messages)
}

fn event_entry(message: &MessageDescriptor) -> Value {
    let name = event_type(message);
    let correlation = match name.split('.').next() {
        Some("command") => "$message.payload#/command_id",
        Some("account") => "",
        _ => "$message.payload#/conversation/id",
    };
    let mut entry = json!({
        "name": name,
        "title": message.name(),
        "summary": comment(&message.parent_file(), message.path()),
        "contentType": "application/json",
        "headers": {"$ref": format!("{PLACE}EventHeaders")},
        "payload": {"$ref": format!("{PLACE}{}", message.name())},
        "bindings": {"amqp": {"messageType": name, "bindingVersion": BINDING}},
        "examples": examples(&name),
        "x-amqp-properties": properties(),
    });
    if !correlation.is_empty() {
        entry["correlationId"] = json!({"location": correlation});
    }
    entry
}

fn properties() -> Value {
    json!({
        "message_id": "the event's id",
        "type": "the event's type",
        "timestamp": "when it came about, seconds",
        "app_id": "twitter-channel",
        "content_type": "application/json",
        "delivery_mode": 2,
        "correlation_id": "the command's id on `command.*`, else the conversation's",
    })
}

fn command_entry() -> Value {
    let message = command_message();
    let examples: Vec<_> = action_names()
        .iter()
        .flat_map(|name| examples(name))
        .collect();
    json!({
        "name": "command",
        "title": message.name(),
        "summary": comment(&message.parent_file(), message.path()),
        "contentType": "application/json",
        "payload": {"$ref": format!("{PLACE}Command.send")},
        "correlationId": {"location": "$message.payload#/command_id"},
        "bindings": {"amqp": {"bindingVersion": BINDING}},
        "examples": examples,
        "x-amqp-properties": {
            "message_id": "the command's id; it or `command_id` may be left out, both must agree",
            "content_type": "application/json, or left out",
            "delivery_mode": 2,
        },
    })
}

/// The sample of an event type or command.
fn examples(name: &str) -> Vec<Value> {
    let samples = samples().into_iter().filter(|sample| sample.name == name);
    samples
        .map(|sample| json!({"name": name, "payload": sample.value()}))
        .collect()
}

fn schemas() -> Value {
    let mut written = Writer::new(Form::Written, PLACE);
    for message in event_messages() {
        super::event_object(&mut written, &message);
    }
    let mut to_send = Writer::new(Form::ToSend, PLACE);
    to_send.message(&command_message());
    let mut schemas = written.definitions;
    schemas.append(&mut to_send.definitions);
    schemas.insert("EventHeaders".to_owned(), header_schema());
    Value::Object(schemas)
}

/// AMQP headers of events: CloudEvents 1.0, binary mode.
fn header_schema() -> Value {
    let text = |text: &str| json!({"type": "string", "minLength": 1, "description": text});
    json!({
        "$schema": DRAFT,
        "type": "object",
        "properties": {
            "cloudEvents_specversion": {"type": "string", "const": "1.0", "description": "Version of CloudEvents."},
            "cloudEvents_id": text("The event's id, as in `message_id`."),
            "cloudEvents_source": {
                "type": "string", "pattern": "^/twitter-channel/accounts/.*$",
                "description": "`/twitter-channel/accounts/<account id>`.",
            },
            "cloudEvents_type": text("The event's type, as in the property `type`."),
            "cloudEvents_time": {
                "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z$",
                "description": "When it came about.",
            },
            "cloudEvents_subject": text("Id of the object it is about."),
            "cloudEvents_dataschema": {
                "type": "string", "pattern": "^proto:helpdesk\\.twitter\\.v1/[a-z]+\\.[a-z]+$",
                "description": "`proto:helpdesk.twitter.v1/<event type>`.",
            },
            "traceparent": {
                "type": "string", "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
                "description": "W3C trace context.",
            },
            "x-republished": {"type": "boolean", "description": "Sent again on request."},
        },
        "required": [
            "cloudEvents_specversion", "cloudEvents_id", "cloudEvents_source", "cloudEvents_type",
            "cloudEvents_time", "cloudEvents_subject", "cloudEvents_dataschema",
        ],
    })
}

fn types_of(word: &str) -> Vec<String> {
    let types = event_messages()
        .into_iter()
        .map(|message| event_type(&message));
    types
        .filter(|name| name.split('.').next() == Some(word))
        .collect()
}

fn second_words(word: &str) -> Vec<String> {
    let types = types_of(word).into_iter();
    types
        .map(|name| name.split_once('.').unwrap().1.to_owned())
        .collect()
}

fn action_names() -> Vec<String> {
    super::command_names()
}

fn references(names: &[String], place: &str) -> Map<String, Value> {
    let reference = |name: &String| json!({"$ref": format!("{place}{name}")});
    names
        .iter()
        .map(|name| (name.clone(), reference(name)))
        .collect()
}
