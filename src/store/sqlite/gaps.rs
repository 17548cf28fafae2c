//! Times for which X may have events that we have not: refusals and our own downtime.

use jiff::Timestamp;
use rusqlite::params;

use super::tx::{Tx, millis, number, timestamp};
use crate::store::StoreError;

const ALIVE_AT: &str = "alive_at";
/// Gaps nearer to each other than this are one: a refusal each second is one outage.
const TOUCHING_MILLIS: i64 = 60_000;

/// What opened a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    /// Deliveries were answered 503.
    Refused,
    /// The service did not run.
    Downtime,
    /// X did not deliver: the webhook was invalid or gone, or a subscription lost.
    Undelivered,
}

impl GapReason {
    /// As stored and listed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Downtime => "downtime",
            Self::Undelivered => "undelivered",
        }
    }
}

/// An open gap of one app.
#[derive(Clone, Debug, PartialEq)]
pub struct Gap {
    pub id: u64,
    pub app: String,
    pub from: Timestamp,
    pub until: Timestamp,
    pub reason: String,
}

impl Tx<'_> {
    /// Opens a gap. Open ones of the same app and reason that it touches, or misses by less than a
    /// minute, become one with it.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn open_gap(
        &self,
        app: &str,
        from: Timestamp,
        until: Timestamp,
        reason: GapReason,
    ) -> Result<(), StoreError> {
        let (mut opened, mut closes) = (millis(from), millis(until));
        let touching = self.rows(
            "SELECT id, opened, until FROM gaps
             WHERE app = ?1 AND reason = ?2 AND closed IS NULL
               AND opened <= ?4 + ?5 AND until >= ?3 - ?5 ORDER BY id",
            params![app, reason.name(), opened, closes, TOUCHING_MILLIS],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let id: Option<i64> = touching.first().map(|(id, _, _)| *id);
        for (id, from, until) in touching {
            (opened, closes) = (opened.min(from), closes.max(until));
            self.execute("DELETE FROM gaps WHERE id = ?1", [id])?;
        }
        self.execute(
            "INSERT INTO gaps (id, app, reason, opened, until) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![id, app, reason.name(), opened, closes],
        )
        .map(drop)
    }

    /// Gaps that nothing has closed yet, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn open_gaps(&self) -> Result<Vec<Gap>, StoreError> {
        self.rows(
            "SELECT id, app, opened, until, reason FROM gaps WHERE closed IS NULL ORDER BY opened",
            [],
            |row| {
                Ok(Gap {
                    id: number(row.get(0)?),
                    app: row.get(1)?,
                    from: timestamp(row.get(2)?),
                    until: timestamp(row.get(3)?),
                    reason: row.get(4)?,
                })
            },
        )
    }

    /// Notes that the service runs.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn note_alive(&self, at: Timestamp) -> Result<(), StoreError> {
        self.set_meta(ALIVE_AT, &millis(at).to_string())
    }

    /// When the service was last known to run; `None` on its first start.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn alive_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let stored = self.meta(ALIVE_AT)?;
        Ok(stored.and_then(|value| value.parse().ok()).map(timestamp))
    }
}
