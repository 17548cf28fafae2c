//! Profiles.

use super::fields::{Unreadable, object, required_id};
use super::text::unescape;
use super::time;
use crate::domain::ids::UserId;
use crate::domain::message::Person;
use crate::x::wire::{List, Members, User};

/// A person as a user object shows one, in whatever generation and wrapping.
pub(super) fn person(user: &User<'_>) -> Result<Person, Unreadable> {
    if let Some(wrapped) = user.data {
        let user: User<'_> = object(wrapped).map_err(|error| error.inside("data"))?;
        return profile(&user);
    }
    profile(user)
}

fn profile(user: &User<'_>) -> Result<Person, Unreadable> {
    let metrics = user.public_metrics.as_ref();
    Ok(Person {
        // v1.1's `id` is a number beside `id_str`, in direct messages and v2 it is the string.
        id: required_id("id_str", user.id_str.or(user.id))?,
        username: first_of(&user.screen_name, &user.username).to_owned(),
        name: unescape(&user.name),
        avatar_url: first_of(&user.profile_image_url_https, &user.profile_image_url).to_owned(),
        location: unescape(&user.location),
        description: unescape(&user.description),
        url: profile_link(user).to_owned(),
        followers_count: user
            .followers_count
            .or_else(|| metrics.and_then(|metrics| *metrics.followers_count)),
        verified: verified(user),
        protected: user.protected.unwrap_or(false),
        created_at: time::parse(&user.created_at)
            .or_else(|| time::milliseconds(user.created_timestamp)),
    })
}

fn first_of<'a>(preferred: &'a str, other: &'a str) -> &'a str {
    if preferred.is_empty() {
        other
    } else {
        preferred
    }
}

/// The profile's link, expanded where X gave the expansion.
fn profile_link<'a>(user: &'a User<'_>) -> &'a str {
    let entities = user.entities.as_ref();
    let link = entities.and_then(|entities| entities.url.as_ref());
    let expanded = link.and_then(|link| link.urls.first());
    expanded.map_or(&user.url, |link| first_of(&link.expanded_url, &user.url))
}

fn verified(user: &User<'_>) -> Option<bool> {
    let by_type = match &*user.verified_type {
        "" => None,
        kind => Some(kind != "none"),
    };
    match (*user.verified, by_type) {
        (None, None) => None,
        (flag, by_type) => Some(flag.unwrap_or(false) || by_type.unwrap_or(false)),
    }
}

/// All readable people of a list.
pub(super) fn people(users: &List<User<'_>>) -> Vec<Person> {
    users.iter().filter_map(|user| person(user).ok()).collect()
}

/// The person with this id in a map of users by id; known by the id alone if not there.
pub(super) fn in_map(users: &Members<'_>, id: UserId) -> Person {
    let user = users.get(&id.to_string());
    user.and_then(|user| person(&object(user).ok()?).ok())
        .filter(|person| person.id == id)
        .unwrap_or_else(|| Person::unknown(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Person {
        person(&serde_json::from_str(json).unwrap()).unwrap()
    }

    #[test]
    fn a_v1_user_is_read() {
        let person = read(
            r#"{"id":3001969357123456789,"id_str":"3001969357123456780","name":"J &amp; Co","screen_name":"jco",
                "url":"https://t.co/1","entities":{"url":{"urls":[{"expanded_url":"https://j.example"}]}},
                "followers_count":22,"verified":false,"protected":true,"location":null,
                "profile_image_url":"http://a.example/n.jpg","profile_image_url_https":"https://a.example/n.jpg",
                "created_at":"Sat Dec 14 04:35:55 +0000 2013"}"#,
        );
        assert_eq!(person.id.get(), 3_001_969_357_123_456_780);
        assert_eq!((&*person.name, &*person.username), ("J & Co", "jco"));
        assert_eq!(person.url, "https://j.example");
        assert_eq!(person.avatar_url, "https://a.example/n.jpg");
        assert_eq!(person.followers_count, Some(22));
        assert_eq!(person.verified, Some(false));
        assert!(person.protected);
        assert_eq!(
            person.created_at.unwrap().to_string(),
            "2013-12-14T04:35:55Z"
        );
    }

    #[test]
    fn a_user_of_a_direct_message_has_the_id_and_time_as_strings() {
        let person = read(r#"{"id":"12","created_timestamp":"1422556069340","screen_name":"a"}"#);
        assert_eq!(person.id.get(), 12);
        assert_eq!(
            person.created_at.unwrap().to_string(),
            "2015-01-29T18:27:49.34Z"
        );
        assert_eq!((person.followers_count, person.verified), (None, None));
    }

    #[test]
    fn a_v2_user_is_read_wrapped_or_not() {
        let plain = r#"{"id":"12","username":"a","verified":false,"verified_type":"business",
            "public_metrics":{"followers_count":5,"followers_count_str":"5"},"affiliation":{"user_id":["1"]},
            "created_at":"2013-12-14T04:35:55.000Z","profile_image_url":"https://a.example/n.jpg"}"#;
        let person = read(plain);
        assert_eq!(
            (person.followers_count, person.verified),
            (Some(5), Some(true))
        );
        assert_eq!(person.avatar_url, "https://a.example/n.jpg");
        assert_eq!(read(&format!("{{\"data\":{plain}}}")), person);
    }

    #[test]
    fn a_user_without_an_id_is_nobody() {
        for json in ["{}", r#"{"id":12}"#, r#"{"data":7}"#] {
            assert!(
                person(&serde_json::from_str(json).unwrap()).is_err(),
                "{json}"
            );
        }
        let users = serde_json::from_str(r#"[{"id":"1"},{"id":2},7,{"data":{"id":"3"}}]"#).unwrap();
        assert_eq!(people(&users).len(), 2);
    }
}
