//! One transaction (or one reading connection). Its methods live beside their tables.

use std::cell::Cell;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Params, Row};

use super::cases::Recent;
use super::journal::JournalRow;
use crate::store::StoreError;

/// What a write or read may do, in the words of the domain.
pub struct Tx<'a> {
    pub(super) conn: &'a Connection,
    pub(super) next_sequence: u64,
    pub(super) appended: Vec<JournalRow>,
    /// A command was added, or changed by others than the scheduler.
    pub(super) ledger_changed: Cell<bool>,
    /// A delivery waits that did not, or its wait was ended.
    pub(super) echoes_changed: Cell<bool>,
    /// Bodies were changed that may lie in memory.
    pub(super) bodies_changed: Cell<bool>,
    /// Cases that the table may lack; none on a reading connection.
    pub(super) recent: Option<Recent>,
    used_bytes: Cell<Option<u64>>,
}

impl<'a> Tx<'a> {
    pub(super) fn new(conn: &'a Connection, next_sequence: u64) -> Self {
        Self {
            conn,
            next_sequence,
            appended: Vec::new(),
            ledger_changed: Cell::new(false),
            echoes_changed: Cell::new(false),
            bodies_changed: Cell::new(false),
            recent: None,
            used_bytes: Cell::new(None),
        }
    }

    /// Runs one of the works that share this transaction. One that fails before it has written is
    /// alone in failing; an error returned from here is the end of the transaction for all of them.
    /// (A savepoint for each could undo one alone, but costs a fifth of what the work itself does.)
    pub(super) fn share(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let before = self.conn.total_changes();
        let result = work(self);
        // On a full disk SQLite may undo the transaction by itself, and is then out of it.
        let untouched = self.conn.total_changes() == before && !self.conn.is_autocommit();
        if untouched { Ok(()) } else { result }
    }

    pub(super) fn execute(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        Ok(self.conn.prepare_cached(sql)?.execute(params)?)
    }

    pub(super) fn row<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let mut statement = self.conn.prepare_cached(sql)?;
        Ok(statement.query_row(params, read).optional()?)
    }

    pub(super) fn rows<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let rows = statement.query_map(params, read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// A small fact of the service; see `meta` in the migrations.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.row("SELECT value FROM meta WHERE key = ?1", [key], |row| {
            row.get(0)
        })
    }

    /// Sets a small fact of the service.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn set_meta(&self, key: &str, value: &str) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO meta (key, value) VALUES (?1, ?2)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [key, value],
        )
        .map(drop)
    }

    /// Bytes of the database file in use, free pages not counted, when the transaction first asked:
    /// what it writes itself is little beside them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn used_bytes(&self) -> Result<u64, StoreError> {
        if let Some(known) = self.used_bytes.get() {
            return Ok(known);
        }
        let used = self.count_used_bytes()?;
        self.used_bytes.set(Some(used));
        Ok(used)
    }

    fn count_used_bytes(&self) -> Result<u64, StoreError> {
        let pragma = |name| self.row(name, [], |row| row.get::<_, i64>(0));
        let pages = pragma("PRAGMA page_count")?.unwrap_or(0);
        let free = pragma("PRAGMA freelist_count")?.unwrap_or(0);
        let size = pragma("PRAGMA page_size")?.unwrap_or(0);
        Ok(number(pages.saturating_sub(free).saturating_mul(size)))
    }
}

/// X's unsigned ids and our counters in SQLite's signed columns, bit for bit.
pub(super) fn stored(number: u64) -> i64 {
    number.cast_signed()
}

/// The reverse of [`stored`].
pub(super) fn number(stored: i64) -> u64 {
    stored.cast_unsigned()
}

/// A time as stored: milliseconds since 1970.
pub(super) fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// The reverse of [`millis`]; what lies outside of jiff's years is cut to them.
pub(super) fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(if millis < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}
