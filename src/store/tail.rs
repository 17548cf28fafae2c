//! The newest journal rows in memory, so that a relay which keeps up never reads the disk.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::JournalRow;

/// Most bytes of bodies held; beyond it the relay reads the backlog from disk.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// All rows appended since `from`, in order; empty and further on after an overflow.
#[derive(Default)]
pub(super) struct Tail {
    rows: Mutex<Rows>,
    appended: Notify,
}

#[derive(Default)]
struct Rows {
    /// Every journal row with a sequence of at least this is in `queue`; 0: none is known to be.
    from: u64,
    queue: VecDeque<JournalRow>,
    bytes: usize,
}

impl Tail {
    pub(super) fn appended(&self) -> &Notify {
        &self.appended
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what a commit appended. `next` is the sequence after the commit; `first` the one
    /// before it. Rows another process wrote in between are not here: then start anew.
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

    /// Another process appended: what is older than `next` must be read from disk.
    pub(super) fn skip_to(&self, next: u64) {
        self.lock().reset(next);
        self.appended.notify_one();
    }

    /// The rows after `cursor`, or `None` when some of them are only on disk. Rows handed out (and
    /// those before the cursor) are let go.
    pub(super) fn after(&self, cursor: u64, rows: usize, bytes: usize) -> Option<Vec<JournalRow>> {
        let mut tail = self.lock();
        if tail.from == 0 || cursor + 1 < tail.from {
            return None;
        }
        tail.drop_until(cursor);
        let mut window = Vec::new();
        let mut size = 0;
        for row in tail.queue.iter().take(rows) {
            if size > bytes {
                break;
            }
            size += row.body.len();
            window.push(row.clone());
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

    fn drop_until(&mut self, cursor: u64) {
        while self.queue.front().is_some_and(|row| row.sequence <= cursor) {
            if let Some(row) = self.queue.pop_front() {
                self.bytes -= row.body.len();
            }
        }
        self.from = self.from.max(cursor + 1);
    }
}
