//! Deliveries answered 503: remembered until the store can be told that there is a gap.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::store::{GapReason, StoreError, Tx};

/// First and last refusal of each app.
pub(super) type Spans = HashMap<String, (Timestamp, Timestamp)>;

/// Refusals of which no gap tells yet.
#[derive(Default)]
pub(super) struct Refusals {
    /// Spares every delivery the lock while all is well.
    any: AtomicBool,
    spans: Mutex<Spans>,
}

impl Refusals {
    fn lock(&self) -> MutexGuard<'_, Spans> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, app: &str, at: Timestamp) {
        let mut spans = self.lock();
        let span = spans.entry(app.to_owned()).or_insert((at, at));
        span.0 = span.0.min(at);
        span.1 = span.1.max(at);
        self.any.store(true, Ordering::Release);
    }

    /// Whether there are any.
    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Opens the gaps that are due; tells which. Until [`Refusals::written`] others may do the same:
    /// an open gap is only extended.
    pub(super) fn write(&self, tx: &Tx<'_>) -> Result<Spans, StoreError> {
        if !self.any() {
            return Ok(Spans::new());
        }
        let due = self.lock().clone();
        for (app, (from, until)) in &due {
            tx.open_gap(app, *from, *until, GapReason::Refused)?;
        }
        Ok(due)
    }

    /// These gaps are on disk. What was refused meanwhile is still to be told.
    pub(super) fn written(&self, gaps: &Spans) {
        if gaps.is_empty() {
            return;
        }
        let mut spans = self.lock();
        spans.retain(|app, span| gaps.get(app) != Some(span));
        self.any.store(!spans.is_empty(), Ordering::Release);
    }
}
