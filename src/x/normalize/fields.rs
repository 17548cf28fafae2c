//! Reading what an event cannot do without, and saying what is wrong with it. Fields are named,
//! their values never: they may be what people wrote to each other.

use serde::Deserialize;

use crate::domain::activity::{RejectReason, Rejected};
use crate::x::wire::Raw;

/// Why one event cannot be read.
#[derive(Debug, PartialEq)]
pub(super) struct Unreadable {
    reason: RejectReason,
    /// Path from the event to the field; empty for the event itself.
    field: String,
    problem: String,
}

impl Unreadable {
    /// A field of an event of a known form is not as it has to be.
    pub(super) fn malformed(field: &str, problem: impl Into<String>) -> Self {
        Self {
            reason: RejectReason::MalformedEvent,
            field: field.to_owned(),
            problem: problem.into(),
        }
    }

    /// An event of a kind that nobody knows.
    pub(super) fn unknown(field: &str, problem: impl Into<String>) -> Self {
        Self {
            reason: RejectReason::UnknownShape,
            ..Self::malformed(field, problem)
        }
    }

    /// Prefixes the path to the field.
    pub(super) fn inside(mut self, outer: &str) -> Self {
        self.field = match self.field.as_str() {
            "" => outer.to_owned(),
            field => format!("{outer}.{field}"),
        };
        self
    }
}

impl From<Unreadable> for Rejected {
    fn from(unreadable: Unreadable) -> Self {
        Self {
            reason: unreadable.reason,
            detail: format!("{}: {}", unreadable.field, unreadable.problem),
        }
    }
}

/// The JSON type of a value, for people.
fn type_of(raw: Raw<'_>) -> &'static str {
    match raw.get().as_bytes().first() {
        Some(b'"') => "another string",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// An object with its fields.
pub(super) fn object<'a, T: Deserialize<'a>>(raw: Raw<'a>) -> Result<T, Unreadable> {
    if !raw.get().starts_with('{') {
        let problem = format!("expected an object, found {}", type_of(raw));
        return Err(Unreadable::malformed("", problem));
    }
    // Fields are lenient, so what is left is a name that stands twice; it is quoted, no value is.
    serde_json::from_str(raw.get()).map_err(|error| Unreadable::malformed("", error.to_string()))
}

/// An object that has to be there.
pub(super) fn required_object<'a, T: Deserialize<'a>>(
    name: &str,
    raw: Option<Raw<'a>>,
) -> Result<T, Unreadable> {
    let raw = raw.ok_or_else(|| Unreadable::malformed(name, "missing"))?;
    object(raw).map_err(|error| error.inside(name))
}

/// An id that has to be there. Ids that came as JSON numbers have lost digits and are refused.
pub(super) fn required_id<'a, T: Deserialize<'a>>(
    name: &str,
    raw: Option<Raw<'a>>,
) -> Result<T, Unreadable> {
    optional_id(name, raw)?.ok_or_else(|| Unreadable::malformed(name, "missing"))
}

/// An id that may be missing, null or empty, but not wrong.
pub(super) fn optional_id<'a, T: Deserialize<'a>>(
    name: &str,
    raw: Option<Raw<'a>>,
) -> Result<Option<T>, Unreadable> {
    let Some(raw) = raw.filter(|raw| !matches!(raw.get(), "\"\"" | "null")) else {
        return Ok(None);
    };
    let found = serde_json::from_str(raw.get()).ok();
    found.map(Some).ok_or_else(|| {
        let expected = "expected an id as a string of 1 to 19 digits";
        Unreadable::malformed(name, format!("{expected}, found {}", type_of(raw)))
    })
}

/// The elements of a list, unparsed; a missing one and `null` are empty.
pub(super) fn list<'a>(name: &str, raw: Option<Raw<'a>>) -> Result<Vec<Raw<'a>>, Unreadable> {
    match raw {
        None => Ok(Vec::new()),
        Some(raw) => list_of(raw).map_err(|error| error.inside(name)),
    }
}

/// The elements of a value that has to be a list or `null`.
pub(super) fn list_of(raw: Raw<'_>) -> Result<Vec<Raw<'_>>, Unreadable> {
    match serde_json::from_str::<Option<Vec<Raw<'_>>>>(raw.get()) {
        Ok(elements) => Ok(elements.unwrap_or_default()),
        Err(_) => {
            let problem = format!("expected a list, found {}", type_of(raw));
            Err(Unreadable::malformed("", problem))
        }
    }
}

/// The elements of a list, or the one value that is no list, each with its place.
pub(super) fn one_or_more<'a>(name: &str, raw: Option<Raw<'a>>) -> Vec<(String, Raw<'a>)> {
    let Some(raw) = raw else {
        return Vec::new();
    };
    match list_of(raw) {
        Ok(events) => {
            let events = events.into_iter().enumerate();
            events
                .map(|(index, event)| (at(name, index), event))
                .collect()
        }
        Err(_) => vec![(name.to_owned(), raw)],
    }
}

/// The place of a list's element.
pub(super) fn at(list: &str, index: usize) -> String {
    format!("{list}[{index}]")
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;

    use super::*;
    use crate::domain::ids::UserId;

    fn raw(json: &str) -> Box<serde_json::value::RawValue> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_id_that_is_a_number_is_refused_with_the_reason() {
        let detail = |json: &str| {
            let error = optional_id::<UserId>("id_str", Some(&raw(json))).unwrap_err();
            Rejected::from(error.inside("events[1]")).detail
        };
        assert_eq!(
            detail("12"),
            "events[1].id_str: expected an id as a string of 1 to 19 digits, found a number"
        );
        assert!(detail("\"secret words\"").ends_with("found another string"));
        assert!(detail("\"18446744073709551616\"").ends_with("found another string"));
    }

    #[test]
    fn absent_null_and_empty_are_the_same() {
        for json in ["null", "\"\""] {
            assert_eq!(optional_id::<UserId>("id", Some(&raw(json))), Ok(None));
            let error = required_id::<UserId>("id", Some(&raw(json))).unwrap_err();
            assert_eq!(Rejected::from(error).detail, "id: missing");
        }
        assert!(list("ids", Some(&raw("null"))).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_object_or_list_is_named_by_its_type() {
        let text = to_raw_value("secret").unwrap();
        let detail = |error: Unreadable| Rejected::from(error.inside("field")).detail;
        assert_eq!(
            detail(object::<crate::x::wire::Members<'_>>(&text).unwrap_err()),
            "field: expected an object, found another string"
        );
        assert_eq!(
            detail(list_of(&raw("{}")).unwrap_err()),
            "field: expected a list, found an object"
        );
    }
}
