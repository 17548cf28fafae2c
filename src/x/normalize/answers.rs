//! What X answers to reads, in the same shapes as what it delivers.

use jiff::Timestamp;

use super::direct_v2;
use super::fields::{Unreadable, object, one_or_more};
use super::inclusions::Inclusions;
use super::person;
use super::post_v2;
use super::time;
use crate::domain::activity::{DirectMessage, Rejected};
use crate::domain::ids::ConversationId;
use crate::domain::message::{Person, Post};
use crate::x::wire::answer::Standing;
use crate::x::wire::{Raw, User};

/// The readable items of an answer, and what is wrong with the others.
pub(in crate::x) struct Items<T> {
    pub(in crate::x) items: Vec<T>,
    pub(in crate::x) unreadable: Vec<Rejected>,
}

/// Posts of a lookup, timeline or search.
pub(in crate::x) fn posts(data: Option<Raw<'_>>, includes: Option<Raw<'_>>) -> Items<Post> {
    let inclusions = inclusions(includes);
    read_each(data, |raw| post_v2::post(raw, &inclusions).map(Some))
}

/// Direct messages; events of other kinds are left out. `asked_for` is the conversation that was
/// read, where the question tells it.
pub(in crate::x) fn direct_messages(
    data: Option<Raw<'_>>,
    includes: Option<Raw<'_>>,
    asked_for: Option<&ConversationId>,
) -> Items<DirectMessage> {
    let inclusions = inclusions(includes);
    read_each(data, |raw| {
        direct_v2::direct_message(raw, &inclusions, asked_for)
    })
}

/// X's id of a direct message conversation: `<id>-<id>` or a group's number.
pub(in crate::x) fn conversation_id(named: &str) -> Option<ConversationId> {
    direct_v2::conversation_id(named)
}

/// A moment in any of X's spellings.
pub(in crate::x) fn moment(written: &str) -> Option<Timestamp> {
    time::parse(written)
}

/// A profile, with what it says of the one who asked for it.
pub(in crate::x) struct Profile {
    pub(in crate::x) person: Person,
    pub(in crate::x) receives_your_dm: Option<bool>,
    /// X's words.
    pub(in crate::x) connection_status: Vec<String>,
    /// X's word; empty where it says nothing.
    pub(in crate::x) subscription_type: String,
}

/// Profiles of a user lookup.
pub(in crate::x) fn profiles(data: Option<Raw<'_>>) -> Items<Profile> {
    read_each(data, |raw| profile(raw).map(Some))
}

fn profile(raw: Raw<'_>) -> Result<Profile, Unreadable> {
    let standing: Standing<'_> = object(raw)?;
    let status = standing.connection_status.iter();
    Ok(Profile {
        person: person::person(&object::<User<'_>>(raw)?)?,
        receives_your_dm: *standing.receives_your_dm,
        connection_status: status.map(|word| word.to_string()).collect(),
        subscription_type: standing.subscription_type.to_string(),
    })
}

fn inclusions(includes: Option<Raw<'_>>) -> Inclusions<'_> {
    Inclusions::new(
        includes
            .and_then(|raw| object(raw).ok())
            .unwrap_or_default(),
    )
}

/// Of one item or a list of them.
fn read_each<'a, T>(
    data: Option<Raw<'a>>,
    read: impl Fn(Raw<'a>) -> Result<Option<T>, Unreadable>,
) -> Items<T> {
    let mut found = Items {
        items: Vec::new(),
        unreadable: Vec::new(),
    };
    for (place, raw) in one_or_more("data", data) {
        match read(raw) {
            Ok(item) => found.items.extend(item),
            Err(error) => found.unreadable.push(error.inside(&place).into()),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_item_that_cannot_be_read_does_not_harm_the_others() {
        let data = to_raw_value(
            &json!([{"id": "20", "author_id": "7"}, {"id": 21, "author_id": "7"}, {"id": "22"}]),
        )
        .unwrap();
        let found = posts(Some(&data), None);
        assert_eq!(found.items.len(), 1);
        let details: Vec<_> = found.unreadable.iter().map(|it| &*it.detail).collect();
        assert_eq!(
            details,
            [
                "data[1].id: expected an id as a string of 1 to 19 digits, found a number",
                "data[2].author_id: missing"
            ]
        );
    }

    #[test]
    fn one_item_is_a_list_of_one_and_none_is_empty() {
        let data = to_raw_value(&json!({"id": "20", "author_id": "7"})).unwrap();
        assert_eq!(posts(Some(&data), None).items.len(), 1);
        assert!(posts(None, None).items.is_empty());
    }

    #[test]
    fn a_profile_tells_what_it_may_be_asked() {
        let read = |value: Value| {
            let raw = to_raw_value(&value).unwrap();
            profiles(Some(&raw)).items.pop().unwrap()
        };
        let profile = read(
            json!({"id": "7", "username": "ann", "receives_your_dm": false, "connection_status": ["following", "muting"], "subscription_type": "Premium"}),
        );
        assert_eq!(profile.person.username, "ann");
        assert_eq!(profile.receives_your_dm, Some(false));
        assert_eq!(profile.connection_status, ["following", "muting"]);
        assert_eq!(profile.subscription_type, "Premium");
        let bare = read(json!({"id": "7"}));
        assert_eq!(
            (bare.receives_your_dm, &*bare.subscription_type),
            (None, "")
        );
    }
}
