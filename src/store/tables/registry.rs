//! Apps, accounts and filters that administrators made.

use jiff::Timestamp;

use super::tx::{Tx, millis, number, stored, timestamp};
use crate::domain::ids::{AccountId, UserId};
use crate::store::StoreError;
use crate::store::sql::{self, Row, params, unreadable_id};

/// Counts changes, for other processes to notice.
const VERSION: &str = "registry_version";

/// An app as it is kept.
#[derive(Clone, Debug)]
pub struct AppRow {
    pub name: String,
    /// Its settings, credentials among them.
    pub sealed: Vec<u8>,
    pub changed_at: Timestamp,
}

/// An account that its owner has linked.
#[derive(Clone, Debug)]
pub struct LinkRow {
    pub account: AccountId,
    /// Name of the app.
    pub app: String,
    /// Its settings, credentials among them.
    pub sealed: Vec<u8>,
    /// Whether a pair of OAuth 2.0 tokens lies with the account's state.
    pub oauth2: bool,
    /// Display name at the time of linking.
    pub name: String,
    pub avatar_url: String,
    pub linked_at: Timestamp,
    /// `None`: nothing is routed yet.
    pub confirmed_at: Option<Timestamp>,
}

fn account(row: &Row<'_>, place: usize) -> sql::Result<AccountId> {
    let account = UserId::from_number(number(row.get(place)?));
    account.map(AccountId).ok_or_else(unreadable_id)
}

fn link(row: &Row<'_>) -> sql::Result<LinkRow> {
    Ok(LinkRow {
        account: account(row, 0)?,
        app: row.get(1)?,
        sealed: row.get(2)?,
        oauth2: row.get(3)?,
        name: row.get(4)?,
        avatar_url: row.get(5)?,
        linked_at: timestamp(row.get(6)?),
        confirmed_at: row.get::<Option<i64>>(7)?.map(timestamp),
    })
}

const LINK: &str =
    "SELECT account, app, sealed, oauth2, name, avatar_url, linked_at, confirmed_at FROM links";

impl Tx<'_> {
    /// Grows with each change of apps, accounts or filters.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn registry_version(&self) -> Result<u64, StoreError> {
        let version = self.meta(VERSION)?;
        Ok(version.and_then(|it| it.parse().ok()).unwrap_or(0))
    }

    pub(super) fn registry_changed(&self) -> Result<(), StoreError> {
        let next = self.registry_version()?.saturating_add(1);
        self.set_meta(VERSION, &next.to_string())
    }

    /// All apps, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn apps(&self) -> Result<Vec<AppRow>, StoreError> {
        let sql = "SELECT name, sealed, changed_at FROM apps ORDER BY name";
        self.rows(sql, [], |row| {
            Ok(AppRow {
                name: row.get(0)?,
                sealed: row.get(1)?,
                changed_at: timestamp(row.get(2)?),
            })
        })
    }

    /// Keeps an app, in place of the one of this name.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_app(&self, app: &AppRow) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO apps (name, sealed, changed_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET
               sealed = excluded.sealed, changed_at = excluded.changed_at",
            params![app.name, app.sealed, millis(app.changed_at)],
        )?;
        self.registry_changed()
    }

    /// Forgets an app; whether there was one.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn remove_app(&self, name: &str) -> Result<bool, StoreError> {
        let removed = self.execute("DELETE FROM apps WHERE name = ?1", [name])?;
        self.registry_changed()?;
        Ok(removed > 0)
    }

    /// All linked accounts, in the order of their ids.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn links(&self) -> Result<Vec<LinkRow>, StoreError> {
        self.rows(&format!("{LINK} ORDER BY account"), [], link)
    }

    /// One linked account.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn link(&self, account: AccountId) -> Result<Option<LinkRow>, StoreError> {
        let sql = format!("{LINK} WHERE account = ?1");
        self.row(&sql, [stored(account.0.get())], link)
    }

    /// Keeps a linked account, in place of what was.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_link(&self, link: &LinkRow) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO links
               (account, app, sealed, oauth2, name, avatar_url, linked_at, confirmed_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (account) DO UPDATE SET
               app = excluded.app, sealed = excluded.sealed, oauth2 = excluded.oauth2,
               name = excluded.name, avatar_url = excluded.avatar_url,
               linked_at = excluded.linked_at, confirmed_at = excluded.confirmed_at",
            params![
                stored(link.account.0.get()),
                link.app,
                link.sealed,
                link.oauth2,
                link.name,
                link.avatar_url,
                millis(link.linked_at),
                link.confirmed_at.map(millis),
            ],
        )?;
        self.registry_changed()
    }

    /// Forgets a linked account with its credentials; what it has received and sent stays. Whether
    /// there was one.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn remove_link(&self, account: AccountId) -> Result<bool, StoreError> {
        let id = stored(account.0.get());
        let removed = self.execute("DELETE FROM links WHERE account = ?1", [id])?;
        let sql = "UPDATE account_states SET tokens = NULL, credential = NULL WHERE account = ?1";
        self.run(sql, [id])?;
        // Linked again it begins anew.
        let sql = "DELETE FROM feed_marks WHERE feed <> 'stream' AND subject = ?1";
        self.run(sql, [account.to_string()])?;
        self.registry_changed()?;
        Ok(removed > 0)
    }

    /// Each account's filters, as JSON.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn filter_lists(&self) -> Result<Vec<(AccountId, String)>, StoreError> {
        let sql = "SELECT account, list FROM filters ORDER BY account";
        self.rows(sql, [], |row| Ok((account(row, 0)?, row.get(1)?)))
    }

    /// Keeps an account's filters, in place of those before.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_filter_list(&self, account: AccountId, list: &str) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO filters (account, list) VALUES (?1, ?2)
             ON CONFLICT (account) DO UPDATE SET list = excluded.list",
            params![stored(account.0.get()), list],
        )?;
        self.registry_changed()
    }
}
