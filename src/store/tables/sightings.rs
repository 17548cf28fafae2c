//! What filters look at in messages, kept for dry runs and to explain a decision.

use jiff::Timestamp;

use super::threads::account_key;
use super::tx::{Tx, count, millis, number, stored, timestamp};
use crate::domain::ids::{AccountId, EventId};
use crate::store::StoreError;
use crate::store::sql::{self, params};

/// A message that was decided on, as far as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    pub sequence: u64,
    pub at: Timestamp,
    pub wanted: bool,
    /// Body of the event that it was published by, while that is kept.
    pub event: Option<Vec<u8>>,
    /// What filters look at, as the flow wrote it.
    pub sighting: Option<Vec<u8>>,
}

const DECIDED: &str = "seen.sequence, seen.at, seen.wanted, journal.body, sightings.body";

fn read(row: &sql::Row<'_>) -> sql::Result<Decided> {
    Ok(Decided {
        sequence: number(row.get(0)?),
        at: timestamp(row.get(1)?),
        wanted: row.get(2)?,
        event: row.get(3)?,
        sighting: row.get(4)?,
    })
}

impl Tx<'_> {
    /// Keeps what filters look at of the message that was decided on under this sequence.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn keep_sighting(
        &self,
        sequence: u64,
        account: AccountId,
        body: &[u8],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO sightings (sequence, at, account, body)
             VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            params![stored(sequence), millis(at), account_key(account), body],
        )
    }

    /// Messages received by an account on which it was decided since then, after the sequence
    /// `after`, at most `limit`, in order. What is no longer remembered is left out.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn decided_since(
        &self,
        account: AccountId,
        since: Timestamp,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Decided>, StoreError> {
        // By the index of times once; then the rows in their order, bodies only of those it is about.
        let first = self.row(
            "SELECT min(sequence) FROM seen WHERE at >= ?1",
            [millis(since)],
            |row| row.get::<Option<i64>>(0),
        )?;
        let Some(first) = first.flatten() else {
            return Ok(Vec::new());
        };
        let sql = format!(
            "SELECT {DECIDED} FROM seen
             LEFT JOIN journal ON journal.sequence = seen.sequence
               AND journal.type = 'message.received' AND journal.routing_key LIKE ?1
             LEFT JOIN sightings ON sightings.sequence = seen.sequence AND sightings.account = ?2
             WHERE seen.sequence >= ?3 AND seen.sequence > ?4
               AND (journal.sequence IS NOT NULL OR sightings.sequence IS NOT NULL)
             ORDER BY seen.sequence LIMIT ?5"
        );
        let of_account = format!("%.{account}");
        let bounds = params![
            of_account,
            account_key(account),
            first,
            stored(after),
            count(limit)
        ];
        self.rows(&sql, bounds, read)
    }

    /// What was decided of the event with this id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn decided(&self, id: EventId) -> Result<Option<Decided>, StoreError> {
        let sql = format!(
            "SELECT {DECIDED} FROM seen
             LEFT JOIN journal ON journal.sequence = seen.sequence
             LEFT JOIN sightings ON sightings.sequence = seen.sequence
             WHERE seen.id = ?1"
        );
        self.row(&sql, [id.0], read)
    }

    /// When the event of this sequence was decided on.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn decided_at(&self, sequence: u64) -> Result<Option<Timestamp>, StoreError> {
        self.row(
            "SELECT at FROM seen WHERE sequence = ?1",
            [stored(sequence)],
            |row| row.get(0).map(timestamp),
        )
    }

    /// When the oldest message came of which more is remembered than that it was unwanted.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn remembered_since(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT at FROM sightings ORDER BY sequence LIMIT 1";
        self.row(sql, [], |row| row.get(0).map(timestamp))
    }

    /// Forgets at most `limit` of the oldest: those from before `before`, and any while all of them
    /// are more than `max_bytes`; how many.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn prune_sightings(
        &self,
        before: Timestamp,
        max_bytes: u64,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let over = self.size("sightings")? > max_bytes;
        // Looks at no more than `limit` rows, which are the oldest.
        self.execute(
            "DELETE FROM sightings WHERE sequence IN (
               SELECT sequence FROM (
                 SELECT sequence, at FROM sightings ORDER BY sequence LIMIT ?3) AS oldest
               WHERE at < ?1 OR ?2 = 1)",
            params![millis(before), over, count(limit)],
        )
    }
}
