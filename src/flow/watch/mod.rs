//! Notices what is wrong and tells the core as `account.health`: when a fault begins or ends, with
//! the whole state at start and once a day.

mod faults;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::ingest::append;
use crate::broker::inbox::InboxMonitor;
use crate::domain::account::Account;
use crate::domain::event::{AccountRef, Event, Fault, Health, HealthState, Payload};
use crate::domain::registry::Registry;
use crate::store::{Store, StoreError};
use crate::telemetry::metrics;
use faults::Faults;

const LOOK_EVERY: Duration = Duration::from_secs(15);
const SNAPSHOT_EVERY: SignedDuration = SignedDuration::from_hours(24);

/// Watches the way to the core.
pub struct Watch {
    store: Store,
    registry: Arc<Registry>,
    inboxes: InboxMonitor,
    faults: Faults,
    told: Vec<Fault>,
    snapshot_at: Option<Timestamp>,
}

impl Watch {
    /// A watch that begins with a snapshot.
    pub fn new(store: Store, registry: Arc<Registry>, inboxes: InboxMonitor) -> Self {
        Self {
            store,
            registry,
            inboxes,
            faults: Faults::default(),
            told: Vec::new(),
            snapshot_at: None,
        }
    }

    /// Looks until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {
                    if let Err(error) = self.look(Timestamp::now()).await {
                        tracing::warn!(%error, "the state of the accounts could not be noted");
                    }
                }
            }
        }
    }

    async fn look(&mut self, now: Timestamp) -> Result<(), StoreError> {
        match self.inboxes.observe().await {
            Ok(inboxes) => {
                for inbox in &inboxes {
                    if let Some(depth) = &inbox.seen {
                        metrics::set_inbox(&inbox.queue, depth.messages, depth.consumers);
                    }
                }
                self.faults.observe_inboxes(&inboxes, now);
            }
            // The relay says so, and goes on trying.
            Err(error) => tracing::debug!(%error, "the inboxes cannot be seen"),
        }
        let summary = self.store.read(|tx| tx.journal_summary()).await?;
        self.faults.observe_unrouted(summary.unrouted, now);
        self.tell(now).await
    }

    async fn tell(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let faults = self.faults.list(now);
        let due = self
            .snapshot_at
            .is_none_or(|last| now.duration_since(last) >= SNAPSHOT_EVERY);
        if faults == self.told && !due {
            return Ok(());
        }
        let accounts: Vec<_> = self.registry.accounts().cloned().collect();
        let health = state(faults.clone(), due, now);
        self.store
            .write(move |tx| {
                accounts.iter().try_for_each(|account| {
                    let event = event(account, health.clone());
                    append(tx, event.id(), event, now).map(drop)
                })
            })
            .await?;
        for fault in &faults {
            tracing::warn!(code = fault.code, "{} {}", fault.sentence, fault.fix);
        }
        self.told = faults;
        self.snapshot_at = due.then_some(now).or(self.snapshot_at);
        Ok(())
    }
}

fn state(faults: Vec<Fault>, snapshot: bool, at: Timestamp) -> Health {
    Health {
        state: if faults.is_empty() {
            HealthState::Ok
        } else {
            HealthState::Degraded
        },
        can_receive: true,
        // Commands are not taken yet.
        can_send: false,
        complete_until: None,
        snapshot,
        at,
        faults,
    }
}

fn event(account: &Account, health: Health) -> Event {
    Event {
        account: AccountRef {
            id: Some(account.id),
            username: account.username.clone(),
        },
        time: health.at,
        backfilled: false,
        payload: Payload::AccountHealth(health),
    }
}
