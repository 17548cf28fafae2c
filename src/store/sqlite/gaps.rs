//! Times for which X may have events that we have not: refusals and our own downtime.

use jiff::Timestamp;
use rusqlite::params;

use super::tx::{Tx, millis, number, timestamp};
use crate::store::StoreError;

const ALIVE_AT: &str = "alive_at";

/// What opened a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    /// Deliveries were answered 503.
    Refused,
    /// The service did not run.
    Downtime,
}

impl GapReason {
    /// As stored and listed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Downtime => "downtime",
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
    /// Opens a gap. One that touches the last open gap of the same app and reason extends it.
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
        let times = params![app, reason.name(), millis(from), millis(until)];
        let extended = self.execute(
            "UPDATE gaps SET until = max(until, ?4)
             WHERE app = ?1 AND reason = ?2 AND closed IS NULL
               AND opened <= ?3 AND until >= ?3 - 60000",
            times,
        )?;
        if extended > 0 {
            return Ok(());
        }
        self.execute(
            "INSERT INTO gaps (app, reason, opened, until) VALUES (?1, ?2, ?3, ?4)",
            times,
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
