//! Notices what is wrong and tells the core as `account.health`: when a fault begins or ends, with
//! the whole state at start and once a day.

mod faults;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::ingest::append;
use super::reply::Paused;
use super::rules::LiveRules;
use crate::broker::inbox::InboxMonitor;
use crate::domain::account::{Account, Sending};
use crate::domain::event::{AccountRef, Event, Fault, Health, HealthState, Payload};
use crate::domain::ids::AccountId;
use crate::store::{Cost, Store, StoreError, Tx};
use crate::telemetry::metrics;
use faults::{Faults, Standing};

const LOOK_EVERY: Duration = Duration::from_secs(15);
const SNAPSHOT_EVERY: SignedDuration = SignedDuration::from_hours(24);

/// Watches the way to the core, and the way to X.
pub struct Watch {
    store: Store,
    rules: LiveRules,
    inboxes: InboxMonitor,
    paused: watch::Receiver<Vec<Paused>>,
    faults: Faults,
    told: HashMap<AccountId, Told>,
    snapshot_at: Option<Timestamp>,
}

/// What was told of an account.
#[derive(Clone, Debug, Default, PartialEq)]
struct Told {
    faults: Vec<Fault>,
    can_send: bool,
}

impl Watch {
    /// A watch that begins with a snapshot.
    pub fn new(
        store: Store,
        rules: LiveRules,
        inboxes: InboxMonitor,
        paused: watch::Receiver<Vec<Paused>>,
    ) -> Self {
        Self {
            store,
            rules,
            inboxes,
            paused,
            faults: Faults::default(),
            told: HashMap::new(),
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
        let month = month_of(now);
        let read = move |tx: &Tx<'_>| Ok((tx.journal_summary()?, tx.costs_since(month)?));
        let (summary, costs) = self.store.read(read).await?;
        self.faults.observe_unrouted(summary.unrouted, now);
        let can_send = self.observe_accounts(&costs, now).await?;
        self.tell(can_send, now).await
    }

    /// Looks at each account's way to X; whether it can send.
    async fn observe_accounts(
        &mut self,
        costs: &[Cost],
        now: Timestamp,
    ) -> Result<HashMap<AccountId, bool>, StoreError> {
        let rules = self.rules.now();
        let paused = self.paused.borrow_and_update().clone();
        let mut can_send = HashMap::new();
        for account in rules.registry.accounts() {
            let id = account.id;
            let state = self.store.read(move |tx| tx.account_state(id)).await?;
            rules.revoked.set(id, state.revoked_at.is_some());
            let own = costs.iter().filter(|cost| cost.account == id);
            for cost in own.clone() {
                metrics::set_cost(&id.to_string(), &cost.kind, cost.amount.micros());
            }
            let standing = Standing {
                account,
                revoked_at: state.revoked_at,
                spent: own.map(|cost| cost.amount).sum(),
            };
            self.faults.observe_account(&standing, &paused, now);
            let is_paused = paused.iter().any(|it| it.app == account.app);
            let has_credential = account.has_credential();
            let live = rules.sending(account) == Sending::Live;
            let sends = has_credential && live && state.revoked_at.is_none() && !is_paused;
            can_send.insert(id, sends);
        }
        Ok(can_send)
    }

    async fn tell(
        &mut self,
        can_send: HashMap<AccountId, bool>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let due = self
            .snapshot_at
            .is_none_or(|last| now.duration_since(last) >= SNAPSHOT_EVERY);
        let mut news = Vec::new();
        let rules = self.rules.now();
        for account in rules.registry.accounts() {
            let told = Told {
                faults: self.faults.of(account.id, now),
                can_send: can_send.get(&account.id).copied().unwrap_or(false),
            };
            if due || self.told.get(&account.id) != Some(&told) {
                news.push((account.clone(), told));
            }
        }
        if news.is_empty() {
            return Ok(());
        }
        let written = news.clone();
        self.store
            .write(move |tx| {
                written.into_iter().try_for_each(|(account, told)| {
                    let event = event(&account, state(told, due, now));
                    append(tx, event.id(), event, now).map(drop)
                })
            })
            .await?;
        self.log(&news);
        for (account, told) in news {
            self.told.insert(account.id, told);
        }
        self.snapshot_at = due.then_some(now).or(self.snapshot_at);
        Ok(())
    }

    /// Each new fault once, whomever it is for.
    fn log(&self, news: &[(Account, Told)]) {
        let known = |fault: &Fault| self.told.values().any(|told| told.faults.contains(fault));
        let faults = news.iter().flat_map(|(_, told)| &told.faults);
        let fresh: BTreeSet<_> = faults
            .filter(|fault| !known(fault))
            .map(|fault| (fault.code, &fault.sentence, &fault.fix))
            .collect();
        for (code, sentence, fix) in fresh {
            tracing::warn!(code, "{sentence} {fix}");
        }
    }
}

/// The first moment of a month, UTC: by it budgets count.
pub(crate) fn month_of(now: Timestamp) -> Timestamp {
    let first = TimeZone::UTC.to_datetime(now).date().first_of_month();
    let first = TimeZone::UTC.to_timestamp(first.at(0, 0, 0, 0));
    first.unwrap_or(now)
}

fn state(told: Told, snapshot: bool, at: Timestamp) -> Health {
    Health {
        state: if told.faults.is_empty() {
            HealthState::Ok
        } else {
            HealthState::Degraded
        },
        can_receive: true,
        can_send: told.can_send,
        complete_until: None,
        snapshot,
        at,
        faults: told.faults,
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
