//! Posts as v2 writes them.

use serde_json::{Map, Value, json};

use super::json::{non_empty, rewrite, with, with_all};
use super::{composed, user};
use crate::model::{Media, MediaHosts, MediaKind, Post, PostId, UserId, Vocabulary, World, format};
use crate::text::{Composed, EntityKind, Link, QuoteLink, is_long};

pub(crate) const V2_TIME: &str = "%Y-%m-%dT%H:%M:%S.000Z";
/// The short form of a long post.
const SHORT_TEXT: usize = 280;

/// A post, without the posts, people and media it refers to.
pub(crate) fn post(world: &World, post: &Post) -> Value {
    let whole = composed(world, post, QuoteLink::Appended);
    let long = is_long(&whole.without_tail().text);
    let text = if long {
        short_form(world, post, &whole)
    } else {
        whole.clone()
    };
    let value = common_fields(post);
    let value = with_all(
        value,
        json!({ "text": text.text, "display_text_range": text.shown }),
    );
    let value = with(value, "entities", entities(world, &text));
    let value = with(value, "note_tweet", long.then(|| note(world, &whole)));
    let value = with(value, "referenced_tweets", non_empty(references(post)));
    let value = with_all(value, reply_fields(world, post));
    let value = with(value, "attachments", attachments(post));
    with(value, "edit_controls", edit_controls(post))
}

fn common_fields(post: &Post) -> Value {
    json!({
        "id": post.id,
        "author_id": post.author,
        "created_at": format(post.created_at_ms, V2_TIME),
        "conversation_id": post.conversation,
        "edit_history_tweet_ids": post.history,
        "lang": post.lang,
        "possibly_sensitive": post.possibly_sensitive,
        "reply_settings": post.reply_settings,
        "paid_partnership": false,
        "public_metrics": {
            "retweet_count": post.counts.reposts,
            "reply_count": post.counts.replies,
            "like_count": post.counts.likes,
            "quote_count": post.counts.quotes,
            "bookmark_count": 0,
            "impression_count": 0,
        },
    })
}

fn reply_fields(world: &World, post: &Post) -> Value {
    match post.parent.and_then(|id| world.any_post(id)) {
        Some(parent) => json!({ "in_reply_to_user_id": parent.author }),
        None => json!({}),
    }
}

fn edit_controls(post: &Post) -> Option<Value> {
    const HOUR_MS: i64 = 3_600_000;
    post.is_editable().then(|| {
        json!({
            "edits_remaining": 6 - post.history.len().min(6),
            "is_edit_eligible": true,
            "editable_until": format(post.created_at_ms + HOUR_MS, V2_TIME),
        })
    })
}

fn references(post: &Post) -> Vec<Value> {
    referenced(post)
        .map(|(kind, id)| json!({ "type": kind, "id": id }))
        .collect()
}

/// The posts a post hangs on, by X's word for how.
pub(crate) fn referenced(post: &Post) -> impl Iterator<Item = (&'static str, PostId)> {
    [
        ("replied_to", post.parent),
        ("quoted", post.quote),
        ("retweeted", post.repost_of),
    ]
    .into_iter()
    .filter_map(|(kind, id)| id.map(|id| (kind, id)))
}

fn attachments(post: &Post) -> Option<Value> {
    let keys: Vec<String> = post.media.iter().map(Media::key).collect();
    (!keys.is_empty()).then(|| json!({ "media_keys": keys }))
}

fn short_form(world: &World, post: &Post, whole: &Composed) -> Composed {
    let own = Link::to(
        world.short_link(&format!("post/{}/self", post.id)),
        format!("https://x.com/i/web/status/{}", post.id),
    );
    whole.without_tail().shortened(SHORT_TEXT, own)
}

fn note(world: &World, whole: &Composed) -> Value {
    let text = whole.without_tail();
    with(
        json!({ "text": text.text }),
        "entities",
        entities(world, &text),
    )
}

pub(crate) fn entities(world: &World, text: &Composed) -> Option<Value> {
    let mut found = Map::new();
    for entity in &text.entities {
        let place = json!({ "start": entity.start, "end": entity.end });
        let (list, what) = match &entity.kind {
            EntityKind::Mention(id) => ("mentions", mention(world, *id)),
            EntityKind::Hashtag(tag) => ("hashtags", json!({ "tag": tag })),
            EntityKind::Cashtag(tag) => ("cashtags", json!({ "tag": tag })),
            EntityKind::Link(link) | EntityKind::Media(link) => ("urls", url(link)),
        };
        let list = found.entry(list).or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(with_all(place, what));
        }
    }
    (!found.is_empty()).then_some(Value::Object(found))
}

fn mention(world: &World, id: UserId) -> Value {
    let username = world
        .user(id)
        .map(|user| user.username.clone())
        .unwrap_or_default();
    json!({ "username": username, "id": id })
}

fn url(link: &Link) -> Value {
    json!({ "url": link.short, "expanded_url": link.expanded, "display_url": link.display })
}

/// A medium of `includes.media`.
pub(crate) fn media(hosts: &MediaHosts, medium: &Media) -> Value {
    let value = json!({
        "media_key": medium.key(),
        "type": medium.kind.name(),
        "width": medium.width,
        "height": medium.height,
    });
    let alt = (!medium.alt_text.is_empty()).then(|| json!(medium.alt_text));
    let value = with(value, "alt_text", alt);
    let still = json!(hosts.still(medium));
    if medium.kind == MediaKind::Photo {
        return with(value, "url", Some(still));
    }
    let variants = hosts.variants(medium).into_iter().map(|variant| {
        let value = json!({ "content_type": variant.content_type, "url": variant.url });
        with(value, "bit_rate", variant.bit_rate.map(Value::from))
    });
    let value = with(value, "preview_image_url", Some(still));
    let value = with(value, "variants", non_empty(variants.collect()));
    let duration = (medium.duration_ms > 0).then(|| json!(medium.duration_ms));
    with(value, "duration_ms", duration)
}

/// People, posts and media that `posts` refer to, each once, for `includes`.
pub(super) struct Included {
    pub(super) users: Vec<Value>,
    pub(super) posts: Vec<Value>,
    pub(super) media: Vec<Value>,
}

impl Included {
    /// What goes with `main`: its author, the mentioned, the posts it hangs on and their authors.
    pub(super) fn with(world: &World, main: &Post) -> Self {
        let nested: Vec<&Post> = referenced(main)
            .filter_map(|(_, id)| world.visible_post(id).ok())
            .collect();
        let mut people = vec![main.author];
        people.extend(composed(world, main, QuoteLink::Omitted).mentions());
        people.extend(nested.iter().map(|post| post.author));
        let mut seen = Vec::new();
        people.retain(|id| {
            !seen.contains(id) && {
                seen.push(*id);
                true
            }
        });
        let media = nested
            .iter()
            .copied()
            .chain([main])
            .flat_map(|post| &post.media);
        Self {
            users: people
                .iter()
                .filter_map(|id| world.user(*id).ok())
                .map(|user| user::v2(world, user))
                .collect(),
            media: media
                .map(|medium| self::media(&world.hosts, medium))
                .collect(),
            posts: nested.iter().map(|nested| post(world, nested)).collect(),
        }
    }

    pub(super) fn into_json(self) -> Value {
        let value = with(json!({}), "users", non_empty(self.users));
        let value = with(value, "tweets", non_empty(self.posts));
        with(value, "media", non_empty(self.media))
    }
}

/// Says it in the words of `vocabulary`; bodies are made in the old ones.
pub(crate) fn reword(value: Value, vocabulary: Vocabulary) -> Value {
    match vocabulary {
        Vocabulary::Tweets => value,
        Vocabulary::Posts => rewrite(value, &|fields| {
            fields
                .into_iter()
                .map(|(key, value)| (new_word(key), value))
                .collect()
        }),
    }
}

fn new_word(key: String) -> String {
    match key.as_str() {
        "referenced_tweets" => "referenced_posts".to_owned(),
        "note_tweet" => "note_post".to_owned(),
        "edit_history_tweet_ids" => "edit_history_post_ids".to_owned(),
        "tweets" => "posts".to_owned(),
        _ => key,
    }
}
