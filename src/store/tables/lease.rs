//! The row that names the leader, and what the replicas hand to it.

use std::time::Duration;

use jiff::Timestamp;

use super::tx::{Tx, millis, number, stored, timestamp};
use crate::domain::ids::{AccountId, TweetId, UserId};
use crate::store::StoreError;
use crate::store::lease::{Claim, LeaseRow, Won};
use crate::store::sql::{params, unreadable_id};

fn renewal(account: AccountId) -> String {
    format!("renewing:{account}")
}

/// What a delivery waits for, as it is stored: account, post that is answered, author.
pub(crate) type StoredWish = (AccountId, Option<TweetId>, Option<UserId>);

impl Tx<'_> {
    /// The clock by which leases end: one for all replicas, so the database's where it has one. An
    /// embedded database has that of the only process, `now`.
    fn lease_time(&self, now: Timestamp) -> Result<Timestamp, StoreError> {
        self.clock(now)
    }

    /// Who leads, or did last.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn lease(&self, now: Timestamp) -> Result<LeaseRow, StoreError> {
        let now = self.lease_time(now)?;
        let sql = "SELECT holder, epoch, ends_at, address FROM lease WHERE id = 1";
        let row = self.row(sql, [], |row| {
            Ok(LeaseRow {
                holder: row.get(0)?,
                epoch: number(row.get(1)?),
                ends_at: timestamp(row.get(2)?),
                address: row.get(3)?,
                now,
            })
        })?;
        row.ok_or_else(|| StoreError::Corrupt {
            what: "lease",
            value: "none".to_owned(),
        })
    }

    /// Begins a term, where nobody else leads; `None` where somebody does.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn claim_lease(&self, claim: &Claim, now: Timestamp) -> Result<Option<Won>, StoreError> {
        let former = self.lease(now)?;
        // Whoever is the only one has not to wait for one that was killed.
        let over = if claim.is_only {
            Timestamp::MAX
        } else {
            former.now
        };
        let ends_at = former.now.saturating_add(claim.lasts);
        let won = self.row(
            "UPDATE lease SET holder = ?1, epoch = epoch + 1, ends_at = ?2, address = ?3
             WHERE id = 1 AND epoch = ?4 AND ends_at <= ?5 RETURNING epoch",
            params![
                claim.holder,
                millis(ends_at.unwrap_or(former.now)),
                claim.address,
                stored(former.epoch),
                millis(over),
            ],
            |row| Ok(number(row.get(0)?)),
        )?;
        self.epoch.set(won);
        Ok(won.map(|epoch| Won { epoch, former }))
    }

    /// Lets a term go on; false where it is over because another has begun.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn renew_lease(
        &self,
        epoch: u64,
        lasts: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let now = self.lease_time(now)?;
        let ends_at = now.saturating_add(lasts).unwrap_or(now);
        let renewed = self.execute(
            "UPDATE lease SET ends_at = ?2 WHERE id = 1 AND epoch = ?1",
            [stored(epoch), millis(ends_at)],
        )?;
        Ok(renewed > 0)
    }

    /// Ends a term before its time: the next may begin at once.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn release_lease(&self, epoch: u64, now: Timestamp) -> Result<(), StoreError> {
        let now = self.lease_time(now)?;
        self.execute(
            "UPDATE lease SET ends_at = ?2, address = '' WHERE id = 1 AND epoch = ?1",
            [stored(epoch), millis(now)],
        )
        .map(drop)
    }

    /// Whether a term is the present one, until this transaction ends.
    pub(in crate::store) fn check_epoch(&self, epoch: u64) -> Result<(), StoreError> {
        let present = match self.epoch.get() {
            Some(known) => known,
            None => {
                let sql = "SELECT epoch FROM lease WHERE id = 1";
                let read = self.row(sql, [], |row| Ok(number(row.get(0)?)))?;
                read.unwrap_or_default()
            }
        };
        // Nobody else writes before this transaction ends.
        self.epoch.set(Some(present));
        match present == epoch {
            true => Ok(()),
            false => Err(StoreError::Deposed),
        }
    }

    /// Reserves the renewal of an account's tokens for `lasts`, which only one process may do at a
    /// time; how long to wait where another one does.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn reserve_renewal(
        &self,
        account: AccountId,
        holder: &str,
        lasts: Duration,
        now: Timestamp,
    ) -> Result<Option<Duration>, StoreError> {
        let now = self.lease_time(now)?;
        let kept = self.meta(&renewal(account))?;
        let kept = kept.as_deref().and_then(|kept| kept.split_once(' '));
        let ends = |ends: &str| ends.parse().ok().map(timestamp);
        if let Some((other, ends_at)) = kept
            && other != holder
            && let Some(ends_at) = ends(ends_at).filter(|ends_at| *ends_at > now)
        {
            return Ok(Duration::try_from(ends_at.duration_since(now)).ok());
        }
        let ends_at = millis(now.saturating_add(lasts).unwrap_or(now));
        self.set_meta(&renewal(account), &format!("{holder} {ends_at}"))
            .map(|()| None)
    }

    /// The tokens of an account are renewed.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn end_renewal(&self, account: AccountId) -> Result<(), StoreError> {
        self.set_meta(&renewal(account), "")
    }

    /// Notes what a delivery that waits wants to know of X.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn put_wish(&self, echo: u64, wish: StoredWish) -> Result<(), StoreError> {
        let (account, parent, author) = wish;
        self.execute(
            "INSERT INTO wishes (echo, account, parent, author) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (echo) DO NOTHING",
            params![
                stored(echo),
                stored(account.0.get()),
                parent.map(|id| stored(id.get())),
                author.map(|id| stored(id.get())),
            ],
        )
        .map(drop)
    }

    /// Whether there are wishes to take.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn has_wishes(&self) -> Result<bool, StoreError> {
        let found = self.row("SELECT 1 FROM wishes LIMIT 1", [], |_row| Ok(()))?;
        Ok(found.is_some())
    }

    /// Takes at most `limit` wishes out, oldest first, each with its delivery.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn take_wishes(&self, limit: usize) -> Result<Vec<(u64, StoredWish)>, StoreError> {
        let mut wishes = self.rows(
            "DELETE FROM wishes WHERE echo IN (SELECT echo FROM wishes ORDER BY echo LIMIT ?1)
             RETURNING echo, account, parent, author",
            [stored(limit as u64)],
            |row| {
                let id = |stored: Option<i64>| stored.map(number);
                let account = UserId::from_number(number(row.get(1)?));
                let account = AccountId(account.ok_or_else(unreadable_id)?);
                let parent = id(row.get(2)?).and_then(TweetId::from_number);
                let author = id(row.get(3)?).and_then(UserId::from_number);
                Ok((number(row.get(0)?), (account, parent, author)))
            },
        )?;
        wishes.sort_unstable_by_key(|(echo, _)| *echo);
        Ok(wishes)
    }
}
