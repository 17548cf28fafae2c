//! The accounts that apps are subscribed to.

use super::{Refused, World};
use crate::model::app::Form;
use crate::model::ids::UserId;
use crate::model::subscription::{EVENTS, Interest, Subscription, Topic};
use crate::model::user::User;

/// Ids of subscriptions count up from here: making one does not disturb other ids.
pub(super) const FIRST_ID: u64 = 1_976_325_569_252_868_096;

/// A subscription to be made.
pub(crate) struct NewSubscription {
    pub(crate) subject: Topic,
    pub(crate) webhook: Option<u64>,
    pub(crate) tag: Option<String>,
}

impl World {
    /// By set-up: everything of the forms, to the app's oldest webhook.
    pub(crate) fn subscribe(
        &mut self,
        app: &str,
        user: UserId,
        forms: &[Form],
    ) -> Result<(), Refused> {
        self.app(app)?;
        let username = self.user(user)?.username.clone();
        if forms.contains(&Form::FilteredStream) {
            self.add_rule(app, &format!("@{username} OR from:{username}"), &username)?;
        }
        let webhook = self.webhook_of(app).ok().map(|webhook| webhook.id);
        for subject in forms.iter().flat_map(|form| subjects(*form)) {
            if self.subscription_to(app, user, &subject).is_none() {
                let new = NewSubscription {
                    subject,
                    webhook,
                    tag: Some(username.clone()),
                };
                self.add_subscription(app, user, new)?;
            }
        }
        Ok(())
    }

    /// The id of the new one comes back.
    pub(crate) fn add_subscription(
        &mut self,
        app: &str,
        user: UserId,
        new: NewSubscription,
    ) -> Result<u64, Refused> {
        self.app(app)?;
        self.user(user)?;
        self.last_subscription += 1;
        let at_ms = self.time.now();
        let subscription = Subscription {
            id: self.last_subscription,
            app: app.to_owned(),
            user,
            subject: new.subject,
            webhook: new.webhook,
            tag: new.tag,
            created_at_ms: at_ms,
            updated_at_ms: at_ms,
        };
        let key = (app.to_owned(), user);
        self.subscriptions
            .entry(key)
            .or_default()
            .push(subscription);
        Ok(self.last_subscription)
    }

    /// All of the app to the account.
    pub(crate) fn unsubscribe(&mut self, app: &str, user: UserId) {
        self.subscriptions.remove(&(app.to_owned(), user));
    }

    /// One of them, whoever lost it.
    pub(crate) fn drop_subscription(&mut self, id: u64) -> Result<(), Refused> {
        let lists = &mut self.subscriptions;
        let before: usize = lists.values().map(Vec::len).sum();
        lists
            .values_mut()
            .for_each(|list| list.retain(|kept| kept.id != id));
        lists.retain(|_, list| !list.is_empty());
        let after: usize = lists.values().map(Vec::len).sum();
        (after < before)
            .then_some(())
            .ok_or(Refused::UnknownSubscription(id))
    }

    pub(crate) fn subscription_mut(&mut self, id: u64) -> Result<&mut Subscription, Refused> {
        let mut all = self.subscriptions.values_mut().flatten();
        all.find(|subscription| subscription.id == id)
            .ok_or(Refused::UnknownSubscription(id))
    }

    pub(crate) fn subscriptions(&self) -> impl Iterator<Item = &Subscription> {
        self.subscriptions.values().flatten()
    }

    pub(crate) fn subscription_to(
        &self,
        app: &str,
        user: UserId,
        subject: &Topic,
    ) -> Option<&Subscription> {
        let mut subscriptions = self.subscriptions_of(app, user).iter();
        subscriptions.find(|subscription| subscription.subject == *subject)
    }

    /// Those of the app to the account.
    pub(crate) fn subscriptions_of(&self, app: &str, user: UserId) -> &[Subscription] {
        let found = self.subscriptions.get(&(app.to_owned(), user));
        found.map_or(&[], Vec::as_slice)
    }

    /// The accounts an app gets in `form`.
    pub(crate) fn subscribers(&self, app: &str, form: Form) -> impl Iterator<Item = &User> {
        self.subscriptions
            .iter()
            .filter(move |((name, _), list)| name == app && list.iter().any(|s| s.form() == form))
            .filter_map(|((_, user), _)| self.users.get(user))
    }

    /// Whether any app gets what concerns the account.
    pub(crate) fn is_subscribed(&self, user: UserId) -> bool {
        self.subscriptions
            .keys()
            .any(|(_, account)| *account == user)
    }
}

fn subjects(form: Form) -> Vec<Topic> {
    match form {
        Form::Activity => EVENTS
            .iter()
            .filter_map(|event| Interest::in_event(event))
            .map(Topic::Activity)
            .collect(),
        other => vec![Topic::All(other)],
    }
}
