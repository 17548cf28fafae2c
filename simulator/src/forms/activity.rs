//! X Activity: one event in an envelope, `data`.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::{Map, Value, json};

use super::account_activity::hex;
use super::json::{rewrite, with};
use super::post_v2::{self, Included, V2_TIME};
use super::{Body, Concern, View, direct_message, user};
use crate::model::{
    ChatMessage, Event, Includes, Like, MessageId, Post, PostId, ProfileUpdate, Relation, UserId,
    format,
};

/// X Activity's names of two events, and of the arrays in them.
const TYPING: (&str, &str) = (
    "dm.indicate_typing",
    "direct_message_indicate_typing_events",
);
const READ: (&str, &str) = ("dm.read", "direct_message_mark_read_events");

/// What the account is told: a direct reply that also names it makes two events.
pub(super) fn bodies(view: View<'_>, event: &Event) -> Vec<Body> {
    match event {
        Event::Posted(id) => posted(view, *id),
        other => single(view, other).into_iter().collect(),
    }
}

fn single(view: View<'_>, event: &Event) -> Option<Body> {
    match event {
        Event::Deleted { post, author, .. } => deleted(view, *post, *author),
        Event::DirectMessage(id) => message(view, *id),
        Event::Typing {
            sender,
            recipient,
            at_ms,
        } => {
            let item = direct_message::typing(*sender, *recipient, *at_ms);
            private(view, TYPING, item, (*sender, *recipient), *at_ms)
        }
        Event::Read {
            reader,
            writer,
            last,
            at_ms,
        } => {
            let item = direct_message::read(*reader, *writer, *last, *at_ms);
            private(view, READ, item, (*reader, *writer), *at_ms)
        }
        Event::Chat(message) => chat(view, message),
        Event::Liked(like) => liked(view, like),
        Event::Related {
            relation,
            source,
            target,
            at_ms,
        } => related(view, *relation, *source, *target, *at_ms),
        Event::ProfileUpdated(update) => profile_updated(view, update),
        Event::Revoked { user, at_ms, .. } => revoked(view, *user, *at_ms),
        Event::Posted(_) | Event::ReplayEnded { .. } => None,
    }
}

/// What stands around a payload.
struct Envelope<'a> {
    view: View<'a>,
    event: &'a str,
    filter: Value,
    uuid: String,
    includes: Option<Value>,
}

impl<'a> Envelope<'a> {
    /// `object` names what the event is about, so that the same event gets the same id again.
    fn new(view: View<'a>, event: &'a str, object: String) -> Self {
        let drawn = view
            .world
            .draw(&format!("event/{}/{event}/{object}", view.account.id));
        let (first, _) = drawn.split_first_chunk().unwrap_or((&[0; 8], &[]));
        Self {
            view,
            event,
            filter: json!({ "user_id": view.account.id }),
            // X's ids of events may be negative.
            uuid: i64::from_be_bytes(*first).to_string(),
            includes: None,
        }
    }

    fn body(self, payload: Value) -> Body {
        let data = json!({
            "event_uuid": self.uuid,
            "filter": self.filter,
            "event_type": self.event,
            "tag": self.view.account.username,
            "payload": payload,
        });
        let data = with(data, "includes", self.includes);
        let data = post_v2::reword(double_numbers(data), self.view.app.settings.vocabulary);
        Body::of(self.event, json!({ "data": data }))
    }
}

/// X Activity says each number of an object twice, the second time as text.
fn double_numbers(value: Value) -> Value {
    let doubled = |fields: Map<String, Value>| {
        let texts: Vec<(String, Value)> = fields
            .iter()
            .filter(|(_, value)| value.is_i64() || value.is_u64())
            .map(|(key, value)| (format!("{key}_str"), Value::from(value.to_string())))
            .collect();
        fields.into_iter().chain(texts).collect()
    };
    rewrite(value, &doubled)
}

fn posted(view: View<'_>, id: PostId) -> Vec<Body> {
    let Ok(post) = view.world.visible_post(id) else {
        return Vec::new();
    };
    // Never those of protected accounts, whoever agreed.
    if view
        .world
        .user(post.author)
        .is_ok_and(|author| author.protected)
    {
        return Vec::new();
    }
    post_events(view, post)
        .into_iter()
        .map(|event| post_body(view, event, post))
        .collect()
}

fn post_events(view: View<'_>, post: &Post) -> Vec<&'static str> {
    let concern = Concern::of(view, post);
    if concern.own {
        return vec!["post.create"];
    }
    let parent = post.parent.and_then(|id| view.world.any_post(id));
    let parent_is_reply = parent.is_some_and(|parent| parent.parent.is_some());
    let reply_fires =
        concern.replied_to && (view.app.settings.replies_to_replies || !parent_is_reply);
    [
        ("post.reply.create", reply_fires),
        ("post.mention.create", concern.mentioned_explicitly),
        ("post.quote.create", concern.quoted),
        ("post.repost.create", concern.reposted),
    ]
    .into_iter()
    .filter_map(|(event, fires)| fires.then_some(event))
    .collect()
}

fn post_body(view: View<'_>, event: &str, post: &Post) -> Body {
    let value = post_v2::post(view.world, post);
    // In X's samples, but not in its specification.
    let parent = post.parent.map(|id| json!(id));
    let payload = with(value, "in_reply_to_tweet_id", parent);
    let mut envelope = Envelope::new(view, event, post.id.to_string());
    let whole = matches!(event, "post.create" | "post.mention.create");
    if whole {
        envelope.uuid = post.id.to_string();
    }
    envelope.includes = Some(if whole || view.app.settings.includes == Includes::Full {
        includes(view, post, &payload)
    } else {
        json!({})
    });
    envelope.body(payload)
}

/// The post stands among its own includes.
fn includes(view: View<'_>, post: &Post, payload: &Value) -> Value {
    let mut included = Included::with(view.world, post);
    included.posts.insert(0, payload.clone());
    included.into_json()
}

fn deleted(view: View<'_>, post: PostId, author: UserId) -> Option<Body> {
    if author != view.account.id {
        return None;
    }
    let mut envelope = Envelope::new(view, "post.delete", post.to_string());
    envelope.includes = Some(json!({ "users": [user::v2_wrapped(view.world, view.account)] }));
    Some(envelope.body(json!({ "id": post, "author_id": author })))
}

fn message(view: View<'_>, id: MessageId) -> Option<Body> {
    let message = view.world.message(id).ok()?;
    let event = direction(
        view,
        message.sender,
        message.recipient,
        "dm.sent",
        "dm.received",
    )?;
    let payload = json!({
        "direct_message_events": [direct_message::event(view.world, message)],
        "users": users(view, [message.sender, message.recipient]),
    });
    Some(Envelope::new(view, event, id.to_string()).body(payload))
}

/// The other side types or reads. X has no sample of these; the arrays of Account Activity are
/// the best guess.
fn private(
    view: View<'_>,
    (event, key): (&str, &str),
    item: Value,
    (who, to): (UserId, UserId),
    at_ms: i64,
) -> Option<Body> {
    let payload = json!({ key: [item], "users": users(view, [who, to]) });
    (to == view.account.id).then(|| Envelope::new(view, event, at_ms.to_string()).body(payload))
}

fn profile_updated(view: View<'_>, update: &ProfileUpdate) -> Option<Body> {
    let event = format!("profile.update.{}", update.field.event());
    let payload = json!({ "before": update.before, "after": update.after });
    let envelope = Envelope::new(view, &event, update.at_ms.to_string());
    (update.user == view.account.id).then(|| envelope.body(payload))
}

fn users(view: View<'_>, ids: [UserId; 2]) -> Value {
    let users = ids.into_iter().filter_map(|id| view.world.user(id).ok());
    users
        .map(|user| (user.id.to_string(), user::v2_wrapped(view.world, user)))
        .collect::<Map<String, Value>>()
        .into()
}

fn direction<'a>(
    view: View<'_>,
    sender: UserId,
    recipient: UserId,
    sent: &'a str,
    received: &'a str,
) -> Option<&'a str> {
    match view.account.id {
        id if id == sender => Some(sent),
        id if id == recipient => Some(received),
        _ => None,
    }
}

/// Who wrote to whom and when; the rest is unreadable bytes.
fn chat(view: View<'_>, message: &ChatMessage) -> Option<Body> {
    let event = direction(
        view,
        message.sender,
        message.recipient,
        "chat.sent",
        "chat.received",
    )?;
    let cipher = |of: &str| STANDARD.encode(view.world.draw(&format!("{of}/{}", message.id)));
    let (high, low) = (
        message.sender.max(message.recipient),
        message.sender.min(message.recipient),
    );
    let payload = json!({
        "id": message.id,
        "conversation_id": format!("{high}:{low}"),
        "sender_id": message.sender,
        "created_at_msec": message.created_at_ms.to_string(),
        "conversation_token": format!("eyJhbGciOiJIUzI1NiJ9.{}", STANDARD_NO_PAD.encode(message.id.as_bytes())),
        "conversation_key_version": "1768236281331",
        "encoded_event": cipher("encoded"),
        "conversation_key_change_event": cipher("key"),
        "message_event_signature": {
            "public_key_version": "1765382634817",
            "signature": cipher("signature"),
            "signature_version": "7",
            "signing_public_key": cipher("public-key"),
        },
    });
    Some(Envelope::new(view, event, message.id.clone()).body(payload))
}

fn liked(view: View<'_>, like: &Like) -> Option<Body> {
    let post = view.world.visible_post(like.post).ok()?;
    let direction = direction(view, like.user, post.author, "outbound", "inbound")?;
    let payload = json!({
        "id": hex(&view.world.draw(&format!("like/{}/{}", like.user, like.post))),
        "created_at": format(like.at_ms, V2_TIME),
        "timestamp_ms": like.at_ms.to_string(),
        "liked_tweet_id": like.post,
        "liked_tweet_author_id": post.author,
    });
    let mut envelope = Envelope::new(view, "like.create", format!("{}/{}", like.user, like.post));
    envelope.filter = json!({ "user_id": view.account.id, "direction": direction });
    let value = post_v2::post(view.world, post);
    envelope.includes = Some(includes(view, post, &value));
    Some(envelope.body(payload))
}

fn related(
    view: View<'_>,
    relation: Relation,
    source: UserId,
    target: UserId,
    at_ms: i64,
) -> Option<Body> {
    let account = view.account.id;
    if source != account && !(relation.is_told_to_target() && target == account) {
        return None;
    }
    let (name, tie) = relation.names();
    let event = format!("{tie}.{name}");
    let payload = json!({
        "source": user::v2_wrapped(view.world, view.world.user(source).ok()?),
        "target": user::v2_wrapped(view.world, view.world.user(target).ok()?),
    });
    Some(Envelope::new(view, &event, format!("{source}/{target}/{at_ms}")).body(payload))
}

/// Without filter and tag: nobody subscribes to it.
fn revoked(view: View<'_>, user: UserId, at_ms: i64) -> Option<Body> {
    let payload = json!({
        "date_time": format(at_ms, "%Y-%m-%dT%H:%M:%S+00:00"),
        "user_id": user,
        "app_id": view.app.id.to_string(),
    });
    let mut envelope = Envelope::new(view, "oauth.revoke", at_ms.to_string());
    envelope.filter = json!({});
    let mut body = envelope.body(payload);
    if let Some(data) = body.json.get_mut("data").and_then(Value::as_object_mut) {
        data.remove("tag");
    }
    (user == view.account.id).then_some(body)
}
