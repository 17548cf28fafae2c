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
