//! JSON Schemas (draft 07, which AsyncAPI has too) of the messages of `proto/`.

use protox::prost_reflect::{
    EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
};
use serde_json::{Map, Value, json};

pub(super) const DRAFT: &str = "http://json-schema.org/draft-07/schema#";

/// Fields that hold a time.
const TIMES: [&str; 12] = [
    "at",
    "complete_until",
    "created_at",
    "expires_at",
    "from",
    "next_attempt_at",
    "read_at",
    "received_at",
    "redact_by",
    "since",
    "time",
    "to",
];

/// Fields of commands that hold an id of X.
const X_IDS: [&str; 7] = [
    "account_id",
    "exclude_mentions",
    "in_reply_to",
    "message_id",
    "person_id",
    "quote",
    "recipient_id",
];

/// Which side of the contract a schema is of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// What the service writes: every field is there, and more may come with a later version.
    Written,
    /// What a core writes: what it does not need is left out, and the unknown is refused.
    ToSend,
}

/// Collects the definitions that a schema needs.
pub(super) struct Writer {
    form: Form,
    /// Where the definitions stand in the document: `#/definitions/`.
    place: &'static str,
    pub(super) definitions: Map<String, Value>,
}

impl Writer {
    pub(super) fn new(form: Form, place: &'static str) -> Self {
        Self {
            form,
            place,
            definitions: Map::new(),
        }
    }

    /// The schema of a message by itself.
    pub(super) fn object(&mut self, message: &MessageDescriptor) -> Value {
        let fields: Vec<_> = message.fields().collect();
        let properties: Map<_, _> = fields
            .iter()
            .map(|field| (field.name().to_owned(), self.field(field)))
            .collect();
        let mut schema = json!({
            "type": "object",
            "description": comment(&message.parent_file(), message.path()),
            "properties": properties,
        });
        match self.form {
            Form::Written => {
                let always = fields.iter().filter(|field| is_always_there(field));
                schema["required"] = always.map(FieldDescriptor::name).collect();
            }
            Form::ToSend => {
                schema["additionalProperties"] = json!(false);
                if let Some(choice) = message.oneofs().next() {
                    let one = |field: FieldDescriptor| json!({"required": [field.name()]});
                    schema["oneOf"] = choice.fields().map(one).collect();
                }
            }
        }
        schema
    }

    /// A reference to the schema of a message, which is among the definitions then.
    pub(super) fn message(&mut self, message: &MessageDescriptor) -> Value {
        let name = self.name(message.full_name());
        if !self.definitions.contains_key(&name) {
            let schema = self.object(message);
            self.definitions.insert(name.clone(), schema);
        }
        self.reference(&name)
    }

    fn enumeration(&mut self, enumeration: &EnumDescriptor) -> Value {
        let name = self.name(enumeration.full_name());
        let mut values: Vec<_> = enumeration
            .values()
            .map(|value| value.name().to_owned())
            .collect();
        let mut schema = json!({"type": "string", "description": enum_text(enumeration)});
        match self.form {
            // A core meets values that its version of the contract does not have.
            Form::Written => {
                let later = json!({"pattern": "^[A-Z][A-Z0-9_]*$"});
                schema["anyOf"] = json!([{"enum": values}, later]);
            }
            Form::ToSend => {
                values.push(String::new());
                schema["enum"] = json!(values);
            }
        }
        self.definitions.insert(name.clone(), schema);
        self.reference(&name)
    }

    fn field(&mut self, field: &FieldDescriptor) -> Value {
        let schema = if field.is_map() {
            json!({"type": "object", "additionalProperties": {"type": "string"}})
        } else if field.is_list() {
            json!({"type": "array", "items": self.value(field)})
        } else {
            self.value(field)
        };
        described(schema, &comment(&field.parent_file(), field.path()))
    }

    fn value(&mut self, field: &FieldDescriptor) -> Value {
        match field.kind() {
            Kind::Bool => json!({"type": "boolean"}),
            Kind::Uint32 => json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}),
            Kind::Uint64 => json!({"type": "string", "pattern": "^(0|[1-9][0-9]{0,19})$"}),
            Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
            Kind::String => self.text(field),
            Kind::Enum(enumeration) => self.enumeration(&enumeration),
            Kind::Message(message) => self.message(&message),
            other => panic!("{}: no JSON form for {other:?}", field.full_name()),
        }
    }

    fn text(&self, field: &FieldDescriptor) -> Value {
        let (name, written) = (field.name(), self.form == Form::Written);
        let pattern = if TIMES.contains(&name) {
            const MOMENT: &str = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}";
            let rest = match self.form {
                Form::Written => "\\.[0-9]{3}Z",
                Form::ToSend => "(\\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})",
            };
            format!("^({MOMENT}{rest})?$")
        } else if name.ends_with("_usd") {
            "^([0-9]+(\\.[0-9]{1,6})?)?$".to_owned()
        } else if field.full_name().ends_with(".Event.id") {
            "^[0-9a-f]{32}$".to_owned()
        } else if !written && X_IDS.contains(&name) {
            "^([1-9][0-9]{0,18})?$".to_owned()
        } else if !written && ["command_id", "retry_of", "target_command_id"].contains(&name) {
            "^[ -~]{0,128}$".to_owned()
        } else {
            return json!({"type": "string"});
        };
        json!({"type": "string", "pattern": pattern})
    }

    fn name(&self, full_name: &str) -> String {
        let name = full_name.replacen("helpdesk.twitter.v1.", "", 1);
        match self.form {
            Form::Written => name,
            Form::ToSend => name + ".send",
        }
    }

    fn reference(&self, name: &str) -> Value {
        json!({"$ref": format!("{}{name}", self.place)})
    }
}

/// Whether every event has the field: all but the messages that their comment says may be unset,
/// or that a command may leave out.
fn is_always_there(field: &FieldDescriptor) -> bool {
    let file = field.parent_file();
    let may_be_unset = || {
        let comment = comment(&file, field.path()).to_lowercase();
        let mut words = comment.split(|c: char| !c.is_alphabetic());
        file.name().ends_with("commands.proto") || words.any(|word| word == "unset")
    };
    let is_message =
        matches!(field.kind(), Kind::Message(_)) && !field.is_list() && !field.is_map();
    field.containing_oneof().is_none() && !(is_message && may_be_unset())
}

/// What stands beside a `$ref` counts for nothing in draft 07.
fn described(schema: Value, comment: &str) -> Value {
    if schema.get("$ref").is_some() {
        return json!({"description": comment, "allOf": [schema]});
    }
    let mut schema = schema;
    schema["description"] = json!(comment);
    schema
}

fn enum_text(enumeration: &EnumDescriptor) -> String {
    let file = enumeration.parent_file();
    let values = enumeration
        .values()
        .map(|value| format!("\n- `{}`: {}", value.name(), comment(&file, value.path())));
    let text = comment(&file, enumeration.path());
    format!("{text}\n{}", values.collect::<String>())
}

/// The comment before what stands at this place of a file, in one line.
pub(super) fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let source = file.file_descriptor_proto().source_code_info.as_ref();
    let mut locations = source.unwrap().location.iter();
    let location = locations.find(|location| location.path == path).unwrap();
    let words: Vec<_> = location.leading_comments().split_whitespace().collect();
    words.join(" ")
}
