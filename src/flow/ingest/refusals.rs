//! Deliveries answered 503: remembered until the store can be told that there is a gap.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::store::{GapReason, StoreError, Tx};

/// First and last refusal of each app since the store last took a delivery.
#[derive(Default)]
pub(super) struct Refusals {
    /// Spares every delivery the lock while all is well.
    any: AtomicBool,
    spans: Mutex<HashMap<String, (Timestamp, Timestamp)>>,
}

impl Refusals {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Timestamp, Timestamp)>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, app: &str, at: Timestamp) {
        let mut spans = self.lock();
        let span = spans.entry(app.to_owned()).or_insert((at, at));
        span.0 = span.0.min(at);
        span.1 = span.1.max(at);
        self.any.store(true, Ordering::Release);
    }

    /// Opens the gaps that are due, with the first delivery the store takes again. Until
    /// [`Refusals::written`] others may do the same: an open gap is only extended.
    pub(super) fn write(&self, tx: &Tx<'_>) -> Result<(), StoreError> {
        if !self.any.load(Ordering::Acquire) {
            return Ok(());
        }
        for (app, (from, until)) in self.lock().iter() {
            tx.open_gap(app, *from, *until, GapReason::Refused)?;
        }
        Ok(())
    }

    /// The gaps are on disk.
    pub(super) fn written(&self) {
        if self.any.swap(false, Ordering::AcqRel) {
            self.lock().clear();
        }
    }
}
