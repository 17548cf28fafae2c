//! What X says is gone, told to the core and taken out of our own copies.

use jiff::Timestamp;

use crate::domain::account::App;
use crate::domain::event::{AccountRef, DetectedBy, GoneBecause};
use crate::domain::ids::TweetId;
use crate::flow::deletion::{self, Gone};
use crate::flow::rules::Rules;
use crate::store::{Store, StoreError, Tx};
use crate::telemetry::metrics;

/// For whom is looked, and how.
#[derive(Clone)]
pub(super) struct LookedFor {
    app: String,
    accounts: Vec<AccountRef>,
    by: DetectedBy,
}

impl LookedFor {
    pub(super) fn new(rules: &Rules, app: &App, by: DetectedBy) -> Self {
        let accounts = rules.registry.accounts_of(&app.name);
        let accounts = accounts.map(|account| rules.account_ref(Some(account.id)));
        Self {
            app: app.name.clone(),
            accounts: accounts.collect(),
            by,
        }
    }
}

/// Notes posts that are gone, all in one transaction.
pub(super) async fn note(
    store: &Store,
    looked_for: &LookedFor,
    found: Vec<(TweetId, GoneBecause, Timestamp)>,
    now: Timestamp,
) -> Result<(), StoreError> {
    if found.is_empty() {
        return Ok(());
    }
    let of = looked_for.clone();
    let told = store
        .write(move |tx| note_all(tx, &of, &found, now))
        .await?;
    metrics::count_compliance_findings(&looked_for.app, told);
    Ok(())
}

/// How many events tell of it.
fn note_all(
    tx: &mut Tx<'_>,
    looked_for: &LookedFor,
    found: &[(TweetId, GoneBecause, Timestamp)],
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut told = 0;
    for (id, reason, time) in found {
        let gone = Gone::post(*id, *reason, looked_for.by, *time);
        for account in &looked_for.accounts {
            if deletion::note(tx, account, &gone, now)?.is_some() {
                told += 1;
            }
        }
    }
    Ok(told)
}
