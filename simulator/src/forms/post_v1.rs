//! Posts as v1.1 writes them.

use serde_json::{Value, json};

use super::json::{with, with_all};
use super::{composed, user};
use crate::model::{Media, MediaHosts, MediaKind, Post, PostId, World, format};
use crate::text::{Composed, Entity, EntityKind, Link, QuoteLink, quote_permalink};

pub(super) const V1_TIME: &str = "%a %b %d %H:%M:%S +0000 %Y";
/// v1.1 shows this much of a text at the top level.
const SHORT_TEXT: usize = 140;

/// What the author wrote it with.
fn source(post: &Post) -> String {
    let (address, name) = match &post.source_app {
        Some(app) => ("https://help.x.com", app.as_str()),
        None => ("https://mobile.x.com", "X Web App"),
    };
    format!("<a href=\"{address}\" rel=\"nofollow\">{name}</a>")
}

/// An id as a JSON number, as JavaScript would have rounded it. Readers must take `id_str`.
pub(super) fn rounded(id: u64) -> u64 {
    format!("{}", id as f64).parse().unwrap_or(id)
}

/// A post with the posts it quotes or reposts inside.
pub(super) fn post(world: &World, post: &Post) -> Value {
    let value = status(world, post);
    let original = post.repost_of.and_then(|id| world.visible_post(id).ok());
    let value = match original {
        Some(original) => {
            let nested = with_quote(world, original, status(world, original));
            with(value, "retweeted_status", Some(nested))
        }
        None => value,
    };
    // A repost of a quote shows the quoted post at its own level too.
    with_quote(world, original.unwrap_or(post), value)
}

/// Adds the quoted post, one level deep; of a deleted one only the id is left.
fn with_quote(world: &World, post: &Post, value: Value) -> Value {
    let Some(quoted) = post.quote else {
        return value;
    };
    let value = with_all(
        value,
        json!({
            "is_quote_status": true,
            "quoted_status_id": rounded(quoted.0),
            "quoted_status_id_str": quoted,
        }),
    );
    let Ok(nested) = world.visible_post(quoted) else {
        return value;
    };
    let link = quote_permalink(world, post.id, quoted);
    with_all(
        value,
        json!({
            "quoted_status": status(world, nested),
            "quoted_status_permalink": {
                "url": link.short,
                "expanded": link.expanded,
                "display": link.display,
            },
        }),
    )
}

/// The post itself, nothing nested.
fn status(world: &World, post: &Post) -> Value {
    let value = common_fields(world, post);
    let value = with_all(value, reply_fields(world, post));
    let value = with_all(value, text_fields(world, post));
    if post.is_editable() {
        with_all(value, edit_fields(post))
    } else {
        value
    }
}

fn common_fields(world: &World, post: &Post) -> Value {
    let author = world
        .user(post.author)
        .map(|author| user::v1(world, author))
        .ok();
    json!({
        "created_at": format(post.created_at_ms, V1_TIME),
        "id": rounded(post.id.0),
        "id_str": post.id,
        "source": source(post),
        "user": author,
        "geo": null,
        "coordinates": null,
        "place": null,
        "contributors": null,
        "is_quote_status": false,
        "quote_count": post.counts.quotes,
        "reply_count": post.counts.replies,
        "retweet_count": post.counts.reposts,
        "favorite_count": post.counts.likes,
        "favorited": false,
        "retweeted": false,
        "possibly_sensitive": post.possibly_sensitive,
        "filter_level": "low",
        "lang": post.lang,
    })
}

fn reply_fields(world: &World, post: &Post) -> Value {
    let parent = post.parent.and_then(|id| world.any_post(id));
    let author = parent.and_then(|parent| world.user(parent.author).ok());
    json!({
        "in_reply_to_status_id": parent.map(|parent| rounded(parent.id.0)),
        "in_reply_to_status_id_str": parent.map(|parent| parent.id),
        "in_reply_to_user_id": author.map(|author| rounded(author.id.0)),
        "in_reply_to_user_id_str": author.map(|author| author.id),
        "in_reply_to_screen_name": author.map(|author| author.username.clone()),
    })
}

fn edit_fields(post: &Post) -> Value {
    const HOUR_MS: i64 = 3_600_000;
    let first: Option<&PostId> = post.history.first();
    json!({
        "edit_history": {
            "initial_tweet_id": first,
            "edit_tweet_ids": post.history,
        },
        "edit_controls": {
            "editable_until_ms": post.created_at_ms + HOUR_MS,
            "edits_remaining": 6 - post.history.len().min(6),
        },
        "editable": true,
    })
}

/// The text at the top level, and what is longer in `extended_tweet`.
fn text_fields(world: &World, post: &Post) -> Value {
    // The quoted post's link is left out of short texts, as X says since 2018; X's own sample of
    // a longer text still has it. Readers meet both.
    let short = composed(world, post, QuoteLink::Omitted);
    if short.length() <= SHORT_TEXT {
        let value = json!({ "text": short.text, "truncated": false, "entities": entities(world, post, &short) });
        let value = with(value, "display_text_range", partial_range(&short));
        return with(
            value,
            "extended_entities",
            extended_entities(world, post, &short),
        );
    }
    let whole = composed(world, post, QuoteLink::Appended);
    let own = Link::to(
        world.short_link(&format!("post/{}/self", post.id)),
        format!("https://x.com/i/web/status/{}", post.id),
    );
    let cut = whole.shortened(SHORT_TEXT, own);
    let value = json!({
        "text": cut.text,
        "truncated": true,
        "entities": entities(world, post, &cut),
        "extended_tweet": extended(world, post, &whole),
    });
    with(
        value,
        "display_text_range",
        partial_range(&whole).map(|_| json!([cut.shown.0, cut.length()])),
    )
}

fn extended(world: &World, post: &Post, text: &Composed) -> Value {
    let value = json!({
        "full_text": text.text,
        "display_text_range": text.shown,
        "entities": entities(world, post, text),
    });
    with(
        value,
        "extended_entities",
        extended_entities(world, post, text),
    )
}

/// X names the range only where it is not the whole text.
fn partial_range(text: &Composed) -> Option<Value> {
    (text.shown != (0, text.length())).then(|| json!(text.shown))
}

/// `entities`, which shows one medium at most and calls it a photo whatever it is.
fn entities(world: &World, post: &Post, text: &Composed) -> Value {
    let value = text_entities(world, text);
    let first = post.media.first().zip(media_entity(text));
    let first = first.map(|(medium, (found, link))| {
        let plain = media(&world.hosts, medium, found, link);
        json!([with(plain, "type", Some(json!("photo")))])
    });
    with(value, "media", first)
}

/// The entities of any v1.1 text, messages included.
pub(super) fn text_entities(world: &World, text: &Composed) -> Value {
    let mut hashtags = Vec::new();
    let mut symbols = Vec::new();
    let mut urls = Vec::new();
    let mut mentions = Vec::new();
    for found in &text.entities {
        let indices = [found.start, found.end];
        match &found.kind {
            EntityKind::Hashtag(tag) => hashtags.push(json!({ "text": tag, "indices": indices })),
            EntityKind::Cashtag(tag) => symbols.push(json!({ "text": tag, "indices": indices })),
            EntityKind::Link(link) => urls.push(json!({
                "url": link.short,
                "expanded_url": link.expanded,
                "display_url": link.display,
                "indices": indices,
            })),
            EntityKind::Mention(id) => mentions.extend(world.user(*id).ok().map(|user| {
                json!({
                    "screen_name": user.username,
                    "name": user.name,
                    "id": rounded(user.id.0),
                    "id_str": user.id,
                    "indices": indices,
                })
            })),
            EntityKind::Media(_) => {}
        }
    }
    json!({ "hashtags": hashtags, "symbols": symbols, "urls": urls, "user_mentions": mentions })
}

/// All media with their true kinds.
fn extended_entities(world: &World, post: &Post, text: &Composed) -> Option<Value> {
    let (found, link) = media_entity(text)?;
    let all: Vec<Value> = post
        .media
        .iter()
        .map(|medium| media(&world.hosts, medium, found, link))
        .collect();
    (!all.is_empty()).then(|| json!({ "media": all }))
}

fn media_entity(text: &Composed) -> Option<(&Entity, &Link)> {
    text.entities.iter().find_map(|found| match &found.kind {
        EntityKind::Media(link) => Some((found, link)),
        _ => None,
    })
}

fn media(hosts: &MediaHosts, medium: &Media, found: &Entity, link: &Link) -> Value {
    let still = hosts.still(medium);
    let value = json!({
        "id": rounded(medium.id.0),
        "id_str": medium.id,
        "indices": [found.start, found.end],
        "media_url": still.replacen("https://", "http://", 1),
        "media_url_https": still,
        "url": link.short,
        "display_url": link.display,
        "expanded_url": link.expanded,
        "type": medium.kind.name(),
        "sizes": sizes(medium),
    });
    let alt = (!medium.alt_text.is_empty()).then(|| json!(medium.alt_text));
    let value = with(value, "ext_alt_text", alt);
    with(value, "video_info", video_info(hosts, medium))
}

/// The sizes X offers.
pub(super) fn sizes(medium: &Media) -> Value {
    let size = |limit: u32, resize| json!({ "w": medium.width.min(limit), "h": medium.height.min(limit), "resize": resize });
    json!({
        "thumb": size(150, "crop"),
        "small": size(680, "fit"),
        "medium": size(1200, "fit"),
        "large": size(2048, "fit"),
    })
}

pub(super) fn video_info(hosts: &MediaHosts, medium: &Media) -> Option<Value> {
    if medium.kind == MediaKind::Photo {
        return None;
    }
    let variants: Vec<Value> = hosts
        .variants(medium)
        .into_iter()
        .map(|variant| {
            let value = json!({ "content_type": variant.content_type, "url": variant.url });
            with(value, "bitrate", variant.bit_rate.map(Value::from))
        })
        .collect();
    let value = json!({ "aspect_ratio": [16, 9], "variants": variants });
    let duration = (medium.duration_ms > 0).then(|| json!(medium.duration_ms));
    Some(with(value, "duration_millis", duration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_ids_are_rounded_as_javascript_rounds_them() {
        assert_eq!(
            rounded(1_924_465_506_158_878_979),
            1_924_465_506_158_879_000
        );
        assert_eq!(rounded(2_244_994_945), 2_244_994_945);
    }
}
