//! A store that was restored from a backup lags behind X: what it holds as unfinished may be done,
//! and commands came and went of which it knows nothing.
//!
//! So nothing is sent for an account until X was asked what the account has written since the
//! backup (`look`): that is kept (`found`), unfinished commands are settled by it, and for
//! `WATCHED_FOR` each new command is compared with it first, as it may be the repeat of one that
//! was lost. What X has for us since then comes by the gap, which is opened as after any downtime.

pub(in crate::flow) mod found;
mod look;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::ids::AccountId;
use crate::flow::reply;
use crate::flow::rules::Rules;
use crate::store::{BACKUP_MARK, Store, StoreError, Tx};
pub use look::Look;

/// Where the store keeps [`Restored`].
const STATE: &str = "restored";
/// How long commands are compared with what was found at X: as long as a core may be away that has
/// heard no outcome.
pub(in crate::flow) const WATCHED_FOR: SignedDuration = SignedDuration::from_hours(24);

/// What the command line asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restore {
    /// Only a backup of ours is taken for one, by its mark.
    #[default]
    Marked,
    /// The store was restored, by whatever means; once.
    Once,
    /// The same though it was restored before.
    Again,
}

/// What is known of the restore of this store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::flow) struct Restored {
    /// Of the backup, milliseconds since 1970.
    since: i64,
    /// Of the first start on it, the same.
    began: i64,
    /// Accounts that nothing is sent for until X was asked.
    open: BTreeSet<AccountId>,
}

impl Restored {
    /// `None`: this store was never restored.
    pub(in crate::flow) fn read(tx: &Tx<'_>) -> Result<Option<Self>, StoreError> {
        let Some(written) = tx.meta(STATE)? else {
            return Ok(None);
        };
        let read = serde_json::from_str(&written).map_err(|_damaged| StoreError::Corrupt {
            what: "state of its restore",
            value: written,
        });
        read.map(Some)
    }

    fn write(&self, tx: &Tx<'_>) -> Result<(), StoreError> {
        // Numbers and strings always make JSON.
        tx.set_meta(STATE, &serde_json::to_string(self).unwrap_or_default())
    }

    /// When the backup was made, as far as that is known: no later.
    pub(in crate::flow) fn since(&self) -> Timestamp {
        time(self.since)
    }

    /// Until when new commands are compared with what was found.
    fn watched_until(&self) -> Timestamp {
        let began = time(self.began);
        began.saturating_add(WATCHED_FOR).unwrap_or(began)
    }

    /// Whether new commands of the account are to be compared with what was found at X.
    pub(in crate::flow) fn is_watched(&self, account: AccountId, now: Timestamp) -> bool {
        !self.open.contains(&account) && now < self.watched_until()
    }
}

/// Whether nothing is sent for an account until X was asked what it has of it.
pub(in crate::flow) fn holds(tx: &Tx<'_>, account: AccountId) -> Result<bool, StoreError> {
    let restored = Restored::read(tx)?;
    Ok(restored.is_some_and(|restored| restored.open.contains(&account)))
}

/// Looks whether the store was just restored, and puts everything that is unfinished in doubt then:
/// in the one transaction that takes the backup's mark away, so that it is done once. Has to come
/// before anything else looks at the ledger, and before the sign of life is renewed.
///
/// # Errors
/// When the store cannot be used.
pub async fn begin(
    store: &Store,
    rules: Arc<Rules>,
    asked: Restore,
    now: Timestamp,
) -> Result<(), StoreError> {
    let begun = store
        .write(move |tx| {
            let Some(since) = since(tx, asked)? else {
                return Ok(None);
            };
            tx.forget_meta(BACKUP_MARK)?;
            tx.forget_metas(found::PREFIX)?;
            let restored = Restored {
                since: since.as_millisecond(),
                began: now.as_millisecond(),
                open: rules.registry.accounts().map(|it| it.id).collect(),
            };
            restored.write(tx)?;
            let doubted = reply::doubt(tx, &rules, since, now)?;
            Ok(Some((since, doubted)))
        })
        .await?;
    if let Some((since, doubted)) = begun {
        tracing::warn!(
            backup_of = %since,
            doubted,
            "the store was restored: nothing is sent until X was asked what it has since the backup"
        );
    }
    Ok(())
}

/// Since when the store knows nothing, where a restore begins.
fn since(tx: &Tx<'_>, asked: Restore) -> Result<Option<Timestamp>, StoreError> {
    let alive = tx.alive_at()?;
    if let Some(mark) = tx.meta(BACKUP_MARK)? {
        let made = mark.parse().map(Timestamp::from_millisecond);
        let Ok(Ok(made)) = made else {
            return Err(StoreError::Corrupt {
                what: "mark of a backup",
                value: mark,
            });
        };
        return Ok(Some(made));
    }
    let before = Restored::read(tx)?;
    Ok(match (asked, before, alive) {
        (Restore::Marked, _, _) => None,
        (Restore::Once, Some(before), _) => {
            tracing::warn!(
                backup_of = %before.since(),
                "--restored: this store was restored before, and that is not repeated. Take the \
                 option away; for one restored again by other means than `store backup`: \
                 --restored=again"
            );
            None
        }
        (_, _, None) => {
            tracing::warn!("--restored: this store is new, there is nothing to look up");
            None
        }
        (Restore::Once | Restore::Again, _, Some(alive)) => Some(alive),
    })
}

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {

    use tempfile::TempDir;

    use super::*;
    use crate::flow::rules::testing::rules_of;

    fn store(folder: &TempDir) -> Store {
        Store::open_in(folder.path())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Starts on the store; since when it is taken for restored.
    async fn start(store: &Store, asked: Restore, second: i64) -> Option<Timestamp> {
        let rules = Arc::new(rules_of(Default::default()));
        begin(store, rules, asked, at(second)).await.unwrap();
        let alive = move |tx: &mut Tx<'_>| tx.note_alive(at(second));
        store.write(alive).await.unwrap();
        let restored = store.read(Restored::read).await.unwrap();
        restored.map(|restored| restored.since())
    }

    #[tokio::test]
    async fn a_marked_backup_is_taken_for_one_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        assert_eq!(start(&store, Restore::Marked, 1).await, None);
        let mark = |tx: &mut Tx<'_>| tx.set_meta(BACKUP_MARK, "2000");
        store.write(mark).await.unwrap();
        assert_eq!(start(&store, Restore::Marked, 9).await, Some(at(2)));
        assert_eq!(start(&store, Restore::Once, 10).await, Some(at(2)));
        let marked = store.read(|tx| tx.meta(BACKUP_MARK)).await.unwrap();
        assert_eq!(marked, None);
    }

    #[tokio::test]
    async fn a_copy_without_a_mark_is_restored_when_somebody_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        assert_eq!(start(&store, Restore::Once, 1).await, None);
        assert_eq!(start(&store, Restore::Once, 5).await, Some(at(1)));
        assert_eq!(start(&store, Restore::Once, 9).await, Some(at(1)));
        assert_eq!(start(&store, Restore::Again, 20).await, Some(at(9)));
    }
}
