//! Deliveries, whole, of which a part was not understood or has no account yet.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::tx::{Tx, count, millis, number, stored, timestamp};
use crate::domain::activity::RejectReason;
use crate::domain::ids::{AccountId, UserId};
use crate::store::StoreError;
use crate::store::sql::{self, Row, params};

/// Why a delivery is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QuarantineReason {
    UnknownShape,
    MalformedEvent,
    /// For an account that is not linked; processed by itself once it is.
    AccountNotLinked,
}

impl QuarantineReason {
    /// Every reason.
    pub const ALL: [Self; 3] = [
        Self::UnknownShape,
        Self::MalformedEvent,
        Self::AccountNotLinked,
    ];

    /// As stored, listed and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownShape => "unknown_shape",
            Self::MalformedEvent => "malformed_event",
            Self::AccountNotLinked => "account_not_linked",
        }
    }
}

impl From<RejectReason> for QuarantineReason {
    fn from(reason: RejectReason) -> Self {
        match reason {
            RejectReason::UnknownShape => Self::UnknownShape,
            RejectReason::MalformedEvent => Self::MalformedEvent,
        }
    }
}

/// A delivery to keep.
#[derive(Clone, Debug)]
pub struct NewQuarantined {
    pub app: String,
    pub reason: QuarantineReason,
    /// Where and why; never a message's text.
    pub detail: String,
    /// The account it waits for.
    pub account: Option<AccountId>,
    pub body: Vec<u8>,
}

/// A kept delivery.
#[derive(Clone, Debug)]
pub struct Quarantined {
    pub id: u64,
    pub at: Timestamp,
    pub app: String,
    pub reason: String,
    pub detail: String,
    pub account: Option<AccountId>,
    pub body: Vec<u8>,
}

/// A kept delivery without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptDelivery {
    pub id: u64,
    pub at: Timestamp,
    pub app: String,
    pub reason: String,
    pub detail: String,
    /// The account it waits for.
    pub account: Option<AccountId>,
    /// Of the body.
    pub bytes: u64,
    /// It was asked to be tried again.
    pub retry: bool,
}

fn account(stored: Option<i64>) -> Option<AccountId> {
    let id = stored.and_then(|id| UserId::from_number(number(id)));
    id.map(AccountId)
}

fn read(row: &Row<'_>) -> sql::Result<Quarantined> {
    Ok(Quarantined {
        id: number(row.get(0)?),
        at: timestamp(row.get(1)?),
        app: row.get(2)?,
        reason: row.get(3)?,
        detail: row.get(4)?,
        account: account(row.get(5)?),
        body: row.get(6)?,
    })
}

const COLUMNS: &str = "id, at, app, reason, detail, account, body";

impl Tx<'_> {
    /// Keeps a delivery; false when the app's very same body is kept already.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn quarantine(&self, new: &NewQuarantined, at: Timestamp) -> Result<bool, StoreError> {
        let hash: [u8; 32] = Sha256::new()
            .chain_update(&new.app)
            .chain_update([0])
            .chain_update(&new.body)
            .finalize()
            .into();
        let added = self.execute(
            "INSERT INTO quarantine (hash, at, app, reason, detail, account, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            params![
                hash,
                millis(at),
                new.app,
                new.reason.name(),
                new.detail,
                new.account.map(|id| stored(id.0.get())),
                new.body,
            ],
        )?;
        Ok(added > 0)
    }

    /// Kept deliveries after `after`, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn quarantined(&self, after: u64, limit: usize) -> Result<Vec<Quarantined>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM quarantine WHERE id > ?1 ORDER BY id LIMIT ?2");
        self.rows(&sql, [stored(after), count(limit)], read)
    }

    /// The same without their bodies.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn quarantine_page(
        &self,
        after: u64,
        limit: usize,
    ) -> Result<Vec<KeptDelivery>, StoreError> {
        self.rows(
            "SELECT id, at, app, reason, detail, account, length(body), retry FROM quarantine
             WHERE id > ?1 ORDER BY id LIMIT ?2",
            [stored(after), count(limit)],
            |row| {
                Ok(KeptDelivery {
                    id: number(row.get(0)?),
                    at: timestamp(row.get(1)?),
                    app: row.get(2)?,
                    reason: row.get(3)?,
                    detail: row.get(4)?,
                    account: account(row.get(5)?),
                    bytes: number(row.get(6)?),
                    retry: row.get(7)?,
                })
            },
        )
    }

    /// One kept delivery.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn quarantined_one(&self, id: u64) -> Result<Option<Quarantined>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM quarantine WHERE id = ?1");
        self.row(&sql, [stored(id)], read)
    }

    /// Kept deliveries that wait for this account.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn waiting_for(
        &self,
        account: AccountId,
        limit: usize,
    ) -> Result<Vec<Quarantined>, StoreError> {
        let sql =
            format!("SELECT {COLUMNS} FROM quarantine WHERE account = ?1 ORDER BY id LIMIT ?2");
        self.rows(&sql, [stored(account.0.get()), count(limit)], read)
    }

    /// Asks the running service to try a kept delivery again; false when there is none.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn request_retry(&self, id: u64) -> Result<bool, StoreError> {
        let asked = self.execute(
            "UPDATE quarantine SET retry = 1 WHERE id = ?1",
            [stored(id)],
        )?;
        Ok(asked > 0)
    }

    /// As [`Tx::request_retry`], of every kept delivery; how many.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn request_retry_of_all(&self) -> Result<usize, StoreError> {
        self.execute("UPDATE quarantine SET retry = 1", [])
    }

    /// As [`Tx::request_retry`], of what waits for an account but does not tell for which; how many.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn request_retry_of_unlinked(&self) -> Result<usize, StoreError> {
        let reason = QuarantineReason::AccountNotLinked.name();
        self.execute(
            "UPDATE quarantine SET retry = 1 WHERE reason = ?1 AND account IS NULL",
            [reason],
        )
    }

    /// Kept deliveries that a person, or a new start, asked to try again.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn retry_requested(&self, limit: usize) -> Result<Vec<Quarantined>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM quarantine WHERE retry = 1 ORDER BY id LIMIT ?1");
        self.rows(&sql, [count(limit)], read)
    }

    /// Lets a kept delivery go.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn release_quarantined(&self, id: u64) -> Result<(), StoreError> {
        self.run("DELETE FROM quarantine WHERE id = ?1", [stored(id)])
    }

    /// How many are kept for each reason.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn quarantine_counts(&self) -> Result<Vec<(String, u64)>, StoreError> {
        self.rows(
            "SELECT reason, count(*) FROM quarantine GROUP BY reason",
            [],
            |row| Ok((row.get(0)?, number(row.get(1)?))),
        )
    }

    /// Removes at most `limit` of those older than `before`, or of the oldest while the rest is more
    /// than `max_bytes`; how many.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn prune_quarantine(
        &self,
        before: Timestamp,
        max_bytes: u64,
        limit: usize,
    ) -> Result<usize, StoreError> {
        self.execute(
            "DELETE FROM quarantine WHERE id IN (
               SELECT id FROM (
                 SELECT id, at, sum(length(body)) OVER (ORDER BY id DESC) AS total FROM quarantine
               ) AS sized WHERE at < ?1 OR total > ?2 ORDER BY id LIMIT ?3)",
            params![
                millis(before),
                i64::try_from(max_bytes).unwrap_or(i64::MAX),
                count(limit)
            ],
        )
    }
}
