//! Account Activity: `for_user_id` and one array for each kind of event.
//!
//! v1.1 and v2 share these shapes. They differ in one respect where X's sample and X's table
//! disagree, so that readers meet both: how the opposite of follow, block and mute is keyed.

use serde_json::{Map, Value, json};

use super::json::{with, with_all};
use super::{Body, Concern, View, direct_message, post_v1, user};
use crate::model::{
    DirectMessage, Event, Form, Like, MessageId, Post, PostId, Relation, UserId, format,
};

/// What the account is told, if anything.
pub(super) fn body(view: View<'_>, event: &Event, form: Form) -> Option<Body> {
    match event {
        Event::Posted(id) => posted(view, *id),
        Event::Deleted {
            post,
            author,
            at_ms,
        } => deleted(view, *post, *author, *at_ms),
        Event::DirectMessage(id) => message(view, *id),
        Event::Typing {
            sender,
            recipient,
            at_ms,
        } => private(
            view,
            "direct_message_indicate_typing_events",
            *sender,
            *recipient,
            *at_ms,
            json!({}),
        ),
        Event::Read {
            reader,
            writer,
            last,
            at_ms,
        } => {
            let last = json!({ "last_read_event_id": last });
            private(
                view,
                "direct_message_mark_read_events",
                *reader,
                *writer,
                *at_ms,
                last,
            )
        }
        Event::Liked(like) => liked(view, like),
        Event::Related {
            relation,
            source,
            target,
            at_ms,
        } => related(view, form, *relation, (*source, *target), *at_ms),
        Event::Revoked { user, at_ms, .. } => revoked(view, *user, *at_ms),
        Event::ReplayEnded { job, complete, .. } => Some(replay_ended(view, *job, *complete)),
        Event::Chat(_) | Event::ProfileUpdated { .. } => None,
    }
}

fn for_account(view: View<'_>, key: &str, item: Value) -> Body {
    Body::of(key, json!({ "for_user_id": view.account.id, key: [item] }))
}

fn posted(view: View<'_>, id: PostId) -> Option<Body> {
    let post = view.world.visible_post(id).ok()?;
    let concern = Concern::of(view, post);
    if !concern.any() || !may_see(view, post) {
        return None;
    }
    let item = post_v1::post(view.world, post);
    // A string, though it says true or false.
    let blocked = view.world.blocks(view.account.id, post.author).to_string();
    let blocked = (concern.mentioned && !concern.own).then(|| json!(blocked));
    Some(for_account(
        view,
        "tweet_create_events",
        with(item, "user_has_blocked", blocked),
    ))
}

/// Posts of protected people reach those who follow them.
fn may_see(view: View<'_>, post: &Post) -> bool {
    let protected = view
        .world
        .user(post.author)
        .is_ok_and(|author| author.protected);
    let account = view.account.id;
    !protected || post.author == account || view.world.follows(account, post.author)
}

/// X tells an account of its own deletions only.
fn deleted(view: View<'_>, post: PostId, author: UserId, at_ms: i64) -> Option<Body> {
    let item = json!({
        "status": { "id": post, "user_id": author },
        "timestamp_ms": at_ms.to_string(),
    });
    (author == view.account.id).then(|| for_account(view, "tweet_delete_events", item))
}

fn message(view: View<'_>, id: MessageId) -> Option<Body> {
    let message = view.world.message(id).ok()?;
    let account = view.account.id;
    if message.sender != account && message.recipient != account {
        return None;
    }
    let item = direct_message::event(view.world, message);
    let source = message
        .source_app
        .as_ref()
        .and_then(|name| view.world.app(name).ok());
    let item = match source {
        Some(app) => with_source(item, app.id),
        None => item,
    };
    let body = for_account(view, "direct_message_events", item);
    let apps = source.map(|app| {
        let id = app.id.to_string();
        json!({ id.clone(): { "id": id, "name": app.settings.name, "url": "https://example.com" } })
    });
    let json = with(body.json, "users", Some(users(view, message)));
    Some(Body {
        json: with(json, "apps", apps),
        ..body
    })
}

fn with_source(mut item: Value, app: u64) -> Value {
    if let Some(create) = item.get_mut("message_create") {
        *create = with(create.take(), "source_app_id", Some(json!(app.to_string())));
    }
    item
}

fn users(view: View<'_>, message: &DirectMessage) -> Value {
    users_by_id(view, [message.sender, message.recipient])
}

fn users_by_id(view: View<'_>, ids: [UserId; 2]) -> Value {
    let users = ids.into_iter().filter_map(|id| view.world.user(id).ok());
    users
        .map(|user| (user.id.to_string(), user::v1_in_message(view.world, user)))
        .collect::<Map<String, Value>>()
        .into()
}

/// The other side of a conversation types or reads; the account is not told of itself.
fn private(
    view: View<'_>,
    key: &str,
    who: UserId,
    to: UserId,
    at_ms: i64,
    more: Value,
) -> Option<Body> {
    if to != view.account.id {
        return None;
    }
    let item = json!({
        "created_timestamp": at_ms.to_string(),
        "sender_id": who,
        "target": { "recipient_id": to },
    });
    let body = for_account(view, key, with_all(item, more));
    Some(Body {
        json: with(body.json, "users", Some(users_by_id(view, [who, to]))),
        ..body
    })
}

fn liked(view: View<'_>, like: &Like) -> Option<Body> {
    let post = view.world.visible_post(like.post).ok()?;
    let account = view.account.id;
    if like.user != account && post.author != account {
        return None;
    }
    let fan = view.world.user(like.user).ok()?;
    let item = json!({
        "id": hex(&view.world.draw(&format!("like/{}/{}", like.user, like.post))),
        "created_at": format(like.at_ms, post_v1::V1_TIME),
        "timestamp_ms": like.at_ms,
        "favorited_status": post_v1::post(view.world, post),
        "user": user::v1(view.world, fan),
    });
    Some(for_account(view, "favorite_events", item))
}

fn related(
    view: View<'_>,
    form: Form,
    relation: Relation,
    (source, target): (UserId, UserId),
    at_ms: i64,
) -> Option<Body> {
    let account = view.account.id;
    if source != account && !(relation.is_told_to_target() && target == account) {
        return None;
    }
    let item = json!({
        "type": relation.names().0,
        "created_timestamp": at_ms.to_string(),
        "source": user::v1(view.world, view.world.user(source).ok()?),
        "target": user::v1(view.world, view.world.user(target).ok()?),
    });
    Some(for_account(view, &relation_key(relation, form), item))
}

/// X's samples put the opposite under the same key, X's table gives it one of its own.
fn relation_key(relation: Relation, form: Form) -> String {
    let (name, tie) = relation.names();
    match form {
        Form::AccountActivityV1 => format!("{tie}_events"),
        _ => format!("{name}_events"),
    }
}

/// No `for_user_id` here.
fn revoked(view: View<'_>, user: UserId, at_ms: i64) -> Option<Body> {
    let json = json!({ "user_event": { "revoke": {
        "date_time": format(at_ms, "%Y-%m-%dT%H:%M:%S+00:00"),
        "target": { "app_id": view.app.id.to_string() },
        "source": { "user_id": user },
    }}});
    (user == view.account.id).then(|| Body::of("user_event", json))
}

fn replay_ended(view: View<'_>, job: u64, complete: bool) -> Body {
    let (state, description) = if complete {
        ("Complete", "Job completed successfully")
    } else {
        (
            "Incomplete",
            "Job failed to deliver all events. Please retry your replay job",
        )
    };
    let json = json!({ "replay_job_status": {
        "webhook_id": view.app.webhook_id.to_string(),
        "job_state": state,
        "job_state_description": description,
        "job_id": job.to_string(),
    }});
    Body::of("replay_job_status", json)
}

/// Puts the events of `more` into `body`, when both are for one account.
pub(crate) fn merge(body: Body, more: Body) -> Result<Body, (Body, Body)> {
    let account = body.json.get("for_user_id");
    if account.is_none() || account != more.json.get("for_user_id") {
        return Err((body, more));
    }
    let mut merged = body;
    merged.events.extend(more.events);
    if let (Some(into), Value::Object(from)) = (merged.json.as_object_mut(), more.json) {
        for (key, value) in from {
            merge_field(into.entry(key).or_insert(Value::Null), value);
        }
    }
    Ok(merged)
}

fn merge_field(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Array(items), Value::Array(more)) => items.extend(more),
        (Value::Object(fields), Value::Object(more)) => fields.extend(more),
        (into, from) => *into = from,
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
