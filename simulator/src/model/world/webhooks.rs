//! Webhooks: registered, checked, invalid, gone.

use super::{Refused, World};
use crate::crc::CrcReport;
use crate::model::webhook::{Place, Webhook};

impl World {
    /// It counts as valid until a check says otherwise; its id comes back.
    pub(crate) fn register_webhook(
        &mut self,
        app: &str,
        url: &str,
        place: Place,
    ) -> Result<u64, Refused> {
        self.app(app)?;
        let at_ms = self.time.tick();
        let id = self.time.id_at(at_ms);
        let webhook = Webhook {
            id,
            app: app.to_owned(),
            url: url.to_owned(),
            place,
            valid: true,
            created_at_ms: at_ms,
            validated_at_ms: at_ms,
            last_crc: None,
        };
        self.webhooks.insert(id, webhook);
        Ok(id)
    }

    pub(crate) fn webhook(&self, id: u64) -> Result<&Webhook, Refused> {
        self.webhooks.get(&id).ok_or(Refused::UnknownWebhook(id))
    }

    pub(crate) fn webhook_mut(&mut self, id: u64) -> Result<&mut Webhook, Refused> {
        self.webhooks
            .get_mut(&id)
            .ok_or(Refused::UnknownWebhook(id))
    }

    pub(crate) fn webhooks(&self) -> impl Iterator<Item = &Webhook> {
        self.webhooks.values()
    }

    /// The oldest webhook of the app.
    pub(crate) fn webhook_of(&self, app: &str) -> Result<&Webhook, Refused> {
        self.app(app)?;
        let mut webhooks = self.webhooks.values();
        webhooks
            .find(|webhook| webhook.app == app)
            .ok_or_else(|| Refused::NoWebhook(app.to_owned()))
    }

    /// How many webhooks all apps of the app's developer account have in v2.
    pub(crate) fn developer_webhooks(&self, app: &str) -> Result<usize, Refused> {
        let developer = &self.app(app)?.settings.developer;
        let is_theirs = |webhook: &&Webhook| {
            let owner = self.apps.get(&webhook.app);
            owner.is_some_and(|owner| owner.settings.developer == *developer)
        };
        let listed = self.webhooks.values().filter(|webhook| webhook.place.v2);
        Ok(listed.filter(is_theirs).count())
    }

    /// What was subscribed to there has no place to go to: Account Activity ends with it, X
    /// Activity goes on without (X's pages are silent).
    pub(crate) fn delete_webhook(&mut self, id: u64) -> Result<(), Refused> {
        self.webhooks
            .remove(&id)
            .ok_or(Refused::UnknownWebhook(id))?;
        for subscriptions in self.subscriptions.values_mut() {
            subscriptions.retain(|kept| kept.webhook != Some(id) || kept.interest().is_some());
            for orphan in subscriptions.iter_mut() {
                orphan.webhook = orphan.webhook.filter(|webhook| *webhook != id);
            }
        }
        Ok(())
    }

    /// What a check has found; `fatal` is what makes a webhook invalid.
    pub(crate) fn checked(
        &mut self,
        id: u64,
        report: CrcReport,
        fatal: impl FnOnce(&Webhook) -> bool,
    ) -> Result<(), Refused> {
        let webhook = self.webhook_mut(id)?;
        if report.failure.is_none() {
            webhook.valid = true;
            webhook.validated_at_ms = report.at_ms;
        } else if fatal(webhook) {
            webhook.valid = false;
        }
        webhook.last_crc = Some(report);
        Ok(())
    }
}
