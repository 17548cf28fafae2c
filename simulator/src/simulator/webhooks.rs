//! Webhooks and subscriptions, past the API: looking at them, making them, breaking them.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::Simulator;
use crate::crc::{self, CrcError, CrcFailure, CrcReport};
use crate::model::{Form, Place, Refused, Subscription, UserId, Webhook};

/// A webhook as a test or a person looks at it.
#[derive(Clone, Debug, Serialize)]
pub struct WebhookSeen {
    /// Its id.
    #[serde(serialize_with = "as_string")]
    pub id: u64,
    /// Whose it is.
    pub app: String,
    /// Where X delivers.
    pub url: String,
    /// Whether v2 has it.
    pub v2: bool,
    /// The label under which v1.1 has it.
    pub environment: Option<String>,
    /// Whether X delivers.
    pub valid: bool,
    /// When it was registered, by the simulator's clock.
    #[serde(serialize_with = "as_display")]
    pub created_at: Timestamp,
    /// The last check.
    pub last_crc: Option<CrcReport>,
}

/// A subscription as a test or a person looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SubscriptionSeen {
    /// Its id.
    #[serde(serialize_with = "as_string")]
    pub id: u64,
    /// Whose it is.
    pub app: String,
    /// To which account.
    pub account: UserId,
    /// In which form.
    pub form: Form,
    /// The event of X Activity; absent where it is to all.
    pub event: Option<&'static str>,
    /// The app's own word for it.
    pub tag: Option<String>,
    /// Where X delivers; nowhere when absent.
    #[serde(serialize_with = "as_optional_string")]
    pub webhook: Option<u64>,
}

impl Simulator {
    /// All webhooks, oldest first.
    pub fn webhooks(&self) -> Vec<WebhookSeen> {
        self.world().lock().webhooks().map(seen).collect()
    }

    /// The same of one app.
    pub fn webhooks_of(&self, app: &str) -> Vec<WebhookSeen> {
        let mut webhooks = self.webhooks();
        webhooks.retain(|webhook| webhook.app == app);
        webhooks
    }

    /// Puts a webhook there unasked and unchecked, valid from the start: in v1.1 under the label,
    /// else in v2. Its id comes back.
    pub fn register_webhook(
        &self,
        app: &str,
        url: &str,
        environment: Option<&str>,
    ) -> Result<u64, Refused> {
        let place = environment.map_or_else(Place::v2, Place::environment);
        self.world().lock().register_webhook(app, url, place)
    }

    /// X stops delivering to it until a check passes; nobody is told.
    pub fn invalidate_webhook(&self, webhook: u64) -> Result<(), Refused> {
        self.world().lock().webhook_mut(webhook)?.valid = false;
        Ok(())
    }

    /// It is gone, and with it the subscriptions of Account Activity that led there.
    pub fn delete_webhook(&self, webhook: u64) -> Result<(), Refused> {
        self.world().lock().delete_webhook(webhook)
    }

    /// Checks a webhook as X does, and marks it valid or invalid as X does.
    pub async fn check_webhook(&self, webhook: u64) -> Result<(), CrcError> {
        let timeout = self.inner.crc_timeout;
        crc::check(self.world(), &self.courier().http, webhook, timeout).await
    }

    /// Asks an address that is no webhook so far.
    pub(crate) async fn try_webhook(
        &self,
        app: &str,
        url: &str,
    ) -> Result<Option<CrcFailure>, Refused> {
        let (http, timeout) = (&self.courier().http, self.inner.crc_timeout);
        let (_, failure) = crc::try_url(self.world(), http, app, url, timeout).await?;
        Ok(failure)
    }

    /// All subscriptions, by app and account.
    pub fn subscriptions(&self) -> Vec<SubscriptionSeen> {
        let world = self.world().lock();
        world.subscriptions().map(subscription_seen).collect()
    }

    /// Those of one app to one account.
    pub fn subscriptions_of(&self, app: &str, account: UserId) -> Vec<SubscriptionSeen> {
        let world = self.world().lock();
        let own = world.subscriptions_of(app, account).iter();
        own.map(subscription_seen).collect()
    }

    /// X loses it; nobody is told.
    pub fn drop_subscription(&self, subscription: u64) -> Result<(), Refused> {
        self.world().lock().drop_subscription(subscription)
    }

    /// X loses all of the app to the account; nobody is told, and the tokens live on.
    pub fn drop_subscriptions(&self, app: &str, account: UserId) -> Result<(), Refused> {
        let mut world = self.world().lock();
        world.app(app)?;
        world.user(account)?;
        world.unsubscribe(app, account);
        Ok(())
    }

    /// The webhooks that have not been checked for so long, by the simulator's clock.
    pub(super) fn unchecked_for(&self, interval_ms: i64) -> Vec<u64> {
        let world = self.world().lock();
        let now_ms = world.now_ms();
        let last = |webhook: &Webhook| {
            let checked = webhook.last_crc.as_ref();
            checked.map_or(webhook.created_at_ms, |report| report.at_ms)
        };
        let due = world
            .webhooks()
            .filter(|webhook| now_ms - last(webhook) >= interval_ms);
        due.map(|webhook| webhook.id).collect()
    }
}

fn seen(webhook: &Webhook) -> WebhookSeen {
    WebhookSeen {
        id: webhook.id,
        app: webhook.app.clone(),
        url: webhook.url.clone(),
        v2: webhook.place.v2,
        environment: webhook.place.environment.clone(),
        valid: webhook.valid,
        created_at: Timestamp::from_millisecond(webhook.created_at_ms)
            .unwrap_or(Timestamp::UNIX_EPOCH),
        last_crc: webhook.last_crc.clone(),
    }
}

fn subscription_seen(subscription: &Subscription) -> SubscriptionSeen {
    SubscriptionSeen {
        id: subscription.id,
        app: subscription.app.clone(),
        account: subscription.user,
        form: subscription.form(),
        event: subscription.interest().map(|interest| interest.event),
        tag: subscription.tag.clone(),
        webhook: subscription.webhook,
    }
}

fn as_string<S: Serializer>(id: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

fn as_optional_string<S: Serializer>(id: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    id.map(|id| id.to_string()).serialize(serializer)
}

fn as_display<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}
