//! What is only looked at: costs and the audit.

use std::ops::RangeInclusive;

use jiff::civil::Date;

use super::Page;
use crate::domain::ids::AccountId;
use crate::store::{Audited, DayCost, Store, StoreError};

/// Changes, newest first; those before an entry where given.
///
/// # Errors
/// When the store cannot be read.
pub async fn audit(
    store: &Store,
    before: Option<u64>,
    limit: usize,
) -> Result<Page<Audited>, StoreError> {
    let rows = store.read(move |tx| tx.audited(before, limit + 1)).await?;
    Ok(Page::cut(rows, limit, |entry| entry.id))
}

/// What X has charged on these UTC days, of one account where given.
///
/// # Errors
/// When the store cannot be read.
pub async fn costs(
    store: &Store,
    account: Option<AccountId>,
    days: RangeInclusive<Date>,
) -> Result<Vec<DayCost>, StoreError> {
    store.read(move |tx| tx.costs_of(account, days)).await
}
