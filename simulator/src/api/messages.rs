//! Direct messages between two people.

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Outcome};
use super::fields::Shown;
use super::ledger::{Charge, Price};
use super::media;
use super::paging::{Listed, Wanted};
use super::posts::author;
use super::problem::{self, Missing, Reason};
use super::serve::Call;
use super::users::user_id;
use crate::forms::json::{non_empty, with as with_field};
use crate::model::{DirectMessage, Event, MediaId, MessageId, NewMessage, UserId, World};

/// Messages are to be had for 30 days.
const MONTH_MS: i64 = 30 * 24 * 3600 * 1000;
const CLOSED: &str = "You cannot send messages to this user.";
const PARAMETERS: [&str; 3] = ["max_results", "pagination_token", "event_types"];

impl Listed for DirectMessage {
    fn id(&self) -> u64 {
        self.id.0
    }

    fn at_ms(&self) -> i64 {
        self.created_at_ms
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    #[serde(default)]
    text: String,
    #[serde(default)]
    attachments: Vec<Attachment>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Attachment {
    media_id: MediaId,
}

/// The lower id first, as in X's samples.
pub(crate) fn conversation_id(one: UserId, other: UserId) -> String {
    format!("{}-{}", one.min(other), one.max(other))
}

/// `POST /2/dm_conversations/with/{id}/messages`
pub(super) fn send_to(call: Call<'_>) -> Outcome {
    let recipient = user_id(&call)?;
    send(call, recipient)
}

/// `POST /2/dm_conversations/{id}/messages`
pub(super) fn send_in(call: Call<'_>) -> Outcome {
    let recipient = partner(&call)?;
    send(call, recipient)
}

/// The other one of the conversation in the path.
fn partner(call: &Call<'_>) -> Result<UserId, Box<Answer>> {
    let raw = &call.incoming.id;
    let pair = raw.split_once('-').and_then(|(one, other)| {
        let (one, other): (UserId, UserId) = (one.parse().ok()?, other.parse().ok()?);
        Some((one, other))
    });
    match (pair, call.caller.user) {
        (Some((one, other)), Some(me)) if one == me => Ok(other),
        (Some((one, other)), Some(me)) if other == me => Ok(one),
        (Some(_), _) => Err(problem::forbidden(
            "You are not a participant of this conversation.",
        )),
        (None, _) => Err(not_found("dm_conversation", "dm_conversation_id", raw)),
    }
}

fn send(call: Call<'_>, recipient: UserId) -> Outcome {
    let draft: Draft = call.incoming.json()?;
    let sender = author(&call)?.clone();
    if draft.text.is_empty() && draft.attachments.is_empty() {
        return Err(problem::invalid(
            "text",
            "",
            "Text or attachments are required",
        ));
    }
    if draft.attachments.len() > 1 {
        return Err(problem::invalid(
            "attachments",
            "",
            "At most one is allowed",
        ));
    }
    let to = call.world.user(recipient).ok();
    let to = to.filter(|user| !user.standing.is_closed());
    let to = to.ok_or_else(|| not_found("user", "participant_id", &recipient.to_string()))?;
    if to.id == sender.id || !may_write(call.world, sender.id, to.id) {
        return Err(problem::forbidden(CLOSED));
    }
    if draft.text.chars().count() > call.state.settings.message_limit {
        let detail = "The text of your direct message is over the max character limit.";
        return Err(problem::forbidden(detail));
    }
    let wanted = draft
        .attachments
        .first()
        .map(|attachment| attachment.media_id);
    let upload = wanted
        .map(|id| media::for_message(&call, &sender, id))
        .transpose()?;
    let message = NewMessage {
        upload: upload.map(|id| id.0),
        source_app: Some(call.caller.app.clone()),
        ..NewMessage::between(sender.id, recipient, &draft.text)
    };
    let id = call.world.direct_message(message);
    let id = id.map_err(|refused| problem::invalid("body", "", &refused.to_string()))?;
    let body = json!({ "data": {
        "dm_conversation_id": conversation_id(sender.id, recipient),
        "dm_event_id": id,
    }});
    Ok(Answer::json(201, &body)
        .charging([Charge::once(Price::MessageSent)])
        .with_effect(id, Some(Event::DirectMessage(id))))
}

/// Nobody writes to whom blocks them; strangers write to whom lets them; who was written to by
/// somebody, or is followed by somebody, is no stranger.
pub(super) fn may_write(world: &World, sender: UserId, recipient: UserId) -> bool {
    if world.blocks(recipient, sender) {
        return false;
    }
    let open = world
        .user(recipient)
        .is_ok_and(|user| user.standing.accepts_messages);
    let known = || {
        let mut between = world.messages_between(sender, recipient);
        between.any(|message| message.sender == recipient)
    };
    open || world.follows(recipient, sender) || known()
}

/// `GET /2/dm_events`
pub(super) fn all(call: Call<'_>) -> Outcome {
    let me = me(&call)?;
    list(&call, call.world.messages_of(me))
}

/// `GET /2/dm_conversations/with/{id}/dm_events`
pub(super) fn with(call: Call<'_>) -> Outcome {
    let (me, other) = (me(&call)?, user_id(&call)?);
    list(&call, call.world.messages_between(me, other))
}

/// `GET /2/dm_conversations/{id}/dm_events`
pub(super) fn within(call: Call<'_>) -> Outcome {
    let (me, other) = (me(&call)?, partner(&call)?);
    list(&call, call.world.messages_between(me, other))
}

fn me(call: &Call<'_>) -> Result<UserId, Box<Answer>> {
    call.caller.user.ok_or_else(problem::unauthorized)
}

fn list<'a>(call: &'a Call<'_>, messages: impl Iterator<Item = &'a DirectMessage>) -> Outcome {
    let (me, selection) = (me(call)?, call.selection(&PARAMETERS)?);
    let wanted = Wanted::parse(call.incoming, (1, 100, 100))?;
    let oldest = call.world.now_ms() - MONTH_MS;
    let types = call
        .incoming
        .parameter("event_types")
        .unwrap_or("MessageCreate");
    let has_messages = types.split(',').any(|kind| kind == "MessageCreate");
    let seen = messages
        .filter(|_| has_messages)
        .take_while(|message| message.created_at_ms >= oldest)
        .filter(|message| call.world.sees_message(me, message));
    let (found, next) = wanted.page(seen);
    let mut shown = Shown::new(call.sight(), &selection);
    let data: Vec<Value> = found.iter().map(|message| shown.message(message)).collect();
    let meta = json!({ "result_count": found.len() });
    let meta = with_field(meta, "next_token", next.map(Value::from));
    Ok(shown.answer(non_empty(data), Some(meta)))
}

/// `GET /2/dm_events/{id}`
pub(super) fn one(call: Call<'_>) -> Outcome {
    let (me, selection) = (me(&call)?, call.selection(&[])?);
    let message = visible(&call, me)?;
    let mut shown = Shown::new(call.sight(), &selection);
    let data = shown.message(message);
    Ok(shown.answer(Some(data), None))
}

fn visible<'a>(call: &'a Call<'_>, me: UserId) -> Result<&'a DirectMessage, Box<Answer>> {
    let raw = &call.incoming.id;
    let id: MessageId = raw
        .parse()
        .map_err(|_not_a_number| problem::invalid("event_id", raw, "not a valid id"))?;
    let message = call.world.message(id).ok();
    let message = message.filter(|message| call.world.sees_message(me, message));
    message.ok_or_else(|| not_found("dm_event", "event_id", raw))
}

/// `DELETE /2/dm_events/{id}`: from the caller's own view; the other keeps it.
pub(super) fn delete(call: Call<'_>) -> Outcome {
    let me = author(&call)?.id;
    let message = visible(&call, me)?;
    let (id, sender) = (message.id, message.sender);
    if sender != me {
        return Err(problem::forbidden(
            "You can only delete messages that you sent.",
        ));
    }
    call.world.delete_message_for(me, id);
    Ok(Answer::ok(&json!({ "data": { "deleted": true } }))
        .charging([Charge::once(Price::Delete)])
        .with_effect(id, None))
}

fn not_found(resource: &str, parameter: &str, value: &str) -> Box<Answer> {
    let missing = Missing {
        resource,
        parameter,
        value: value.to_owned(),
        reason: Reason::Gone,
    };
    missing.answer()
}
