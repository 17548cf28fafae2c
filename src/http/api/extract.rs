//! What requests carry, read strictly: each fault names the field, what was found and what was
//! expected.

use std::fmt::Display;
use std::future::{Ready, ready};
use std::str::FromStr;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::{FromRequest, HttpRequest, web};
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::problem::{Kind, Problem, cut};
use crate::flow::admin;

/// Largest body, bytes.
pub(crate) const BODY_LIMIT: usize = 1024 * 1024;
/// The same of a command, which may bring its attachments.
pub(crate) const COMMAND_LIMIT: usize = 16 * 1024 * 1024;
/// For a whole body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A body of at most so many bytes that says it is JSON.
pub(crate) struct JsonBytes<const LIMIT: usize>(pub Bytes);

impl<const LIMIT: usize> FromRequest for JsonBytes<LIMIT> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let refused = check_head(request, LIMIT).err();
        let body = web::Payload::from_request(request, payload);
        Box::pin(async move {
            if let Some(problem) = refused {
                return Err(problem);
            }
            let body = body.await.map_err(|_never| broken_off())?;
            read(body, LIMIT).await.map(Self)
        })
    }
}

fn check_head(request: &HttpRequest, limit: usize) -> Result<(), Problem> {
    let header = |name| request.headers().get(name)?.to_str().ok();
    let length: Option<usize> = header(CONTENT_LENGTH).and_then(|length| length.parse().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let kind = header(CONTENT_TYPE).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    if essence == "application/json" || essence.ends_with("+json") {
        return Ok(());
    }
    let mut problem = Problem::field("content-type", kind, "application/json");
    let errors = std::mem::take(&mut problem.errors);
    let mut problem = Problem::new(Kind::UnsupportedMediaType, problem.detail);
    problem.errors = errors;
    Err(problem)
}

async fn read(body: web::Payload, limit: usize) -> Result<Bytes, Problem> {
    let whole = body.to_bytes_limited(limit);
    match tokio::time::timeout(BODY_TIMEOUT, whole).await {
        Ok(Ok(Ok(body))) => Ok(body),
        Ok(Ok(Err(_cut))) => Err(broken_off()),
        Ok(Err(_too_large)) => Err(too_large(limit)),
        Err(_late) => {
            let detail = format!("It was not whole within {BODY_TIMEOUT:?}.");
            Err(Problem::new(Kind::TooSlow, detail))
        }
    }
}

fn broken_off() -> Problem {
    Problem::new(Kind::Invalid, "The body broke off.")
}

fn too_large(limit: usize) -> Problem {
    let detail = format!("At most {limit} bytes are taken.");
    Problem::new(Kind::TooLarge, detail)
}

/// A body of JSON, read into what a handler works with.
pub(crate) struct Body<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = JsonBytes::<BODY_LIMIT>::from_request(request, payload);
        Box::pin(async move { parse_json(&bytes.await?.0).map(Self) })
    }
}

fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut reader);
    let value = read.map_err(|error| {
        let found = value_at(body, error.path());
        fault(&error.path().to_string(), error.inner(), found)
    })?;
    reader.end().map_err(|error| fault("", &error, None))?;
    Ok(value)
}

/// What stands in a body where a fault was found.
fn value_at(body: &[u8], path: &serde_path_to_error::Path) -> Option<String> {
    use serde_path_to_error::Segment;
    let mut value: Value = serde_json::from_slice(body).ok()?;
    for segment in path.iter() {
        value = match segment {
            Segment::Seq { index } => value.get_mut(*index)?.take(),
            Segment::Map { key } => value.get_mut(key)?.take(),
            Segment::Enum { variant } => value.get_mut(variant)?.take(),
            Segment::Unknown => return None,
        };
    }
    Some(match value {
        Value::String(text) => text,
        other => other.to_string(),
    })
}

/// Parameters of a query, each at most once.
pub(crate) struct Params<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Params<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(parse_query(request.query_string()).map(Self))
    }
}

fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    let reader = serde_urlencoded::Deserializer::new(pairs);
    serde_path_to_error::deserialize(reader).map_err(|error| {
        let field = error.path().to_string();
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        let found = pairs.find(|(name, _)| *name == field);
        let found = found.map(|(_, value)| value.into_owned());
        fault(&field, error.inner(), found)
    })
}

/// A segment of the path, parsed.
pub(crate) struct Segment<T>(pub T);

impl<T: FromStr<Err: Display> + 'static> FromRequest for Segment<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(parse_segment(request).map(Self))
    }
}

fn parse_segment<T: FromStr<Err: Display>>(request: &HttpRequest) -> Result<T, Problem> {
    let raw = web::Path::<String>::extract(request).into_inner();
    let raw = raw.map_err(|error| Problem::new(Kind::Invalid, error.to_string()))?;
    let name = request.match_info().iter().next().map(|(name, _)| name);
    let name = name.unwrap_or("id").to_owned();
    raw.parse()
        .map_err(|error: T::Err| Problem::field(&name, &raw, error.to_string()))
}

/// A fault in the words of serde, taken apart: `invalid type: integer `7`, expected a string`.
fn fault(path: &str, error: &impl Display, found: Option<String>) -> Problem {
    let message = error.to_string();
    // serde_json adds where in the text it stands; the path says it better.
    let message = message.split(" at line ").next().unwrap_or(&message);
    let expected = message.split_once(", expected ");
    let expected = expected.map(|(_, expected)| expected);
    let field = if path == "." { "" } else { path };
    let missing = message.strip_prefix("missing field `");
    let unknown = message.starts_with("unknown field");
    let field = match missing.and_then(|rest| rest.strip_suffix('`')) {
        Some(name) if field.is_empty() => name.to_owned(),
        Some(name) => format!("{field}.{name}"),
        None => field.to_owned(),
    };
    let shown = found.filter(|_| !is_secret(&field) && missing.is_none() && !unknown);
    // Without the split a message may hold the value itself.
    let expected = expected.unwrap_or(match is_secret(&field) && missing.is_none() && !unknown {
        true => "another value",
        false => message,
    });
    let mut problem = Problem::field(&field, &shown.unwrap_or_default(), cut(expected));
    if field.is_empty() {
        problem.detail = format!("The body is not right: {message}.");
    }
    problem
}

/// Whether a field may hold what nobody shall see.
fn is_secret(field: &str) -> bool {
    let field = field.to_ascii_lowercase();
    ["token", "secret", "password", "key"]
        .iter()
        .any(|word| field.contains(word))
}

/// How many items of a list: 1 to 200.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(try_from = "u32")]
#[schema(value_type = u32, minimum = 1, maximum = 200, default = 50)]
pub(crate) struct Limit(u32);

impl Default for Limit {
    fn default() -> Self {
        Self(50)
    }
}

impl TryFrom<u32> for Limit {
    type Error = &'static str;

    fn try_from(count: u32) -> Result<Self, &'static str> {
        let fits = (1..=200).contains(&count);
        fits.then_some(Self(count)).ok_or("expected 1 to 200")
    }
}

impl Limit {
    pub(crate) fn get(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Reads a text that stands for something else.
pub(crate) fn one<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let raw = String::deserialize(deserializer)?;
    raw.parse().map_err(D::Error::custom)
}

/// The same, where it is given.
pub(crate) fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let raw = Option::<String>::deserialize(deserializer)?;
    let raw = raw.filter(|raw| !raw.is_empty());
    raw.map(|raw| raw.parse().map_err(D::Error::custom))
        .transpose()
}

/// The same of a list.
pub(crate) fn parsed_all<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let all = Vec::<String>::deserialize(deserializer)?.into_iter();
    all.map(|raw| raw.parse().map_err(D::Error::custom))
        .collect()
}

/// A part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    pub items: Vec<T>,
    /// Send it as `after` for the next part; absent at the end of the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The view of a part.
    pub(crate) fn of<U>(page: admin::Page<U>, view: impl Fn(U) -> T) -> Self {
        Self {
            items: page.items.into_iter().map(view).collect(),
            next: page.next.map(|next| next.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::problem::FieldError;
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "read from JSON only")]
        count: u32,
        #[expect(dead_code, reason = "read from JSON only")]
        #[serde(default)]
        token: u32,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "read from JSON only")]
        items: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Listing {
        #[serde(default)]
        limit: Limit,
        #[serde(default, deserialize_with = "parsed")]
        after: Option<u64>,
    }

    fn error(body: &str) -> FieldError {
        let problem = parse_json::<Outer>(body.as_bytes()).unwrap_err();
        assert_eq!(problem.kind(), Kind::Invalid, "{body}");
        problem.errors[0].clone()
    }

    #[test]
    fn a_fault_in_a_body_names_field_value_and_what_was_expected() {
        let found = error(r#"{"items":[{"count":1},{"count":"x"}]}"#);
        assert_eq!(
            (found.field.as_str(), found.value.as_str()),
            ("items[1].count", "x")
        );
        assert_eq!(found.expected, "u32");
        let missing = error(r#"{"items":[{}]}"#);
        assert_eq!(
            (missing.field.as_str(), missing.value.as_str()),
            ("items[0].count", "")
        );
        let unknown = error(r#"{"items":[],"more":1}"#);
        assert!(
            unknown.field.is_empty() || unknown.field == "more",
            "{unknown:?}"
        );
    }

    #[test]
    fn what_is_no_json_is_told() {
        for body in ["", "{", "[1]", "{\"items\":[]} {}"] {
            assert!(parse_json::<Outer>(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_secret_is_not_shown_back() {
        let found = error(r#"{"items":[{"count":1,"token":"s3cret"}]}"#);
        assert_eq!(
            (found.field.as_str(), found.value.as_str()),
            ("items[0].token", "")
        );
        assert!(!found.expected.contains("s3cret"), "{found:?}");
    }

    #[test]
    fn parameters_are_read_strictly() {
        let listing: Listing = parse_query("limit=7&after=12").unwrap();
        assert_eq!((listing.limit.get(), listing.after), (7, Some(12)));
        let listing: Listing = parse_query("").unwrap();
        assert_eq!((listing.limit.get(), listing.after), (50, None));
        for (query, field, value) in [
            ("limit=0", "limit", "0"),
            ("limit=201", "limit", "201"),
            ("after=x", "after", "x"),
        ] {
            let problem = parse_query::<Listing>(query).unwrap_err();
            let found = &problem.errors[0];
            assert_eq!((found.field.as_str(), found.value.as_str()), (field, value));
        }
        assert!(parse_query::<Listing>("page=1").is_err());
        assert!(parse_query::<Listing>("limit=1&limit=2").is_err());
    }
}
