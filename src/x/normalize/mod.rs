//! From X's deliveries to what the service talks about. Pure: no I/O and no clock.
//!
//! A delivery comes in one of four forms, told apart by its top-level members: Account Activity in
//! v1.1 or v2 (the same shapes), X Activity, and the filtered stream, by webhook or connection.
//! What we read of X ourselves has a fifth form, see `reads`. Each event is read by itself, so
//! that one that cannot be read does not harm the others.

mod account_activity;
mod activity;
pub(in crate::x) mod answers;
mod chat;
mod content_v1;
mod content_v2;
mod depth;
mod direct;
mod direct_v2;
mod fields;
mod filtered_stream;
mod findings;
mod inclusions;
mod links;
mod media;
mod person;
mod post_fields;
mod post_v1;
mod post_v2;
pub(in crate::x) mod reads;
mod text;
mod time;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use self::fields::Unreadable;
use self::findings::Findings;
pub use self::reads::ReadDelivery;
use super::wire::Members;
use crate::domain::activity::{Normalized, Via};

/// Why a body is no delivery at all; X is answered 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotADelivery {
    #[error("the body is not UTF-8")]
    NotUtf8,
    /// With the place of the fault.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    #[error("the body is not a JSON object")]
    NotAnObject,
    #[error("the body is nested deeper than {}", depth::MAX)]
    TooDeep,
}

/// Reads everything that a delivery holds, whatever its form. What is not understood is listed
/// beside what is.
pub fn normalize(body: &[u8]) -> Result<Normalized, NotADelivery> {
    let delivery = parse(body)?;
    let form = form(&delivery);
    let mut findings = Findings::new(form);
    match form {
        Some(Via::AccountActivity) => account_activity::read(&delivery, &mut findings),
        Some(Via::Activity) => activity::read(&delivery, &mut findings),
        Some(Via::FilteredStream) => filtered_stream::read(&delivery, &mut findings),
        Some(Via::Search | Via::Lookup) => reads::read(&delivery, &mut findings),
        None => findings.reject(Unreadable::unknown("delivery", "of no form that is known")),
    }
    Ok(findings.into_normalized())
}

fn parse(body: &[u8]) -> Result<Members<'_>, NotADelivery> {
    let Ok(text) = std::str::from_utf8(body) else {
        return Err(NotADelivery::NotUtf8);
    };
    if depth::is_exceeded(text) {
        return Err(NotADelivery::TooDeep);
    }
    let not_json = |error: serde_json::Error| NotADelivery::NotJson(error.to_string());
    if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map_err(not_json)
    } else {
        let _: IgnoredAny = serde_json::from_str(text).map_err(not_json)?;
        Err(NotADelivery::NotAnObject)
    }
}

fn form(delivery: &Members<'_>) -> Option<Via> {
    if let Some(via) = reads::via(delivery) {
        return Some(via);
    }
    let account_activity = ["for_user_id", "user_event", "replay_job_status"];
    if account_activity
        .iter()
        .any(|name| delivery.get(name).is_some())
    {
        return Some(Via::AccountActivity);
    }
    let events = fields::one_or_more("data", delivery.get("data"));
    if delivery.get("matching_rules").is_some() && !events.is_empty() {
        return Some(Via::FilteredStream);
    }
    let is_activity = events.iter().any(|(_, event)| has_event_type(event));
    is_activity.then_some(Via::Activity)
}

fn has_event_type(event: &RawValue) -> bool {
    let event = fields::object::<Members<'_>>(event);
    event.is_ok_and(|event| event.get("event_type").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::activity::RejectReason;

    #[test]
    fn a_body_that_is_no_json_object_is_no_delivery() {
        let refused = |body: &[u8]| normalize(body).unwrap_err();
        assert_eq!(refused(b"{\"a\":\"\xff\"}"), NotADelivery::NotUtf8);
        assert_eq!(refused(b"[]"), NotADelivery::NotAnObject);
        assert_eq!(refused(b" \"text\""), NotADelivery::NotAnObject);
        for body in ["", "{", "[1", "{\"a\":1,}", "{}{}", "nul", "{\"a\":\"\n\"}"] {
            assert!(
                matches!(refused(body.as_bytes()), NotADelivery::NotJson(_)),
                "{body}"
            );
        }
    }

    #[test]
    fn nesting_is_allowed_to_128_and_no_deeper() {
        let nested = |depth: usize| {
            let inner = depth - 1;
            format!("{{\"a\":{}{}}}", "[".repeat(inner), "]".repeat(inner))
        };
        assert!(normalize(nested(128).as_bytes()).is_ok());
        assert_eq!(
            normalize(nested(129).as_bytes()),
            Err(NotADelivery::TooDeep)
        );
    }

    #[test]
    fn an_object_of_no_known_form_is_rejected_whole() {
        for body in [
            "{}",
            r#"{"data":{"id":"1"}}"#,
            r#"{"data":7}"#,
            r#"{"tweet_create_events":[]}"#,
        ] {
            let normalized = normalize(body.as_bytes()).unwrap();
            assert_eq!(normalized.via, None, "{body}");
            assert_eq!(normalized.rejected[0].reason, RejectReason::UnknownShape);
        }
    }
}
