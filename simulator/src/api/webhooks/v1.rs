//! Webhooks of Account Activity v1.1, premium: by label, for the owner of the app.

use serde_json::Value;

use super::super::answer::{Answer, Outcome};
use super::super::problem;
use super::super::serve::Call;
use super::{Check, pending, told};
use crate::model::{Form, Place, Webhook};

/// `POST /1.1/account_activity/all/{env}/webhooks.json`
pub(in super::super) fn create(call: Call<'_>) -> Outcome {
    let place = call.environment()?;
    call.owner_only()?;
    let form = call.incoming.form();
    let in_form = form.iter().find(|(key, _)| key == "url");
    let in_query = call.incoming.parameter("url");
    let url = in_query.or_else(|| in_form.map(|(_, value)| value.as_str()));
    let url = url.unwrap_or_default().to_owned();
    let check = call.new_webhook(url, place);
    pending(check.map_err(|refusal| refusal.v1())?)
}

/// `GET /1.1/account_activity/all/{env}/webhooks.json`
pub(in super::super) fn list(call: Call<'_>) -> Outcome {
    let place = call.environment()?;
    let webhooks: Vec<Value> = call.webhooks_in(&place).map(told).collect();
    Ok(Answer::ok(&Value::Array(webhooks)))
}

/// `PUT /1.1/account_activity/all/{env}/webhooks/{id}.json`
pub(in super::super) fn validate(call: Call<'_>) -> Outcome {
    let place = call.environment()?;
    let webhook = call.named_webhook(&place);
    let check: Check = call.check_of(webhook.map_err(|refusal| refusal.v1())?);
    pending(check.in_v1())
}

/// `DELETE /1.1/account_activity/all/{env}/webhooks/{id}.json`
pub(in super::super) fn delete(call: Call<'_>) -> Outcome {
    let place = call.environment()?;
    call.owner_only()?;
    let webhook = call.named_webhook(&place);
    let id = webhook.map_err(|refusal| refusal.v1())?;
    call.remove_webhook(id).map_err(|refusal| refusal.v1())?;
    Ok(empty().with_effect(id, None))
}

/// Without an envelope.
pub(super) fn created(webhook: &Webhook) -> Answer {
    Answer::ok(&told(webhook)).with_effect(webhook.id, None)
}

/// 204 and nothing more.
pub(in super::super) fn empty() -> Answer {
    Answer {
        status: 204,
        content_type: "application/json; charset=utf-8",
        ..Answer::default()
    }
}

impl Call<'_> {
    /// The label of the path, which is case sensitive; the app has to be let into v1.1 at all.
    pub(in super::super) fn environment(&self) -> Result<Place, Box<Answer>> {
        let label = self.incoming.part("env");
        let app = self.world.app(&self.caller.app);
        let settings = app.ok().map(|app| &app.settings);
        let known = settings.is_some_and(|settings| {
            settings.forms.contains(&Form::AccountActivityV1)
                && settings.environments.iter().any(|known| known == label)
        });
        match known {
            true => Ok(Place::environment(label)),
            false => Err(problem::coded(403, 200, "Forbidden.")),
        }
    }

    /// Webhooks are the owner's of the app; while none is set, anybody counts as the owner.
    fn owner_only(&self) -> Result<(), Box<Answer>> {
        let owner = self.state.tokens.owner(&self.caller.app);
        match owner.is_none_or(|owner| self.caller.user == Some(owner)) {
            true => Ok(()),
            false => Err(problem::coded(403, 200, "Forbidden.")),
        }
    }
}
