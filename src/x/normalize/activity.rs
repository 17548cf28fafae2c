//! X Activity: one event under `data`, with a name, the filter of its subscription and a payload.

use super::chat;
use super::direct::{self, Surroundings};
use super::fields::{Unreadable, object, one_or_more, optional_id, required_id, required_object};
use super::findings::Findings;
use super::inclusions::Inclusions;
use super::post_v2;
use super::time;
use crate::domain::activity::{Activity, ActivityEvent, Recipient};
use crate::domain::ids::{ConversationId, UserId};
use crate::domain::message::{Post, Reference};
use crate::x::wire::v2::{self, Deletion, Revocation};
use crate::x::wire::{Members, Raw};

/// Events that are not for a helpdesk: all the names of X's specification but those read here.
const IGNORED: &[&str] = &[
    "block.block",
    "block.unblock",
    "broadcast.chat",
    "broadcast.end",
    "broadcast.start",
    "chat.conversation.admin_added",
    "chat.conversation.admin_removed",
    "chat.conversation.join",
    "chat.conversation.member_added",
    "chat.conversation.member_removed",
    "chat.conversation_join",
    "chat.update.group_name",
    "chat.update.restrictions",
    "follow.follow",
    "follow.unfollow",
    "like.create",
    "mute.mute",
    "mute.unmute",
    "news.new",
    "profile.update.affiliate_badge",
    "profile.update.banner_picture",
    "profile.update.bio",
    "profile.update.geo",
    "profile.update.handle",
    "profile.update.profile_picture",
    "profile.update.screenname",
    "profile.update.url",
    "profile.update.verified_badge",
    "spaces.end",
    "spaces.start",
];

/// Reads a whole delivery. X does not say whether several events may share one.
pub(super) fn read(delivery: &Members<'_>, findings: &mut Findings) {
    for (place, raw) in one_or_more("data", delivery.get("data")) {
        if let Err(error) = read_event(raw, &place, findings) {
            findings.reject(error.inside(&place));
        }
    }
}

fn read_event(raw: Raw<'_>, place: &str, findings: &mut Findings) -> Result<(), Unreadable> {
    let event: v2::ActivityEvent<'_> = object(raw)?;
    if IGNORED.contains(&&*event.event_type) {
        findings.ignore(&event.event_type);
        return Ok(());
    }
    let subscriber = subscriber(&event).map_err(|error| error.inside("filter"))?;
    let to = |event: ActivityEvent| Activity {
        recipient: recipient(subscriber, &event),
        event,
    };
    match &*event.event_type {
        "dm.received" | "dm.sent" | "dm.read" | "dm.indicate_typing" => {
            let payload: Members<'_> = required_object("payload", event.payload)?;
            read_direct(&payload, &format!("{place}.payload"), to, findings)
        }
        _ => single(event, subscriber).map(|event| findings.add(Ok(to(event)))),
    }
}

/// The user whose subscription it is; the filter may be empty.
fn subscriber(event: &v2::ActivityEvent<'_>) -> Result<Option<UserId>, Unreadable> {
    let user = event.filter.as_ref().and_then(|filter| filter.user_id);
    optional_id("user_id", user)
}

/// Direct messages, reading and typing come in the lists of Account Activity.
fn read_direct(
    payload: &Members<'_>,
    place: &str,
    to: impl Fn(ActivityEvent) -> Activity,
    findings: &mut Findings,
) -> Result<(), Unreadable> {
    let around = Surroundings::of(payload);
    let mut lists = payload
        .iter()
        .filter_map(|(name, events)| Some((name, events, direct::reader(name)?)))
        .peekable();
    if lists.peek().is_none() {
        return Err(Unreadable::malformed(
            "payload",
            "no list of direct message events",
        ));
    }
    for (name, events, read) in lists {
        findings.add_each(&format!("{place}.{name}"), events, |raw| {
            read(raw, &around).map(&to)
        });
    }
    Ok(())
}

/// An event whose payload is one thing.
fn single(
    event: v2::ActivityEvent<'_>,
    subscriber: Option<UserId>,
) -> Result<ActivityEvent, Unreadable> {
    let read: fn(Raw<'_>) -> Result<ActivityEvent, Unreadable> = match &*event.event_type {
        "post.create"
        | "post.mention.create"
        | "post.reply.create"
        | "post.quote.create"
        | "post.repost.create" => return post(event, subscriber),
        "post.delete" => deletion,
        "chat.received" | "chat.sent" => {
            |raw| Ok(ActivityEvent::Direct(Box::new(chat::message(raw)?)))
        }
        "oauth.revoke" => revocation,
        other => {
            let name: String = other.chars().take(64).collect();
            return Err(Unreadable::unknown(
                "event_type",
                format!("`{name}` is not known"),
            ));
        }
    };
    read(payload(&event)?).map_err(|error| error.inside("payload"))
}

fn payload<'a>(event: &v2::ActivityEvent<'a>) -> Result<Raw<'a>, Unreadable> {
    event
        .payload
        .ok_or_else(|| Unreadable::malformed("payload", "missing"))
}

fn post(
    event: v2::ActivityEvent<'_>,
    subscriber: Option<UserId>,
) -> Result<ActivityEvent, Unreadable> {
    let payload = payload(&event)?;
    let inclusions = Inclusions::new(event.includes.into_inner().unwrap_or_default());
    let mut post = post_v2::post(payload, &inclusions).map_err(|error| error.inside("payload"))?;
    // Without a subscriber the name would say it of everybody who takes part.
    if subscriber.is_some() {
        mark_of_account(&mut post, &event.event_type);
    }
    Ok(ActivityEvent::Post(Box::new(post)))
}

/// The event's name says that what the post points to is the subscriber's.
fn mark_of_account(post: &mut Post, event_type: &str) {
    let reference = match event_type {
        "post.reply.create" => post.replied_to.as_mut(),
        "post.quote.create" => post.quoted.as_mut().map(|quoted| &mut quoted.reference),
        "post.repost.create" => post.reposted.as_mut(),
        _ => None,
    };
    if let Some(reference) = reference {
        reference.of_account = true;
    }
}

fn deletion(raw: Raw<'_>) -> Result<ActivityEvent, Unreadable> {
    let deletion: Deletion<'_> = object(raw)?;
    Ok(ActivityEvent::PostDeleted {
        id: required_id("id", deletion.id)?,
        author_id: required_id("author_id", deletion.author_id)?,
        at: None,
    })
}

fn revocation(raw: Raw<'_>) -> Result<ActivityEvent, Unreadable> {
    let revocation: Revocation<'_> = object(raw)?;
    Ok(ActivityEvent::Revoked {
        user_id: required_id("user_id", revocation.user_id)?,
        at: time::required_date("date_time", &revocation.date_time)?,
    })
}

/// Where the filter names nobody, those who take part.
fn recipient(subscriber: Option<UserId>, event: &ActivityEvent) -> Recipient {
    match (subscriber, event) {
        (Some(user), _) => Recipient::User(user),
        (None, ActivityEvent::Revoked { user_id, .. }) => Recipient::User(*user_id),
        (None, event) => Recipient::Participants(participants(event)),
    }
}

fn participants(event: &ActivityEvent) -> Vec<UserId> {
    let mut people = match event {
        ActivityEvent::Post(post) => people_of_post(post),
        ActivityEvent::PostDeleted { author_id, .. } => vec![*author_id],
        ActivityEvent::Direct(direct) => {
            let sender = direct.message.author.id;
            direct.recipient_id.into_iter().chain([sender]).collect()
        }
        ActivityEvent::Read {
            conversation,
            reader_id: person,
            ..
        }
        | ActivityEvent::Typing {
            conversation,
            author_id: person,
            ..
        } => other(conversation, *person)
            .into_iter()
            .chain([*person])
            .collect(),
        ActivityEvent::Revoked { user_id, .. } => vec![*user_id],
        ActivityEvent::ReplayEnded { .. } => Vec::new(),
    };
    people.sort_unstable();
    people.dedup();
    people
}

fn people_of_post(post: &Post) -> Vec<UserId> {
    let mentioned = post
        .message
        .mentions
        .iter()
        .filter_map(|mention| mention.id);
    let quoted = post.quoted.as_ref().map(|quoted| &quoted.reference);
    let references = [post.replied_to.as_ref(), quoted, post.reposted.as_ref()];
    let author_of = |reference: &Reference| reference.author_id;
    let referenced = references.into_iter().flatten().filter_map(author_of);
    mentioned
        .chain(referenced)
        .chain([post.message.author.id])
        .collect()
}

fn other(conversation: &ConversationId, person: UserId) -> Option<UserId> {
    match conversation {
        ConversationId::DirectMessage(pair) => pair.other(person),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::activity::{Normalized, RejectReason};
    use crate::x::normalize::normalize;

    fn read(event_type: &str, filter: Value, payload: Value) -> Normalized {
        let data = json!({"event_uuid": "-1", "event_type": event_type, "filter": filter, "payload": payload});
        normalize(json!({"data": data}).to_string().as_bytes()).unwrap()
    }

    fn reply() -> Value {
        json!({"id": "20", "author_id": "7", "text": "@us hi", "in_reply_to_user_id": "9",
            "entities": {"mentions": [{"start": 0, "end": 3, "username": "us", "id": "9"}, {"username": "x", "id": "3"}]},
            "referenced_tweets": [{"type": "replied_to", "id": "12"}, {"type": "quoted", "id": "13"}]})
    }

    fn post(found: &Normalized) -> &Post {
        match &found.activities[0].event {
            ActivityEvent::Post(post) => post,
            other => panic!("{other:?}"),
        }
    }

    fn ids(numbers: &[u64]) -> Vec<UserId> {
        numbers
            .iter()
            .map(|number| UserId::from_number(*number).unwrap())
            .collect()
    }

    #[test]
    fn the_name_of_the_event_tells_what_is_the_accounts() {
        let of_account = |name| {
            let found = read(name, json!({"user_id": "9"}), reply());
            let post = post(&found);
            let replied = post.replied_to.as_ref().unwrap().of_account;
            (replied, post.quoted.as_ref().unwrap().reference.of_account)
        };
        assert_eq!(of_account("post.reply.create"), (true, false));
        assert_eq!(of_account("post.quote.create"), (false, true));
        assert_eq!(of_account("post.mention.create"), (false, false));
        assert_eq!(of_account("post.create"), (false, false));
    }

    #[test]
    fn without_a_filter_those_who_take_part_are_meant() {
        let found = read("post.reply.create", json!({}), reply());
        assert_eq!(
            found.activities[0].recipient,
            Recipient::Participants(ids(&[3, 7, 9]))
        );
        // It would be said of each of them.
        assert!(!post(&found).replied_to.as_ref().unwrap().of_account);

        let chat = json!({"id": "e4", "sender_id": "2", "conversation_id": "2:1", "created_at_msec": "1784841183370"});
        let found = read("chat.received", json!({}), chat);
        assert_eq!(
            found.activities[0].recipient,
            Recipient::Participants(ids(&[1, 2]))
        );

        let typing = json!({"created_timestamp": "1518127183443", "sender_id": "8", "target": {"recipient_id": "4"}});
        let found = read(
            "dm.indicate_typing",
            json!({}),
            json!({"direct_message_indicate_typing_events": [typing]}),
        );
        assert_eq!(
            found.activities[0].recipient,
            Recipient::Participants(ids(&[4, 8]))
        );
    }

    #[test]
    fn every_direct_message_of_a_payload_is_read() {
        let message = |id: &str| {
            json!({"id": id, "message_create": {"sender_id": "7", "target": {"recipient_id": "9"},
            "message_data": {"text": "hi"}}})
        };
        let events = json!({"direct_message_events": [message("1"), {}, message("2")]});
        let found = read("dm.received", json!({"user_id": "9"}), events);
        assert_eq!(found.activities.len(), 2);
        let detail = &found.rejected[0].detail;
        assert!(
            detail.starts_with("data.payload.direct_message_events[1].message_create: "),
            "{detail}"
        );
    }

    #[test]
    fn what_is_not_for_a_helpdesk_is_counted_and_what_nobody_knows_rejected() {
        for name in IGNORED {
            let found = read(name, json!({"user_id": "9"}), json!({}));
            assert_eq!(found.ignored, [*name]);
        }
        let found = read("post.teleport", json!({"user_id": "9"}), json!({}));
        assert_eq!(found.rejected[0].reason, RejectReason::UnknownShape);
        assert_eq!(
            found.rejected[0].detail,
            "data.event_type: `post.teleport` is not known"
        );
    }

    #[test]
    fn what_is_malformed_is_named() {
        for (name, filter, payload, field) in [
            (
                "post.create",
                json!({"user_id": 9}),
                reply(),
                "data.filter.user_id",
            ),
            ("post.create", json!({}), json!(null), "data.payload"),
            (
                "post.delete",
                json!({}),
                json!({"id": "1"}),
                "data.payload.author_id",
            ),
            ("dm.read", json!({}), json!({}), "data.payload"),
            (
                "oauth.revoke",
                json!({}),
                json!({"user_id": "9"}),
                "data.payload.date_time",
            ),
            ("chat.sent", json!({}), json!({"id": 7}), "data.payload.id"),
        ] {
            let found = read(name, filter, payload);
            let detail = &found.rejected[0].detail;
            assert_eq!(found.rejected[0].reason, RejectReason::MalformedEvent);
            assert!(detail.starts_with(&format!("{field}: ")), "{detail}");
        }
    }
}
