//! X Activity: one subscription is one event of one user.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::answer::{Answer, Outcome};
use super::super::problem;
use super::super::serve::Call;
use super::super::settings::ActivityAnswer;
use super::Refusal;
use crate::forms::json::with;
use crate::model::{Form, Interest, NewSubscription, Place, Subscription, Topic, UserId, format};

const FORM: Form = Form::Activity;
const TIME: &str = "%Y-%m-%dT%H:%M:%S.%3fZ";
/// In characters, by X's specification.
const LONGEST_TAG: usize = 200;
/// So many in a page, and so many ids in a call.
const LARGEST_PAGE: usize = 1000;
const MOST_IDS: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    event_type: String,
    filter: Filter,
    tag: Option<String>,
    webhook_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    user_id: Option<String>,
    direction: Option<String>,
    keyword: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    tag: Option<String>,
    webhook_id: Option<String>,
}

/// `POST /2/activity/subscriptions`
pub(in super::super) fn create(call: Call<'_>) -> Outcome {
    call.need_product(FORM)?;
    let new: New = call.incoming.json()?;
    let interest = interest(&new)?;
    let user = user(&call, &new, &interest)?;
    let tag = tag(new.tag)?;
    let webhook = webhook(&call, new.webhook_id)?;
    let limit = call.state.settings.activity();
    let app = &call.caller.app;
    let subject = Topic::Activity(interest);
    if call.world.subscription_to(app, user, &subject).is_some() {
        return Err(Refusal::Duplicate.v2("event_type", &new.event_type));
    }
    if call.of_app(FORM).count() >= limit {
        return Err(Refusal::TooMany(limit).v2("event_type", &new.event_type));
    }
    let new = NewSubscription {
        subject,
        webhook,
        tag,
    };
    let id = call.world.add_subscription(app, user, new);
    let id = id.map_err(|_gone| problem::unauthorized())?;
    let told = one(&call, id)?;
    let data = match call.state.settings.activity_answer {
        ActivityAnswer::Object => told,
        ActivityAnswer::Array => json!([told]),
        ActivityAnswer::Wrapped => json!({ "subscription": told }),
    };
    Ok(answer(&call, data).with_effect(id, None))
}

fn interest(new: &New) -> Result<Interest, Box<Answer>> {
    let interest = Interest::in_event(&new.event_type);
    let interest = interest.ok_or_else(|| {
        problem::invalid("event_type", &new.event_type, "there is no such event type")
    })?;
    let direction = new.filter.direction.clone();
    let given = direction.as_deref();
    let narrowable = !interest.event.starts_with("mute.") && !interest.event.starts_with("block.");
    if given.is_some_and(|given| !narrowable || !matches!(given, "inbound" | "outbound")) {
        let message = "`direction` is not supported here, or not inbound or outbound";
        return Err(problem::invalid(
            "direction",
            given.unwrap_or_default(),
            message,
        ));
    }
    Ok(Interest {
        direction,
        keyword: new.filter.keyword.clone(),
        ..interest
    })
}

/// Whose event it is: with what only the user sees, the caller's own.
fn user(call: &Call<'_>, new: &New, interest: &Interest) -> Result<UserId, Box<Answer>> {
    let raw = new.filter.user_id.as_deref().unwrap_or_default();
    let wrong = || problem::invalid("user_id", raw, "there is no such user");
    let user: UserId = raw.parse().map_err(|_not_a_number| wrong())?;
    call.world.user(user).map_err(|_gone| wrong())?;
    let own = call.caller.user == Some(user);
    if !call.caller.may_follow(interest) || (interest.is_private() && !own) {
        return Err(problem::forbidden(
            "You are not permitted to subscribe to this event for this user.",
        ));
    }
    Ok(user)
}

fn tag(given: Option<String>) -> Result<Option<String>, Box<Answer>> {
    let length = given.as_ref().map(|tag| tag.chars().count());
    match length.is_none_or(|length| (1..=LONGEST_TAG).contains(&length)) {
        true => Ok(given),
        false => Err(problem::invalid("tag", "", "`tag` has 1 to 200 characters")),
    }
}

fn webhook(call: &Call<'_>, given: Option<String>) -> Result<Option<u64>, Box<Answer>> {
    let found = given.map(|id| call.webhook_with_id(&id, &Place::v2()));
    found.transpose().map_err(|refusal| refusal.v2())
}

/// `GET /2/activity/subscriptions`: all of the app, or those of the user who calls.
pub(in super::super) fn list(call: Call<'_>) -> Outcome {
    call.need_product(FORM)?;
    let size = call.incoming.parameter("max_results");
    let size = size.map_or(Some(LARGEST_PAGE), |given| given.parse().ok());
    let size = size.filter(|size| (1..=LARGEST_PAGE).contains(size));
    let size = size.ok_or_else(|| {
        let message = "`max_results` is not between 1 and 1000";
        problem::invalid("max_results", "", message)
    })?;
    let after: u64 = match call.incoming.parameter("pagination_token") {
        None => 0,
        Some(token) => token
            .parse()
            .map_err(|_not_a_number| problem::invalid("pagination_token", token, "not valid"))?,
    };
    let of_caller = |kept: &&Subscription| call.caller.user.is_none_or(|user| kept.user == user);
    let mut listed: Vec<&Subscription> = call.of_app(FORM).filter(of_caller).collect();
    listed.sort_by_key(|kept| kept.id);
    let rest = listed.iter().filter(|kept| kept.id > after);
    let page: Vec<&&Subscription> = rest.clone().take(size).collect();
    let more = rest.count() > page.len();
    let next = page
        .last()
        .filter(|_| more)
        .map(|kept| json!(kept.id.to_string()));
    let data: Vec<Value> = page.iter().map(|kept| told(kept)).collect();
    let meta = json!({ "total_subscriptions": listed.len(), "result_count": data.len() });
    let meta = with(meta, "next_token", next);
    Ok(Answer::ok(&json!({ "data": data, "meta": meta })))
}

/// `PUT /2/activity/subscriptions/{id}`: the tag and the webhook; nothing else can be changed.
pub(in super::super) fn update(call: Call<'_>) -> Outcome {
    call.need_product(FORM)?;
    let change: Change = call.incoming.json()?;
    let id = named(&call, &call.incoming.id)?;
    let tag = tag(change.tag)?;
    let webhook = webhook(&call, change.webhook_id)?;
    let now_ms = call.world.tick();
    let kept = call.world.subscription_mut(id);
    let kept = kept.map_err(|_gone| Refusal::NotFound.v2("subscription_id", &call.incoming.id))?;
    kept.tag = tag.or(kept.tag.take());
    kept.webhook = webhook.or(kept.webhook);
    kept.updated_at_ms = now_ms;
    let told = one(&call, id)?;
    Ok(answer(&call, told).with_effect(id, None))
}

/// `DELETE /2/activity/subscriptions/{id}`
pub(in super::super) fn delete(call: Call<'_>) -> Outcome {
    call.need_product(FORM)?;
    let id = named(&call, &call.incoming.id)?;
    drop_one(&call.incoming.id, call.world.drop_subscription(id).is_ok())?;
    Ok(answer(&call, json!({ "deleted": true })).with_effect(id, None))
}

fn drop_one(raw: &str, dropped: bool) -> Result<(), Box<Answer>> {
    match dropped {
        true => Ok(()),
        false => Err(Refusal::NotFound.v2("subscription_id", raw)),
    }
}

/// `DELETE /2/activity/subscriptions?ids=`: what is not there is told beside what was.
pub(in super::super) fn delete_all(call: Call<'_>) -> Outcome {
    call.need_product(FORM)?;
    let ids = call.incoming.parameter("ids").unwrap_or_default();
    let ids: Vec<&str> = ids.split(',').filter(|id| !id.is_empty()).collect();
    if !(1..=MOST_IDS).contains(&ids.len()) {
        return Err(problem::invalid("ids", "", "`ids` has 1 to 100 of them"));
    }
    let (mut data, mut errors) = (Vec::new(), Vec::new());
    for raw in &ids {
        let id = named(&call, raw).ok();
        if id.is_some_and(|id| call.world.drop_subscription(id).is_ok()) {
            data.push(json!({ "subscription_id": raw, "deleted": true }));
        } else {
            errors.push(json!({
                "subscription_id": raw,
                "reason": "SubscriptionNotFound",
                "message": "there is no such subscription",
            }));
        }
    }
    let meta = json!({ "total_subscriptions": call.of_app(FORM).count() });
    let body = json!({ "data": data, "meta": meta });
    let errors = crate::forms::json::non_empty(errors);
    Ok(Answer::ok(&with(body, "errors", errors)).with_effect(ids.join(","), None))
}

/// The app's subscription of that id.
fn named(call: &Call<'_>, raw: &str) -> Result<u64, Box<Answer>> {
    let mut own = call.of_app(FORM);
    let found = own.find(|kept| kept.id.to_string() == raw);
    found
        .map(|kept| kept.id)
        .ok_or_else(|| Refusal::NotFound.v2("subscription_id", raw))
}

fn one(call: &Call<'_>, id: u64) -> Result<Value, Box<Answer>> {
    let mut own = call.of_app(FORM);
    let found = own.find(|kept| kept.id == id).map(told);
    found.ok_or_else(|| Refusal::NotFound.v2("subscription_id", &id.to_string()))
}

fn answer(call: &Call<'_>, data: Value) -> Answer {
    let meta = json!({ "total_subscriptions": call.of_app(FORM).count() });
    Answer::ok(&json!({ "data": data, "meta": meta }))
}

fn told(kept: &Subscription) -> Value {
    let interest = kept.interest();
    let narrowed = |value: Option<&String>| value.map(|value| json!(value));
    let filter = json!({ "user_id": kept.user });
    let direction = interest.and_then(|interest| interest.direction.as_ref());
    let filter = with(filter, "direction", narrowed(direction));
    let keyword = interest.and_then(|interest| interest.keyword.as_ref());
    let told = json!({
        "subscription_id": kept.id.to_string(),
        "event_type": interest.map_or("", |interest| interest.event),
        "filter": with(filter, "keyword", narrowed(keyword)),
        "created_at": format(kept.created_at_ms, TIME),
        "updated_at": format(kept.updated_at_ms, TIME),
    });
    let told = with(told, "tag", narrowed(kept.tag.as_ref()));
    let webhook = kept.webhook.map(|id| json!(id.to_string()));
    with(told, "webhook_id", webhook)
}
