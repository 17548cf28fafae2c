//! One transaction (or one reading connection). Its methods live beside their tables.

use std::cell::{Cell, RefCell};

use jiff::Timestamp;

use super::accounts::Charged;
use super::ahead::{Ahead, Beginning};
use super::cases::Recent;
use super::journal::JournalRow;
use super::storms::JOURNAL;
use crate::store::StoreError;
use crate::store::sql::{self, Conn, Params, Row};

/// What a write or read may do, in the words of the domain.
pub struct Tx<'a> {
    pub(super) conn: Conn<'a>,
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
    /// Of the present term, once it was asked for.
    pub(super) epoch: Cell<Option<u64>>,
    pub(super) ahead: RefCell<Ahead>,
    /// What is not in the table of costs yet.
    pub(super) charged: RefCell<Vec<Charged>>,
    /// Changes that no statement has made yet.
    pub(super) pending: Cell<u64>,
    used_bytes: Cell<Option<u64>>,
}

/// What a writing transaction leaves to its writer.
pub(in crate::store) struct Written {
    pub next_sequence: u64,
    pub appended: Vec<JournalRow>,
    pub changes: Changes,
    pub recent: Option<Recent>,
}

/// What others have to hear of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Changes {
    pub journal: bool,
    pub ledger: bool,
    pub echoes: bool,
    /// Bodies in memory may be as they were before.
    pub bodies: bool,
    /// Bytes of the bodies that were appended to the journal.
    pub bytes: u64,
}

/// How a row is stored in place of what was.
pub(super) struct Put {
    /// Where nothing was.
    pub insert: &'static str,
    pub upsert: &'static str,
}

/// A [`Put`] of an insertion, and what is done where there is a row with its key.
macro_rules! put {
    ($insert:literal, $conflict:literal) => {
        $crate::store::tables::tx::Put {
            insert: $insert,
            upsert: concat!($insert, " ", $conflict),
        }
    };
}
pub(super) use put;

impl Changes {
    /// Whatever there is.
    pub(in crate::store) const ALL: Self = Self {
        journal: true,
        ledger: true,
        echoes: true,
        bodies: true,
        bytes: 0,
    };
}

impl<'a> Tx<'a> {
    pub(in crate::store) fn new(conn: Conn<'a>, next_sequence: u64) -> Self {
        Self {
            conn,
            next_sequence,
            appended: Vec::new(),
            ledger_changed: Cell::new(false),
            echoes_changed: Cell::new(false),
            bodies_changed: Cell::new(false),
            recent: None,
            epoch: Cell::new(None),
            ahead: RefCell::default(),
            charged: RefCell::default(),
            pending: Cell::new(0),
            used_bytes: Cell::new(None),
        }
    }

    /// A writing transaction: it goes on after the last sequence that was given out.
    pub(in crate::store) fn begin(conn: Conn<'a>, beginning: Beginning) -> Self {
        Self {
            ahead: RefCell::new(beginning.ahead),
            ..Self::new(conn, beginning.last_sequence + 1)
        }
    }

    /// Runs one of the works that share this transaction. One that fails before it has written is
    /// alone in failing; an error returned from here is the end of the transaction for all of them.
    /// (A savepoint for each could undo one alone, but costs a fifth of what the work itself does.)
    pub(in crate::store) fn share(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let before = (self.conn.changes(), self.pending.get());
        let result = work(self);
        let after = (self.conn.changes(), self.pending.get());
        let untouched = after == before && self.conn.is_sound();
        if untouched { Ok(()) } else { result }
    }

    /// How often the connection has waited for a server so far, compared; never over a file. While a
    /// transaction waits nobody else can write.
    pub fn round_trips(&self) -> u64 {
        self.conn.round_trips()
    }

    /// What others have to hear of by now.
    pub(in crate::store) fn changes(&self) -> Changes {
        Changes {
            journal: !self.appended.is_empty(),
            ledger: self.ledger_changed.get(),
            echoes: self.echoes_changed.get(),
            bodies: self.bodies_changed.get(),
            bytes: self.appended.iter().map(|row| row.body.len() as u64).sum(),
        }
    }

    /// Ends it, before the commit.
    pub(in crate::store) fn written(self) -> Written {
        Written {
            changes: self.changes(),
            next_sequence: self.next_sequence,
            appended: self.appended,
            recent: self.recent,
        }
    }

    /// How many rows a statement changed: for those who act on it. See [`Tx::run`].
    pub(super) fn execute(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        self.forget_ahead(sql);
        self.conn.execute(sql, &params.values())
    }

    /// Runs a statement. On an engine behind a network it costs no round trip: its failure, should
    /// there be one, may show at a later statement, or at the commit.
    pub(super) fn run(&self, sql: &str, params: impl Params) -> Result<(), StoreError> {
        self.forget_ahead(sql);
        self.conn.run(sql, &params.values())
    }

    /// Runs a statement that touches what was read ahead: the caller keeps up with it.
    pub(super) fn run_beside(&self, sql: &str, params: impl Params) -> Result<(), StoreError> {
        self.conn.run(sql, &params.values())
    }

    /// Stores a row in place of what was, as [`Tx::run_beside`] does. `is_new`: it was read ahead that
    /// nothing was, which saves the engine to look for it again.
    pub(super) fn put(
        &self,
        put: &Put,
        is_new: bool,
        params: impl Params,
    ) -> Result<(), StoreError> {
        let sql = if is_new { put.insert } else { put.upsert };
        self.run_beside(sql, params)
    }

    /// What was read ahead may not hold any more after a statement, unless that writes elsewhere.
    fn forget_ahead(&self, sql: &str) {
        if self.conn.is_shared() && !written_table(sql).is_some_and(is_never_read_ahead) {
            self.ahead.take();
        }
    }

    /// Runs an insertion that returns the number of its row.
    pub(super) fn inserted(&self, sql: &str, params: impl Params) -> Result<u64, StoreError> {
        let id = self.row(sql, params, |row| row.get(0))?;
        id.map(number).ok_or_else(|| StoreError::Corrupt {
            what: "answer to an insertion",
            value: "no row".to_owned(),
        })
    }

    pub(super) fn row<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> sql::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let (mut read, mut found) = (Some(read), None);
        self.each_row(sql, params, |row| {
            found = read.take().map(|read| read(row)).transpose()?;
            Ok(false)
        })?;
        Ok(found)
    }

    pub(super) fn rows<T>(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> sql::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut found = Vec::new();
        self.each_row(sql, params, |row| {
            found.push(read(row)?);
            Ok(true)
        })?;
        Ok(found)
    }

    /// Hands each row to `each`, until that has seen enough (false).
    pub(super) fn each_row(
        &self,
        sql: &str,
        params: impl Params,
        mut each: impl FnMut(&Row<'_>) -> sql::Result<bool>,
    ) -> Result<(), StoreError> {
        // Those that return rows may have written.
        if !sql.trim_start().starts_with("SELECT") {
            self.forget_ahead(sql);
        }
        self.conn.query(sql, &params.values(), &mut each)
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
        self.run(
            "INSERT INTO meta (key, value) VALUES (?1, ?2)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [key, value],
        )
    }

    /// The time by the clock that all who use the database share: its own where it is a server, and
    /// `now` where this process is the only one.
    pub(super) fn clock(&self, now: Timestamp) -> Result<Timestamp, StoreError> {
        Ok(self.conn.clock()?.map_or(now, timestamp))
    }

    /// Bytes of the database in use, free pages not counted, when the transaction first asked:
    /// what it writes itself is little beside them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn used_bytes(&self) -> Result<u64, StoreError> {
        if let Some(known) = self.used_bytes.get() {
            return Ok(known);
        }
        let mut used = self.conn.used_bytes()?;
        if self.conn.is_shared() {
            let ahead = self.ahead.borrow().journal_bytes;
            used += ahead.map_or_else(|| self.size(JOURNAL), Ok)?;
        }
        self.used_bytes.set(Some(used));
        Ok(used)
    }
}

/// Of the tables that are written along with deliveries those of which nothing is read ahead, and that
/// have no trigger.
fn is_never_read_ahead(table: &str) -> bool {
    const TABLES: [&str; 10] = [
        "account_states",
        "answered",
        "commands",
        "costs",
        "feed_marks",
        "gaps",
        "lease",
        "meta",
        "sends",
        "traffic",
    ];
    TABLES.contains(&table)
}

/// The table that a plain statement writes.
fn written_table(sql: &str) -> Option<&str> {
    let sql = sql.trim_start();
    let verbs = ["INSERT INTO ", "UPDATE ", "DELETE FROM "];
    let rest = verbs.iter().find_map(|verb| sql.strip_prefix(verb))?;
    rest.split([' ', '(', '\n']).next()
}

/// X's unsigned ids and our counters in the signed columns of a database, bit for bit.
pub(super) fn stored(number: u64) -> i64 {
    number.cast_signed()
}

/// The reverse of [`stored`].
pub(in crate::store) fn number(stored: i64) -> u64 {
    stored.cast_unsigned()
}

/// How many rows at most.
pub(super) fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A time as stored: milliseconds since 1970.
pub(in crate::store) fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// The reverse of [`millis`]; what lies outside of jiff's years is cut to them.
pub(in crate::store) fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(if millis < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_a_statement_is_its_first_name() {
        for (sql, table) in [
            ("INSERT INTO sends (command) VALUES (?1)", Some("sends")),
            ("\n  UPDATE seen\n SET at = ?1", Some("seen")),
            ("DELETE FROM cases WHERE account = ?1", Some("cases")),
            ("WITH a AS (SELECT 1) DELETE FROM sends", None),
        ] {
            assert_eq!(written_table(sql), table, "{sql}");
        }
    }
}
