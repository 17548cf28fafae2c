//! The published contract: the messages of `proto/helpdesk/twitter/v1` with their JSON form.
//!
//! Writing emits every field under its name in the `.proto`; reading refuses unknown fields and
//! enum values.

use serde::Deserialize;
use serde_json::Value;

pub use generated::*;

#[expect(
    clippy::allow_attributes,
    clippy::map_err_ignore,
    reason = "made by prost and pbjson, see build.rs"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/helpdesk.twitter.v1.rs"));
    include!(concat!(env!("OUT_DIR"), "/helpdesk.twitter.v1.serde.rs"));
}

impl Command {
    /// Reads a command as cores write it: an empty string or `null` equals an absent field.
    pub fn from_json(mut body: Value) -> Result<Self, serde_json::Error> {
        drop_empty(&mut body);
        Self::deserialize(body)
    }
}

/// Generated code takes `false` and `[]` for absent, but neither an enum that is "" nor a string
/// that is `null`.
fn drop_empty(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null() && member.as_str() != Some(""));
            // The values of metadata are the sender's own, and are given back as they came.
            let fields = members.iter_mut().filter(|(name, _)| *name != "metadata");
            fields.for_each(|(_, member)| drop_empty(member));
        }
        Value::Array(items) => items.iter_mut().for_each(drop_empty),
        _ => {}
    }
}
