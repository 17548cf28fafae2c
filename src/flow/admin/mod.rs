//! What people see and do by API, console and command line, in one place for all three: each change
//! is written with its line in the audit.

pub mod commands;
pub mod compliance;
pub mod conversations;
pub mod events;
pub mod gaps;
pub mod ledgers;
pub mod overview;
pub mod quarantine;

use std::time::Duration;

use crate::store::{Store, StoreError, Tx};

/// A change not on disk by then is answered as such; it may still land.
const COMMIT_WITHIN: Duration = Duration::from_millis(2500);

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Where the next part begins; `None`: there is none.
    pub next: Option<u64>,
}

impl<T> Page<T> {
    /// Of one row more than wanted, where there is more; `place` is where a row stands.
    fn cut(mut rows: Vec<T>, limit: usize, place: impl Fn(&T) -> u64) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        Self {
            next: rows.last().filter(|_| more).map(place),
            items: rows,
        }
    }

    /// The same part of other items.
    ///
    /// # Errors
    /// The first that `change` gives.
    pub fn try_map<U, E>(self, change: impl FnMut(T) -> Result<U, E>) -> Result<Page<U>, E> {
        Ok(Page {
            items: self
                .items
                .into_iter()
                .map(change)
                .collect::<Result<_, E>>()?,
            next: self.next,
        })
    }
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// What it is about is not there, or no longer kept.
    #[error("{0}")]
    NotFound(String),
    /// It cannot be done as things stand.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(super) async fn write<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    store.write_within(COMMIT_WITHIN, work).await
}
