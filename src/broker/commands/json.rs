//! JSON as it stands: nothing is coerced, members given twice stay visible.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::str;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Largest body, bytes: four photos of 3 MB inline fit.
const MAX_BODY: usize = 16 * 1024 * 1024;
/// Deepest nesting; the outermost object is 1. A command needs four.
const MAX_DEPTH: u32 = 32;
/// Most values of a body; a command needs a few dozen, beside its metadata.
const MAX_VALUES: u32 = 20_000;

/// One JSON value; texts without escapes are borrowed from the body.
#[derive(Debug, PartialEq)]
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    /// As shown to people; no number means anything in a command.
    Number(String),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Object(Vec<Member<'a>>),
}

/// Name and value of one member of an object.
pub(super) type Member<'a> = (Cow<'a, str>, Node<'a>);

/// Reads one JSON text.
///
/// # Errors
/// Says what is wrong with it, in words that hold nothing of the body.
pub(super) fn parse(body: &[u8]) -> Result<Node<'_>, String> {
    if body.len() > MAX_BODY {
        let (size, most) = (body.len(), MAX_BODY);
        return Err(format!(
            "the body has {size} bytes; expected at most {most}"
        ));
    }
    let text =
        str::from_utf8(body).map_err(|error| format!("the body is not UTF-8 JSON: {error}"))?;
    let mut json = serde_json::Deserializer::from_str(text);
    let values = Cell::new(0);
    let root = Seed {
        depth: 0,
        values: &values,
    };
    let node = root.deserialize(&mut json);
    let whole = node.and_then(|node| json.end().map(|()| node));
    whole.map_err(|error| format!("the body is not JSON that can be read: {error}"))
}

/// Reads a value within the limits of the whole.
#[derive(Clone, Copy)]
struct Seed<'v> {
    /// Of the containers around it.
    depth: u32,
    /// Read so far.
    values: &'v Cell<u32>,
}

impl Seed<'_> {
    fn within<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth + 1;
        if depth > MAX_DEPTH {
            return Err(E::custom(format!("nested deeper than {MAX_DEPTH}")));
        }
        Ok(Self { depth, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node<'de>, D::Error> {
        let values = self.values.get() + 1;
        if values > MAX_VALUES {
            return Err(D::Error::custom(format!("more than {MAX_VALUES} values")));
        }
        self.values.set(values);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node<'de>, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node<'de>, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node<'de>, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(value.into()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(value.to_owned().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node<'de>, A::Error> {
        let inner = self.within()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node<'de>, A::Error> {
        let inner = self.within()?;
        let mut object = Vec::new();
        while let Some(name) = members.next_key_seed(Name)? {
            object.push((name, members.next_value_seed(inner)?));
        }
        Ok(Node::Object(object))
    }
}

/// Reads the name of a member.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(value.to_owned().into())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn everything_is_kept_as_it_stands() {
        let body = br#"{"a": [null, true, 12, -1.5, "x\n"], "a": {}}"#;
        let list = vec![
            Node::Null,
            Node::Bool(true),
            Node::Number("12".into()),
            Node::Number("-1.5".into()),
            Node::Text("x\n".into()),
        ];
        let members = vec![
            ("a".into(), Node::List(list)),
            ("a".into(), Node::Object(vec![])),
        ];
        assert_eq!(parse(body), Ok(Node::Object(members)));
    }

    #[rstest]
    #[case::empty(b"", "EOF while parsing a value")]
    #[case::cut_off(b"{\"a\": \"b", "EOF while parsing a string")]
    #[case::more_behind(b"{} {}", "trailing characters")]
    #[case::not_utf8(b"{\"a\": \"\xff\"}", "not UTF-8")]
    #[case::half_a_surrogate(b"[\"\\ud800\"]", "hex escape")]
    #[case::raw_control_sign(b"[\"\x00\"]", "control character")]
    #[case::out_of_range(b"[1e999]", "number out of range")]
    #[case::not_json(b"command_id=1", "expected value")]
    fn what_is_no_json_is_refused_with_the_reason(#[case] body: &[u8], #[case] reason: &str) {
        let refused = parse(body).unwrap_err();
        assert!(refused.contains(reason), "{refused}");
    }

    #[test]
    fn depth_size_and_number_of_values_are_limited() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(32).as_bytes()).is_ok());
        for too_deep in [nested(33), "[".repeat(1_000_000)] {
            let refused = parse(too_deep.as_bytes()).unwrap_err();
            assert!(refused.contains("nested deeper than 32"), "{refused}");
        }
        let many = format!("[{}0]", "0,".repeat(20_000));
        assert!(parse(many.as_bytes()).unwrap_err().contains("20000 values"));
        let mut large = vec![b' '; MAX_BODY];
        large[0] = b'1';
        assert!(parse(&large).is_ok());
        large.push(b' ');
        assert!(parse(&large).unwrap_err().contains("16777217 bytes"));
    }
}
