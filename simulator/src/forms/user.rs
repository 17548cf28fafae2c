//! Accounts in X's three shapes: v1.1 in posts, v1.1 in messages, v2.

use serde_json::{Value, json};

use super::json::{non_empty, with};
use super::post_v1::{V1_TIME, rounded};
use super::post_v2::V2_TIME;
use crate::model::{User, World, format};
use crate::text::{Composed, EntityKind, Link, compose_message};

/// As in v1.1 posts, likes and follows.
pub(super) fn v1(world: &World, user: &User) -> Value {
    let short_url = profile_link(world, user).map(|link| link.short);
    json!({
        "id": rounded(user.id.0),
        "id_str": user.id,
        "name": user.name,
        "screen_name": user.username,
        "location": absent_as_null(&user.location),
        "url": short_url,
        "description": absent_as_null(&user.description),
        "translator_type": "none",
        "protected": user.protected,
        "verified": user.verified,
        "followers_count": user.followers,
        "friends_count": user.following,
        "listed_count": 0,
        "favourites_count": user.likes,
        "statuses_count": user.posts,
        "created_at": format(user.created_at_ms, V1_TIME),
        "utc_offset": null,
        "time_zone": null,
        "geo_enabled": false,
        "lang": null,
        "contributors_enabled": false,
        "is_translator": false,
        "profile_background_color": "F5F8FA",
        "profile_background_image_url": "",
        "profile_background_image_url_https": "",
        "profile_background_tile": false,
        "profile_link_color": "1DA1F2",
        "profile_sidebar_border_color": "C0DEED",
        "profile_sidebar_fill_color": "DDEEF6",
        "profile_text_color": "333333",
        "profile_use_background_image": true,
        "profile_image_url": user.avatar_url.replacen("https://", "http://", 1),
        "profile_image_url_https": user.avatar_url,
        "profile_banner_url": user.banner_url,
        "default_profile": true,
        "default_profile_image": false,
        "following": null,
        "follow_request_sent": null,
        "notifications": null,
    })
}

/// As in the `users` map beside v1.1 direct messages: fewer fields, absent ones left out.
pub(super) fn v1_in_message(world: &World, user: &User) -> Value {
    let value = json!({
        "id": user.id,
        "created_timestamp": user.created_at_ms.to_string(),
        "name": user.name,
        "screen_name": user.username,
        "protected": user.protected,
        "verified": user.verified,
        "followers_count": user.followers,
        "friends_count": user.following,
        "statuses_count": user.posts,
        "profile_image_url_https": user.avatar_url,
    });
    let value = with(value, "location", present(&user.location));
    let value = with(value, "description", present(&user.description));
    let url = profile_link(world, user).map(|link| json!(link.short));
    with(value, "url", url)
}

/// As in v2.
pub(crate) fn v2(world: &World, user: &User) -> Value {
    let link = profile_link(world, user);
    let value = json!({
        "id": user.id,
        "name": user.name,
        "username": user.username,
        "created_at": format(user.created_at_ms, V2_TIME),
        "description": user.description,
        "url": link.as_ref().map(|link| link.short.clone()).unwrap_or_default(),
        "profile_image_url": user.avatar_url,
        "profile_banner_url": user.banner_url,
        "protected": user.protected,
        "verified": user.verified,
        "verified_type": if user.verified { "blue" } else { "none" },
        "is_identity_verified": false,
        "public_metrics": {
            "followers_count": user.followers,
            "following_count": user.following,
            "tweet_count": user.posts,
            "listed_count": 0,
            "like_count": user.likes,
            "media_count": 0,
        },
    });
    let value = with(value, "location", present(&user.location));
    let value = with(value, "affiliation", affiliation(user));
    with(value, "entities", v2_entities(world, user, link))
}

/// The same inside the `data` that X Activity wraps around users of a payload.
pub(super) fn v2_wrapped(world: &World, user: &User) -> Value {
    json!({ "data": v2(world, user) })
}

/// Whom a badge speaks for; the ids are a list.
fn affiliation(user: &User) -> Option<Value> {
    user.verified.then(|| {
        json!({
            "description": user.name,
            "badge_url": user.avatar_url,
            "url": format!("https://twitter.com/{}", user.username),
            "user_id": [user.id],
        })
    })
}

fn v2_entities(world: &World, user: &User, link: Option<Link>) -> Option<Value> {
    let url = link.map(|link| {
        json!({ "urls": [{
            "start": 0,
            "end": link.short.chars().count(),
            "url": link.short,
            "expanded_url": link.expanded,
            "display_url": link.display,
        }]})
    });
    let biography = compose_message(world, &user.description, "description", None);
    let mentions = non_empty(biography_mentions(world, &biography));
    let description = mentions.map(|mentions| json!({ "mentions": mentions }));
    let entities = with(with(json!({}), "url", url), "description", description);
    entities
        .as_object()
        .is_some_and(|fields| !fields.is_empty())
        .then_some(entities)
}

/// In profiles X names the mentioned without their id.
fn biography_mentions(world: &World, biography: &Composed) -> Vec<Value> {
    let mention = |found: &crate::text::Entity| match found.kind {
        EntityKind::Mention(id) => world.user(id).ok().map(
            |user| json!({ "start": found.start, "end": found.end, "username": user.username }),
        ),
        _ => None,
    };
    biography.entities.iter().filter_map(mention).collect()
}

fn profile_link(world: &World, user: &User) -> Option<Link> {
    let short = world.short_link(&format!("user/{}/{}", user.id, user.url));
    (!user.url.is_empty()).then(|| Link::to(short, user.url.clone()))
}

fn absent_as_null(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn present(text: &str) -> Option<Value> {
    absent_as_null(text).map(Value::from)
}
