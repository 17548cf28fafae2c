//! Small helpers to put JSON together.

use serde_json::{Map, Value};

/// `object` with `key` set, when there is a value; X leaves absent fields out in v2.
pub(crate) fn with(mut object: Value, key: &str, value: Option<Value>) -> Value {
    if let (Some(fields), Some(value)) = (object.as_object_mut(), value) {
        fields.insert(key.to_owned(), value);
    }
    object
}

/// `object` with all fields of `more`.
pub(crate) fn with_all(mut object: Value, more: Value) -> Value {
    if let (Some(fields), Value::Object(more)) = (object.as_object_mut(), more) {
        fields.extend(more);
    }
    object
}

/// An array, or nothing when it would be empty.
pub(crate) fn non_empty(items: Vec<Value>) -> Option<Value> {
    (!items.is_empty()).then_some(Value::Array(items))
}

/// Rebuilds every object in `value`, innermost first.
pub(crate) fn rewrite(
    value: Value,
    object: &impl Fn(Map<String, Value>) -> Map<String, Value>,
) -> Value {
    match value {
        Value::Object(fields) => Value::Object(object(
            fields
                .into_iter()
                .map(|(key, value)| (key, rewrite(value, object)))
                .collect(),
        )),
        Value::Array(items) => items
            .into_iter()
            .map(|item| rewrite(item, object))
            .collect(),
        other => other,
    }
}
