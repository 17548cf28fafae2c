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
