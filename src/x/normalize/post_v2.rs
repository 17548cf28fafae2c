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

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::activity::Rejected;
    use crate::x::normalize::fields::object;

    fn try_read(changes: Value, includes: Value) -> Result<Post, Unreadable> {
        let mut wire = json!({"id": "20", "author_id": "7", "text": "hi"});
        for (name, value) in changes.as_object().unwrap() {
            wire[name] = value.clone();
        }
        let includes = to_raw_value(&includes).unwrap();
        let inclusions = Inclusions::new(object(&includes).unwrap());
        post(&to_raw_value(&wire).unwrap(), &inclusions)
    }

    fn read(changes: Value, includes: Value) -> Post {
        try_read(changes, includes).unwrap()
    }

    fn url(t_co: &str, expanded: &str, start: usize) -> Value {
        json!({"url": t_co, "expanded_url": expanded, "display_url": "d", "start": start, "end": start + t_co.len()})
    }

    #[test]
    fn a_note_is_the_whole_text_under_either_name() {
        for name in ["note_tweet", "note_post"] {
            let note = json!({"text": "whole https://t.co/y", "entities": {"urls": [url("https://t.co/y", "https://y.example", 6)],
                "hashtags": [{"start": 0, "end": 5, "tag": "whole"}]}});
            let post = read(json!({"text": "cut…", name: note}), json!({}));
            assert_eq!(post.message.text, "whole https://y.example");
            assert_eq!(post.message.hashtags, ["whole"]);
        }
    }

    #[test]
    fn a_reply_to_a_reply_knows_parent_and_root() {
        let references =
            json!([{"type": "replied_to", "id": "12"}, {"type": "something", "id": 4}]);
        for name in ["referenced_tweets", "referenced_posts"] {
            let post = read(
                json!({"conversation_id": "10", "in_reply_to_user_id": "9", name: references}),
                json!({}),
            );
            assert_eq!(post.root.unwrap().get(), 10);
            let parent = post.replied_to.unwrap();
            assert_eq!((parent.id.get(), parent.author_id.unwrap().get()), (12, 9));
        }
        let post = read(
            json!({"in_reply_to_tweet_id": "12"}),
            json!({"tweets": [{"id": "12", "author_id": "8"}]}),
        );
        assert_eq!(post.replied_to.unwrap().author_id.unwrap().get(), 8);
    }

    #[test]
    fn an_included_quote_is_shown_with_its_author() {
        let changes = json!({"text": "see https://t.co/q", "referenced_tweets": [{"type": "quoted", "id": "12"}],
            "entities": {"urls": [url("https://t.co/q", "https://twitter.com/bob/status/12", 4)]}});
        let includes = json!({"posts": [{"id": "20"}, {"id": "12", "author_id": "8", "text": "a &amp; b"}],
            "users": [{"data": {"id": "8", "username": "bob"}}]});
        let post = read(changes, includes);
        assert_eq!(
            (post.message.text.as_str(), post.message.links.len()),
            ("see", 0)
        );
        let quoted = post.quoted.unwrap();
        assert_eq!(
            (&*quoted.text, &*quoted.author.unwrap().username),
            ("a & b", "bob")
        );
        assert_eq!(quoted.reference.link_username.as_deref(), Some("bob"));
    }

    #[test]
    fn an_included_repost_is_shown_whole() {
        let includes = json!({"tweets": [{"id": "12", "author_id": "8", "text": "short", "note_tweet": {"text": "whole"},
            "attachments": {"media_keys": ["3_1"]}}], "media": [{"media_key": "3_1", "type": "photo", "url": "https://p.example/a.jpg"}]});
        let changes = json!({"text": "RT @bob: short", "referenced_tweets": [{"type": "retweeted", "id": "12"}]});
        let post = read(changes, includes);
        assert_eq!(
            (post.message.text.as_str(), post.message.attachments.len()),
            ("whole", 1)
        );
        assert_eq!(post.reposted.unwrap().author_id.unwrap().get(), 8);
    }

    #[test]
    fn a_repost_alone_tells_its_author_by_the_prefix() {
        let mentions = json!([{"start": 3, "end": 7, "username": "bob", "id": "8"}, {"start": 9, "end": 12, "username": "us", "id": "9"}]);
        let changes = json!({"text": "RT @bob: @us hello", "entities": {"mentions": mentions},
            "referenced_tweets": [{"type": "retweeted", "id": "12"}]});
        let post = read(changes, json!({}));
        assert_eq!(
            (post.message.text.as_str(), post.message.mentions.len()),
            ("@us hello", 1)
        );
        let reposted = post.reposted.unwrap();
        assert_eq!(reposted.author_id.unwrap().get(), 8);
        assert_eq!(reposted.link_username.as_deref(), Some("bob"));
    }

    #[test]
    fn the_link_to_media_goes_only_if_the_media_came() {
        let changes = json!({"text": "look https://t.co/m", "attachments": {"media_keys": ["7_1", "3_2"]},
            "entities": {"urls": [url("https://t.co/m", "https://x.com/ann/status/20/video/1", 5)]}});
        let media = json!({"media": [{"media_key": "7_1", "type": "video"}]});
        let post = read(changes.clone(), media);
        assert_eq!(
            (post.message.text.as_str(), post.message.links.len()),
            ("look", 0)
        );
        let post = read(changes, json!({}));
        assert_eq!(
            post.message.text,
            "look https://x.com/ann/status/20/video/1"
        );
        assert_eq!(
            (post.message.attachments.len(), post.message.links.len()),
            (0, 1)
        );
    }

    #[test]
    fn a_mention_within_the_displayed_text_is_explicit() {
        let mentions = json!([{"start": 0, "end": 3, "username": "us", "id": "9"}, {"start": 4, "end": 7, "username": "us", "id": "9"}]);
        let explicit = |range: Value| {
            let changes = json!({"text": "@us @us", "display_text_range": range, "entities": {"mentions": mentions}});
            let mentions = read(changes, json!({"users": [{"id": "9", "name": "Us"}]}))
                .message
                .mentions;
            assert!(mentions.iter().all(|mention| mention.name == "Us"));
            mentions
                .iter()
                .map(|mention| mention.explicit)
                .collect::<Vec<_>>()
        };
        assert_eq!(explicit(json!([4, 7])), [false, true]);
        assert_eq!(explicit(json!(null)), [true, true]);
    }

    #[test]
    fn reply_settings_are_everyone_or_restricted() {
        let settings =
            |value: Value| read(json!({"reply_settings": value}), json!({})).reply_settings;
        assert_eq!(settings(json!("everyone")), ReplySettings::Everyone);
        assert_eq!(settings(json!("mentionedUsers")), ReplySettings::Restricted);
        assert_eq!(settings(json!("brand_new")), ReplySettings::Restricted);
        assert_eq!(settings(json!(null)), ReplySettings::Unknown);
    }

    #[test]
    fn an_edit_knows_its_versions_under_either_name() {
        for name in ["edit_history_tweet_ids", "edit_history_post_ids"] {
            let post = read(json!({name: ["19", "20"]}), json!({}));
            assert_eq!((post.original_id().get(), post.edit_history.len()), (19, 2));
        }
    }

    #[test]
    fn ids_as_numbers_are_refused() {
        for (change, field) in [
            (json!({"id": 20}), "id"),
            (json!({"author_id": 7}), "author_id"),
            (json!({"conversation_id": 10}), "conversation_id"),
            (
                json!({"referenced_tweets": [{"type": "quoted", "id": 12}]}),
                "referenced_tweets.id",
            ),
            (json!({"referenced_tweets": {}}), "referenced_tweets"),
        ] {
            let detail = Rejected::from(try_read(change, json!({})).unwrap_err()).detail;
            assert!(
                detail.starts_with(&format!("{field}: expected")),
                "{detail}"
            );
        }
    }
}
