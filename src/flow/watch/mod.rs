//! Notices what is wrong and tells the core as `account.health`: when a fault begins or ends, with
//! the whole state at start, once a day and on request.
//!
//! Each part of the service puts what it finds on the [`Board`]; the watch looks at the rest itself,
//! and tells.

mod board;
mod faults;
mod silence;
mod traffic;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::gaps;
use super::ingest::append;
use super::reply::Paused;
use super::rules::{LiveRules, Rules};
use crate::broker::inbox::InboxMonitor;
use crate::domain::account::{Account, Sending};
use crate::domain::event::{AccountRef, Event, Fault, Health, HealthState, Payload};
use crate::domain::ids::AccountId;
use crate::store::{AccountState, Cost, Gap, Store, StoreError, Summary, Traffic, Tx, hour_of};
use crate::telemetry::metrics;
pub use board::{Board, Subject, Trouble};
use faults::{Faults, Standing, observe_account, observe_apps};
pub use traffic::TrafficCounts;

const LOOK_EVERY: Duration = Duration::from_secs(15);
const SNAPSHOT_EVERY: SignedDuration = SignedDuration::from_hours(24);

/// What the watch looks at.
pub struct Watched {
    pub inboxes: InboxMonitor,
    /// Apps that X takes no calls of.
    pub paused: watch::Receiver<Vec<Paused>>,
    /// Where it tells what it sees; with what other parts have found.
    pub view: HealthView,
    pub traffic: TrafficCounts,
}

/// An account and how well it works.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountHealth {
    pub account: AccountRef,
    pub health: Health,
}

/// What the watch tells those who ask, whichever term it is of; cheap to clone.
#[derive(Clone, Default)]
pub struct HealthView {
    accounts: watch::Sender<Vec<AccountHealth>>,
    requested: Arc<Notify>,
    board: Board,
}

impl HealthView {
    /// Of a watch that has seen nothing.
    pub fn new(board: Board) -> Self {
        Self {
            board,
            ..Self::default()
        }
    }

    /// Forgets what was seen: others may have changed it since.
    pub fn clear(&self) {
        self.accounts.send_replace(Vec::new());
        self.board.clear();
    }

    /// Every linked account as it was seen last; empty before the first look.
    pub fn accounts(&self) -> Vec<AccountHealth> {
        self.accounts.borrow().clone()
    }

    /// All that is wrong now, also where no account is linked yet.
    pub fn faults(&self) -> Vec<(Subject, Fault)> {
        self.board.all()
    }

    /// How many things are wrong now, each once.
    pub fn attention(&self) -> usize {
        let accounts = self.accounts.borrow();
        let own = accounts.iter().flat_map(|it| &it.health.faults);
        let mut faults: BTreeSet<_> = own.map(|it| (it.code, it.sentence.clone())).collect();
        let all = self.board.all().into_iter();
        faults.extend(all.map(|(_, fault)| (fault.code, fault.sentence)));
        faults.len()
    }

    /// Has the whole state of every account published, soon.
    pub fn request_snapshot(&self) {
        self.requested.notify_one();
    }
}

/// Watches the way to the core, and the way to X.
pub struct Watch {
    store: Store,
    rules: LiveRules,
    watched: Watched,
    faults: Faults,
    told: HashMap<AccountId, Told>,
    snapshot_at: Option<Timestamp>,
    view: HealthView,
}

/// What was told of an account.
#[derive(Clone, Debug, Default, PartialEq)]
struct Told {
    faults: Vec<Fault>,
    can_receive: bool,
    can_send: bool,
}

/// What the store knows of the accounts and of what waits.
struct Sight {
    summary: Summary,
    costs: Vec<Cost>,
    states: HashMap<AccountId, AccountState>,
    gaps: Vec<Gap>,
    traffic: Vec<(AccountId, i64, Traffic)>,
}

impl Watch {
    /// A watch that begins with a snapshot.
    pub fn new(store: Store, rules: LiveRules, watched: Watched) -> Self {
        Self {
            view: watched.view.clone(),
            store,
            rules,
            watched,
            faults: Faults::default(),
            told: HashMap::new(),
            snapshot_at: None,
        }
    }

    /// Looks until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let requested = Arc::clone(&self.view.requested);
        let board = self.view.board.clone();
        let mut changes = self.rules.changes();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
                () = board.changed().notified() => {}
                _ = changes.changed() => {}
                () = requested.notified() => self.snapshot_at = None,
            }
            if let Err(error) = self.look(Timestamp::now()).await {
                tracing::warn!(%error, "the state of the accounts could not be noted");
            }
        }
        if let Err(error) = self.watched.traffic.write(&self.store).await {
            tracing::warn!(%error, "the last minute's traffic was not noted");
        }
    }

    async fn look(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.look_at_inboxes(now).await;
        self.watched.traffic.write(&self.store).await?;
        let rules = self.rules.now();
        let sight = self.see(&rules, now).await?;
        self.faults
            .observe_unrouted(sight.summary.unrouted.clone(), now);
        self.observe(&rules, &sight, now);
        self.tell(&rules, &sight, now).await
    }

    async fn look_at_inboxes(&mut self, now: Timestamp) {
        match self.watched.inboxes.observe().await {
            Ok(inboxes) => {
                for inbox in &inboxes {
                    if let Some(depth) = &inbox.seen {
                        metrics::set_inbox(&inbox.queue, depth.messages, depth.consumers);
                    }
                }
                self.faults.observe_inboxes(&inboxes, now);
            }
            // The relay says so, and goes on trying.
            Err(error) => {
                tracing::debug!(%error, "the inboxes cannot be seen");
                return;
            }
        }
        match self.watched.inboxes.observe_dead_letters().await {
            Ok(queues) => {
                for queue in queues {
                    let messages = queue.seen.map_or(0, |seen| seen.messages);
                    metrics::set_dead_letters(&queue.queue, messages);
                }
            }
            Err(error) => tracing::debug!(%error, "the dead letters cannot be seen"),
        }
    }

    async fn see(&self, rules: &Rules, now: Timestamp) -> Result<Sight, StoreError> {
        let ids: Vec<_> = rules
            .registry
            .accounts()
            .map(|account| account.id)
            .collect();
        let since = hour_of(now) - silence::LOOKED_AT;
        let read = move |tx: &Tx<'_>| {
            let states = ids.into_iter().map(|id| Ok((id, tx.account_state(id)?)));
            Ok(Sight {
                summary: tx.journal_summary()?,
                costs: tx.costs_since(month_of(now))?,
                states: states.collect::<Result<_, StoreError>>()?,
                gaps: tx.open_gaps()?,
                traffic: tx.traffic_since(since)?,
            })
        };
        self.store.read(read).await
    }

    /// Looks at each account's way to X.
    fn observe(&mut self, rules: &Rules, sight: &Sight, now: Timestamp) {
        let paused = self.watched.paused.borrow_and_update().clone();
        let board = &self.view.board;
        board.keep_only(|subject| match subject {
            Subject::Service => true,
            Subject::App(name) => rules.registry.apps().iter().any(|app| app.name == *name),
            Subject::Account(id) => rules.registry.account(id.0).is_some(),
        });
        observe_apps(board, rules.registry.apps(), &paused, now);
        for account in rules.registry.accounts() {
            let id = account.id;
            let revoked_at = sight.states.get(&id).and_then(|state| state.revoked_at);
            rules.revoked.set(id, revoked_at.is_some());
            let own = sight.costs.iter().filter(|cost| cost.account == id);
            for cost in own.clone() {
                metrics::set_cost(&id.to_string(), &cost.kind, cost.amount.micros());
            }
            let heard = sight
                .traffic
                .iter()
                .filter(|(of, _, it)| *of == id && it.heard > 0);
            let heard: Vec<_> = heard.map(|(_, hour, _)| *hour).collect();
            let standing = Standing {
                account,
                revoked_at,
                spent: own.map(|cost| cost.amount).sum(),
                silence: silence::silence(&heard, hour_of(now)),
            };
            observe_account(board, &standing, now);
        }
    }

    /// What there is to tell of an account.
    fn state(&self, rules: &Rules, account: &Account, now: Timestamp) -> Told {
        let mut faults = self.faults.list(now);
        faults.extend(self.view.board.of(account));
        let any = |stops: fn(&Fault) -> bool| faults.iter().any(stops);
        let live = rules.sending(account) == Sending::Live;
        Told {
            can_receive: !any(|fault| fault.effect.stops_receiving()),
            can_send: live && !any(|fault| fault.effect.stops_sending()),
            faults,
        }
    }

    async fn tell(
        &mut self,
        rules: &Rules,
        sight: &Sight,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let due = self
            .snapshot_at
            .is_none_or(|last| now.duration_since(last) >= SNAPSHOT_EVERY);
        let (mut news, mut all) = (Vec::new(), Vec::new());
        for account in rules.registry.accounts() {
            let told = self.state(rules, account, now);
            let complete_until = self.complete_until(account, sight);
            let health = health(&told, complete_until, due, now);
            if due || self.told.get(&account.id) != Some(&told) {
                news.push((account.id, told, event(account, health.clone())));
            }
            all.push(AccountHealth {
                account: account_ref(account),
                health,
            });
        }
        self.view.accounts.send_replace(all);
        self.publish(news, now).await?;
        self.told
            .retain(|id, _| rules.registry.account(id.0).is_some());
        metrics::set_faults(self.told.iter().flat_map(|(account, told)| {
            let codes = told.faults.iter().map(|fault| fault.code);
            codes.map(move |code| (account.to_string(), code))
        }));
        self.snapshot_at = due.then_some(now).or(self.snapshot_at);
        Ok(())
    }

    async fn publish(
        &mut self,
        news: Vec<(AccountId, Told, Event)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if news.is_empty() {
            return Ok(());
        }
        let events: Vec<_> = news.iter().map(|(_, _, event)| event.clone()).collect();
        self.store
            .write(move |tx| {
                let mut events = events.into_iter();
                events.try_for_each(|event| append(tx, event.id(), event, now).map(drop))
            })
            .await?;
        self.log(news.iter().flat_map(|(_, told, _)| &told.faults));
        for (account, told, _) in news {
            self.told.insert(account, told);
        }
        Ok(())
    }

    /// Until when all that X had for an account is known to be here.
    fn complete_until(&self, account: &Account, sight: &Sight) -> Option<Timestamp> {
        let verified = self.view.board.verified_at(account)?;
        let own = sight.gaps.iter();
        let own = own.filter(|gap| gaps::concerns(gap, account));
        let first_gap = own.map(Gap::rest).min();
        Some(first_gap.map_or(verified, |from| from.min(verified)))
    }

    /// Each new fault once, whomever it is for.
    fn log<'f>(&self, faults: impl Iterator<Item = &'f Fault>) {
        let known = |fault: &Fault| self.told.values().any(|told| told.faults.contains(fault));
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

fn health(told: &Told, complete_until: Option<Timestamp>, snapshot: bool, at: Timestamp) -> Health {
    Health {
        state: HealthState::of(&told.faults),
        can_receive: told.can_receive,
        can_send: told.can_send,
        complete_until,
        snapshot,
        at,
        faults: told.faults.clone(),
    }
}

fn account_ref(account: &Account) -> AccountRef {
    AccountRef {
        id: Some(account.id),
        username: account.username.clone(),
    }
}

fn event(account: &Account, health: Health) -> Event {
    Event {
        account: account_ref(account),
        time: health.at,
        backfilled: false,
        payload: Payload::AccountHealth(health),
    }
}
