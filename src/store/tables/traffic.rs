//! How much each account hears and says, by hour.

use jiff::Timestamp;

use super::tx::{Tx, count, number, stored};
use crate::domain::ids::{AccountId, UserId};
use crate::store::StoreError;
use crate::store::sql::{params, unreadable_id};

/// What one account heard and said in one hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// What X delivered, also what came twice or was not wanted.
    pub heard: u64,
    /// `message.received` published.
    pub received: u64,
    /// `message.sent` published.
    pub sent: u64,
}

/// The hour of a time, since 1970.
pub fn hour_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(3600)
}

impl Tx<'_> {
    /// Adds to an account's hour.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn add_traffic(
        &self,
        account: AccountId,
        hour: i64,
        more: Traffic,
    ) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO traffic (account, hour, heard, received, sent) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (account, hour) DO UPDATE SET heard = traffic.heard + excluded.heard,
               received = traffic.received + excluded.received,
               sent = traffic.sent + excluded.sent",
            params![
                stored(account.0.get()),
                hour,
                stored(more.heard),
                stored(more.received),
                stored(more.sent),
            ],
        )
    }

    /// The hours from `since` on in which an account heard or said something, in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn traffic_since(&self, since: i64) -> Result<Vec<(AccountId, i64, Traffic)>, StoreError> {
        self.rows(
            "SELECT account, hour, heard, received, sent FROM traffic WHERE hour >= ?1
             ORDER BY account, hour",
            [since],
            |row| {
                let account = UserId::from_number(number(row.get(0)?));
                let account = AccountId(account.ok_or_else(unreadable_id)?);
                let traffic = Traffic {
                    heard: number(row.get(2)?),
                    received: number(row.get(3)?),
                    sent: number(row.get(4)?),
                };
                Ok((account, row.get(1)?, traffic))
            },
        )
    }

    /// Forgets hours before this one; how many.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn prune_traffic(&self, before: i64, limit: usize) -> Result<usize, StoreError> {
        self.execute(
            "DELETE FROM traffic WHERE (account, hour) IN
               (SELECT account, hour FROM traffic WHERE hour < ?1 LIMIT ?2)",
            params![before, count(limit)],
        )
    }
}
