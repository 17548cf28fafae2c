//! Account Activity v2.

use serde_json::json;

use super::super::answer::{Answer, Outcome};
use super::super::serve::Call;
use crate::model::{Form, Place};

const FORM: Form = Form::AccountActivity;

/// `POST /2/account_activity/webhooks/{id}/subscriptions/all`
pub(in super::super) fn create(mut call: Call<'_>) -> Outcome {
    let webhook = webhook(&call)?;
    let user = call.caller_id()?.to_string();
    let made = call.subscribe_caller(FORM, webhook);
    let id = made.map_err(|refusal| refusal.v2("user_id", &user))?;
    Ok(subscribed(true).with_effect(id, None))
}

/// `GET /2/account_activity/webhooks/{id}/subscriptions/all`
pub(in super::super) fn check(call: Call<'_>) -> Outcome {
    let webhook = webhook(&call)?;
    let user = call.caller_id()?;
    Ok(subscribed(call.of_user(user, FORM, webhook).is_some()))
}

/// `GET /2/account_activity/webhooks/{id}/subscriptions/all/list`
pub(in super::super) fn list(call: Call<'_>) -> Outcome {
    let webhook = webhook(&call)?;
    let url = call.world.webhook(webhook);
    let url = url.map(|webhook| webhook.url.clone()).unwrap_or_default();
    Ok(Answer::ok(&json!({ "data": {
        "application_id": call.app_id(),
        "webhook_id": webhook.to_string(),
        "webhook_url": url,
        "subscriptions": call.users_at(FORM, webhook),
    }})))
}

/// `DELETE /2/account_activity/webhooks/{id}/subscriptions/{user}/all`
pub(in super::super) fn delete(call: Call<'_>) -> Outcome {
    let webhook = webhook(&call)?;
    let user = call.incoming.part("user").to_owned();
    let gone = call.unsubscribe_user(&user, FORM, webhook);
    let id = gone.map_err(|refusal| refusal.v2("user_id", &user))?;
    Ok(subscribed(false).with_effect(id, None))
}

/// `GET /2/account_activity/subscriptions/count`
pub(in super::super) fn count(call: Call<'_>) -> Outcome {
    call.need_product(FORM)?;
    Ok(Answer::ok(&json!({ "data": call.counted(FORM) })))
}

fn webhook(call: &Call<'_>) -> Result<u64, Box<Answer>> {
    call.need_product(FORM)?;
    let found = call.named_webhook(&Place::v2());
    found.map_err(|refusal| refusal.v2())
}

fn subscribed(is: bool) -> Answer {
    Answer::ok(&json!({ "data": { "subscribed": is } }))
}
