//! X's JSON as it comes. X leaves fields out, adds some at any time and answers `null` for empty,
//! so nothing here is required and no enum is closed: an optional field of a wrong type counts as
//! absent ([`Text`], [`Lenient`], [`List`]), and what is essential (ids) stays a [`Raw`] value
//! until `normalize` reads it and says what is wrong with it.

pub(crate) mod answer;
mod direct;
mod user;
pub(crate) mod v1;
pub(crate) mod v2;

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

pub(crate) use direct::{App, DirectMessageEvent, Indication, MessageCreate, MessageData, Target};
pub(crate) use user::User;

/// The text of one JSON value, found well-formed but not read yet.
pub(crate) type Raw<'a> = &'a RawValue;

/// An optional value: a wrong type counts as absent.
#[derive(Debug)]
pub(crate) struct Lenient<T>(Option<T>);

impl<T> Lenient<T> {
    pub(crate) fn into_inner(self) -> Option<T> {
        self.0
    }
}

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> From<Option<T>> for Lenient<T> {
    fn from(value: Option<T>) -> Self {
        Self(value)
    }
}

impl<T> Deref for Lenient<T> {
    type Target = Option<T>;

    fn deref(&self) -> &Option<T> {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By way of the raw value: a failure halfway through it cannot be recovered from.
        let raw = Raw::deserialize(deserializer)?.get();
        Ok(Self(match raw {
            "null" => None,
            _ => serde_json::from_str(raw).ok(),
        }))
    }
}

/// A list: elements of a wrong type are left out, a value that is no list is empty.
#[derive(Debug)]
pub(crate) struct List<T>(Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let elements = Lenient::<Vec<Lenient<T>>>::deserialize(deserializer)?.0;
        let readable = elements.unwrap_or_default().into_iter();
        Ok(Self(readable.filter_map(|element| element.0).collect()))
    }
}

/// A string: a value that is none is empty. Lone surrogates become U+FFFD.
#[derive(Debug, Default)]
pub(crate) struct Text<'a>(Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Raw::deserialize(deserializer).map(|raw| Self(string(raw).unwrap_or_default()))
    }
}

/// The string that a value is; `None` for any other type.
pub(crate) fn string(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    let quoted = raw.get();
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(quoted)
            .ok()
            .map(|Unescaped(text)| Cow::Owned(text))
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// A JSON string with escapes; read as bytes, since only so serde_json takes lone surrogates.
struct Unescaped(String);

impl<'de> Deserialize<'de> for Unescaped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesVisitor;

        impl Visitor<'_> for BytesVisitor {
            type Value = Unescaped;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Unescaped, E> {
                Ok(Unescaped(String::from_utf8_lossy(bytes).into_owned()))
            }
        }

        deserializer.deserialize_bytes(BytesVisitor)
    }
}

/// `true`, `false`, or either as a string.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flag(pub(crate) bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Raw::deserialize(deserializer).map(Self::of)
    }
}

impl Flag {
    /// Anything but true is false.
    pub(crate) fn of(raw: Raw<'_>) -> Self {
        Self(raw.get().trim_matches('"').eq_ignore_ascii_case("true"))
    }
}

/// An object's members in their order, repeated names included.
#[derive(Debug, Default)]
pub(crate) struct Members<'a>(Vec<(Text<'a>, Raw<'a>)>);

impl<'a> Members<'a> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Raw<'a>)> {
        self.0.iter().map(|(name, value)| (&**name, *value))
    }

    pub(crate) fn get(&self, wanted: &str) -> Option<Raw<'a>> {
        self.iter()
            .find_map(|(name, value)| (name == wanted).then_some(value))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Members<'de>, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_type_counts_as_absent() {
        for json in ["null", "\"7\"", "{}", "[7]", "-1", "1e999", "true"] {
            let number: Lenient<u32> = serde_json::from_str(json).unwrap();
            assert_eq!(*number, None, "{json}");
        }
        assert_eq!(*serde_json::from_str::<Lenient<u32>>("7").unwrap(), Some(7));
    }

    #[test]
    fn a_list_keeps_its_readable_elements() {
        let list: List<u32> = serde_json::from_str("[1, \"2\", null, 3]").unwrap();
        assert_eq!(*list, [1, 3]);
        assert!(serde_json::from_str::<List<u32>>("{}").unwrap().is_empty());
    }

    #[test]
    fn strings_are_unescaped_and_anything_else_is_empty() {
        let text = |json| serde_json::from_str::<Text<'_>>(json).unwrap().0;
        assert_eq!(text(r#""a\n\"\ud83d\ude00é""#), "a\n\"😀é");
        assert_eq!(text(r#""a\ud800b""#).replace('\u{fffd}', ""), "ab");
        assert_eq!(text("7"), "");
        assert_eq!(text("{\"a\": \"b\"}"), "");
    }

    #[test]
    fn flags_are_true_as_boolean_and_as_string_only() {
        let flag = |json| serde_json::from_str::<Flag>(json).unwrap().0;
        assert!(flag("true") && flag("\"true\"") && flag("\"True\""));
        assert!(!flag("false") && !flag("\"false\"") && !flag("1") && !flag("null"));
    }

    #[test]
    fn repeated_members_are_all_kept() {
        let members: Members<'_> = serde_json::from_str(r#"{"a":1,"\u0061":2,"b":[]}"#).unwrap();
        let names: Vec<_> = members
            .iter()
            .map(|(name, raw)| (name, raw.get()))
            .collect();
        assert_eq!(names, [("a", "1"), ("a", "2"), ("b", "[]")]);
    }
}
