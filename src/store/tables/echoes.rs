//! Deliveries that wait, whole, and are processed as any other once their wait is over: messages of
//! our own of which it is open whether a command has made them, and those about which X is asked.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::tx::{Tx, count, millis, number, stored, timestamp};
use crate::domain::ids::AccountId;
use crate::store::StoreError;
use crate::store::sql::params;

/// A delivery that waits.
#[derive(Clone, Debug)]
pub struct Echo {
    pub id: u64,
    pub app: String,
    pub received_at: Timestamp,
    pub body: Vec<u8>,
}

impl Tx<'_> {
    /// Lets a delivery wait until `not_before`; under which number. The very same one waits once.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn keep_echo(
        &self,
        app: &str,
        account: AccountId,
        received_at: Timestamp,
        not_before: Timestamp,
        body: &[u8],
    ) -> Result<Option<u64>, StoreError> {
        self.echoes_changed.set(true);
        let hash: [u8; 32] = Sha256::digest(body).into();
        let added = self.row(
            "INSERT INTO echoes (hash, app, account, received_at, not_before, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING RETURNING id",
            params![
                hash,
                app,
                stored(account.0.get()),
                millis(received_at),
                millis(not_before),
                body,
            ],
            |row| row.get(0),
        )?;
        Ok(added.map(number))
    }

    /// Ends the wait of one delivery: what it waited for is there.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn end_wait(&self, id: u64, now: Timestamp) -> Result<(), StoreError> {
        self.echoes_changed.set(true);
        self.run(
            "UPDATE echoes SET not_before = ?2 WHERE id = ?1 AND not_before > ?2",
            [stored(id), millis(now)],
        )
    }

    /// Deliveries whose wait is over, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn due_echoes(&self, now: Timestamp, limit: usize) -> Result<Vec<Echo>, StoreError> {
        self.rows(
            "SELECT id, app, received_at, body FROM echoes WHERE not_before <= ?1
             ORDER BY id LIMIT ?2",
            params![millis(now), count(limit)],
            |row| {
                Ok(Echo {
                    id: number(row.get(0)?),
                    app: row.get(1)?,
                    received_at: timestamp(row.get(2)?),
                    body: row.get(3)?,
                })
            },
        )
    }

    /// When the next wait is over.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn next_echo(&self) -> Result<Option<Timestamp>, StoreError> {
        let next = self.row("SELECT min(not_before) FROM echoes", [], |row| {
            row.get::<Option<i64>>(0)
        })?;
        Ok(next.flatten().map(timestamp))
    }

    /// Ends the wait of an account's deliveries: what they waited for is settled.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn end_wait_of_echoes(&self, account: AccountId, now: Timestamp) -> Result<(), StoreError> {
        let ended = self.execute(
            "UPDATE echoes SET not_before = ?2 WHERE account = ?1 AND not_before > ?2",
            params![stored(account.0.get()), millis(now)],
        )?;
        if ended > 0 {
            self.echoes_changed.set(true);
        }
        Ok(())
    }

    /// Takes a delivery out.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn release_echo(&self, id: u64) -> Result<(), StoreError> {
        self.run("DELETE FROM echoes WHERE id = ?1", [stored(id)])
    }

    /// Forgets at most `limit` deliveries received before `before`, which no release could process;
    /// how many.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn prune_echoes(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.execute(
            "DELETE FROM echoes WHERE id IN
               (SELECT id FROM echoes WHERE received_at < ?1 ORDER BY id LIMIT ?2)",
            params![millis(before), count(limit)],
        )
    }
}
