//! Housekeeping of the store: sign of life, retention, the size cap, kept deliveries.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::ingest::Ingest;
use crate::domain::registry::Registry;
use crate::store::{GapReason, Store, StoreError, ThreadsSweep};

/// How exactly a downtime is known.
const ALIVE_EVERY: Duration = Duration::from_secs(10);
const PRUNE_EVERY: Duration = Duration::from_secs(30);
const RETRY_EVERY: Duration = Duration::from_secs(2);
/// Rows removed in one transaction: others must not wait long behind it.
const CHUNK: usize = 1000;
/// Rows of threads looked at in one clean-up: some ten millions a day.
const SWEPT_CHUNKS: usize = 5;
/// Threads outlive bodies: a customer may come back to an old post.
const THREADS_KEPT: SignedDuration = SignedDuration::from_hours(365 * 24);
/// Share of the cap, in percent, above which confirmed bodies go, oldest first.
const PRUNE_ABOVE: u64 = 80;

/// Opens a gap for each app over the time since the service last ran.
///
/// # Errors
/// When the store cannot be used.
pub async fn note_downtime(
    store: &Store,
    registry: &Registry,
    now: Timestamp,
) -> Result<(), StoreError> {
    let apps: Vec<String> = registry.apps().iter().map(|app| app.name.clone()).collect();
    store
        .write(move |tx| {
            if let Some(since) = tx.alive_at()? {
                for app in &apps {
                    tx.open_gap(app, since, now, GapReason::Downtime)?;
                }
            }
            tx.note_alive(now)
        })
        .await
}

/// Keeps the store in order until `stop`.
pub async fn run(store: Store, ingest: Arc<Ingest>, stop: CancellationToken) {
    let [mut alive, mut prune_due, mut retry] =
        [ALIVE_EVERY, PRUNE_EVERY, RETRY_EVERY].map(|period| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
    report(
        "look at what waits for accounts",
        retry_unlinked(&store).await,
    );
    let mut sweep = ThreadsSweep::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = alive.tick() => report("sign of life", note_alive(&store).await),
            _ = prune_due.tick() => {
                report("clean-up", prune(&store, Timestamp::now()).await);
                let swept = prune_threads(&store, &mut sweep, Timestamp::now()).await;
                report("clean-up of threads", swept);
            }
            _ = retry.tick() => {
                report("noting gaps", ingest.note_refusals().await);
                if let Err(error) = ingest.retry_quarantined().await {
                    tracing::warn!(%error, "kept deliveries were not tried again");
                }
            }
        }
    }
    report("noting gaps", ingest.note_refusals().await);
    report("sign of life", note_alive(&store).await);
}

fn report(what: &str, result: Result<(), StoreError>) {
    if let Err(error) = result {
        tracing::warn!(%error, what, "the store's upkeep failed");
    }
}

/// Where a delivery does not tell for which account it is, that may be linked since the last start.
async fn retry_unlinked(store: &Store) -> Result<(), StoreError> {
    let asked = store.write(|tx| tx.request_retry_of_unlinked()).await;
    asked.map(drop)
}

async fn note_alive(store: &Store) -> Result<(), StoreError> {
    store.write(|tx| tx.note_alive(Timestamp::now())).await
}

/// Removes what is older than the retention, and confirmed bodies above the size cap.
///
/// # Errors
/// When the store cannot be used.
pub async fn prune(store: &Store, now: Timestamp) -> Result<(), StoreError> {
    let settings = store.settings().clone();
    let kept_since = before(
        now,
        SignedDuration::try_from(settings.retention).unwrap_or_default(),
    );
    let quarantine_limit = settings.quarantine_limit();
    store
        .write(move |tx| tx.prune_quarantine(kept_since, quarantine_limit))
        .await?;
    chunks(store, move |tx| tx.prune_bodies(kept_since, CHUNK)).await?;
    chunks(store, move |tx| tx.prune_seen(kept_since, CHUNK)).await?;
    let limit = settings.max_bytes / 100 * PRUNE_ABOVE;
    chunks(store, move |tx| {
        if tx.used_bytes()? > limit {
            tx.prune_bodies(now, CHUNK)
        } else {
            Ok(0)
        }
    })
    .await
}

/// Goes on with the search for threads that nobody has come back to.
async fn prune_threads(
    store: &Store,
    sweep: &mut ThreadsSweep,
    now: Timestamp,
) -> Result<(), StoreError> {
    let since = before(now, THREADS_KEPT);
    for _ in 0..SWEPT_CHUNKS {
        let from = sweep.clone();
        *sweep = store
            .write(move |tx| tx.prune_threads(since, from, CHUNK))
            .await?;
    }
    Ok(())
}

fn before(now: Timestamp, age: SignedDuration) -> Timestamp {
    now.saturating_sub(age).unwrap_or(Timestamp::MIN)
}

async fn chunks(
    store: &Store,
    step: impl Fn(&mut crate::store::Tx<'_>) -> Result<usize, StoreError> + Copy + Send + 'static,
) -> Result<(), StoreError> {
    while store.write(move |tx| step(tx)).await? > 0 {}
    Ok(())
}
