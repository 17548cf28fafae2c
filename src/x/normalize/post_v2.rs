//! Posts of the v2 form.

use super::content_v2::Content;
use super::fields::{Unreadable, list, object, optional_id, required_id};
use super::inclusions::Inclusions;
use super::post_fields::{app_name, language, versions};
use super::time;
use crate::domain::ids::{MessageId, TweetId, UserId};
use crate::domain::message::{Message, Person, Post, Quoted, Reference, ReplySettings};
use crate::x::wire::{Raw, v2};

/// A post with what its delivery includes of others. A repost shows the reposted post's words.
pub(super) fn post(raw: Raw<'_>, inclusions: &Inclusions<'_>) -> Result<Post, Unreadable> {
    let wire: v2::Post<'_> = object(raw)?;
    let id = required_id("id", wire.id)?;
    let author = inclusions.person(required_id("author_id", wire.author_id)?);
    let pointers = Pointers::read(&wire)?;
    let original = pointers.reposted.and_then(|id| inclusions.post(id));
    let content = match (pointers.reposted, &original) {
        (None, _) => Content::of_post(&wire, id, pointers.quoted, inclusions),
        (Some(id), Some(original)) => included_content(original, id, inclusions),
        (Some(id), None) => Content::of_post(&wire, id, None, inclusions)
            .without_prefix(repost_prefix(&wire.text).map_or("", |(prefix, _)| prefix)),
    };
    Ok(Post {
        id,
        root: optional_id("conversation_id", wire.conversation_id)?,
        replied_to: replied_to(&wire, pointers.replied_to, inclusions)?,
        quoted: content.quoted.map(|id| quoted(id, &content, inclusions)),
        reposted: pointers
            .reposted
            .map(|id| reposted(id, &wire, original.as_ref())),
        edit_history: edit_history(&wire, id)?,
        reply_settings: reply_settings(&wire.reply_settings),
        author_blocked: false,
        message: message(&wire, id, author, &content),
    })
}

/// `wire` says when, the content what: they differ in reposts.
fn message(wire: &v2::Post<'_>, id: TweetId, author: Person, content: &Content<'_, '_>) -> Message {
    Message {
        id: MessageId::Post(id),
        created_at: time::of_post(&wire.created_at, id),
        author,
        text: content.text(),
        lang: language(&content.post.lang),
        mentions: content.mentions(),
        hashtags: content.hashtags(),
        links: content.links(),
        attachments: content.attachments.clone(),
        possibly_sensitive: content.post.possibly_sensitive.unwrap_or(false),
        source_app: app_name(&wire.source),
    }
}

/// `referenced_tweets`: the posts that a post points to.
#[derive(Default)]
struct Pointers {
    replied_to: Option<TweetId>,
    quoted: Option<TweetId>,
    reposted: Option<TweetId>,
}

impl Pointers {
    fn read(wire: &v2::Post<'_>) -> Result<Self, Unreadable> {
        let name = "referenced_tweets";
        let mut pointers = Self {
            replied_to: optional_id("in_reply_to_tweet_id", wire.in_reply_to_tweet_id)?,
            ..Self::default()
        };
        let listed = list(name, wire.referenced_tweets.or(wire.referenced_posts))?;
        for raw in listed.iter() {
            pointers.add(raw).map_err(|error| error.inside(name))?;
        }
        Ok(pointers)
    }

    fn add(&mut self, raw: Raw<'_>) -> Result<(), Unreadable> {
        let referenced: v2::ReferencedPost<'_> = object(raw)?;
        let pointer = match &*referenced.kind {
            "replied_to" => &mut self.replied_to,
            "quoted" => &mut self.quoted,
            "retweeted" => &mut self.reposted,
            _ => return Ok(()),
        };
        *pointer = Some(required_id("id", referenced.id)?);
        Ok(())
    }
}

/// What a post that stands in `includes` says.
fn included_content<'w, 'a>(
    post: &'w v2::Post<'a>,
    id: TweetId,
    inclusions: &'w Inclusions<'a>,
) -> Content<'w, 'a> {
    let pointers = Pointers::read(post).unwrap_or_default();
    Content::of_post(post, id, pointers.quoted, inclusions)
}

fn replied_to(
    wire: &v2::Post<'_>,
    id: Option<TweetId>,
    inclusions: &Inclusions<'_>,
) -> Result<Option<Reference>, Unreadable> {
    let named = optional_id("in_reply_to_user_id", wire.in_reply_to_user_id)?;
    Ok(id.map(|id| Reference {
        author_id: named.or_else(|| author_id(inclusions.post(id).as_ref())),
        ..reference(id)
    }))
}

fn quoted(id: TweetId, content: &Content<'_, '_>, inclusions: &Inclusions<'_>) -> Quoted {
    let post = inclusions.post(id);
    let author_id = author_id(post.as_ref());
    Quoted {
        reference: Reference {
            author_id,
            link_username: content.quoted_username(),
            ..reference(id)
        },
        text: post.map_or_else(String::new, |post| {
            included_content(&post, id, inclusions).text()
        }),
        author: author_id.map(|author| inclusions.person(author)),
    }
}

/// Without the reposted post its author is the one named in `RT @name: `.
fn reposted(id: TweetId, wire: &v2::Post<'_>, original: Option<&v2::Post<'_>>) -> Reference {
    let handle = repost_prefix(&wire.text).map(|(_, handle)| handle);
    let named = || {
        let mentions = &wire.entities.as_ref()?.mentions;
        let author = mentions
            .iter()
            .find(|mention| Some(&*mention.username) == handle)?;
        *author.id
    };
    Reference {
        author_id: author_id(original).or_else(named),
        link_username: handle.map(str::to_owned),
        ..reference(id)
    }
}

/// `RT @name: ` and the name in it.
fn repost_prefix(text: &str) -> Option<(&str, &str)> {
    let (handle, words) = text.strip_prefix("RT @")?.split_once(": ")?;
    let is_handle = handle
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let prefix = text.strip_suffix(words)?;
    is_handle.then_some((prefix, handle))
}

fn author_id(post: Option<&v2::Post<'_>>) -> Option<UserId> {
    required_id("author_id", post?.author_id).ok()
}

fn reference(id: TweetId) -> Reference {
    Reference {
        id,
        author_id: None,
        link_username: None,
        of_account: false,
    }
}

fn edit_history(wire: &v2::Post<'_>, id: TweetId) -> Result<Vec<TweetId>, Unreadable> {
    let ids = wire.edit_history_tweet_ids.or(wire.edit_history_post_ids);
    versions("edit_history_tweet_ids", ids, id)
}

/// X's pages spell the values in several ways; only this one means everybody.
fn reply_settings(value: &str) -> ReplySettings {
    match value {
        "" => ReplySettings::Unknown,
        "everyone" => ReplySettings::Everyone,
        _ => ReplySettings::Restricted,
    }
}
