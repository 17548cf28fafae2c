//! Subscriptions by API: Account Activity in both versions, and X Activity.

pub(super) mod account;
pub(super) mod activity;
pub(super) mod v1;

use serde_json::{Value, json};

use super::answer::Answer;
use super::problem;
use super::serve::Call;
use crate::model::{Form, Subscription, Topic, UserId};

/// Why there is no such subscription, or no new one.
#[derive(Clone, Copy, Debug)]
enum Refusal {
    Duplicate,
    TooMany(usize),
    NotFound,
}

impl Refusal {
    /// A reason, then words, as with webhooks.
    fn v2(self, parameter: &str, value: &str) -> Box<Answer> {
        let message = match self {
            Self::Duplicate => "DuplicateSubscriptionFailed: the subscription exists".to_owned(),
            Self::TooMany(limit) => {
                format!("SubscriptionLimitExceeded: the limit of subscriptions is {limit}")
            }
            Self::NotFound => "SubscriptionNotFound: there is no such subscription".to_owned(),
        };
        problem::invalid(parameter, value, &message)
    }

    fn v1(self) -> Box<Answer> {
        match self {
            Self::Duplicate => problem::coded(409, 355, "Subscription already exists."),
            Self::TooMany(_) => problem::coded(403, 214, "Too many resources already created."),
            Self::NotFound => problem::coded(404, 34, "Sorry, that page does not exist."),
        }
    }
}

impl Call<'_> {
    /// Whether the app is let into the product at all.
    fn is_offered(&self, form: Form) -> bool {
        let app = self.world.app(&self.caller.app);
        app.is_ok_and(|app| app.settings.forms.contains(&form))
    }

    fn need_product(&self, form: Form) -> Result<(), Box<Answer>> {
        match self.is_offered(form) {
            true => Ok(()),
            false => Err(problem::not_enrolled()),
        }
    }

    fn caller_id(&self) -> Result<UserId, Box<Answer>> {
        self.caller.user.ok_or_else(problem::unauthorized)
    }

    /// Those of the app in a form.
    fn of_app(&self, form: Form) -> impl Iterator<Item = &Subscription> {
        let all = self.world.subscriptions();
        all.filter(move |kept| kept.app == self.caller.app && kept.form() == form)
    }

    /// The subscription of the user to all of the account, at that webhook.
    fn of_user(&self, user: UserId, form: Form, webhook: u64) -> Option<&Subscription> {
        let found = self
            .world
            .subscription_to(&self.caller.app, user, &Topic::All(form));
        found.filter(|kept| kept.webhook == Some(webhook))
    }

    /// A new one to all of the caller's account; its id comes back.
    fn subscribe_caller(&mut self, form: Form, webhook: u64) -> Result<u64, Refusal> {
        let limit = self.state.settings.account_activity();
        let user = self.caller.user.ok_or(Refusal::NotFound)?;
        if self.of_user(user, form, webhook).is_some() {
            return Err(Refusal::Duplicate);
        }
        if self.of_app(form).count() >= limit {
            return Err(Refusal::TooMany(limit));
        }
        let new = crate::model::NewSubscription {
            subject: Topic::All(form),
            webhook: Some(webhook),
            tag: None,
        };
        let app = &self.caller.app;
        let made = self.world.add_subscription(app, user, new);
        made.map_err(|_gone| Refusal::NotFound)
    }

    fn unsubscribe_user(self, raw: &str, form: Form, webhook: u64) -> Result<u64, Refusal> {
        let user = raw.parse().ok();
        let found = user.and_then(|user| self.of_user(user, form, webhook));
        let id = found.map(|kept| kept.id).ok_or(Refusal::NotFound)?;
        let dropped = self.world.drop_subscription(id);
        dropped.map_err(|_gone| Refusal::NotFound)?;
        Ok(id)
    }

    /// Numbers as strings; the count of those to messages alone is always 0.
    fn counted(&self, form: Form) -> Value {
        json!({
            "account_name": self.caller.app,
            "provisioned_count": self.state.settings.account_activity().to_string(),
            "subscriptions_count_all": self.of_app(form).count().to_string(),
            "subscriptions_count_direct_messages": "0",
        })
    }

    fn users_at(&self, form: Form, webhook: u64) -> Vec<Value> {
        let listed = self
            .of_app(form)
            .filter(|kept| kept.webhook == Some(webhook));
        listed.map(|kept| json!({ "user_id": kept.user })).collect()
    }

    fn app_id(&self) -> String {
        let app = self.world.app(&self.caller.app);
        app.map(|app| app.id.to_string()).unwrap_or_default()
    }
}
