//! Which accounts a test has reached the broker for.

use jiff::Timestamp;

use super::tx::{Tx, millis, timestamp};
use crate::domain::ids::AccountId;
use crate::store::StoreError;

fn key(account: AccountId) -> String {
    format!("tested:{account}")
}

impl Tx<'_> {
    /// Notes that the broker has confirmed a test of an account.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn note_tested(&self, account: AccountId, at: Timestamp) -> Result<(), StoreError> {
        self.set_meta(&key(account), &millis(at).to_string())
    }

    /// When the broker last confirmed a test of an account; `None`: never.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn tested_at(&self, account: AccountId) -> Result<Option<Timestamp>, StoreError> {
        let stored = self.meta(&key(account))?;
        Ok(stored.and_then(|value| value.parse().ok()).map(timestamp))
    }
}
