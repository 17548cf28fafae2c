//! What X charges for reads: for each item that it returns; and when they stop.

use jiff::Timestamp;

use super::watch::month_of;
use crate::domain::account::Account;
use crate::domain::ids::AccountId;
use crate::domain::money::Usd;
use crate::domain::price::CallPrices;
use crate::store::{Store, StoreError, Tx};
use crate::x::client::Resources;

/// Whether an account has used up its budget: then optional reads stop.
pub(super) async fn is_over_budget(
    store: &Store,
    account: &Account,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let account = account.clone();
    store.read(move |tx| is_spent(tx, &account, now)).await
}

/// Counts what a read returned among the account's costs; what all of it costs.
pub(super) fn charge(
    tx: &Tx<'_>,
    prices: &CallPrices,
    account: AccountId,
    read: Resources,
    at: Timestamp,
) -> Result<Usd, StoreError> {
    let kinds = [
        ("post_read", read.posts, prices.post_read),
        ("user_read", read.users, prices.user_read),
        (
            "direct_message_read",
            read.direct_messages,
            prices.direct_message_read,
        ),
    ];
    let mut whole = Usd::default();
    for (kind, count, price) in kinds.into_iter().filter(|(_, count, _)| *count > 0) {
        let amount = price.times(count.into());
        tx.add_cost(account, at, kind, count.into(), amount)?;
        whole = whole + amount;
    }
    Ok(whole)
}

/// The same by what a transaction sees.
pub(super) fn is_spent(tx: &Tx<'_>, account: &Account, now: Timestamp) -> Result<bool, StoreError> {
    let Some(budget) = account.monthly_budget else {
        return Ok(false);
    };
    let costs = tx.costs_since(month_of(now))?;
    let own = costs.iter().filter(|cost| cost.account == account.id);
    Ok(own.map(|cost| cost.amount).sum::<Usd>() >= budget)
}
