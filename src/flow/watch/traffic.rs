//! Counts what each account hears and says; written down once a minute.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::domain::ids::AccountId;
use crate::store::{Store, StoreError, Traffic, hour_of};

/// What has been counted since it was last written down; cheap to clone.
#[derive(Clone, Default)]
pub struct TrafficCounts(Arc<Mutex<HashMap<(AccountId, i64), Traffic>>>);

impl TrafficCounts {
    /// X delivered something for an account, whatever became of it.
    pub fn heard(&self, account: AccountId, at: Timestamp) {
        self.add(account, at, |traffic| traffic.heard += 1);
    }

    /// A `message.received` was published.
    pub fn received(&self, account: AccountId, at: Timestamp) {
        self.add(account, at, |traffic| traffic.received += 1);
    }

    /// A `message.sent` was published.
    pub fn sent(&self, account: AccountId, at: Timestamp) {
        self.add(account, at, |traffic| traffic.sent += 1);
    }

    fn add(&self, account: AccountId, at: Timestamp, count: impl FnOnce(&mut Traffic)) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        count(counts.entry((account, hour_of(at))).or_default());
    }

    /// Writes down what was counted; what could not be written is counted on.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub(in crate::flow) async fn write(&self, store: &Store) -> Result<(), StoreError> {
        let taken = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        if taken.is_empty() {
            return Ok(());
        }
        let written = taken.clone();
        let write = store.write(move |tx| {
            let mut counts = written.into_iter();
            counts.try_for_each(|((account, hour), more)| tx.add_traffic(account, hour, more))
        });
        let result = write.await;
        if result.is_err() {
            let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, more) in taken {
                let traffic = counts.entry(key).or_default();
                traffic.heard += more.heard;
                traffic.received += more.received;
                traffic.sent += more.sent;
            }
        }
        result
    }
}
