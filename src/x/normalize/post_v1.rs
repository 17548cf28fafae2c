//! Posts of the v1.1 form.

use super::content_v1::Content;
use super::fields::{Unreadable, object, optional_id, required_id, required_object};
use super::person::person;
use super::post_fields::{app_name, language, versions};
use super::time;
use crate::domain::ids::{MessageId, TweetId};
use crate::domain::message::{Message, Person, Post, Quoted, Reference, ReplySettings};
use crate::x::wire::v1;
use crate::x::wire::{Raw, User};

/// A post with what it carries of others. A repost shows the reposted post's words.
pub(super) fn post(raw: Raw<'_>) -> Result<Post, Unreadable> {
    let wire: v1::Post<'_> = object(raw)?;
    let id = required_id("id_str", wire.id_str)?;
    let reposted = reposted(&wire)?;
    let shown = reposted.as_ref().map_or(&wire, |(_, original)| original);
    let quoted_post = quoted_post(shown);
    let quoted_id = quoted_id(shown, quoted_post.as_ref())?;
    let content = Content::of_post(shown, quoted_id);
    Ok(Post {
        id,
        root: None,
        replied_to: replied_to(&wire)?,
        quoted: quoted_id.map(|id| quoted(id, quoted_post.as_ref(), &content)),
        reposted: reposted
            .as_ref()
            .map(|(id, original)| reference(*id, author(original).ok())),
        edit_history: edit_history(&wire, id)?,
        reply_settings: ReplySettings::Unknown,
        author_blocked: wire.user_has_blocked.0 || wire.is_blocked_by.0,
        message: message(&wire, id, shown, &content)?,
    })
}

/// `wire` says who and when, `shown` and its content what: they differ in reposts.
fn message(
    wire: &v1::Post<'_>,
    id: TweetId,
    shown: &v1::Post<'_>,
    content: &Content<'_, '_>,
) -> Result<Message, Unreadable> {
    Ok(Message {
        id: MessageId::Post(id),
        created_at: time::of_post(&wire.created_at, id),
        author: author(wire)?,
        text: content.text(),
        lang: language(&shown.lang),
        mentions: content.mentions(),
        hashtags: content.hashtags(),
        links: content.links(),
        attachments: content.attachments(false),
        possibly_sensitive: shown.possibly_sensitive.unwrap_or(false),
        source_app: app_name(&wire.source),
    })
}

fn author(wire: &v1::Post<'_>) -> Result<Person, Unreadable> {
    let user: User<'_> = required_object("user", wire.user)?;
    person(&user).map_err(|error| error.inside("user"))
}

fn reposted<'a>(wire: &v1::Post<'a>) -> Result<Option<(TweetId, v1::Post<'a>)>, Unreadable> {
    let Some(raw) = wire.retweeted_status else {
        return Ok(None);
    };
    let read = || {
        let original: v1::Post<'a> = object(raw)?;
        Ok((required_id("id_str", original.id_str)?, original))
    };
    read()
        .map(Some)
        .map_err(|error: Unreadable| error.inside("retweeted_status"))
}

/// The quoted post itself; X leaves it out when it is gone.
fn quoted_post<'a>(wire: &v1::Post<'a>) -> Option<v1::Post<'a>> {
    object(wire.quoted_status?).ok()
}

fn quoted_id(
    wire: &v1::Post<'_>,
    post: Option<&v1::Post<'_>>,
) -> Result<Option<TweetId>, Unreadable> {
    let named = optional_id("quoted_status_id_str", wire.quoted_status_id_str)?;
    let own = post.and_then(|post| required_id("id_str", post.id_str).ok());
    Ok(named.or(own))
}

fn quoted(id: TweetId, post: Option<&v1::Post<'_>>, content: &Content<'_, '_>) -> Quoted {
    let author = post.and_then(|post| author(post).ok());
    Quoted {
        reference: Reference {
            link_username: content.quoted_username(),
            ..reference(id, author.clone())
        },
        text: post.map_or_else(String::new, |post| {
            let inner = optional_id("quoted_status_id_str", post.quoted_status_id_str);
            Content::of_post(post, inner.unwrap_or_default()).text()
        }),
        author,
    }
}

fn replied_to(wire: &v1::Post<'_>) -> Result<Option<Reference>, Unreadable> {
    let id = optional_id("in_reply_to_status_id_str", wire.in_reply_to_status_id_str)?;
    let author_id = optional_id("in_reply_to_user_id_str", wire.in_reply_to_user_id_str)?;
    Ok(id.map(|id| Reference {
        author_id,
        ..reference(id, None)
    }))
}

fn reference(id: TweetId, author: Option<Person>) -> Reference {
    Reference {
        id,
        author_id: author.map(|author| author.id),
        link_username: None,
        of_account: false,
    }
}

fn edit_history(wire: &v1::Post<'_>, id: TweetId) -> Result<Vec<TweetId>, Unreadable> {
    let ids = wire
        .edit_history
        .as_ref()
        .and_then(|history| history.edit_tweet_ids);
    versions("edit_history.edit_tweet_ids", ids, id)
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::activity::Rejected;

    fn plain() -> Value {
        json!({"id": 1_924_465_506_158_879_000_u64, "id_str": "1924465506158878979", "text": "hi",
            "created_at": "Wed Oct 10 20:19:24 +0000 2018", "user": {"id": 7, "id_str": "7", "screen_name": "ann"}})
    }

    fn with(changes: Value) -> Value {
        let mut post = plain();
        for (name, value) in changes.as_object().unwrap() {
            post[name] = value.clone();
        }
        post
    }

    fn read(changes: Value) -> Post {
        post(&to_raw_value(&with(changes)).unwrap()).unwrap()
    }

    fn refused(changes: Value) -> String {
        let error = post(&to_raw_value(&with(changes)).unwrap()).unwrap_err();
        Rejected::from(error.inside("event")).detail
    }

    fn url(t_co: &str, expanded: &str, indices: [usize; 2]) -> Value {
        json!({"url": t_co, "expanded_url": expanded, "display_url": "d", "indices": indices})
    }

    fn photo(id: &str, indices: [usize; 2]) -> Value {
        json!({"id_str": id, "type": "photo", "url": "https://t.co/m", "indices": indices,
            "expanded_url": "https://x.com/ann/status/1/photo/1", "media_url_https": "https://p.example/a.jpg"})
    }

    #[test]
    fn the_id_is_the_string_not_the_rounded_number() {
        let post = read(json!({}));
        assert_eq!(post.id.get(), 1_924_465_506_158_878_979);
        assert_eq!(post.edit_history, [post.id]);
        assert_eq!(
            (post.root, post.reply_settings),
            (None, ReplySettings::Unknown)
        );
    }

    #[test]
    fn a_long_post_is_read_whole_with_its_own_entities() {
        let post = read(json!({"truncated": true, "text": "cut… https://t.co/x",
            "entities": {"urls": [url("https://t.co/x", "https://x.com/i/web/status/1", [5, 19])]},
            "extended_tweet": {"full_text": "@us &amp; whole #tag https://t.co/y", "display_text_range": [4, 36],
                "entities": {"hashtags": [{"text": "tag"}], "urls": [url("https://t.co/y", "https://y.example", [20, 34])],
                    "user_mentions": [{"id_str": "9", "screen_name": "us", "name": "Us", "indices": [0, 3]}]}}}));
        let message = post.message;
        assert_eq!(message.text, "@us & whole #tag https://y.example");
        assert_eq!(message.hashtags, ["tag"]);
        assert_eq!(message.links.len(), 1);
        assert!(!message.mentions[0].explicit, "it was inherited");
    }

    #[test]
    fn a_mention_within_the_displayed_text_is_explicit() {
        let mentions = json!([{"id_str": "9", "screen_name": "us", "indices": [0, 3]},
            {"id_str": "9", "screen_name": "us", "indices": [4, 7]}]);
        let post = read(
            json!({"text": "@us @us", "display_text_range": [4, 7], "entities": {"user_mentions": mentions}}),
        );
        let explicit: Vec<_> = post
            .message
            .mentions
            .iter()
            .map(|mention| mention.explicit)
            .collect();
        assert_eq!(explicit, [false, true]);
    }

    #[test]
    fn all_photos_come_and_their_link_goes() {
        let post = read(json!({"text": "four https://t.co/m",
            "entities": {"media": [photo("1", [5, 19])]},
            "extended_entities": {"media": [photo("1", [5, 19]), photo("2", [5, 19]), photo("3", [5, 19])]}}));
        assert_eq!(post.message.text, "four");
        assert_eq!(post.message.attachments.len(), 3);
        assert!(post.message.links.is_empty());
    }

    #[test]
    fn a_repost_shows_the_whole_reposted_post() {
        let original = with(
            json!({"id_str": "5", "text": "cut…", "user": {"id_str": "8"}, "lang": "de",
            "extended_tweet": {"full_text": "whole"}}),
        );
        let post =
            read(json!({"text": "RT @bob: cut…", "lang": "en", "retweeted_status": original}));
        assert_eq!((&*post.message.text, &*post.message.lang), ("whole", "de"));
        assert_eq!(post.message.author.id.get(), 7);
        let reposted = post.reposted.unwrap();
        assert_eq!(
            (reposted.id.get(), reposted.author_id.unwrap().get()),
            (5, 8)
        );
    }

    #[test]
    fn a_quote_drops_its_link_and_names_whose_it_is() {
        let quoted = with(json!({"id_str": "5", "text": "a &lt; b", "user": {"id_str": "8"}}));
        let permalink =
            json!({"url": "https://t.co/q", "expanded": "https://twitter.com/bob/status/5"});
        let post = read(
            json!({"text": "see https://t.co/q", "quoted_status_id_str": "5",
            "quoted_status": quoted, "quoted_status_permalink": permalink}),
        );
        assert_eq!(post.message.text, "see");
        let quoted = post.quoted.unwrap();
        assert_eq!((quoted.reference.id.get(), &*quoted.text), (5, "a < b"));
        assert_eq!(quoted.reference.author_id.unwrap().get(), 8);
        assert_eq!(quoted.reference.link_username.as_deref(), Some("bob"));
    }

    #[test]
    fn a_quoted_post_that_is_gone_leaves_its_id_and_handle() {
        let link = url("https://t.co/q", "https://x.com/bob/status/5", [4, 18]);
        let post = read(
            json!({"text": "see https://t.co/q", "quoted_status_id_str": "5", "entities": {"urls": [link]}}),
        );
        let quoted = post.quoted.unwrap();
        assert_eq!(
            (post.message.text.as_str(), post.message.links.len()),
            ("see", 0)
        );
        assert_eq!((quoted.text.as_str(), quoted.author), ("", None));
        assert_eq!(quoted.reference.link_username.as_deref(), Some("bob"));
    }

    #[test]
    fn a_quoted_post_tells_its_id_itself_if_need_be() {
        let post = read(json!({"quoted_status": {"id_str": "5"}}));
        assert_eq!(post.quoted.unwrap().reference.id.get(), 5);
    }

    #[test]
    fn a_reply_names_its_parent_and_whose_it_is() {
        let post = read(json!({"in_reply_to_status_id_str": "4", "in_reply_to_user_id_str": "9"}));
        let parent = post.replied_to.unwrap();
        assert_eq!((parent.id.get(), parent.author_id.unwrap().get()), (4, 9));
    }

    #[test]
    fn an_edit_knows_its_first_version() {
        let history = json!({"edit_tweet_ids": ["3", "1924465506158878979"]});
        let post = read(json!({"edit_history": history}));
        assert_eq!((post.original_id().get(), post.edit_history.len()), (3, 2));
    }

    #[test]
    fn a_block_is_read_in_each_of_its_spellings() {
        for flag in [
            json!({"user_has_blocked": "true"}),
            json!({"is_blocked_by": true}),
        ] {
            assert!(read(flag).author_blocked);
        }
        assert!(!read(json!({"user_has_blocked": "false"})).author_blocked);
    }

    #[test]
    fn what_is_essential_and_wrong_is_named() {
        assert_eq!(refused(json!({"id_str": null})), "event.id_str: missing");
        assert_eq!(refused(json!({"user": null})), "event.user: missing");
        for (change, field) in [
            (json!({"id_str": 12}), "event.id_str"),
            (json!({"user": {"id": 7}}), "event.user.id_str"),
            (
                json!({"in_reply_to_status_id_str": 4}),
                "event.in_reply_to_status_id_str",
            ),
            (
                json!({"retweeted_status": {"id": 5}}),
                "event.retweeted_status.id_str",
            ),
            (
                json!({"edit_history": {"edit_tweet_ids": [3]}}),
                "event.edit_history.edit_tweet_ids",
            ),
        ] {
            let detail = refused(change);
            assert!(detail.starts_with(&format!("{field}: ")), "{detail}");
        }
    }

    #[test]
    fn what_is_optional_and_wrong_is_absent() {
        let post = read(
            json!({"text": 7, "entities": [], "extended_entities": "x", "extended_tweet": 1, "lang": {},
            "display_text_range": [-1], "possibly_sensitive": "yes", "quoted_status": [], "created_at": 12}),
        );
        assert_eq!((&*post.message.text, &*post.message.lang), ("", ""));
        assert_eq!(post.message.created_at, time::of_post("", post.id));
    }
}
