//! Apps, their rules and secrets, and the accounts they are subscribed to.

use super::{Refused, World};
use crate::model::app::{App, Form, NewApp, SigningSecret};
use crate::model::ids::UserId;
use crate::model::query::Query;
use crate::model::rule::Rule;
use crate::model::user::User;

impl World {
    pub(crate) fn add_app(&mut self, new: NewApp) -> Result<(), Refused> {
        if self.apps.contains_key(&new.name) {
            return Err(Refused::Taken(new.name));
        }
        let at_ms = self.time.tick();
        let app = App {
            id: 10_000_000 + self.apps.len() as u64,
            webhook_id: self.time.id_at(at_ms),
            previous_secret: None,
            signing: SigningSecret::Current,
            rules: Vec::new(),
            valid: true,
            validated_at_ms: at_ms,
            last_crc: None,
            settings: new,
        };
        self.apps.insert(app.settings.name.clone(), app);
        Ok(())
    }

    pub(crate) fn app(&self, name: &str) -> Result<&App, Refused> {
        self.apps
            .get(name)
            .ok_or_else(|| Refused::UnknownApp(name.to_owned()))
    }

    pub(crate) fn app_mut(&mut self, name: &str) -> Result<&mut App, Refused> {
        self.apps
            .get_mut(name)
            .ok_or_else(|| Refused::UnknownApp(name.to_owned()))
    }

    pub(crate) fn apps(&self) -> impl Iterator<Item = &App> {
        self.apps.values()
    }

    /// Puts a new secret in force; the one before can still sign.
    pub(crate) fn rotate_secret(&mut self, app: &str, secret: &str) -> Result<(), Refused> {
        let app = self.app_mut(app)?;
        let previous = std::mem::replace(&mut app.settings.consumer_secret, secret.to_owned());
        app.previous_secret = Some(previous);
        Ok(())
    }

    pub(crate) fn sign_with(&mut self, app: &str, signing: SigningSecret) -> Result<(), Refused> {
        let app = self.app_mut(app)?;
        if signing == SigningSecret::Previous && app.previous_secret.is_none() {
            return Err(Refused::NoPreviousSecret(app.settings.name.clone()));
        }
        app.signing = signing;
        Ok(())
    }

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
        self.subscriptions
            .entry((app.to_owned(), user))
            .or_default()
            .extend(forms);
        Ok(())
    }

    pub(crate) fn unsubscribe(&mut self, app: &str, user: UserId) {
        self.subscriptions.remove(&(app.to_owned(), user));
    }

    /// The accounts an app gets in `form`.
    pub(crate) fn subscribers(&self, app: &str, form: Form) -> impl Iterator<Item = &User> {
        self.subscriptions
            .iter()
            .filter(move |((name, _), forms)| name == app && forms.contains(&form))
            .filter_map(|((_, user), _)| self.users.get(user))
    }

    /// Whether any app gets what concerns the account.
    pub(crate) fn is_subscribed(&self, user: UserId) -> bool {
        self.subscriptions
            .keys()
            .any(|(_, account)| *account == user)
    }

    /// Adds a rule; the id of the one with the same value where there is one already.
    pub(crate) fn add_rule(&mut self, app: &str, value: &str, tag: &str) -> Result<u64, Refused> {
        let query = Query::parse(value).map_err(Refused::BadRule)?;
        let known = self.app(app)?.rules.iter();
        if let Some(rule) = known.into_iter().find(|rule| rule.value == value) {
            return Ok(rule.id);
        }
        let at_ms = self.time.tick();
        let rule = Rule {
            id: self.time.id_at(at_ms),
            value: value.to_owned(),
            tag: tag.to_owned(),
            query,
        };
        let id = rule.id;
        self.app_mut(app)?.rules.push(rule);
        Ok(id)
    }
}
