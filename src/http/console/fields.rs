//! What a form sent.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use serde_json::Value;

use super::page::Refused;
use crate::flow::registry::Table;
use crate::http::api::problem::{Kind, Problem};

/// The fields of a form, in its order. A name may come more than once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let read = serde_urlencoded::from_bytes(body);
        let bad = |_| Problem::new(Kind::Invalid, "The form cannot be read.");
        read.map(Self).map_err(bad)
    }

    /// As it came; empty where it did not.
    pub(super) fn raw(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    /// Without blanks around it: pastes have them.
    pub(super) fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// Whether a box was ticked, or a button of this name pressed.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// The words of a field, apart by commas or white space.
    pub(super) fn words(&self, name: &str) -> Vec<String> {
        let parts = self
            .raw(name)
            .split(|c: char| c == ',' || c.is_whitespace());
        let parts = parts.filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    }
}

impl FromRequest for Fields {
    type Error = Refused;
    type Future = Ready<Result<Self, Refused>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let read = request.extensions().get::<Self>().cloned();
        let missing = || Refused::new(Kind::Invalid, "The form did not come along.");
        ready(read.ok_or_else(missing))
    }
}

/// Puts a text of a form into a table of settings; an empty one is left out.
pub(super) fn put(table: &mut Table, key: &str, text: &str) {
    if !text.is_empty() {
        table.insert(key.to_owned(), Value::String(text.to_owned()));
    }
}

/// Puts a number into a table of settings, or what was entered instead of one, for the reader of
/// settings to refuse.
pub(super) fn put_number(table: &mut Table, key: &str, text: &str) {
    match text.parse::<u64>() {
        Ok(number) => drop(table.insert(key.to_owned(), number.into())),
        Err(_) => put(table, key, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_trimmed_and_may_come_again() {
        let fields = Fields::parse(b"a=+x%0A&b=1&b=2&w=%401%2C+2%0A3").unwrap();
        assert_eq!(
            (fields.text("a"), fields.raw("b"), fields.text("c")),
            ("x", "1", "")
        );
        assert!(fields.has("b") && !fields.has("c"));
        assert_eq!(fields.words("w"), ["@1", "2", "3"]);
    }
}
