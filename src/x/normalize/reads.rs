//! What reads of X bring, item by item, as deliveries of our own: so gaps, polls and look-ups go
//! the way of the webhooks, and an item that has to wait or is not understood is kept by itself.
//!
//! X never sends this form. Its mark says who asked and how; `data` and `includes` are X's.

use std::collections::HashSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::direct_v2;
use super::fields::{Unreadable, list_of, object, one_or_more, required_object};
use super::findings::Findings;
use super::inclusions::Inclusions;
use super::post_v2;
use crate::domain::activity::{
    Activity, ActivityEvent, Normalized, Recipient, RejectReason, Rejected, Via,
};
use crate::domain::ids::UserId;
use crate::x::wire::{Members, Raw};

/// The member that tells this form from X's own.
pub(super) const MARK: &str = "read_by_twitter_channel";

/// One item of an answer as a delivery: the body to be kept, and what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadDelivery {
    /// [`normalize`](super::normalize) makes `normalized` of it, today and after a restart.
    pub body: Bytes,
    /// One activity or one rejection, or an ignored kind of event.
    pub normalized: Normalized,
}

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::x) enum Item {
    Post,
    DirectMessage,
}

/// By which kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::x) enum Means {
    Search,
    Lookup,
}

impl From<Means> for Via {
    fn from(means: Means) -> Self {
        match means {
            Means::Search => Self::Search,
            Means::Lookup => Self::Lookup,
        }
    }
}

/// Who asked for what, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::x) struct Mark {
    pub(in crate::x) means: Means,
    pub(in crate::x) item: Item,
    /// For which account; for all of the app where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::x) for_user_id: Option<UserId>,
}

/// A delivery of our own.
#[derive(Serialize)]
struct Written<'a> {
    read_by_twitter_channel: Mark,
    data: Raw<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    includes: Option<Box<RawValue>>,
}

/// How a delivery of ours was read; `None` for one of X's.
pub(super) fn via(delivery: &Members<'_>) -> Option<Via> {
    let mark = delivery.get(MARK)?;
    let mark: Option<Mark> = object(mark).ok();
    // A mark that nobody can read is ours all the same, and its delivery is rejected.
    Some(mark.map_or(Via::Lookup, |mark| mark.means.into()))
}

/// Reads a delivery of ours.
pub(super) fn read(delivery: &Members<'_>, findings: &mut Findings) {
    let mark: Mark = match required_object(MARK, delivery.get(MARK)) {
        Ok(mark) => mark,
        Err(error) => return findings.reject(error),
    };
    let includes = delivery.get("includes").and_then(|raw| object(raw).ok());
    let inclusions = Inclusions::new(includes.unwrap_or_default());
    for (place, raw) in one_or_more("data", delivery.get("data")) {
        let found = event(mark.item, raw, &inclusions).map_err(|error| error.inside(&place));
        match found.transpose() {
            Some(event) => findings.add(event.map(|event| Activity {
                recipient: recipient(mark.for_user_id),
                event,
            })),
            None => findings.ignore("dm_event"),
        }
    }
}

/// `None` for an event of direct messages that is no message.
fn event(
    item: Item,
    raw: Raw<'_>,
    inclusions: &Inclusions<'_>,
) -> Result<Option<ActivityEvent>, Unreadable> {
    Ok(match item {
        Item::Post => {
            let post = post_v2::post(raw, inclusions)?;
            Some(ActivityEvent::Post(Box::new(post)))
        }
        Item::DirectMessage => direct_v2::direct_message(raw, inclusions, None)?
            .map(|direct| ActivityEvent::Direct(Box::new(direct))),
    })
}

fn recipient(user: Option<UserId>) -> Recipient {
    user.map_or(Recipient::App, Recipient::User)
}

/// The items of an answer in X's order, each with what it refers to of what came along.
pub(in crate::x) fn deliveries(
    mark: Mark,
    data: Option<Raw<'_>>,
    includes: Option<Raw<'_>>,
) -> Vec<ReadDelivery> {
    let included = Included::read(includes);
    let items = one_or_more("data", data).into_iter();
    items
        .map(|(_, item)| delivery(mark, item, &included))
        .collect()
}

fn delivery(mark: Mark, data: Raw<'_>, included: &Included<'_>) -> ReadDelivery {
    let written = Written {
        read_by_twitter_channel: mark,
        data,
        includes: included.referred_to_by(data),
    };
    // Raw values and ids: nothing in it that could fail to be written.
    let body = Bytes::from(serde_json::to_vec(&written).unwrap_or_default());
    let normalized = super::normalize(&body).unwrap_or_else(|error| Normalized {
        via: Some(mark.means.into()),
        activities: Vec::new(),
        rejected: vec![Rejected {
            reason: RejectReason::MalformedEvent,
            detail: error.to_string(),
        }],
        ignored: Vec::new(),
    });
    ReadDelivery { body, normalized }
}

/// What came along with an answer.
struct Included<'a> {
    lists: Vec<(String, Vec<Element<'a>>)>,
}

struct Element<'a> {
    /// Its id or key, by which others refer to it.
    name: String,
    raw: Raw<'a>,
}

impl<'a> Included<'a> {
    fn read(includes: Option<Raw<'a>>) -> Self {
        let includes: Option<Members<'a>> = includes.and_then(|raw| object(raw).ok());
        let members = includes.iter().flat_map(Members::iter);
        let lists = members.filter_map(|(list, raw)| {
            let elements = list_of(raw).ok()?.into_iter().filter_map(Element::read);
            Some((list.to_owned(), elements.collect()))
        });
        Self {
            lists: lists.collect(),
        }
    }

    /// What an item names, and what the posts among that name. X bills all of it with the answer;
    /// here it is only kept from being written once for each item.
    fn referred_to_by(&self, item: Raw<'_>) -> Option<Box<RawValue>> {
        let mut names = HashSet::new();
        add_strings(item, &mut names);
        let posts = self.lists.iter().filter(|(list, _)| is_of_posts(list));
        let posts = posts.flat_map(|(_, elements)| elements);
        let named: Vec<_> = posts.filter(|post| names.contains(&post.name)).collect();
        for post in named {
            add_strings(post.raw, &mut names);
        }
        let kept = self.lists.iter().filter_map(|(list, elements)| {
            let elements = elements.iter().filter(|it| names.contains(&it.name));
            let elements: Vec<_> = elements.map(|it| it.raw).collect();
            (!elements.is_empty()).then_some((list.as_str(), elements))
        });
        let kept: std::collections::BTreeMap<_, _> = kept.collect();
        (!kept.is_empty())
            .then(|| serde_json::value::to_raw_value(&kept).ok())
            .flatten()
    }
}

fn is_of_posts(list: &str) -> bool {
    matches!(list, "tweets" | "posts")
}

impl<'a> Element<'a> {
    fn read(raw: Raw<'a>) -> Option<Self> {
        let members: Members<'_> = object(raw).ok()?;
        let name = members.get("id").or_else(|| members.get("media_key"))?;
        let name = serde_json::from_str(name.get()).ok()?;
        Some(Self { name, raw })
    }
}

/// Every string in a value: whatever field a reference stands in, it is among them.
fn add_strings(raw: Raw<'_>, strings: &mut HashSet<String>) {
    let mut open: Vec<Value> = serde_json::from_str(raw.get()).into_iter().collect();
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => {
                strings.insert(text);
            }
            Value::Array(values) => open.extend(values),
            Value::Object(members) => open.extend(members.into_iter().map(|(_, value)| value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use serde_json::value::to_raw_value;

    use super::*;
    use crate::x::normalize::normalize;

    fn mark(item: Item) -> Mark {
        Mark {
            means: Means::Search,
            item,
            for_user_id: Some("100".parse().unwrap()),
        }
    }

    fn read_all(mark: Mark, data: Value, includes: Value) -> Vec<ReadDelivery> {
        let (data, includes) = (
            to_raw_value(&data).unwrap(),
            to_raw_value(&includes).unwrap(),
        );
        deliveries(mark, Some(&data), Some(&includes))
    }

    fn body(delivery: &ReadDelivery) -> Value {
        serde_json::from_slice(&delivery.body).unwrap()
    }

    #[test]
    fn each_post_is_a_delivery_of_its_own_that_reads_the_same_again() {
        let data = json!([{"id": "20", "author_id": "7", "text": "a"}, {"id": "21", "author_id": "8", "text": "b"}]);
        let includes =
            json!({"users": [{"id": "7", "username": "ann"}, {"id": "8", "username": "bob"}]});
        let read = read_all(mark(Item::Post), data, includes);
        assert_eq!(read.len(), 2);
        for delivery in &read {
            assert_eq!(normalize(&delivery.body).unwrap(), delivery.normalized);
            assert_eq!(delivery.normalized.via, Some(Via::Search));
        }
        let activity = &read[1].normalized.activities[0];
        assert_eq!(activity.recipient, Recipient::User("100".parse().unwrap()));
        assert!(
            matches!(&activity.event, ActivityEvent::Post(post) if post.message.author.username == "bob")
        );
    }

    #[test]
    fn a_delivery_carries_only_what_it_refers_to() {
        let data = json!([
            {"id": "20", "author_id": "7", "referenced_tweets": [{"type": "replied_to", "id": "12"}]},
            {"id": "21", "author_id": "8", "attachments": {"media_keys": ["3_1"]}}]);
        let includes = json!({"users": [{"id": "7"}, {"id": "8"}, {"id": "9"}],
            "tweets": [{"id": "12", "author_id": "9"}, {"id": "13", "author_id": "8"}],
            "media": [{"media_key": "3_1", "type": "photo"}], "polls": [{"id": "5"}]});
        let read = read_all(mark(Item::Post), data, includes);
        assert_eq!(
            body(&read[0])["includes"],
            json!({"users": [{"id": "7"}, {"id": "9"}], "tweets": [{"id": "12", "author_id": "9"}]})
        );
        assert_eq!(
            body(&read[1])["includes"],
            json!({"users": [{"id": "8"}], "media": [{"media_key": "3_1", "type": "photo"}]})
        );
    }

    #[test]
    fn an_item_that_cannot_be_read_does_not_harm_the_others() {
        let data = json!([{"id": "20"}, {"id": "21", "author_id": "8"}, 7]);
        let read = read_all(mark(Item::Post), data, json!({}));
        let details: Vec<_> = read
            .iter()
            .map(|it| it.normalized.rejected.first().map(|it| &*it.detail))
            .collect();
        let missing = "data.author_id: missing";
        let number = "data: expected an object, found a number";
        assert_eq!(details, [Some(missing), None, Some(number)]);
    }

    #[test]
    fn a_direct_message_is_read_and_what_is_none_is_counted() {
        let event = |id: &str, kind: &str| json!({"id": id, "event_type": kind, "sender_id": "9", "dm_conversation_id": "100-9", "text": "hi"});
        let data = json!([
            event("31", "MessageCreate"),
            event("32", "ParticipantsJoin")
        ]);
        let asked = Mark {
            means: Means::Lookup,
            ..mark(Item::DirectMessage)
        };
        let read = read_all(asked, data, json!({"users": [{"id": "9", "name": "Ann"}]}));
        let event = &read[0].normalized.activities[0].event;
        assert!(
            matches!(event, ActivityEvent::Direct(direct) if direct.message.author.name == "Ann")
        );
        assert_eq!(read[0].normalized.via, Some(Via::Lookup));
        assert_eq!(read[1].normalized.ignored, ["dm_event"]);
    }

    #[test]
    fn without_an_account_it_is_for_all_of_the_app() {
        let asked = Mark {
            for_user_id: None,
            ..mark(Item::Post)
        };
        let read = read_all(asked, json!({"id": "20", "author_id": "7"}), json!({}));
        assert_eq!(read[0].normalized.activities[0].recipient, Recipient::App);
    }

    #[test]
    fn a_mark_that_nobody_can_read_is_rejected() {
        let forged = json!({MARK: {"means": "guess"}, "data": {"id": "20", "author_id": "7"}});
        let found = normalize(forged.to_string().as_bytes()).unwrap();
        assert!(found.activities.is_empty());
        assert!(found.rejected[0].detail.starts_with(MARK), "{found:?}");
    }

    #[test]
    fn an_item_nested_too_deep_is_rejected_and_named() {
        let mut deep = json!("x");
        for _ in 0..127 {
            deep = json!([deep]);
        }
        let read = read_all(
            mark(Item::Post),
            json!({"id": "20", "author_id": "7", "more": deep}),
            json!({}),
        );
        assert!(read[0].normalized.rejected[0].detail.contains("deeper"));
    }
}
