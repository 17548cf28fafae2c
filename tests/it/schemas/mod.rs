//! The contract for programs: JSON Schemas and the AsyncAPI document, made from `proto/` and kept
//! beside it. `make schemas` writes them anew.

mod asyncapi;
mod json_schema;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use jsonschema::Validator;
use lapin::BasicProperties;
use lapin::types::AMQPValue;
use protox::prost_reflect::MessageDescriptor;
use serde_json::{Map, Value, json};
use tokio::process::Command;

use self::json_schema::{DRAFT, Form, Writer};
use crate::contract::{
    command_message, command_names, directory, event_messages, event_type, parse, sample, samples,
};
use crate::support::service::{Setup, TestService};

const PLACE: &str = "#/definitions/";
const ASYNCAPI: &str = "asyncapi.json";

/// All that is made, by its path below `proto/`.
fn files() -> BTreeMap<String, Value> {
    let mut files: BTreeMap<_, _> = event_messages().iter().map(event_schema).collect();
    files.insert(schema_path("command"), command_schema());
    files.insert(ASYNCAPI.to_owned(), asyncapi::document());
    files
}

fn schema_path(name: &str) -> String {
    format!("json-schema/{name}.json")
}

fn event_schema(message: &MessageDescriptor) -> (String, Value) {
    let mut writer = Writer::new(Form::Written, PLACE);
    let name = event_type(message);
    event_object(&mut writer, message);
    let root = writer.definitions.remove(message.name()).unwrap();
    (schema_path(&name), whole(&name, root, writer.definitions))
}

fn command_schema() -> Value {
    let mut writer = Writer::new(Form::ToSend, PLACE);
    let root = writer.object(&command_message());
    whole("command", root, writer.definitions)
}

/// Adds an event's schema to the definitions; other events have another type.
fn event_object(writer: &mut Writer, message: &MessageDescriptor) {
    let mut schema = writer.object(message);
    let only = json!({"properties": {"type": {"const": event_type(message)}}});
    let event = schema["properties"]["event"]["allOf"].as_array_mut();
    event.unwrap().push(only);
    writer.definitions.insert(message.name().to_owned(), schema);
}

fn whole(title: &str, mut root: Value, definitions: Map<String, Value>) -> Value {
    root["$schema"] = json!(DRAFT);
    root["title"] = json!(title);
    root["definitions"] = Value::Object(definitions);
    root
}

#[test]
#[ignore = "writes files: make schemas"]
fn are_written() {
    for (path, content) in files() {
        let path = directory().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{content:#}\n")).unwrap();
    }
}

#[test]
fn the_committed_schemas_are_those_of_the_messages() {
    let files = files();
    for (path, content) in &files {
        let committed = fs::read_to_string(directory().join(path)).unwrap_or_default();
        let same = committed == format!("{content:#}\n");
        assert!(same, "proto/{path} is not what proto/ says: make schemas");
    }
    let folder = fs::read_dir(directory().join("json-schema")).unwrap();
    for entry in folder {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let path = format!("json-schema/{name}");
        assert!(files.contains_key(&path), "proto/{path} is of no message");
    }
}

/// Validators of the committed schemas, by event type; `command` is that of commands.
static VALIDATORS: LazyLock<BTreeMap<String, Validator>> = LazyLock::new(|| {
    let mut names: Vec<_> = event_messages().iter().map(event_type).collect();
    names.push("command".to_owned());
    let validator = |name: String| {
        let schema = committed(&schema_path(&name));
        (name, jsonschema::validator_for(&schema).unwrap())
    };
    names.into_iter().map(validator).collect()
});

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| committed(ASYNCAPI));

static HEADERS: LazyLock<Validator> = LazyLock::new(|| {
    let schema = &DOCUMENT["components"]["schemas"]["EventHeaders"];
    jsonschema::validator_for(schema).unwrap()
});

fn committed(path: &str) -> Value {
    parse(&fs::read(directory().join(path)).unwrap()).unwrap()
}

/// Whether the committed schema of this event type, or of a `command`, allows the body.
pub(crate) fn check_schema(name: &str, body: &Value) -> Result<(), String> {
    check(&VALIDATORS[name], body).map_err(|fault| format!("schema of {name}: {fault}"))
}

fn check(validator: &Validator, value: &Value) -> Result<(), String> {
    let fault =
        |error: jsonschema::ValidationError<'_>| format!("at `{}`: {error}", error.instance_path());
    validator.validate(value).map_err(fault)
}

/// Whether an event was published as the AsyncAPI document says.
pub(crate) fn check_envelope(
    event_type: &str,
    routing_key: &str,
    properties: &BasicProperties,
) -> Result<(), String> {
    check(&HEADERS, &headers(properties)).map_err(|fault| format!("headers: {fault}"))?;
    let property = properties.kind().as_ref().map(ToString::to_string);
    let channels = DOCUMENT["channels"].as_object().unwrap().values();
    let mut with_it = channels.filter(|channel| channel["messages"].get(event_type).is_some());
    if property.as_deref() != Some(event_type) {
        Err(format!("the property `type` is {property:?}"))
    } else if with_it.any(|channel| fits(channel, routing_key)) {
        Ok(())
    } else {
        Err(format!("no channel has {event_type} under {routing_key}"))
    }
}

/// Whether a routing key is a channel's address with its parameters filled in.
fn fits(channel: &Value, routing_key: &str) -> bool {
    let address: Vec<_> = channel["address"].as_str().unwrap().split('.').collect();
    let words: Vec<_> = routing_key.split('.').collect();
    let fits = |(pattern, word): (&&str, &&str)| {
        let name = pattern
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        let Some(name) = name else {
            return pattern == word;
        };
        let allowed = channel["parameters"][name].get("enum");
        allowed.is_none_or(|words| words.as_array().unwrap().contains(&json!(word)))
    };
    address.len() == words.len() && address.iter().zip(&words).all(fits)
}

fn headers(properties: &BasicProperties) -> Value {
    let headers = properties.headers().as_ref().map(|table| table.inner());
    let json = |value: &AMQPValue| match value {
        AMQPValue::LongString(text) => json!(text.to_string()),
        AMQPValue::Boolean(value) => json!(value),
        other => json!(format!("{other:?}")),
    };
    let all = headers.into_iter().flatten();
    all.map(|(name, value)| (name.to_string(), json(value)))
        .collect()
}

#[test]
fn samples_pass_the_schemas() {
    for sample in samples() {
        let body = sample.value();
        let name = body.pointer("/event/type").and_then(Value::as_str);
        let fault = check_schema(name.unwrap_or("command"), &body);
        assert_eq!(fault, Ok(()), "{}", sample.name);
    }
}

#[test]
fn an_event_of_another_type_or_without_a_field_fails_its_schema() {
    let received = sample("message.received");
    assert!(check_schema("message.edited", &received).is_err());
    for place in ["/message/text", "/event/id", "/message/author", "/account"] {
        let mut lacking = received.clone();
        let (outer, name) = place.rsplit_once('/').unwrap();
        let object = lacking.pointer_mut(outer).unwrap().as_object_mut();
        object.unwrap().remove(name);
        assert!(
            check_schema("message.received", &lacking).is_err(),
            "{place}"
        );
    }
}

#[test]
fn an_event_of_a_later_version_passes_the_schemas_of_this_one() {
    let mut later = sample("message.received");
    later["message"]["mood"] = json!("GOOD");
    later["message"]["relation"] = json!("LIKE");
    assert_eq!(check_schema("message.received", &later), Ok(()));
}

#[test]
fn a_command_that_the_reader_would_refuse_fails_the_schema() {
    let spoil: [fn(&mut Value); 6] = [
        |command| command["colour"] = json!("red"),
        |command| command["send_post"]["in_reply_to"] = json!(1_209_097_192_914_313_216_u64),
        |command| command["send_post"]["in_reply_to"] = json!("007"),
        |command| command["send_post"]["when_too_long"] = json!("CUT"),
        |command| command["delete_message"] = json!({"message_id": "1"}),
        |command| command["expires_at"] = json!("tomorrow"),
    ];
    let good = sample("send_post");
    for spoil in spoil {
        let mut command = good.clone();
        spoil(&mut command);
        assert!(check_schema("command", &command).is_err(), "{command}");
    }
}

#[test]
fn a_minimal_command_passes_the_schema() {
    let command = json!({"command_id": "c1", "account_id": "1", "send_post": {"text": "Hello"}});
    assert_eq!(check_schema("command", &command), Ok(()));
}

#[test]
fn the_document_is_asyncapi() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(".run/tools/schemas/3.0.0-without-$id.json");
    let schema = fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}: run scripts/bootstrap tests", path.display()));
    let validator = jsonschema::validator_for(&parse(&schema).unwrap()).unwrap();
    assert_eq!(check(&validator, &DOCUMENT), Ok(()));
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    let mut references = BTreeSet::new();
    collect_references(&DOCUMENT, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let place = reference.strip_prefix('#').unwrap();
        assert!(DOCUMENT.pointer(place).is_some(), "{reference}");
    }
}

fn collect_references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                found.insert(reference.clone());
            }
            fields
                .values()
                .for_each(|value| collect_references(value, found));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect_references(item, found)),
        _ => {}
    }
}

#[test]
fn the_examples_of_the_document_pass_its_schemas() {
    let messages = DOCUMENT["components"]["messages"].as_object().unwrap();
    for (name, message) in messages {
        let mut schema = json!({"components": DOCUMENT["components"], "$schema": DRAFT});
        schema["allOf"] = json!([message["payload"]]);
        let validator = jsonschema::validator_for(&schema).unwrap();
        let examples = message["examples"].as_array().unwrap();
        assert!(!examples.is_empty(), "{name} has no example");
        for example in examples {
            assert_eq!(check(&validator, &example["payload"]), Ok(()), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queues_and_exchanges_are_those_of_the_document() {
    let service = TestService::start(Setup::new()).await;
    service.settled().await;
    for channel in DOCUMENT["channels"].as_object().unwrap().values() {
        let binding = &channel["bindings"]["amqp"];
        let (kind, entity) = match binding.get("queue") {
            Some(queue) => ("queues", queue),
            None => ("exchanges", &binding["exchange"]),
        };
        let name = entity["name"].as_str().unwrap();
        let found = service.broker.look_up(kind, name).await;
        assert_eq!(found["durable"], entity["durable"], "{entity}");
        assert_eq!(found["auto_delete"], entity["autoDelete"], "{entity}");
        if kind == "queues" {
            assert_eq!(found["arguments"], binding["x-arguments"], "{entity}");
        } else {
            assert_eq!(found["type"], entity["type"], "{entity}");
        }
    }
}

#[tokio::test]
async fn the_command_line_prints_the_document() {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_twitter-channel"));
    let output = Command::new(binary).arg("asyncapi").output().await.unwrap();
    assert!(output.status.success());
    assert_eq!(parse(&output.stdout).unwrap(), *DOCUMENT);
}
