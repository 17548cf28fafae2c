//! Posting, deleting, hiding.

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Outcome};
use super::ledger::{Charge, Price};
use super::media;
use super::problem::{self, Missing, Reason};
use super::reply_rules;
use super::serve::Call;
use super::settings::Tier;
use crate::forms::post_v2;
use crate::model::{
    Event, MediaId, NewPost, Post, PostId, Refused, ReplySettings, User, UserId, World,
};
use crate::text;

type Checked<T = ()> = Result<T, Box<Answer>>;

/// The body of `POST /2/tweets`, as far as this X goes; other fields are refused.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Draft {
    text: String,
    reply: Option<Reply>,
    quote_tweet_id: Option<PostId>,
    media: Option<Attached>,
    reply_settings: Option<ReplySettings>,
    direct_message_deep_link: Option<String>,
    edit_options: Option<Edit>,
    made_with_ai: bool,
    paid_partnership: bool,
    for_super_followers_only: bool,
    nullcast: bool,
    share_with_followers: bool,
    poll: Option<Value>,
    card_uri: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reply {
    in_reply_to_tweet_id: PostId,
    #[serde(default)]
    exclude_reply_user_ids: Vec<UserId>,
    /// Accepted and dropped.
    #[serde(default, rename = "auto_populate_reply_metadata")]
    _populate: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Attached {
    media_ids: Vec<MediaId>,
    #[serde(default)]
    tagged_user_ids: Vec<UserId>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    previous_post_id: PostId,
}

/// `POST /2/tweets`
pub(super) fn create(mut call: Call<'_>) -> Outcome {
    let draft: Draft = call.incoming.json()?;
    let author = author(&call)?.clone();
    check_shape(&draft)?;
    check_offer(&call, &draft)?;
    check_length(&call, &author, &draft)?;
    let summoned = match &draft.reply {
        Some(reply) => reply_rules::check(&call, &author, reply.in_reply_to_tweet_id)?,
        None => false,
    };
    let uploads = media::for_post(&call, &author, media_ids(&draft))?;
    check_duplicate(&call, &author, &draft)?;
    let price = price(&draft, summoned);
    let id = match &draft.edit_options {
        Some(edit) => edited(&mut call, &author, edit.previous_post_id, &draft.text)?,
        None => posted(&mut call, &author, draft, uploads)?,
    };
    let post = call.world.any_post(id).ok_or_else(internal)?;
    let body = json!({ "data": shown(call.world, call.caller, post) });
    Ok(Answer::json(201, &body)
        .charging([Charge::once(price)])
        .with_effect(id, Some(Event::Posted(id))))
}

/// The account that acts, unless X has stopped it.
pub(super) fn author<'a>(call: &'a Call<'_>) -> Checked<&'a User> {
    let user = call.caller.user.ok_or_else(problem::unauthorized)?;
    let user = call
        .world
        .user(user)
        .map_err(|_gone| problem::unauthorized())?;
    if user.standing.is_closed() {
        return Err(problem::forbidden(
            "Your account is suspended and is not permitted to access this feature.",
        ));
    }
    if user.standing.locked {
        return Err(problem::forbidden(
            "To protect our users from spam and other malicious activity, this account is temporarily locked. Please log in to https://x.com to unlock your account.",
        ));
    }
    Ok(user)
}

fn media_ids(draft: &Draft) -> &[MediaId] {
    draft.media.as_ref().map_or(&[], |media| &media.media_ids)
}

/// What the schema cannot say.
fn check_shape(draft: &Draft) -> Checked {
    let media = draft.media.is_some();
    if draft.text.trim().is_empty() && !media {
        return Err(problem::invalid(
            "text",
            &draft.text,
            "Text or media is required",
        ));
    }
    if media && !(1..=4).contains(&media_ids(draft).len()) {
        return Err(problem::invalid(
            "media.media_ids",
            "",
            "Between 1 and 4 are allowed",
        ));
    }
    let tagged = draft
        .media
        .as_ref()
        .map_or(0, |media| media.tagged_user_ids.len());
    if tagged > 10 {
        return Err(problem::invalid(
            "media.tagged_user_ids",
            "",
            "At most 10 are allowed",
        ));
    }
    let (poll, card) = (draft.poll.is_some(), draft.card_uri.is_some());
    let quote = draft.quote_tweet_id.is_some();
    let kinds = [media, poll, quote, card].into_iter().filter(|has| *has);
    if kinds.count() > 1 {
        let message = "Media, poll, quote and card exclude each other";
        return Err(problem::invalid("media", "", message));
    }
    if poll || card || draft.nullcast || draft.for_super_followers_only {
        return Err(problem::forbidden(
            "You are not permitted to perform this action.",
        ));
    }
    tracing::trace!(
        draft.made_with_ai,
        draft.paid_partnership,
        draft.share_with_followers
    );
    check_link(draft)
}

fn check_link(draft: &Draft) -> Checked {
    let Some(link) = &draft.direct_message_deep_link else {
        return Ok(());
    };
    let hosts = ["https://x.com", "https://twitter.com"];
    let path = "/messages/compose?recipient_id=";
    let fits = hosts
        .iter()
        .any(|host| link.starts_with(&format!("{host}{path}")));
    let message = "not a link that opens a direct message";
    fits.then_some(())
        .ok_or_else(|| problem::invalid("direct_message_deep_link", link, message))
}

/// What self-serve apps may not.
fn check_offer(call: &Call<'_>, draft: &Draft) -> Checked {
    if call.state.settings.tier == Tier::Enterprise {
        return Ok(());
    }
    if draft.quote_tweet_id.is_some() {
        return Err(problem::forbidden(
            "You are not permitted to quote posts with your access level.",
        ));
    }
    if text::cashtags(&draft.text) > 1 {
        return Err(problem::forbidden("Posts may contain at most one cashtag."));
    }
    Ok(())
}

fn check_length(call: &Call<'_>, author: &User, draft: &Draft) -> Checked {
    let settings = &call.state.settings;
    let limit = if author.standing.premium {
        settings.premium_post_limit
    } else {
        settings.post_limit
    };
    let fits = text::weight(&draft.text) <= limit;
    fits.then_some(()).ok_or_else(|| {
        problem::forbidden("Your Tweet text is too long: Tweet needs to be a bit shorter.")
    })
}

/// Whatever hangs on it and whatever it replies to: the text alone decides.
fn check_duplicate(call: &Call<'_>, author: &User, draft: &Draft) -> Checked {
    let window_ms = i64::try_from(call.state.settings.duplicate_window_s)
        .unwrap_or(i64::MAX / 1000)
        .saturating_mul(1000);
    let oldest = call.world.now_ms().saturating_sub(window_ms);
    let earlier = call.world.post_saying(author.id, &draft.text);
    let is_double = earlier.is_some_and(|post| post.created_at_ms >= oldest);
    if is_double && !draft.text.trim().is_empty() {
        return Err(problem::forbidden(
            "You are not allowed to create a Tweet with duplicate content.",
        ));
    }
    Ok(())
}

fn price(draft: &Draft, summoned: bool) -> Price {
    match (text::has_address(&draft.text), summoned) {
        (true, _) => Price::PostWithUrl,
        (false, true) => Price::SummonedReply,
        (false, false) => Price::Post,
    }
}

fn posted(
    call: &mut Call<'_>,
    author: &User,
    draft: Draft,
    uploads: Vec<MediaId>,
) -> Checked<PostId> {
    let exclude_mentions = draft
        .reply
        .as_ref()
        .map(|reply| reply.exclude_reply_user_ids.clone());
    let post = NewPost {
        in_reply_to: draft.reply.map(|reply| reply.in_reply_to_tweet_id),
        exclude_mentions: exclude_mentions.unwrap_or_default(),
        quote: draft.quote_tweet_id,
        uploads: uploads.into_iter().map(|id| id.0).collect(),
        reply_settings: draft.reply_settings.unwrap_or_default(),
        direct_message_link: draft.direct_message_deep_link,
        source_app: Some(call.caller.app.clone()),
        ..NewPost::by(author.id, &draft.text)
    };
    call.world.post(post).map_err(|refused| match refused {
        Refused::UnknownPost(_) => {
            problem::forbidden("The Tweet you attempted to quote is deleted or not visible to you.")
        }
        other => problem::invalid("body", "", &other.to_string()),
    })
}

fn edited(call: &mut Call<'_>, author: &User, of: PostId, text: &str) -> Checked<PostId> {
    const HOUR_MS: i64 = 3_600_000;
    let refuse = || problem::forbidden("You are not permitted to edit this Tweet.");
    let before = call.world.visible_post(of).map_err(|_gone| refuse())?;
    let in_time = call.world.now_ms() <= before.created_at_ms + HOUR_MS;
    if before.author != author.id || !author.standing.premium || !in_time {
        return Err(refuse());
    }
    call.world.edit(of, text).map_err(|_not_editable| refuse())
}

fn shown(world: &World, caller: &super::auth::Caller, post: &Post) -> Value {
    let whole = post_v2::post(world, post);
    let field = |name| whole.get(name).cloned().unwrap_or_default();
    let value = json!({
        "id": post.id,
        "text": field("text"),
        "edit_history_tweet_ids": field("edit_history_tweet_ids"),
    });
    let app = world.app(&caller.app);
    let vocabulary = app.map(|app| app.settings.vocabulary).unwrap_or_default();
    post_v2::reword(value, vocabulary)
}

fn internal() -> Box<Answer> {
    problem::blank(500, "Internal Server Error", "Internal Server Error")
}

/// `DELETE /2/tweets/{id}`
pub(super) fn delete(call: Call<'_>) -> Outcome {
    let author = author(&call)?.id;
    let id = post_id(&call)?;
    let post = call.world.visible_post(id).map_err(|_gone| not_found(id))?;
    if post.author != author {
        let detail = "You are not authorized to delete this Tweet.";
        return Err(problem::forbidden(detail));
    }
    let event = call.world.delete(id).map_err(|_gone| not_found(id))?;
    Ok(Answer::ok(&json!({ "data": { "deleted": true } }))
        .charging([Charge::once(Price::Delete)])
        .with_effect(id, Some(event)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hiding {
    hidden: bool,
}

/// `PUT /2/tweets/{id}/hidden`
pub(super) fn hide(call: Call<'_>) -> Outcome {
    let author = author(&call)?.id;
    let id = post_id(&call)?;
    let Hiding { hidden } = call.incoming.json()?;
    let post = call.world.visible_post(id).map_err(|_gone| not_found(id))?;
    let first = call.world.any_post(post.conversation);
    let is_host = first.is_some_and(|first| first.author == author);
    if !is_host || post.parent.is_none() {
        return Err(problem::forbidden(
            "You can only hide replies in conversations that you started.",
        ));
    }
    call.world.hide(id, hidden).map_err(|_gone| not_found(id))?;
    Ok(Answer::ok(&json!({ "data": { "hidden": hidden } }))
        .charging([Charge::once(Price::HideReply)])
        .with_effect(id, None))
}

pub(super) fn post_id(call: &Call<'_>) -> Checked<PostId> {
    let raw = &call.incoming.id;
    raw.parse().map_err(|_not_a_number| {
        let message = format!("The `id` query parameter value [{raw}] is not valid");
        problem::invalid("id", raw, &message)
    })
}

fn not_found(id: PostId) -> Box<Answer> {
    let missing = Missing {
        resource: "tweet",
        parameter: "id",
        value: id.to_string(),
        reason: Reason::Gone,
    };
    missing.answer()
}
