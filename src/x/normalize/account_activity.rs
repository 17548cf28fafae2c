//! Account Activity, v1.1 and v2: a list for each kind of event, beside the subscription's user.

use super::direct::{self, Reader, Surroundings};
use super::fields::{Unreadable, object, required_id, required_object};
use super::findings::Findings;
use super::post_v1;
use super::time;
use crate::domain::activity::{Activity, ActivityEvent, Recipient};
use crate::x::wire::v1::{DeletedStatus, Deletion, ReplayJobStatus, Revocation, RevocationSource};
use crate::x::wire::{Flag, Members, Raw};

/// Lists of what is not for a helpdesk. X's table and its samples disagree about the opposites.
const IGNORED: [&str; 7] = [
    "favorite_events",
    "follow_events",
    "unfollow_events",
    "block_events",
    "unblock_events",
    "mute_events",
    "unmute_events",
];

/// Reads a whole delivery.
pub(super) fn read(delivery: &Members<'_>, findings: &mut Findings) {
    if let Some(event) = delivery.get("user_event") {
        findings.add(revocation(event).map_err(|error| error.inside("user_event")));
    }
    if let Some(status) = delivery.get("replay_job_status") {
        findings.add(replay_ended(status).map_err(|error| error.inside("replay_job_status")));
    }
    if let Some(user) = delivery.get("for_user_id") {
        match required_id("for_user_id", Some(user)) {
            Ok(user) => read_lists(delivery, &Recipient::User(user), findings),
            Err(error) => findings.reject(error),
        }
    }
}

/// Reads the lists of events of one subscription.
fn read_lists(delivery: &Members<'_>, recipient: &Recipient, findings: &mut Findings) {
    let around = Surroundings::of(delivery);
    let blocked = author_blocked(delivery);
    let lists = delivery.iter();
    let mut lists = lists
        .filter(|(name, _)| name.ends_with("_events"))
        .peekable();
    if lists.peek().is_none() {
        findings.reject(Unreadable::unknown("delivery", "no list of events"));
    }
    for (name, events) in lists {
        if let Some(read) = reader(name) {
            findings.add_each(name, events, |raw| {
                let event = read(raw, &around).map(|event| with_block(event, blocked))?;
                Ok(Activity {
                    recipient: recipient.clone(),
                    event,
                })
            });
        } else if IGNORED.contains(&name) {
            findings.ignore_each(name, events);
        } else {
            findings.reject(Unreadable::unknown(name, "not a list that is known"));
        }
    }
}

fn reader(list: &str) -> Option<Reader> {
    match list {
        "tweet_create_events" => Some(|raw, _| {
            let post = post_v1::post(raw)?;
            Ok(ActivityEvent::Post(Box::new(post)))
        }),
        "tweet_delete_events" => Some(|raw, _| deletion(raw)),
        _ => direct::reader(list),
    }
}

/// Whether the subscribed user blocks the authors. Stands beside the list or in the post.
fn author_blocked(delivery: &Members<'_>) -> bool {
    ["user_has_blocked", "is_blocked_by"]
        .iter()
        .filter_map(|name| delivery.get(name))
        .any(|flag| Flag::of(flag).0)
}

fn with_block(mut event: ActivityEvent, blocked: bool) -> ActivityEvent {
    if let ActivityEvent::Post(post) = &mut event {
        post.author_blocked |= blocked;
    }
    event
}

fn deletion(raw: Raw<'_>) -> Result<ActivityEvent, Unreadable> {
    let deletion: Deletion<'_> = object(raw)?;
    let status: DeletedStatus<'_> = required_object("status", deletion.status)?;
    let inside = |error: Unreadable| error.inside("status");
    Ok(ActivityEvent::PostDeleted {
        id: required_id("id", status.id).map_err(inside)?,
        author_id: required_id("user_id", status.user_id).map_err(inside)?,
        at: time::milliseconds(deletion.timestamp_ms),
    })
}

/// `user_event`, of which only `revoke` is known.
fn revocation(raw: Raw<'_>) -> Result<Activity, Unreadable> {
    let event: Members<'_> = object(raw)?;
    let revoke = event.get("revoke");
    let revoke = revoke.ok_or_else(|| Unreadable::unknown("", "not an event that is known"))?;
    revoked(revoke).map_err(|error| error.inside("revoke"))
}

fn revoked(raw: Raw<'_>) -> Result<Activity, Unreadable> {
    let revocation: Revocation<'_> = object(raw)?;
    let source: RevocationSource<'_> = required_object("source", revocation.source)?;
    let user_id = required_id("user_id", source.user_id).map_err(|error| error.inside("source"))?;
    Ok(Activity {
        recipient: Recipient::User(user_id),
        event: ActivityEvent::Revoked {
            user_id,
            at: time::required_date("date_time", &revocation.date_time)?,
        },
    })
}

fn replay_ended(raw: Raw<'_>) -> Result<Activity, Unreadable> {
    let status: ReplayJobStatus<'_> = object(raw)?;
    Ok(Activity {
        recipient: Recipient::App,
        event: ActivityEvent::ReplayEnded {
            job_id: status.job_id.to_string(),
            complete: status.job_state.eq_ignore_ascii_case("complete"),
            description: status.job_state_description.to_string(),
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::domain::activity::{ActivityEvent, Normalized, RejectReason};
    use crate::x::normalize::normalize;

    fn read(delivery: serde_json::Value) -> Normalized {
        normalize(delivery.to_string().as_bytes()).unwrap()
    }

    fn post(id: &str) -> serde_json::Value {
        json!({"id_str": id, "text": "hi", "user": {"id_str": "7"}})
    }

    #[test]
    fn every_event_of_every_list_is_read() {
        let found = read(
            json!({"for_user_id": "1", "tweet_create_events": [post("20"), post("21")],
            "tweet_delete_events": [{"status": {"id": "20", "user_id": "7"}, "timestamp_ms": "1432228155593"}]}),
        );
        assert_eq!(found.activities.len(), 3);
        assert!(found.rejected.is_empty() && found.ignored.is_empty());
    }

    #[test]
    fn one_that_cannot_be_read_does_not_harm_the_others() {
        let events = json!([post("20"), {"id": 21}, 7, post("22")]);
        let found = read(json!({"for_user_id": "1", "tweet_create_events": events}));
        assert_eq!(found.activities.len(), 2);
        let details: Vec<_> = found
            .rejected
            .iter()
            .map(|rejected| &*rejected.detail)
            .collect();
        assert_eq!(
            details,
            [
                "tweet_create_events[1].id_str: missing",
                "tweet_create_events[2]: expected an object, found a number"
            ]
        );
    }

    #[test]
    fn a_block_stands_beside_the_posts_or_in_one() {
        let mut marked = post("20");
        marked["user_has_blocked"] = json!("true");
        for delivery in [
            json!({"for_user_id": "1", "user_has_blocked": "true", "tweet_create_events": [post("20")]}),
            json!({"for_user_id": "1", "is_blocked_by": true, "tweet_create_events": [post("20")]}),
            json!({"for_user_id": "1", "user_has_blocked": "false", "tweet_create_events": [marked]}),
        ] {
            let found = read(delivery);
            let event = &found.activities[0].event;
            assert!(
                matches!(event, ActivityEvent::Post(post) if post.author_blocked),
                "{event:?}"
            );
        }
    }

    #[test]
    fn likes_and_follows_are_counted() {
        let found =
            read(json!({"for_user_id": "1", "favorite_events": [{}, {}], "unfollow_events": [{}]}));
        assert_eq!(
            found.ignored,
            ["favorite_events", "favorite_events", "unfollow_events"]
        );
        assert!(found.rejected.is_empty());
    }

    #[test]
    fn what_nobody_knows_is_rejected() {
        for delivery in [
            json!({"for_user_id": "1"}),
            json!({"for_user_id": "1", "replay_event": {"job_id": "2"}}),
            json!({"for_user_id": "1", "poll_events": [{}]}),
            json!({"user_event": {"promoted": {}}}),
        ] {
            let found = read(delivery);
            assert_eq!(
                found.rejected[0].reason,
                RejectReason::UnknownShape,
                "{found:?}"
            );
        }
    }

    #[test]
    fn what_is_malformed_is_named() {
        for (delivery, field) in [
            (
                json!({"for_user_id": 1, "tweet_create_events": []}),
                "for_user_id",
            ),
            (
                json!({"for_user_id": "1", "tweet_create_events": {}}),
                "tweet_create_events",
            ),
            (
                json!({"for_user_id": "1", "tweet_delete_events": [{}]}),
                "tweet_delete_events[0].status",
            ),
            (
                json!({"user_event": {"revoke": {"source": {"user_id": 1}}}}),
                "user_event.revoke.source.user_id",
            ),
            (
                json!({"user_event": {"revoke": {"source": {"user_id": "1"}}}}),
                "user_event.revoke.date_time",
            ),
            (json!({"replay_job_status": []}), "replay_job_status"),
        ] {
            let found = read(delivery);
            assert_eq!(found.rejected[0].reason, RejectReason::MalformedEvent);
            let detail = &found.rejected[0].detail;
            assert!(detail.starts_with(&format!("{field}: ")), "{detail}");
        }
    }

    #[test]
    fn further_members_do_not_matter() {
        let found = read(
            json!({"for_user_id": "1", "brand_new": [1], "tweet_create_events": [post("20")]}),
        );
        assert_eq!((found.activities.len(), found.rejected.len()), (1, 0));
    }
}
