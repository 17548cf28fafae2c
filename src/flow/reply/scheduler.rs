//! Runs the planner: hears of changes in the ledger, starts steps, tells of waits.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::accept::expired;
use super::erase::Erasures;
use super::files::{AtWork, Files};
use super::intake::Intake;
use super::outcome::{Case, tell};
use super::planner::{Ended, Notice, Planner};
use super::revoked;
use super::step::{Stepper, recover_one};
use crate::attachments::Attachments;
use crate::domain::command::FailureCode;
use crate::domain::ids::AccountId;
use crate::flow::enrich::Enrichment;
use crate::flow::person::Persons;
use crate::flow::rules::{LiveRules, Rules};
use crate::store::{CommandState, SendKind, Store, StoreError, Tx, Waiting};
use crate::telemetry::metrics;
use crate::x::client::{Call, Client};

/// How often changes by another process are looked for.
const POLL: Duration = Duration::from_secs(1);
/// How often waits are looked through for what the core has to hear.
const TELL_EVERY: Duration = Duration::from_secs(2);
/// Notices of one transaction, and how long the next ones wait for it: what 10,000 commands wait for
/// is told in seconds, and neither steps nor the relay fall behind.
const CHUNK: usize = 200;
const TELL_MORE: Duration = Duration::from_millis(100);
/// How long steps under way may take once the service stops, where nobody says otherwise.
const GRACE: Duration = Duration::from_secs(8);
const QUARTER: SignedDuration = SignedDuration::from_mins(15);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// An app that X takes no calls of for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    pub app: String,
    pub code: FailureCode,
}

/// The way of commands to X.
pub struct Replies {
    store: Store,
    rules: LiveRules,
    attachments: Attachments,
    stepper: Arc<Stepper>,
    planner: Planner,
    /// The newest change of the ledger that the planner knows.
    known: u64,
    paused: watch::Sender<Vec<Paused>>,
    /// Waits that the core is still to hear of.
    untold: Vec<Notice>,
    persons: Persons,
    to_erase: Arc<Notify>,
    /// For steps under way once the service stops.
    grace: Duration,
    /// Commands that a former leader may still be sending, and from when on they are looked up.
    on_their_way: Vec<u64>,
    recover_at: Instant,
}

/// When the scheduler does what no command asks for.
struct Due {
    /// Looks for changes in the ledger.
    look: Instant,
    /// Looks for waits to tell of.
    tell: Instant,
}

impl Default for Due {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            look: now,
            tell: now + TELL_EVERY,
        }
    }
}

impl Replies {
    /// Recovers what a former process left on its way, and reads what waits. Where that process may
    /// not have heard yet that it does not lead any more, what it left on its way has to wait
    /// for `settle_in`; all else goes on at once.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn new(
        store: Store,
        rules: LiveRules,
        client: Arc<Client>,
        attachments: Attachments,
        settle_in: Duration,
    ) -> Result<Self, StoreError> {
        let stepper = Arc::new(Stepper {
            store: store.clone(),
            rules: rules.clone(),
            client,
            vault: attachments.vault().clone(),
        });
        let vault = attachments.vault().clone();
        let mut replies = Self {
            persons: Persons::new(store.clone(), rules.clone(), vault),
            to_erase: Arc::default(),
            store,
            rules,
            attachments,
            stepper,
            planner: Planner::default(),
            known: 0,
            paused: watch::Sender::default(),
            untold: Vec::new(),
            grace: GRACE,
            on_their_way: Vec::new(),
            recover_at: Instant::now() + settle_in,
        };
        replies.files().sweep().await?;
        replies.recover().await?;
        Ok(replies)
    }

    /// Takes commands in; for the broker's consumer of this queue.
    pub fn intake(&self, queue: &str) -> Intake {
        Intake {
            queue: queue.to_owned(),
            store: self.store.clone(),
            rules: self.rules.clone(),
            attachments: self.attachments.clone(),
            to_erase: Arc::clone(&self.to_erase),
        }
    }

    /// Erases and hands out what is held of people.
    pub fn persons(&self) -> Persons {
        self.persons.clone()
    }

    /// Has also what was read of X's posts and people forgotten with a person.
    pub fn forgetting(mut self, found: Enrichment) -> Self {
        self.persons = self.persons.forgetting(found);
        self
    }

    /// Steps under way when the service stops may take so long.
    #[must_use]
    pub fn stopping_within(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    fn erasures(&self) -> Erasures {
        Erasures {
            store: self.store.clone(),
            rules: self.rules.clone(),
            persons: self.persons.clone(),
            asked: Arc::clone(&self.to_erase),
        }
    }

    /// Which apps X takes no calls of.
    pub fn paused(&self) -> watch::Receiver<Vec<Paused>> {
        self.paused.subscribe()
    }

    fn files(&self) -> Files {
        Files {
            store: self.store.clone(),
            rules: self.rules.clone(),
            attachments: self.attachments.clone(),
            at_work: AtWork::default(),
        }
    }

    async fn recover(&mut self) -> Result<(), StoreError> {
        let (rules, now) = (self.rules.now(), Timestamp::now());
        let at_once = Instant::now() >= self.recover_at;
        let (mut open, known, sends) = self
            .store
            .write(move |tx| {
                let open = tx.open_commands()?.into_iter();
                let on_their_way = open.filter(|it| it.state == CommandState::Sending);
                for waiting in on_their_way.filter(|_| at_once) {
                    recover_one(tx, &rules, waiting.sequence, now)?;
                }
                revoked::review(tx, &rules, now)?;
                let before = |age| now.saturating_sub(age).unwrap_or(now);
                let sends = (
                    tx.sends_since(before(QUARTER))?,
                    tx.sends_since(before(DAY))?,
                );
                Ok((tx.open_commands()?, tx.newest_change()?, sends))
            })
            .await?;
        self.known = known;
        let silent_in = self
            .recover_at
            .saturating_duration_since(Instant::now())
            .saturating_add(POLL);
        for row in &mut open {
            if row.state == CommandState::Sending {
                self.on_their_way.push(row.sequence);
                // It keeps its place before what comes later in its conversation.
                row.next_attempt_at = now.saturating_add(silent_in).unwrap_or(now);
            }
        }
        self.take_rows(open);
        let (quarter, day) = sends;
        for (account, kind, count) in day {
            let recent = quarter.iter().find(|it| (it.0, it.1) == (account, kind));
            self.count_sends(account, kind, (recent.map_or(0, |it| it.2), count), now);
        }
        Ok(())
    }

    /// Looks after what a former leader left on its way, once that leader is silent for sure.
    async fn recover_rest(&mut self) -> Result<(), StoreError> {
        if self.on_their_way.is_empty() || Instant::now() < self.recover_at {
            return Ok(());
        }
        let (rules, now) = (self.rules.now(), Timestamp::now());
        let sequences = self.on_their_way.clone();
        let rows = self
            .store
            .write(move |tx| {
                let mut rows = Vec::new();
                for sequence in sequences {
                    recover_one(tx, &rules, sequence, now)?;
                    rows.extend(tx.command(sequence)?.map(|row| row.waiting));
                }
                Ok(rows)
            })
            .await?;
        self.on_their_way.clear();
        self.take_rows(rows);
        Ok(())
    }

    fn count_sends(
        &mut self,
        account: AccountId,
        kind: SendKind,
        counts: (u32, u32),
        now: Timestamp,
    ) {
        let app = self.rules.now().app_name(Some(account)).to_owned();
        let calls: &[Call] = match kind {
            SendKind::Post => &[Call::CreatePost],
            SendKind::DirectMessage => &[
                Call::SendDirectMessageToPerson,
                Call::SendDirectMessageToConversation,
            ],
        };
        for call in calls {
            let windows = &mut self.planner.windows;
            windows.taken_before(account, &app, *call, counts, now);
        }
    }

    fn take_rows(&mut self, rows: Vec<Waiting>) {
        for row in rows {
            self.known = self.known.max(row.changed);
            let app = self.rules.now().app_name(row.account).to_owned();
            self.planner.upsert(row, &app);
        }
    }

    /// Works until `stop`; then waits for the steps under way.
    pub async fn run(mut self, stop: CancellationToken) {
        let cut = CancellationToken::new();
        let _cut = cut.clone().drop_guard();
        let fetching = TaskTracker::new();
        fetching.spawn(self.files().run(stop.clone()));
        fetching.spawn(self.erasures().run(stop.clone()));
        let tasks = TaskTracker::new();
        let (ended, mut endings) = mpsc::channel(64);
        let mut due = Due::default();
        while !stop.is_cancelled() {
            if let Err(error) = self.round((&tasks, &cut), &ended, &mut due).await {
                tracing::warn!(%error, "commands wait for the store");
            }
            let wake = self.wakes_at(&due);
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.store.ledger_changed().notified() => due.look = Instant::now(),
                () = sleep_until(wake) => {}
                Some(end) = endings.recv() => self.end(end),
            }
            while let Ok(end) = endings.try_recv() {
                self.end(end);
            }
        }
        drop(ended);
        tasks.close();
        fetching.close();
        // Their ends are on disk; nobody has to hear of them.
        let drained = async {
            while endings.recv().await.is_some() {}
            tasks.wait().await;
            fetching.wait().await;
        };
        if timeout(self.grace, drained).await.is_err() {
            cut.cancel();
            tasks.wait().await;
            fetching.wait().await;
            match self.doubt_cut_off().await {
                Ok(cut_off) => tracing::warn!(
                    cut_off,
                    "calls to X were cut off; they are looked up after the next start"
                ),
                Err(error) => {
                    tracing::warn!(%error, "calls to X that were cut off stay as they are")
                }
            }
        }
    }

    /// Calls whose end nobody will hear of are uncertain; how many. An end that comes all the same
    /// settles them.
    async fn doubt_cut_off(&self) -> Result<usize, StoreError> {
        let (rules, now) = (self.rules.now(), Timestamp::now());
        self.store
            .write(move |tx| {
                let open = tx.open_commands()?.into_iter();
                let sending = open.filter(|it| it.state == CommandState::Sending);
                let sending: Vec<_> = sending.map(|it| it.sequence).collect();
                for sequence in &sending {
                    recover_one(tx, &rules, *sequence, now)?;
                }
                Ok(sending.len())
            })
            .await
    }

    fn end(&mut self, ended: Ended) {
        self.planner.ended(ended, Timestamp::now());
    }

    fn wakes_at(&mut self, due: &Due) -> Instant {
        let now = Timestamp::now();
        let mut latest = due.look.min(due.tell);
        if !self.on_their_way.is_empty() {
            latest = latest.min(self.recover_at);
        }
        let Some(at) = self.planner.wakes_at(now) else {
            return latest;
        };
        let left = Duration::try_from(at.duration_since(now)).unwrap_or_default();
        // Not at once again: what is due and did not go waits for something else.
        latest.min(Instant::now() + left.max(Duration::from_millis(2)))
    }

    async fn round(
        &mut self,
        (tasks, cut): (&TaskTracker, &CancellationToken),
        ended: &mpsc::Sender<Ended>,
        due: &mut Due,
    ) -> Result<(), StoreError> {
        if Instant::now() >= due.look {
            due.look = Instant::now() + POLL;
            let known = self.known;
            let read = move |tx: &Tx<'_>| tx.commands_changed(known);
            let changed = self.store.read(read).await?;
            self.take_rows(changed);
        }
        self.recover_rest().await?;
        self.expire().await?;
        while let Some(sequence) = self.planner.next(Timestamp::now()) {
            let (stepper, ended) = (Arc::clone(&self.stepper), ended.clone());
            let cut = cut.clone();
            tasks.spawn(async move {
                if let Some(end) = cut.run_until_cancelled(stepper.step(sequence)).await {
                    // Nobody listens any more when the service stops.
                    let _ = ended.send(end).await;
                }
            });
        }
        self.show();
        if Instant::now() >= due.tell {
            due.tell = Instant::now() + TELL_MORE;
            if self.untold.is_empty() {
                self.untold = self.planner.notices(Timestamp::now());
            }
            self.tell().await?;
            if self.untold.is_empty() {
                due.tell = Instant::now() + TELL_EVERY;
            }
        }
        Ok(())
    }

    /// Ends commands whose time is over.
    async fn expire(&mut self) -> Result<(), StoreError> {
        let due = self.planner.expired(Timestamp::now());
        if due.is_empty() {
            return Ok(());
        }
        let (rules, now) = (self.rules.now(), Timestamp::now());
        let rows = self
            .store
            .write(move |tx| {
                let mut rows = Vec::new();
                for sequence in due {
                    expire(tx, &rules, sequence, now)?;
                    rows.extend(tx.command(sequence)?.map(|row| row.waiting));
                }
                Ok(rows)
            })
            .await?;
        self.take_rows(rows);
        Ok(())
    }

    /// Tells some of what is to be told; what could not be written is tried again.
    async fn tell(&mut self) -> Result<(), StoreError> {
        let count = self.untold.len().min(CHUNK);
        let chunk: Vec<_> = self.untold.iter().take(count).cloned().collect();
        if !chunk.is_empty() {
            let (rules, now) = (self.rules.now(), Timestamp::now());
            self.store
                .write(move |tx| tell(tx, &rules, &chunk, now))
                .await?;
            self.untold.drain(..count);
        }
        Ok(())
    }

    fn show(&mut self) {
        let (waiting, running) = self.planner.len();
        metrics::set_ledger_open(waiting as u64, running as u64);
        let mut paused: Vec<_> = self
            .planner
            .paused()
            .map(|(app, code, _)| Paused {
                app: app.to_owned(),
                code,
            })
            .collect();
        paused.sort_by(|one, other| one.app.cmp(&other.app));
        self.paused.send_if_modified(|known| {
            let changed = *known != paused;
            *known = paused;
            changed
        });
    }
}

fn expire(tx: &mut Tx<'_>, rules: &Rules, sequence: u64, now: Timestamp) -> Result<(), StoreError> {
    match Case::open(tx, sequence)? {
        Some(case) if case.row.waiting.expires_at <= now => case.finish(tx, rules, expired(), now),
        _ => Ok(()),
    }
}
