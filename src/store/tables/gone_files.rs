//! Files of direct messages that X has no more.

use jiff::Timestamp;

use super::tx::{Tx, millis, timestamp};
use crate::store::StoreError;
use crate::store::sql::params;

/// Stands for a file of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMark(pub [u8; 32]);

/// When X said of a file that it has it no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoneFile {
    pub first: Timestamp,
    pub last: Timestamp,
}

impl Tx<'_> {
    /// Whether and when X said that it has a file no more.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn gone_file(&self, mark: FileMark) -> Result<Option<GoneFile>, StoreError> {
        let sql = "SELECT first, last FROM gone_files WHERE mark = ?1";
        self.row(sql, [mark.0], |row| {
            Ok(GoneFile {
                first: timestamp(row.get(0)?),
                last: timestamp(row.get(1)?),
            })
        })
    }

    /// Notes that X has a file no more; what it last said so of before `kept_since` is forgotten.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn note_gone_file(
        &self,
        mark: FileMark,
        at: Timestamp,
        kept_since: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "DELETE FROM gone_files WHERE last < ?1";
        self.run(sql, [millis(kept_since)])?;
        self.run(
            "INSERT INTO gone_files (mark, first, last) VALUES (?1, ?2, ?2)
             ON CONFLICT (mark) DO UPDATE SET last = excluded.last",
            params![mark.0, millis(at)],
        )
    }
}
