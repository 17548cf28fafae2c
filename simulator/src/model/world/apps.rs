//! Apps, their rules and secrets.

use super::{Refused, World};
use crate::model::app::{App, Form, MAX_CALLBACKS, NewApp, SigningSecret};
use crate::model::query::Query;
use crate::model::rule::Rule;
use crate::model::webhook::Place;

impl World {
    pub(crate) fn add_app(&mut self, new: NewApp) -> Result<(), Refused> {
        if self.apps.contains_key(&new.name) {
            return Err(Refused::Taken(new.name));
        }
        if new.callbacks.len() > MAX_CALLBACKS {
            return Err(Refused::TooManyCallbacks(new.name));
        }
        let webhook = (!new.webhook.is_empty()).then(|| (new.webhook.clone(), place(&new)));
        let app = App {
            id: 10_000_000 + self.apps.len() as u64,
            previous_secret: None,
            signing: SigningSecret::Current,
            rules: Vec::new(),
            suspended: false,
            settings: new,
        };
        let name = app.settings.name.clone();
        self.apps.insert(name.clone(), app);
        if let Some((url, place)) = webhook {
            self.register_webhook(&name, &url, place)?;
        }
        Ok(())
    }

    /// The app that is called by this API key.
    pub(crate) fn app_with_key(&self, consumer_key: &str) -> Option<&App> {
        let mut apps = self.apps.values();
        apps.find(|app| app.settings.consumer_key == consumer_key)
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

/// A webhook that is there from the start is wherever the app's products look for it.
fn place(app: &NewApp) -> Place {
    let v1 = app.forms.contains(&Form::AccountActivityV1);
    Place {
        v2: app
            .forms
            .iter()
            .any(|form| *form != Form::AccountActivityV1),
        environment: app.environments.first().filter(|_| v1).cloned(),
    }
}
