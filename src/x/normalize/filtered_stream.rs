//! The filtered stream's webhook: a post that rules of the app match, whoever it concerns.

use super::fields::{object, one_or_more};
use super::findings::Findings;
use super::inclusions::Inclusions;
use super::post_v2;
use crate::domain::activity::{Activity, ActivityEvent, Recipient};
use crate::x::wire::Members;

/// Reads a whole delivery. X does not say whether several posts may share one.
pub(super) fn read(delivery: &Members<'_>, findings: &mut Findings) {
    let includes = delivery.get("includes").and_then(|raw| object(raw).ok());
    let inclusions = Inclusions::new(includes.unwrap_or_default());
    for (place, raw) in one_or_more("data", delivery.get("data")) {
        let post = post_v2::post(raw, &inclusions).map(|post| Activity {
            recipient: Recipient::App,
            event: ActivityEvent::Post(Box::new(post)),
        });
        findings.add(post.map_err(|error| error.inside(&place)));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::activity::Via;
    use crate::x::normalize::normalize;

    #[test]
    fn a_match_concerns_the_whole_app_and_finds_its_author() {
        let delivery = json!({"data": {"id": "20", "author_id": "7", "text": "hi"},
            "includes": {"users": [{"id": "7", "username": "ann"}]}, "matching_rules": [{"id": "1"}]});
        let found = normalize(delivery.to_string().as_bytes()).unwrap();
        assert_eq!(found.via, Some(Via::FilteredStream));
        assert_eq!(found.activities[0].recipient, Recipient::App);
        let event = &found.activities[0].event;
        assert!(
            matches!(event, ActivityEvent::Post(post) if post.message.author.username == "ann")
        );
    }

    #[test]
    fn a_match_without_an_author_is_refused() {
        let delivery = json!({"data": {"id": "20"}, "matching_rules": []});
        let found = normalize(delivery.to_string().as_bytes()).unwrap();
        assert_eq!(found.rejected[0].detail, "data.author_id: missing");
    }
}
