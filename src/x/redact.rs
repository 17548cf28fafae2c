//! Deliveries of X, whole, without what they tell of a person beside whom they are about.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::domain::ids::UserId;

/// The delivery without a person who is named, answered or quoted in it: the profile, the posts, the
/// mentions and the handle. `None` where it cannot be read.
pub fn without_person(body: &[u8], person: UserId) -> Option<Vec<u8>> {
    let mut delivery: Value = serde_json::from_slice(body).ok()?;
    let id = person.to_string();
    let mut handles = BTreeSet::new();
    gather(&delivery, &id, &mut handles);
    leave_out(&mut delivery, &id, &handles);
    serde_json::to_vec(&delivery).ok()
}

/// Names under which X shows a handle, and an id: in users and mentions, of v1.1 and of v2.
const HANDLES: [&str; 2] = ["screen_name", "username"];
const IDS: [&str; 2] = ["id_str", "id"];
/// Names under which a post says whom it answers, and all of that.
const ANSWERED_IDS: [&str; 2] = ["in_reply_to_user_id_str", "in_reply_to_user_id"];
const ANSWERED: [&str; 3] = [ANSWERED_IDS[0], ANSWERED_IDS[1], "in_reply_to_screen_name"];

/// Whether the first of these fields that is there is the id: v1.1 writes ids as text and as numbers
/// beside, and a number may have been rounded to that of somebody else.
fn has_id(object: &Map<String, Value>, names: &[&str], id: &str) -> bool {
    let mut values = names.iter().filter_map(|name| object.get(*name));
    match values.find(|value| !value.is_null()) {
        Some(Value::String(text)) => text == id,
        Some(Value::Number(number)) => number.to_string() == id,
        _ => false,
    }
}

/// The handle of a user or a mention with this id.
fn handle<'a>(object: &'a Map<String, Value>, id: &str) -> Option<&'a str> {
    let mut handles = HANDLES
        .iter()
        .filter_map(|name| object.get(*name)?.as_str());
    handles.next().filter(|_| has_id(object, &IDS, id))
}

fn gather(value: &Value, id: &str, handles: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            let handle = handle(object, id).filter(|handle| !handle.is_empty());
            handles.extend(handle.map(str::to_ascii_lowercase));
            object.values().for_each(|it| gather(it, id, handles));
        }
        Value::Array(items) => items.iter().for_each(|it| gather(it, id, handles)),
        _ => {}
    }
}

/// Whether it is the person's profile, a mention of the person, or a post of the person.
fn is_of(value: &Value, id: &str) -> bool {
    let Value::Object(object) = value else {
        return false;
    };
    let author = object.get("user").and_then(Value::as_object);
    handle(object, id).is_some()
        || author.is_some_and(|author| handle(author, id).is_some())
        || has_id(object, &["author_id"], id)
}

fn leave_out(value: &mut Value, id: &str, handles: &BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            if has_id(object, &ANSWERED_IDS, id) {
                ANSWERED.iter().for_each(|name| {
                    object.remove(*name);
                });
            }
            object.retain(|_, it| !is_of(it, id));
            object
                .values_mut()
                .for_each(|it| leave_out(it, id, handles));
        }
        Value::Array(items) => {
            items.retain(|it| !is_of(it, id));
            items.iter_mut().for_each(|it| leave_out(it, id, handles));
        }
        Value::String(text) => {
            for handle in handles {
                hide(text, handle);
            }
        }
        _ => {}
    }
}

/// Hides a handle where it is one: behind `@`, and in links. As long as before, for X counts
/// characters to say where links and mentions stand.
fn hide(text: &mut String, handle: &str) {
    let lower = text.to_ascii_lowercase();
    let mut hidden = String::with_capacity(text.len());
    let mut rest = 0;
    for (at, found) in lower.match_indices(handle) {
        let before = lower.get(..at).and_then(|it| it.chars().next_back());
        let end = at + found.len();
        let after = lower.get(end..).and_then(|it| it.chars().next());
        let whole = !after.is_some_and(|it| it.is_ascii_alphanumeric() || it == '_');
        if whole && matches!(before, Some('@' | '/')) {
            hidden.push_str(text.get(rest..at).unwrap_or_default());
            hidden.extend(handle.chars().map(|_| '_'));
            rest = end;
        }
    }
    if rest > 0 {
        hidden.push_str(text.get(rest..).unwrap_or_default());
        *text = hidden;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rest(body: &Value) -> Value {
        let person = "5".parse().unwrap();
        let rest = without_person(body.to_string().as_bytes(), person).unwrap();
        serde_json::from_slice(&rest).unwrap()
    }

    #[test]
    fn a_quoted_post_a_mention_and_the_handle_go_in_v1() {
        let body = json!({"for_user_id": "2", "tweet_create_events": [{
            "id_str": "15", "text": "@Zeb see this, @zebra https://t.co/a",
            "user": {"id_str": "6", "screen_name": "bob"},
            "in_reply_to_user_id_str": "5", "in_reply_to_screen_name": "zeb",
            "in_reply_to_status_id_str": "55",
            "entities": {"user_mentions": [{"id_str": "5", "screen_name": "zeb"},
                                           {"id_str": "7", "screen_name": "zebra"}],
                         "urls": [{"expanded_url": "https://x.com/zeb/status/55"}]},
            "quoted_status": {"id_str": "55", "user": {"id_str": "5", "screen_name": "Zeb"},
                              "text": "secret"},
        }]});
        let expected = json!({"for_user_id": "2", "tweet_create_events": [{
            "id_str": "15", "text": "@___ see this, @zebra https://t.co/a",
            "user": {"id_str": "6", "screen_name": "bob"},
            "in_reply_to_status_id_str": "55",
            "entities": {"user_mentions": [{"id_str": "7", "screen_name": "zebra"}],
                         "urls": [{"expanded_url": "https://x.com/___/status/55"}]},
        }]});
        assert_eq!(rest(&body), expected);
    }

    #[test]
    fn posts_and_profiles_beside_go_in_v2() {
        let body = json!({"data": {"id": "15", "author_id": "6", "text": "hi"}, "includes": {
            "users": [{"id": "5", "username": "zeb"}, {"id": "6", "username": "bob"}],
            "tweets": [{"id": "55", "author_id": "5", "text": "secret"}],
        }});
        let expected = json!({"data": {"id": "15", "author_id": "6", "text": "hi"}, "includes": {
            "users": [{"id": "6", "username": "bob"}], "tweets": [],
        }});
        assert_eq!(rest(&body), expected);
    }

    #[test]
    fn another_whose_rounded_number_is_the_persons_id_stays() {
        let body = json!({"for_user_id": "2", "tweet_create_events": [{
            "id_str": "15", "text": "hi",
            "user": {"id_str": "6", "id": 5, "screen_name": "bob"},
            "in_reply_to_user_id": 5, "in_reply_to_user_id_str": "7",
            "in_reply_to_screen_name": "jane",
            "entities": {"user_mentions": [{"id_str": "7", "id": 5, "screen_name": "jane"}]},
        }]});
        assert_eq!(rest(&body), body);
    }

    #[test]
    fn a_number_counts_where_there_is_no_text() {
        let body = json!({"text": "hi", "user": {"id": 6, "screen_name": "bob"},
                          "in_reply_to_user_id": 5, "in_reply_to_user_id_str": null,
                          "entities": {"user_mentions": [{"id": 5, "screen_name": "zeb"}]}});
        let expected = json!({"text": "hi", "user": {"id": 6, "screen_name": "bob"},
                              "entities": {"user_mentions": []}});
        assert_eq!(rest(&body), expected);
    }

    #[test]
    fn what_does_not_name_the_person_stays_as_it_is() {
        let body = json!({"id": "15", "count": 5, "text": "@zeb", "list": [5, null, true]});
        assert_eq!(rest(&body), body);
    }
}
