//! Account Activity v1.1, premium: a label has one webhook.

use serde_json::json;

use super::super::answer::{Answer, Outcome};
use super::super::problem;
use super::super::serve::Call;
use super::super::webhooks::v1::empty;
use crate::model::{Form, Permission};

const FORM: Form = Form::AccountActivityV1;

/// `POST /1.1/account_activity/all/{env}/subscriptions.json`
pub(in super::super) fn create(mut call: Call<'_>) -> Outcome {
    let webhook = webhook(&call)?;
    if call.caller.permission() < Some(Permission::ReadWriteMessages) {
        let text = "Client application is not permitted to access this resource.";
        return Err(problem::coded(403, 261, text));
    }
    let made = call.subscribe_caller(FORM, webhook);
    Ok(empty().with_effect(made.map_err(|refusal| refusal.v1())?, None))
}

/// `GET /1.1/account_activity/all/{env}/subscriptions.json`
pub(in super::super) fn check(call: Call<'_>) -> Outcome {
    let webhook = webhook(&call)?;
    let user = call.caller_id()?;
    match call.of_user(user, FORM, webhook) {
        Some(_) => Ok(empty()),
        None => Err(super::Refusal::NotFound.v1()),
    }
}

/// `DELETE` of the same for who signs, or `.../subscriptions/{user}.json` for anybody.
pub(in super::super) fn delete(call: Call<'_>) -> Outcome {
    let webhook = webhook(&call)?;
    let user = match (call.incoming.part("user"), call.caller.user) {
        ("", Some(user)) => user.to_string(),
        (named, _) => named.to_owned(),
    };
    let gone = call.unsubscribe_user(&user, FORM, webhook);
    Ok(empty().with_effect(gone.map_err(|refusal| refusal.v1())?, None))
}

/// `GET /1.1/account_activity/all/{env}/subscriptions/list.json`
pub(in super::super) fn list(call: Call<'_>) -> Outcome {
    let webhook = webhook(&call)?;
    Ok(Answer::ok(&json!({
        "environment": call.incoming.part("env"),
        "application_id": call.app_id(),
        "subscriptions": call.users_at(FORM, webhook),
    })))
}

/// `GET /1.1/account_activity/subscriptions/count.json`
pub(in super::super) fn count(call: Call<'_>) -> Outcome {
    match call.is_offered(FORM) {
        true => Ok(Answer::ok(&call.counted(FORM))),
        false => Err(problem::coded(403, 200, "Forbidden.")),
    }
}

/// The webhook of the label.
fn webhook(call: &Call<'_>) -> Result<u64, Box<Answer>> {
    let place = call.environment()?;
    let mut webhooks = call.webhooks_in(&place);
    let found = webhooks.next().map(|webhook| webhook.id);
    found.ok_or_else(|| problem::coded(404, 34, "Sorry, that page does not exist."))
}
