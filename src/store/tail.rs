//! The newest journal rows in memory, so that a relay which keeps up never reads the disk.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::JournalRow;
use super::tables::tx::Changes;

/// Most bytes of bodies held; beyond it the relay reads the backlog from disk.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// How often an empty tail is checked against the disk, where another process may have appended:
/// our own writer sees that at its next commit only.
const LOOK_PERIOD: Duration = Duration::from_millis(500);

/// All rows appended since `from`, in order; empty and further on after an overflow.
#[derive(Default)]
pub(super) struct Tail {
    rows: Mutex<Rows>,
    appended: Notify,
    ledger_changed: Notify,
    echoes_changed: Notify,
}

#[derive(Default)]
struct Rows {
    /// Every journal row with a sequence of at least this is in `queue`; 0: none is known to be.
    from: u64,
    queue: VecDeque<JournalRow>,
    bytes: usize,
    /// When the reader of an empty tail was last sent to the disk.
    looked: Option<Instant>,
}

impl Tail {
    pub(super) fn appended(&self) -> &Notify {
        &self.appended
    }

    pub(super) fn ledger_changed(&self) -> &Notify {
        &self.ledger_changed
    }

    pub(super) fn echoes_changed(&self) -> &Notify {
        &self.echoes_changed
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what a commit appended: of the sequences from `first` to before `next`, these
    /// have rows.
    pub(super) fn push(&self, first: u64, next: u64, rows: Vec<JournalRow>) {
        if rows.is_empty() {
            return;
        }
        let mut tail = self.lock();
        if tail.from == 0 {
            tail.from = first;
        }
        tail.bytes += rows.iter().map(|row| row.body.len()).sum::<usize>();
        tail.queue.extend(rows);
        if tail.bytes > MAX_BYTES {
            tail.reset(next);
        }
        drop(tail);
        self.appended.notify_one();
    }

    /// Another process appended since our last commit: what is older than `next` must be read from
    /// disk.
    pub(super) fn skip_to(&self, next: u64) {
        self.lock().reset(next);
        self.appended.notify_one();
    }

    /// Another process has changed this.
    pub(super) fn heard(&self, changes: Changes) {
        if changes.bodies {
            // What is in memory may be as it was before.
            let mut tail = self.lock();
            tail.reset(0);
        }
        if changes.journal || changes.bodies {
            self.lock().looked = None;
            self.appended.notify_one();
        }
        if changes.ledger {
            self.ledger_changed.notify_one();
        }
        if changes.echoes {
            self.echoes_changed.notify_one();
        }
    }

    /// The rows after `cursor`, or `None` when some of them are, or may be, only on disk. What is
    /// given out is no longer held: who asks for it again reads the disk.
    pub(super) fn after(&self, cursor: u64, rows: usize, bytes: usize) -> Option<Vec<JournalRow>> {
        let mut tail = self.lock();
        if tail.from == 0 || cursor + 1 < tail.from {
            return None;
        }
        tail.drop_until(cursor);
        if tail.queue.is_empty() && tail.is_time_to_look() {
            return None;
        }
        let mut window = Vec::new();
        let mut size = 0;
        while window.len() < rows && size <= bytes {
            let Some(row) = tail.pop() else { break };
            size += row.body.len();
            window.push(row);
        }
        Some(window)
    }
}

impl Rows {
    fn reset(&mut self, from: u64) {
        self.queue.clear();
        self.bytes = 0;
        self.from = from;
    }

    fn is_time_to_look(&mut self) -> bool {
        let due = self.looked.is_none_or(|at| at.elapsed() >= LOOK_PERIOD);
        if due {
            self.looked = Some(Instant::now());
        }
        due
    }

    fn pop(&mut self) -> Option<JournalRow> {
        let row = self.queue.pop_front()?;
        self.bytes -= row.body.len();
        self.from = self.from.max(row.sequence + 1);
        Some(row)
    }

    fn drop_until(&mut self, cursor: u64) {
        while self.queue.front().is_some_and(|row| row.sequence <= cursor) {
            self.pop();
        }
        self.from = self.from.max(cursor + 1);
    }
}
