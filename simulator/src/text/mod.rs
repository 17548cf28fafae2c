//! How X writes a post's text: short links, entities, offsets in code points, HTML escapes.

mod addresses;
mod composed;
mod tokens;
mod weight;
mod writer;

pub(crate) use addresses::has_address;
pub(crate) use composed::{Composed, Entity, EntityKind};
pub(crate) use tokens::cashtags;
pub(crate) use weight::weight;

use self::writer::Writer;
use crate::model::{Post, PostId, User, World};

/// A link in its three spellings.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Link {
    pub(crate) short: String,
    pub(crate) expanded: String,
    pub(crate) display: String,
}

impl Link {
    pub(crate) fn to(short: String, expanded: String) -> Self {
        Self {
            short,
            display: display_form(&expanded),
            expanded,
        }
    }
}

/// Whether the link to a quoted post is part of the text: in v2 it is, in v1.1 it depends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum QuoteLink {
    Omitted,
    Appended,
}

/// The address of a post.
pub(crate) fn permalink(world: &World, post: &Post) -> String {
    let author = world.user(post.author).map_or("i", |user| &user.username);
    format!("https://x.com/{author}/status/{}", post.id)
}

/// The text of a post that is not a repost.
pub(crate) fn compose(world: &World, post: &Post, quote_link: QuoteLink) -> Composed {
    let mut writer = Writer::default();
    for user in post
        .inherited_mentions
        .iter()
        .filter_map(|id| world.user(*id).ok())
    {
        writer.entity(&format!("@{}", user.username), EntityKind::Mention(user.id));
        writer.plain(" ");
    }
    let start = writer.length;
    writer.tokens(world, &post.text, &format!("post/{}", post.id));
    let end = writer.length;
    if let (Some(quoted), QuoteLink::Appended) = (post.quote, quote_link) {
        let link = quote_permalink(world, post.id, quoted);
        writer.tail(EntityKind::Link(link));
    }
    if let Some(address) = &post.direct_message_link {
        let short = world.short_link(&format!("post/{}/message", post.id));
        writer.tail(EntityKind::Link(Link::to(short, address.clone())));
    }
    if let Some(link) = media_link(world, post) {
        writer.tail(EntityKind::Media(link));
    }
    writer.finish((start, end))
}

/// The text of a direct message.
pub(crate) fn compose_message(
    world: &World,
    text: &str,
    link_key: &str,
    media: Option<Link>,
) -> Composed {
    let mut writer = Writer::default();
    writer.tokens(world, text, link_key);
    let end = writer.length;
    if let Some(link) = media {
        writer.tail(EntityKind::Link(link));
    }
    writer.finish((0, end))
}

/// The text of a repost: "RT @name: " and the original, cut at 140.
pub(crate) fn compose_repost(original: &Composed, author: &User) -> Composed {
    let mut writer = Writer::default();
    writer.plain("RT ");
    writer.entity(
        &format!("@{}", author.username),
        EntityKind::Mention(author.id),
    );
    writer.plain(": ");
    let shift = writer.length;
    writer.text.push_str(&original.text);
    writer.length += length(&original.text);
    writer
        .entities
        .extend(original.entities.iter().map(|found| Entity {
            start: found.start + shift,
            end: found.end + shift,
            kind: found.kind.clone(),
        }));
    let whole = (0, writer.length);
    writer.finish(whole).cut_to(140, "")
}

/// The link under which X shows the quoted post.
pub(crate) fn quote_permalink(world: &World, post: PostId, quoted: PostId) -> Link {
    let expanded = world
        .any_post(quoted)
        .map_or_else(String::new, |quoted| permalink(world, quoted));
    Link::to(
        world.short_link(&format!("post/{post}/quote/{quoted}")),
        expanded,
    )
}

fn media_link(world: &World, post: &Post) -> Option<Link> {
    let first = post.media.first()?;
    let kind = match first.kind {
        crate::model::MediaKind::Video => "video",
        _ => "photo",
    };
    let short = world.short_link(&format!("post/{}/media", post.id));
    let display = short.replace("https://t.co/", "pic.x.com/");
    Some(Link {
        short,
        expanded: format!("{}/{kind}/1", permalink(world, post)),
        display,
    })
}

/// X counts most alphabets once and the rest twice; over 280 a post is a long one.
pub(crate) fn is_long(text: &str) -> bool {
    weight(text) > 280
}

/// X escapes three characters in text, and only those.
pub(crate) fn escape(raw: &str) -> String {
    raw.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn display_form(url: &str) -> String {
    let bare = url
        .trim_start_matches("https://")
        .trim_start_matches("http://");
    let bare = bare.trim_start_matches("www.").trim_end_matches('/');
    let host = bare.find('/').unwrap_or(bare.len());
    let (host, path) = bare.split_at(host);
    if length(path) <= 15 {
        return bare.to_owned();
    }
    let path: String = path.chars().take(15).collect();
    format!("{host}{path}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_paths_are_shown_short() {
        assert_eq!(display_form("https://www.a.com/"), "a.com");
        assert_eq!(
            display_form("https://dev.to/twitterdev/understanding"),
            "dev.to/twitterdev/und…"
        );
    }

    #[test]
    fn wide_characters_count_twice() {
        assert!(!is_long(&"a".repeat(280)));
        assert!(is_long(&"語".repeat(141)));
    }
}
