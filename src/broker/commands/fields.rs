//! The fields of one object of a command, read strictly, each fault with its path.

use std::collections::HashSet;
use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;

use super::json::{Member, Node};
use crate::domain::command::{Failure, FailureCode};

/// Longest value shown in a failure, characters.
const SHOWN: usize = 64;

/// Why ids are not numbers, said to whoever sends one.
const DIGITS: &str = "an id as a string of 1 to 19 digits without leading zeros \
                      (as a JSON number it would lose digits)";

/// A member of an object, where it is given.
pub(super) struct Field<'n, 'a> {
    /// From the root: `send_post.attachments[0].url`.
    pub(super) path: String,
    pub(super) node: Option<&'n Node<'a>>,
}

/// An object whose fields are read one by one.
pub(super) struct Fields<'n, 'a> {
    path: String,
    members: &'n [Member<'a>],
}

impl<'n, 'a> Fields<'n, 'a> {
    /// The object that a whole body is.
    pub(super) fn root(members: &'n [Member<'a>]) -> Self {
        Self {
            path: String::new(),
            members,
        }
    }

    /// Refuses what nobody knows and what is given twice.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Failure> {
        let mut seen = HashSet::new();
        for (name, _) in self.members {
            if !known.contains(&&**name) {
                let expected = format!("one of {}", known.join(", "));
                return Err(invalid(self.path_of(name), "an unknown field", &expected));
            }
            if !seen.insert(name) {
                return Err(self.twice(name));
            }
        }
        Ok(())
    }

    /// INVALID: it is given twice.
    pub(super) fn twice(&self, name: &str) -> Failure {
        invalid(self.path_of(name), "given twice", "it once")
    }

    /// The field of this name. Of one given twice the first, for `only` refuses it.
    pub(super) fn get(&self, name: &str) -> Field<'n, 'a> {
        let mut members = self.members.iter();
        let found = members.find(|(known, _)| known == name);
        Field {
            path: self.path_of(name),
            node: found.map(|(_, node)| node).filter(|node| is_given(node)),
        }
    }

    /// How often a name occurs.
    pub(super) fn count(&self, name: &str) -> usize {
        let members = self.members.iter();
        members.filter(|(known, _)| known == name).count()
    }

    fn path_of(&self, name: &str) -> String {
        let name = cut(name);
        match self.path.as_str() {
            "" => name,
            path => format!("{path}.{name}"),
        }
    }
}

/// `null`, an empty string, `false` and `[]` equal absence.
fn is_given(node: &Node<'_>) -> bool {
    match node {
        Node::Null => false,
        Node::Bool(value) => *value,
        Node::Text(text) => !text.is_empty(),
        Node::List(items) => !items.is_empty(),
        Node::Number(_) | Node::Object(_) => true,
    }
}

impl<'n, 'a> Field<'n, 'a> {
    /// An optional text.
    pub(super) fn text(self) -> Result<String, Failure> {
        Ok(self.optional_text()?.unwrap_or_default().to_owned())
    }

    /// An optional text that is not empty, as it stands in the body.
    pub(super) fn optional_text(&self) -> Result<Option<&'n str>, Failure> {
        match self.node {
            None => Ok(None),
            Some(Node::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.unlike("a string")),
        }
    }

    /// A switch that is off where it is not given.
    pub(super) fn flag(self) -> Result<bool, Failure> {
        match self.node {
            None => Ok(false),
            Some(Node::Bool(value)) => Ok(*value),
            Some(_) => Err(self.unlike("true or false")),
        }
    }

    /// An optional id of X.
    pub(super) fn id<T: FromStr>(self) -> Result<Option<T>, Failure> {
        self.parse(|raw| raw.parse().ok(), DIGITS)
    }

    /// An id of X that has to be there.
    pub(super) fn required_id<T: FromStr>(self) -> Result<T, Failure> {
        let missing = self.unlike(DIGITS);
        self.id()?.ok_or(missing)
    }

    /// An optional value of a type that tells what it expects.
    pub(super) fn parsed<T: FromStr<Err: Display>>(self) -> Result<Option<T>, Failure> {
        let Some(raw) = self.optional_text()? else {
            return Ok(None);
        };
        match raw.parse() {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(Failure {
                code: FailureCode::Invalid,
                detail: format!("{}: {error}", self.shown()),
                field: self.path,
            }),
        }
    }

    /// An optional moment.
    pub(super) fn time(self) -> Result<Option<Timestamp>, Failure> {
        self.parse(rfc_3339, "a time as in RFC 3339, 2019-12-23T13:03:29Z")
    }

    /// A moment that has to be there.
    pub(super) fn required_time(self) -> Result<Timestamp, Failure> {
        let missing = self.unlike("a time as in RFC 3339, 2019-12-23T13:03:29Z");
        self.time()?.ok_or(missing)
    }

    /// An optional text that `parse` takes.
    pub(super) fn parse<T>(
        self,
        parse: impl FnOnce(&str) -> Option<T>,
        expected: &str,
    ) -> Result<Option<T>, Failure> {
        match self.node {
            None => Ok(None),
            Some(Node::Text(raw)) => match parse(raw) {
                Some(value) => Ok(Some(value)),
                None => Err(self.unlike(expected)),
            },
            Some(_) => Err(self.unlike(expected)),
        }
    }

    /// The items of an optional list, each with its path.
    pub(super) fn list(self) -> Result<Vec<Self>, Failure> {
        let items = match self.node {
            None => return Ok(Vec::new()),
            Some(Node::List(items)) => items,
            Some(_) => return Err(self.unlike("a list")),
        };
        let item = |(at, node)| Field {
            path: format!("{}[{at}]", self.path),
            node: Some(node),
        };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// The fields of an optional object.
    pub(super) fn object(self) -> Result<Option<Fields<'n, 'a>>, Failure> {
        match self.node {
            None => Ok(None),
            Some(Node::Object(members)) => Ok(Some(Fields {
                path: self.path,
                members,
            })),
            Some(_) => Err(self.unlike("an object")),
        }
    }

    /// The names and texts of an optional object that may have any members; also the empty ones.
    pub(super) fn texts(self) -> Result<Vec<(&'n str, &'n str)>, Failure> {
        let Some(fields) = self.object()? else {
            return Ok(Vec::new());
        };
        let mut seen = HashSet::new();
        let text = |(name, node): &'n Member<'a>| match node {
            _ if !seen.insert(name) => Err(fields.twice(name)),
            Node::Text(text) => Ok((&**name, &**text)),
            other => Err(invalid(fields.path_of(name), &show(other), "a string")),
        };
        fields.members.iter().map(text).collect()
    }

    /// INVALID: it is not what was expected.
    pub(super) fn unlike(&self, expected: &str) -> Failure {
        invalid(self.path.clone(), &self.shown(), expected)
    }

    fn shown(&self) -> String {
        self.node
            .map_or_else(|| "nothing".to_owned(), |node| show(node))
    }
}

/// INVALID at a path, with what was found and what was expected.
pub(super) fn invalid(field: String, found: &str, expected: &str) -> Failure {
    Failure {
        code: FailureCode::Invalid,
        field,
        detail: format!("{found}; expected {expected}"),
    }
}

/// A value for people to read, never the whole of a long one.
fn show(node: &Node<'_>) -> String {
    match node {
        Node::Null => "null".to_owned(),
        Node::Bool(value) => value.to_string(),
        Node::Number(number) => format!("the number {}", cut(number)),
        Node::Text(text) => format!("`{}`", cut(text)),
        Node::List(_) => "a list".to_owned(),
        Node::Object(_) => "an object".to_owned(),
    }
}

/// The beginning of a long text.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// `date-time` of RFC 3339, whose fraction has at most nine digits. The time library alone would
/// take other forms of ISO 8601 too, and a time zone behind.
fn rfc_3339(raw: &str) -> Option<Timestamp> {
    const SHAPE: &str = "0000-00-00T00:00:00";
    let (moment, rest) = raw.split_at_checked(SHAPE.len())?;
    let fits = |(byte, shape): (u8, u8)| match shape {
        b'0' => byte.is_ascii_digit(),
        _ => byte == shape,
    };
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|sign: char| sign.is_ascii_digit()),
        None => rest,
    };
    let offset = |zone: &str| {
        let digits = zone.strip_prefix(['+', '-']);
        digits.is_some_and(|digits| digits.len() == 5 && digits.as_bytes().get(2) == Some(&b':'))
    };
    let shaped = moment.bytes().zip(SHAPE.bytes()).all(fits) && (zone == "Z" || offset(zone));
    shaped.then(|| raw.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("2019-12-23T13:03:29Z")]
    #[case("2019-12-23T13:03:29.000000001Z")]
    #[case("2019-12-23T14:03:29.5+01:00")]
    #[case("2019-12-23T13:03:29-00:00")]
    fn times_of_rfc_3339_are_read(#[case] raw: &str) {
        let time = rfc_3339(raw).unwrap();
        assert_eq!(time.as_second(), 1_577_106_209, "{raw}");
    }

    #[rstest]
    #[case("2019-12-23")]
    #[case("2019-12-23T13:03Z")]
    #[case("2019-12-23T13:03:29")]
    #[case("2019-12-23T13:03:29+01")]
    #[case("2019-12-23T13:03:29+0100")]
    #[case("2019-12-23 13:03:29Z")]
    #[case("20191223T130329Z")]
    #[case("2019-12-23T13:03:29,5Z")]
    #[case("2019-12-23T13:03:29.Z")]
    #[case("2019-12-23T13:03:29+01:00[Europe/Vienna]")]
    #[case("2019-13-23T13:03:29Z")]
    #[case("2019-02-30T13:03:29Z")]
    #[case("1577106209")]
    #[case("+002019-12-23T13:03:29Z")]
    #[case("2019-12-23T13:03:29é")]
    fn other_forms_of_time_are_not(#[case] raw: &str) {
        assert_eq!(rfc_3339(raw), None, "{raw}");
    }

    #[test]
    fn a_long_value_is_shown_cut() {
        let shown = show(&Node::Text("é".repeat(10_000).into()));
        assert_eq!(shown.chars().count(), SHOWN + 3);
    }
}
