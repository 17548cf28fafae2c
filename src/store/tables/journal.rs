//! Events to publish, the duplicate check, the relay's cursor and its side lanes.

use std::ops::Range;

use bytes::Bytes;
use jiff::Timestamp;

use super::cases::Case;
use super::threads::account_key;
use super::tx::{Put, Tx, count, millis, number, put, stored, timestamp};
use crate::domain::ids::{AccountId, EventId};
use crate::store::StoreError;
use crate::store::sql::{self, Row, params};

const CURSOR: &str = "relay_cursor";

/// What the duplicate check knows of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub sequence: u64,
    /// False: decided on, but no filter wanted it.
    pub wanted: bool,
}

/// An event to append; its body holds the sequence of [`Tx::next_sequence`].
#[derive(Clone, Debug)]
pub struct NewRow {
    pub id: EventId,
    pub event_type: &'static str,
    pub routing_key: String,
    pub correlation_id: String,
    /// CloudEvents subject: the object of the event.
    pub subject: String,
    /// When it happened at X.
    pub time: Timestamp,
    /// False for events that nobody has to have bound.
    pub mandatory: bool,
    /// Whose case it is published in, where it is in one.
    pub case: Option<Case>,
    pub body: Bytes,
}

/// A stored event; never changes once it was handed to the broker.
#[derive(Clone, Debug)]
pub struct JournalRow {
    pub sequence: u64,
    pub id: EventId,
    pub event_type: String,
    pub routing_key: String,
    pub correlation_id: String,
    pub subject: String,
    pub time: Timestamp,
    /// When it was written.
    pub at: Timestamp,
    pub mandatory: bool,
    pub body: Bytes,
}

/// Why a row that the cursor has passed waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Returned: nobody has bound its routing key.
    Unrouted,
    /// The broker refused it (a queue over its limit).
    Nacked,
    /// Asked for again by a person or a core.
    Republish,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Self; 3] = [Self::Unrouted, Self::Nacked, Self::Republish];

    /// As stored and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unrouted => "unrouted",
            Self::Nacked => "nacked",
            Self::Republish => "republish",
        }
    }
}

/// The journal in figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Rows after the cursor and rows in the lanes of what was never confirmed.
    pub unpublished: u64,
    /// When the oldest of them was written.
    pub oldest: Option<Timestamp>,
    /// Unrouted rows by routing key.
    pub unrouted: Vec<(String, u64)>,
}

/// A part of what is published again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepublishChunk {
    pub count: u64,
    /// Where the next part begins; `None`: there is none.
    pub last: Option<u64>,
}

/// Which events are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Those after this sequence.
    pub after: u64,
    /// Of this type.
    pub event_type: Option<String>,
    pub account: Option<AccountId>,
}

/// A part of the events looked for.
#[derive(Clone, Debug, Default)]
pub struct EventPage {
    pub rows: Vec<JournalRow>,
    /// The sequence to go on after; `None`: there is nothing more.
    pub next: Option<u64>,
}

/// Rows that one look goes through, wanted or not: readers take turns.
const SCANNED: u64 = 20_000;
/// Bodies of one look, bytes; the last may exceed it.
const PAGE_BYTES: usize = 4 * 1024 * 1024;

pub(super) const COLUMNS: &str = "journal.sequence, journal.id, type, journal.routing_key, correlation_id, \
                       subject, time, journal.at, mandatory, body";

/// What was unwanted may be wanted by a later delivery that knows more.
const DECIDE: Put = put!(
    "INSERT INTO seen (sequence, id, at, wanted, account, customer, conversation)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    "ON CONFLICT (id) DO UPDATE SET
       sequence = excluded.sequence, at = excluded.at, wanted = excluded.wanted,
       account = excluded.account, customer = excluded.customer,
       conversation = excluded.conversation"
);

pub(super) const SEEN: &str = "SELECT sequence, wanted FROM seen WHERE id = ?1";

pub(super) fn read_seen(row: &Row<'_>) -> sql::Result<Seen> {
    Ok(Seen {
        sequence: number(row.get(0)?),
        wanted: row.get(1)?,
    })
}

pub(super) fn read_row(row: &Row<'_>) -> sql::Result<JournalRow> {
    Ok(JournalRow {
        sequence: number(row.get(0)?),
        id: EventId(row.get(1)?),
        event_type: row.get(2)?,
        routing_key: row.get(3)?,
        correlation_id: row.get(4)?,
        subject: row.get(5)?,
        time: timestamp(row.get(6)?),
        at: timestamp(row.get(7)?),
        mandatory: row.get(8)?,
        body: row.get::<Vec<u8>>(9)?.into(),
    })
}

impl Tx<'_> {
    /// The sequence that the next append will have: the body names it.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// What was decided of this event before.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn seen(&self, id: EventId) -> Result<Option<Seen>, StoreError> {
        if let Some(known) = self.ahead.borrow().seen.get(&id) {
            return Ok(*known);
        }
        self.row(SEEN, [id.0], read_seen)
    }

    /// Remembers that no filter wanted this event; true when that is new.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn remember_unwanted(&mut self, id: EventId, at: Timestamp) -> Result<bool, StoreError> {
        if self.seen(id)?.is_some() {
            return Ok(false);
        }
        self.remember(id, at, false, None)?;
        Ok(true)
    }

    fn remember(
        &mut self,
        id: EventId,
        at: Timestamp,
        wanted: bool,
        case: Option<&Case>,
    ) -> Result<u64, StoreError> {
        let sequence = self.next_sequence;
        let seen = Seen { sequence, wanted };
        let is_new = self.ahead.borrow_mut().put_seen(id, seen);
        self.put(
            &DECIDE,
            is_new,
            params![
                stored(sequence),
                id.0,
                millis(at),
                wanted,
                case.map(|case| account_key(case.account)),
                case.map(|case| stored(case.customer.get())),
                case.map(|case| case.conversation.name()),
            ],
        )?;
        if let Some(case) = case {
            self.hold_case(case, sequence, at);
        }
        self.next_sequence += 1;
        Ok(sequence)
    }

    /// Appends an event under [`Tx::next_sequence`] and marks it as seen.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn append(&mut self, row: NewRow, at: Timestamp) -> Result<u64, StoreError> {
        let sequence = self.remember(row.id, at, true, row.case.as_ref())?;
        self.run_beside(
            "INSERT INTO journal (sequence, id, type, routing_key, correlation_id, subject, time,
                                  at, mandatory, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                stored(sequence),
                row.id.0,
                row.event_type,
                row.routing_key,
                row.correlation_id,
                row.subject,
                millis(row.time),
                millis(at),
                row.mandatory,
                row.body.as_ref(),
            ],
        )?;
        self.appended.push(JournalRow {
            sequence,
            id: row.id,
            event_type: row.event_type.to_owned(),
            routing_key: row.routing_key,
            correlation_id: row.correlation_id,
            subject: row.subject,
            time: row.time,
            at,
            mandatory: row.mandatory,
            body: row.body,
        });
        Ok(sequence)
    }

    /// The event with this id, while its body is kept.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn event(&self, id: EventId) -> Result<Option<JournalRow>, StoreError> {
        let Some(seen) = self.seen(id)? else {
            return Ok(None);
        };
        self.journal_row(seen.sequence)
    }

    /// The event at this place, while its body is kept.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn journal_row(&self, sequence: u64) -> Result<Option<JournalRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM journal WHERE sequence = ?1");
        self.row(&sql, [stored(sequence)], read_row)
    }

    /// The newest events, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn newest_events(&self, limit: usize) -> Result<Vec<JournalRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM journal ORDER BY sequence DESC LIMIT ?1");
        self.rows(&sql, [count(limit)], read_row)
    }

    /// Rows after `cursor` in order: at most `rows`, and no more once `bytes` of bodies are there.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn journal_after(
        &self,
        cursor: u64,
        rows: usize,
        bytes: usize,
    ) -> Result<Vec<JournalRow>, StoreError> {
        let sql =
            format!("SELECT {COLUMNS} FROM journal WHERE sequence > ?1 ORDER BY sequence LIMIT ?2");
        let (mut window, mut size) = (Vec::new(), 0);
        self.each_row(&sql, [stored(cursor), count(rows)], |row| {
            let row = read_row(row)?;
            size += row.body.len();
            window.push(row);
            Ok(size <= bytes)
        })?;
        Ok(window)
    }

    /// Events after a sequence, oldest first: at most `limit`, about 4 MiB of bodies, and no more
    /// than a look through 20,000 events finds, so that a part may be empty and have a next one.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn journal_page(&self, query: &EventQuery, limit: usize) -> Result<EventPage, StoreError> {
        let of_account = query.account.map(|account| format!("%.{account}"));
        let wanted: Vec<u64> = self.rows(
            "SELECT sequence FROM (
               SELECT sequence, type, routing_key FROM journal
               WHERE sequence > ?1 ORDER BY sequence LIMIT ?2) AS looked
             WHERE (type = ?3 OR ?3 IS NULL) AND (routing_key LIKE ?4 OR ?4 IS NULL)
             ORDER BY sequence LIMIT ?5",
            params![
                stored(query.after),
                stored(SCANNED),
                query.event_type,
                of_account,
                count(limit.saturating_add(1))
            ],
            |row| Ok(number(row.get(0)?)),
        )?;
        let sql = format!("SELECT {COLUMNS} FROM journal WHERE sequence = ?1");
        let (mut page, mut bytes) = (EventPage::default(), 0);
        for sequence in &wanted {
            if page.rows.len() == limit || bytes > PAGE_BYTES {
                page.next = page.rows.last().map(|row| row.sequence);
                return Ok(page);
            }
            let row = self.row(&sql, [stored(*sequence)], read_row)?;
            bytes += row.as_ref().map_or(0, |row| row.body.len());
            page.rows.extend(row);
        }
        page.next = self.end_of_scan(query.after)?;
        Ok(page)
    }

    /// Where a look through the journal stopped; `None`: at its end.
    fn end_of_scan(&self, after: u64) -> Result<Option<u64>, StoreError> {
        let last = self.row(
            "SELECT sequence FROM journal WHERE sequence > ?1 ORDER BY sequence LIMIT 1 OFFSET ?2",
            params![stored(after), stored(SCANNED - 1)],
            |row| row.get(0),
        )?;
        Ok(last.map(number))
    }

    /// The last sequence up to which every row is confirmed or in a lane.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn cursor(&self) -> Result<u64, StoreError> {
        let stored = self.meta(CURSOR)?;
        Ok(stored.and_then(|value| value.parse().ok()).unwrap_or(0))
    }

    /// Marks a window as done: all up to `cursor` are confirmed but for those put into `lanes`.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn advance_cursor(
        &self,
        cursor: u64,
        lanes: &[(Lane, u64, String)],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        for (lane, sequence, routing_key) in lanes {
            self.enter_lane(*lane, *sequence, routing_key, at)?;
        }
        self.set_meta(CURSOR, &cursor.to_string())
    }

    /// Puts a row into a lane; once is enough.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn enter_lane(
        &self,
        lane: Lane,
        sequence: u64,
        routing_key: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO lane (kind, sequence, routing_key, since)
             VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            params![lane.name(), stored(sequence), routing_key, millis(at)],
        )
    }

    /// Takes a row out of a lane.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn leave_lane(&self, lane: Lane, sequence: u64) -> Result<(), StoreError> {
        self.run(
            "DELETE FROM lane WHERE kind = ?1 AND sequence = ?2",
            params![lane.name(), stored(sequence)],
        )
    }

    /// The lane of what was never confirmed that a row waits in.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn waits_in(&self, sequence: u64) -> Result<Option<Lane>, StoreError> {
        let sql = "SELECT kind FROM lane WHERE sequence = ?1 AND kind <> 'republish'";
        let kind: Option<String> = self.row(sql, [stored(sequence)], |row| row.get(0))?;
        Ok(Lane::ALL
            .into_iter()
            .find(|lane| kind.as_deref() == Some(lane.name())))
    }

    /// The oldest row of a lane for each routing key that waits there. Which ones, where there are
    /// more than `limit`, is left to chance: the same ones each time would starve the others.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn lane_heads(&self, lane: Lane, limit: usize) -> Result<Vec<JournalRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM journal JOIN (
               SELECT min(sequence) AS head FROM lane WHERE kind = ?1 GROUP BY routing_key
               ORDER BY random() LIMIT ?2
             ) AS heads ON journal.sequence = head ORDER BY sequence"
        );
        self.rows(&sql, params![lane.name(), count(limit)], read_row)
    }

    /// The oldest rows of a lane, of one routing key where given.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn lane(
        &self,
        lane: Lane,
        routing_key: Option<&str>,
        limit: usize,
    ) -> Result<Vec<JournalRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM lane JOIN journal USING (sequence)
             WHERE kind = ?1 AND (lane.routing_key = ?2 OR ?2 IS NULL)
             ORDER BY sequence LIMIT ?3"
        );
        self.rows(
            &sql,
            params![lane.name(), routing_key, count(limit)],
            read_row,
        )
    }

    /// How many rows wait in a lane.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn lane_depth(&self, lane: Lane) -> Result<u64, StoreError> {
        let count = self.row(
            "SELECT count(*) FROM lane WHERE kind = ?1",
            [lane.name()],
            |row| row.get(0),
        )?;
        Ok(count.map_or(0, number))
    }

    /// Puts stored events written in `written` into the republish lane: of those after the sequence
    /// `after`, at most `limit`, and of one account where given.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn republish_chunk(
        &self,
        account: Option<AccountId>,
        written: Range<Timestamp>,
        after: u64,
        limit: usize,
        at: Timestamp,
    ) -> Result<RepublishChunk, StoreError> {
        let of_account = account.map(|account| format!("%.{account}"));
        // Times by the small rows: the journal is all bodies.
        let found = self.rows(
            "SELECT sequence, routing_key FROM seen JOIN journal USING (sequence)
             WHERE sequence > ?1 AND seen.at >= ?2 AND seen.at < ?3
               AND (routing_key LIKE ?4 OR ?4 IS NULL)
             ORDER BY sequence LIMIT ?5",
            params![
                stored(after),
                millis(written.start),
                millis(written.end),
                of_account,
                count(limit)
            ],
            |row| Ok((number(row.get(0)?), row.get::<String>(1)?)),
        )?;
        for (sequence, routing_key) in &found {
            self.enter_lane(Lane::Republish, *sequence, routing_key, at)?;
        }
        Ok(RepublishChunk {
            count: found.len() as u64,
            last: found
                .last()
                .filter(|_| found.len() == limit)
                .map(|(sequence, _)| *sequence),
        })
    }

    /// The journal in figures.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn journal_summary(&self) -> Result<Summary, StoreError> {
        let cursor = stored(self.cursor()?);
        // Counted on the small rows: a backlog of bodies would be read from disk for a number.
        let waiting = "SELECT count(*), min(at) FROM seen WHERE sequence > ?1 AND wanted = 1";
        let lanes = "SELECT count(*), min(since) FROM lane WHERE kind <> 'republish'";
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get::<Option<i64>>(1)?));
        let (after, oldest_after): (i64, _) =
            self.row(waiting, [cursor], read)?.unwrap_or((0, None));
        let (aside, oldest_aside): (i64, _) = self.row(lanes, [], read)?.unwrap_or((0, None));
        let unrouted = self.rows(
            "SELECT routing_key, count(*) FROM lane WHERE kind = 'unrouted' GROUP BY routing_key",
            [],
            |row| Ok((row.get(0)?, number(row.get(1)?))),
        )?;
        Ok(Summary {
            unpublished: number(after) + number(aside),
            oldest: oldest_after
                .into_iter()
                .chain(oldest_aside)
                .min()
                .map(timestamp),
            unrouted,
        })
    }

    /// Removes at most `limit` of the oldest bodies that are confirmed, waited for by no lane, and
    /// written before `before`; how many.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn prune_bodies(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let cursor = stored(self.cursor()?);
        // Looks at no more than `limit` rows: to search for an old one would read every body.
        self.execute(
            "DELETE FROM journal WHERE sequence IN (
               SELECT sequence FROM (
                 SELECT sequence, at FROM journal
                 WHERE sequence <= ?1
                   AND NOT EXISTS (SELECT 1 FROM lane WHERE lane.sequence = journal.sequence)
                 ORDER BY sequence LIMIT ?3) AS oldest
               WHERE at < ?2)",
            params![cursor, millis(before), count(limit)],
        )
    }

    /// Forgets at most `limit` decisions older than `before`, but for those with a case that is not
    /// entered yet; the newest stays, so that sequences never start over.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn prune_seen(&self, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
        self.execute(
            "DELETE FROM seen WHERE sequence IN (
               SELECT sequence FROM seen
               WHERE at < ?1 AND sequence < (SELECT max(sequence) FROM seen)
                 AND NOT EXISTS (SELECT 1 FROM journal WHERE journal.sequence = seen.sequence)
                 AND (customer IS NULL OR sequence <= ?3)
               ORDER BY at LIMIT ?2)",
            params![millis(before), count(limit), self.entered()?],
        )
    }
}
