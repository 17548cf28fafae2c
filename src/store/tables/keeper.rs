//! What this service has set up at X: its webhooks, and for whom it has subscribed them.

use jiff::Timestamp;

use super::tx::{Tx, millis, number, stored, timestamp};
use crate::domain::ids::{AccountId, UserId, WebhookId};
use crate::store::StoreError;
use crate::store::sql::{params, unreadable_id};

/// A webhook that this service has registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredWebhook {
    pub id: WebhookId,
    pub url: String,
    pub at: Timestamp,
}

impl Tx<'_> {
    /// The webhook that was registered last for an app, and not deleted since.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn registered_webhook(&self, app: &str) -> Result<Option<RegisteredWebhook>, StoreError> {
        let sql = "SELECT webhook, url, at FROM registered_webhooks WHERE app = ?1";
        self.row(sql, [app], |row| {
            let id = WebhookId::from_number(number(row.get(0)?));
            Ok(RegisteredWebhook {
                id: id.ok_or_else(unreadable_id)?,
                url: row.get(1)?,
                at: timestamp(row.get(2)?),
            })
        })
    }

    /// Remembers it; the service that runs beside the command line hears of it as of a change of
    /// the app.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_registered_webhook(
        &self,
        app: &str,
        webhook: &RegisteredWebhook,
    ) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO registered_webhooks (app, webhook, url, at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (app) DO UPDATE SET
               webhook = excluded.webhook, url = excluded.url, at = excluded.at",
            params![
                app,
                stored(webhook.id.get()),
                webhook.url,
                millis(webhook.at)
            ],
        )?;
        self.registry_changed()
    }

    /// Forgets it where it is this one: it was deleted on purpose.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn forget_registered_webhook(&self, app: &str, id: WebhookId) -> Result<(), StoreError> {
        self.run(
            "DELETE FROM registered_webhooks WHERE app = ?1 AND webhook = ?2",
            params![app, stored(id.get())],
        )?;
        self.registry_changed()
    }

    /// The accounts that this service has subscribed by an app.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn subscribed_accounts(&self, app: &str) -> Result<Vec<AccountId>, StoreError> {
        let sql = "SELECT account FROM subscribed_accounts WHERE app = ?1 ORDER BY account";
        self.rows(sql, [app], |row| {
            let account = UserId::from_number(number(row.get(0)?));
            account.map(AccountId).ok_or_else(unreadable_id)
        })
    }

    /// Notes that this service has subscribed an account, or that it is so no longer.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn note_subscribed(
        &self,
        app: &str,
        account: AccountId,
        subscribed: bool,
    ) -> Result<(), StoreError> {
        let sql = match subscribed {
            true => {
                "INSERT INTO subscribed_accounts (app, account) VALUES (?1, ?2)
                 ON CONFLICT DO NOTHING"
            }
            false => "DELETE FROM subscribed_accounts WHERE app = ?1 AND account = ?2",
        };
        self.run(sql, params![app, stored(account.0.get())])
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn a_webhook_is_forgotten_only_where_it_is_the_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_in(folder.path());
        let webhook = RegisteredWebhook {
            id: "9999999999999999999".parse().unwrap(),
            url: "https://x.example/webhooks/twitter/acme".to_owned(),
            at: Timestamp::from_second(7).unwrap(),
        };
        let account = AccountId("2975699229".parse().unwrap());
        let kept = webhook.clone();
        let work = move |tx: &mut Tx<'_>| {
            tx.put_registered_webhook("acme", &kept)?;
            tx.forget_registered_webhook("acme", "1".parse().unwrap())?;
            tx.note_subscribed("acme", account, true)?;
            tx.note_subscribed("acme", account, true)?;
            let there = tx.registered_webhook("acme")?;
            tx.forget_registered_webhook("acme", kept.id)?;
            Ok((
                there,
                tx.registered_webhook("acme")?,
                tx.subscribed_accounts("acme")?,
            ))
        };
        let (there, gone, accounts) = store.write(work).await.unwrap();
        assert_eq!((there, gone), (Some(webhook), None));
        assert_eq!(accounts, [account]);
    }
}
