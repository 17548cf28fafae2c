//! What X says is gone, told to the core and taken out of our own copies.

use jiff::Timestamp;

use crate::domain::account::App;
use crate::domain::event::{AccountRef, DetectedBy, GoneBecause};
use crate::domain::ids::{MessageId, TweetId};
use crate::domain::event::message_event_id;
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
    let told = store.write(move |tx| note_all(tx, &of, &found, now)).await?;
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
            forget_unpublished(tx, account, *id)?;
            if deletion::note(tx, account, &gone, now)?.is_some() {
                told += 1;
            }
        }
    }
    Ok(told)
}

/// What was held back, or wanted by nobody.
fn forget_unpublished(tx: &Tx<'_>, account: &AccountRef, id: TweetId) -> Result<(), StoreError> {
    let Some(account) = account.id else {
        return Ok(());
    };
    let original = tx.post(account, id)?.and_then(|row| row.original);
    for version in [Some(id), original].into_iter().flatten() {
        let message = MessageId::Post(version);
        let event = message_event_id(account, "message.received", &message);
        tx.forget_unpublished(account, version, event)?;
    }
    Ok(())
}
