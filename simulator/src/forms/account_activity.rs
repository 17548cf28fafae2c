//! Account Activity: `for_user_id` and one array for each kind of event.
//!
//! v1.1 and v2 share these shapes. They differ in one respect where X's sample and X's table
//! disagree, so that readers meet both: how the opposite of follow, block and mute is keyed.

use serde_json::{Map, Value, json};

use super::json::with;
use super::{Body, Concern, View, direct_message, post_v1, user};
use crate::model::{Event, Form, Like, MessageId, Post, PostId, Relation, UserId, format};

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
        } => {
            let item = direct_message::typing(*sender, *recipient, *at_ms);
            private(
                view,
                "direct_message_indicate_typing_events",
                item,
                *sender,
                *recipient,
            )
        }
        Event::Read {
            reader,
            writer,
            last,
            at_ms,
        } => {
            let item = direct_message::read(*reader, *writer, *last, *at_ms);
            private(
                view,
                "direct_message_mark_read_events",
                item,
                *reader,
                *writer,
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
        Event::ReplayEnded { job, complete, .. } => {
            Some(replay_ended(&webhook_of(view), *job, *complete))
        }
        Event::Chat(_) | Event::ProfileUpdated(_) => None,
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
    let body = for_account(view, "tweet_create_events", post_v1::post(view.world, post));
    // A string, though it says true or false.
    let blocked = view.world.blocks(view.account.id, post.author).to_string();
    let blocked = (concern.mentioned && !concern.own).then(|| json!(blocked));
    Some(Body {
        json: with(body.json, "user_has_blocked", blocked),
        ..body
    })
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
    let json = with(
        body.json,
        "users",
        Some(users(view, [message.sender, message.recipient])),
    );
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

fn users(view: View<'_>, ids: [UserId; 2]) -> Value {
    let users = ids.into_iter().filter_map(|id| view.world.user(id).ok());
    users
        .map(|user| (user.id.to_string(), user::v1_in_message(view.world, user)))
        .collect::<Map<String, Value>>()
        .into()
}

/// The other side of a conversation types or reads; the account is not told of itself.
fn private(view: View<'_>, key: &str, item: Value, who: UserId, to: UserId) -> Option<Body> {
    if to != view.account.id {
        return None;
    }
    let body = for_account(view, key, item);
    Some(Body {
        json: with(body.json, "users", Some(users(view, [who, to]))),
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

/// The id of the app's oldest webhook; empty where it has none.
fn webhook_of(view: View<'_>) -> String {
    let webhook = view.world.webhook_of(&view.app.settings.name);
    webhook.map_or_else(|_| String::new(), |webhook| webhook.id.to_string())
}

/// What X says at a webhook when a replay of its deliveries is over.
pub(crate) fn replay_ended(webhook_id: &str, job: u64, complete: bool) -> Body {
    let (state, description) = if complete {
        ("Complete", "Job completed successfully")
    } else {
        (
            "Incomplete",
            "Job failed to deliver all events. Please retry your replay job",
        )
    };
    let json = json!({ "replay_job_status": {
        "webhook_id": webhook_id,
        "job_state": state,
        "job_state_description": description,
        "job_id": job.to_string(),
    }});
    Body::of("replay_job_status", json)
}

/// One body with the events of both, when they are for one account and agree in all else.
pub(crate) fn merge(body: &Body, more: &Body) -> Option<Body> {
    let mut fields = body.json.as_object()?.clone();
    let from = more.json.as_object()?;
    if !fields.contains_key("for_user_id") || scalars(&fields) != scalars(from) {
        return None;
    }
    for (key, value) in from.clone() {
        merge_field(fields.entry(key).or_insert(Value::Null), value);
    }
    Some(Body {
        events: [body.events.as_slice(), &more.events].concat(),
        json: fields.into(),
    })
}

/// What cannot be said twice in one body.
fn scalars(fields: &Map<String, Value>) -> Vec<(&String, &Value)> {
    fields
        .iter()
        .filter(|(_, value)| !value.is_array() && !value.is_object())
        .collect()
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
