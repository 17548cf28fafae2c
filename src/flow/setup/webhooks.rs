//! Webhooks of apps: listed, registered, validated, deleted. Another's is never touched unasked.

use serde_json::json;

use super::{Setup, SetupError, check, crc_words, now};
use crate::domain::access::Actor;
use crate::domain::account::{App, Delivery, Tier};
use crate::domain::ids::WebhookId;
use crate::store::{RegisteredWebhook, StoreError};
use crate::x::client::{CallError, Obstacle, Webhook};

/// A webhook of an app, and whether it is this service's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub webhook: Webhook,
    /// Leads here.
    pub ours: bool,
}

/// A webhook that is in the way, and of which app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub app: String,
    pub webhook: Webhook,
}

/// Our webhook, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    pub webhook: Webhook,
    /// It was there already.
    pub known: bool,
    /// What was deleted for it.
    pub deleted: Vec<Webhook>,
}

impl Setup {
    /// The webhooks that an app has at X; of v1.1, those of its environment.
    ///
    /// # Errors
    /// [`SetupError`].
    pub async fn webhooks(&self, app: &App) -> Result<Vec<Listed>, SetupError> {
        let listed = self.listed(app).await?.into_iter();
        let seen = listed.map(|webhook| Listed {
            ours: self.leads_here(app, &webhook),
            webhook,
        });
        Ok(seen.collect())
    }

    /// Makes our address the webhook of an app. It is tried by ourselves first. `apps` are all we
    /// know, to name what takes the place. With `replace`, webhooks of the same app that are in
    /// the way are deleted; never another app's.
    ///
    /// # Errors
    /// [`SetupError`]; but for [`SetupError::HalfDone`] nothing has changed then.
    pub async fn register(
        &self,
        by: &Actor,
        app: &App,
        apps: &[App],
        replace: bool,
    ) -> Result<Registered, SetupError> {
        let _alone = self.changing.lock().await;
        let (url, _passed) = self.challenge(app).await?;
        let listed = self.listed(app).await?;
        let (ours, others): (Vec<_>, Vec<_>) =
            listed.into_iter().partition(|webhook| webhook.url == url);
        let done = match ours.into_iter().next() {
            Some(webhook) => self.revive(app, webhook).await,
            None => self.make(by, app, apps, &url, others, replace).await,
        }?;
        self.remember(by, app, &done).await?;
        if *by != Actor::Service {
            self.changed.notify_one();
        }
        Ok(done)
    }

    /// Has X challenge a webhook; whether it passed.
    ///
    /// # Errors
    /// [`SetupError`].
    pub async fn validate(&self, by: &Actor, app: &App, id: WebhookId) -> Result<bool, SetupError> {
        let passed = self.revalidate(app, id).await;
        let (by, name) = (by.clone(), app.name.clone());
        let detail = json!({"webhook": id, "valid": matches!(passed, Ok(true))});
        self.store
            .write(move |tx| tx.audit(&by, "webhook.validate", &name, &detail, now()))
            .await?;
        self.changed.notify_one();
        passed
    }

    /// Takes a webhook of an app away; with it go the subscriptions of Account Activity.
    ///
    /// # Errors
    /// [`SetupError`].
    pub async fn delete(
        &self,
        by: &Actor,
        app: &App,
        id: WebhookId,
    ) -> Result<Webhook, SetupError> {
        let _alone = self.changing.lock().await;
        let mut listed = self.listed(app).await?.into_iter();
        let webhook = listed.find(|webhook| webhook.id == id);
        let webhook = webhook.ok_or_else(|| SetupError::NoSuchWebhook(id.to_string()))?;
        self.delete_one(by, app, &webhook).await?;
        self.changed.notify_one();
        Ok(webhook)
    }

    pub(super) async fn listed(&self, app: &App) -> Result<Vec<Webhook>, SetupError> {
        let reply = self.client.webhooks(app, app.owner_token.as_ref()).await;
        let listed = SetupError::of("listing webhooks", reply)?;
        let stands = |webhook: &Webhook| webhook.valid && self.leads_here(app, webhook);
        let stands = listed.iter().any(stands);
        self.note(&app.name, |last| last.stands = Some(stands));
        Ok(listed)
    }

    fn leads_here(&self, app: &App, webhook: &Webhook) -> bool {
        let own = self.own.as_ref();
        own.is_some_and(|own| own.url.webhook(&app.name) == webhook.url)
    }

    /// Whether X uses the webhook now. v1.1 does not say it: the list does.
    pub(super) async fn revalidate(&self, app: &App, id: WebhookId) -> Result<bool, SetupError> {
        let owner = app.owner_token.as_ref();
        let reply = self.client.validate_webhook(app, owner, id).await;
        let passed = SetupError::of("validating the webhook", reply)?;
        if !matches!(app.delivery, Delivery::AccountActivityV1 { .. }) {
            return Ok(passed);
        }
        let listed = self.listed(app).await?;
        Ok(listed
            .iter()
            .any(|webhook| webhook.id == id && webhook.valid))
    }

    async fn revive(&self, app: &App, webhook: Webhook) -> Result<Registered, SetupError> {
        let valid = webhook.valid || self.revalidate(app, webhook.id).await?;
        Ok(Registered {
            webhook: Webhook { valid, ..webhook },
            known: true,
            deleted: Vec::new(),
        })
    }

    async fn make(
        &self,
        by: &Actor,
        app: &App,
        apps: &[App],
        url: &str,
        others: Vec<Webhook>,
        replace: bool,
    ) -> Result<Registered, SetupError> {
        if others.is_empty() || has_room(app) {
            match self.try_to_make(app, url).await {
                Err(error) if error.obstacle() == Some(Obstacle::WebhookLimit) => {}
                made => return made.map(|webhook| registered(webhook, Vec::new())),
            }
        }
        if others.is_empty() {
            let found = self.of_other_apps(app, apps).await;
            let app = app.name.clone();
            return Err(SetupError::InTheWay { app, found });
        }
        // Where there is room for several, which of them is to go is not ours to say.
        if !replace || others.len() > 1 && has_room(app) {
            return Err(not_ours(app, others));
        }
        self.replace(by, app, url, others).await
    }

    async fn replace(
        &self,
        by: &Actor,
        app: &App,
        url: &str,
        in_the_way: Vec<Webhook>,
    ) -> Result<Registered, SetupError> {
        let mut deleted = Vec::new();
        for webhook in in_the_way {
            match self.delete_one(by, app, &webhook).await {
                Ok(()) => deleted.push(webhook),
                Err(error) => return Err(half_done(deleted, error)),
            }
        }
        match self.try_to_make(app, url).await {
            Ok(webhook) => Ok(registered(webhook, deleted)),
            Err(error) => Err(half_done(deleted, error)),
        }
    }

    async fn delete_one(&self, by: &Actor, app: &App, webhook: &Webhook) -> Result<(), SetupError> {
        let (owner, id) = (app.owner_token.as_ref(), webhook.id);
        let reply = self.client.delete_webhook(app, owner, id).await;
        SetupError::of("deleting the webhook", reply)?;
        let (by, name, detail) = (by.clone(), app.name.clone(), told(webhook));
        self.store
            .write(move |tx| {
                tx.forget_registered_webhook(&name, id)?;
                tx.audit(&by, "webhook.delete", &name, &detail, now())
            })
            .await?;
        Ok(())
    }

    /// One that X made although the answer was lost is found in the list.
    pub(super) async fn try_to_make(&self, app: &App, url: &str) -> Result<Webhook, SetupError> {
        let owner = app.owner_token.as_ref();
        let reply = self.client.register_webhook(app, owner, url).await;
        let made = SetupError::of("registering the webhook", reply);
        let may_be_there = match &made {
            Err(SetupError::X {
                error, obstacle, ..
            }) => {
                matches!(error, CallError::Uncertain { .. })
                    || *obstacle == Some(Obstacle::DuplicateUrl)
            }
            _ => false,
        };
        if may_be_there {
            let listed = self.listed(app).await?;
            let found = listed.into_iter().find(|webhook| webhook.url == url);
            return found.map_or(made, Ok);
        }
        made
    }

    /// The limit counts over all apps of a developer account.
    async fn of_other_apps(&self, app: &App, apps: &[App]) -> Vec<Found> {
        let mut found = Vec::new();
        for other in apps.iter().filter(|other| other.name != app.name) {
            // Whether it can be asked or not: the refusal stands.
            let listed = self.listed(other).await.unwrap_or_default();
            found.extend(listed.into_iter().map(|webhook| Found {
                app: other.name.clone(),
                webhook,
            }));
        }
        found
    }

    pub(super) async fn remember(
        &self,
        by: &Actor,
        app: &App,
        done: &Registered,
    ) -> Result<(), StoreError> {
        let at = now();
        let kept = RegisteredWebhook {
            id: done.webhook.id,
            url: done.webhook.url.clone(),
            at,
        };
        let (by, name, detail) = (by.clone(), app.name.clone(), told(&done.webhook));
        self.store
            .write(move |tx| {
                let before = tx.registered_webhook(&name)?;
                if before.is_none_or(|before| before.id != kept.id || before.url != kept.url) {
                    tx.put_registered_webhook(&name, &kept)?;
                    tx.audit(&by, "webhook.register", &name, &detail, at)?;
                }
                Ok(())
            })
            .await
    }
}

/// Whether X's plan may take several webhooks: by X's pages one with pay-per-use and with premium.
pub(super) fn has_room(app: &App) -> bool {
    let is_premium = matches!(app.delivery, Delivery::AccountActivityV1 { .. });
    app.tier == Tier::Enterprise && !is_premium
}

fn registered(webhook: Webhook, deleted: Vec<Webhook>) -> Registered {
    Registered {
        webhook,
        known: false,
        deleted,
    }
}

fn not_ours(app: &App, webhooks: Vec<Webhook>) -> SetupError {
    let found = webhooks.into_iter().map(|webhook| Found {
        app: app.name.clone(),
        webhook,
    });
    SetupError::InTheWay {
        app: app.name.clone(),
        found: found.collect(),
    }
}

fn half_done(deleted: Vec<Webhook>, error: SetupError) -> SetupError {
    match deleted.is_empty() {
        true => error,
        false => SetupError::HalfDone {
            deleted,
            source: Box::new(error),
        },
    }
}

fn told(webhook: &Webhook) -> serde_json::Value {
    json!({"webhook": webhook.id, "url": webhook.url})
}

/// Ids and addresses, for a sentence.
pub(super) fn names(webhooks: &[Webhook]) -> String {
    let name = |webhook: &Webhook| format!("{} ({})", webhook.id, webhook.url);
    webhooks.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// What takes the place.
pub(super) fn in_the_way(app: &str, found: &[Found]) -> String {
    if found.is_empty() {
        return "The developer account has as many webhooks as its plan allows, and X does not say \
                where: another app of it has them."
            .to_owned();
    }
    let name = |found: &Found| match found.app == app {
        true => names(std::slice::from_ref(&found.webhook)),
        false => format!(
            "{} of the app {}",
            names(std::slice::from_ref(&found.webhook)),
            found.app
        ),
    };
    let names: Vec<_> = found.iter().map(name).collect();
    format!(
        "Another webhook is in the way: {}. Nothing was deleted.",
        names.join(", ")
    )
}

/// What X's refusal means, with its words.
pub(super) fn why(obstacle: &Option<Obstacle>, error: &CallError) -> String {
    let meant = match obstacle {
        Some(Obstacle::Crc(fault)) => crc_words(*fault),
        Some(Obstacle::UrlRefused) => "X does not take this address",
        Some(Obstacle::WebhookLimit) => "the plan has no room for another webhook",
        Some(Obstacle::NoSuchWebhook) => "the webhook is gone, or another app's",
        Some(Obstacle::NotInTier) => "the product is not in the app's plan",
        Some(Obstacle::PermissionMissing) => "the app or its token may not do this",
        Some(Obstacle::ConsumerPair | Obstacle::Credential) => "X does not accept the app's keys",
        Some(Obstacle::ClockOff) => "the clock of this machine is off",
        Some(Obstacle::UnknownEnvironment | Obstacle::EnvironmentOrCredential) => {
            "X knows no such environment, or not the owner's token"
        }
        _ => return error.to_string(),
    };
    let words = error.upstream().map(check::said).unwrap_or_default();
    check::with_words(&format!("{meant}."), &words)
}

pub(super) fn fix(obstacle: Option<Obstacle>) -> &'static str {
    match obstacle {
        Some(Obstacle::Crc(_)) => {
            "See that public.url leads here from the internet, and that consumer_secret is the \
             app's \"API key secret\"; then validate the webhook again."
        }
        Some(Obstacle::UrlRefused) => "Set public.url to a public https address without a port.",
        Some(Obstacle::WebhookLimit) => "Delete a webhook that is not needed, or change the plan.",
        Some(Obstacle::NotInTier) => {
            "Choose another form of delivery, or apply for the product in X's console."
        }
        Some(Obstacle::ClockOff) => "Set the clock by NTP.",
        _ => "Test the app's keys; see X's words.",
    }
}
