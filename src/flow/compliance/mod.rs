//! Customers' deletes come by no webhook: once a day X is asked which published posts are to be
//! shown no more. An app that may not have jobs looks posts up by id, where that is wanted.
//!
//! How far a check has come is kept, so that a restart goes on with it: one at a time for an app.

mod job;
mod look_up;
mod noting;
mod state;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::rules::{LiveRules, Rules};
use super::watch::{Board, Subject};
use crate::domain::account::App;
use crate::store::{CheckRow, ComplianceRow, LookUp, Store, StoreError, Tx};
use crate::telemetry::metrics;
use crate::x::client::{CallError, Client};

pub use state::{Requested, request};

/// How often is looked for what is due.
const LOOK: Duration = Duration::from_secs(2);
/// How long a check waits until X is asked again: at first, and, each wait being twice the one
/// before, at most.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// How checks are made.
#[derive(Clone, Copy, Debug)]
pub struct CheckSettings {
    /// Once a day by themselves, else on request only.
    pub auto: bool,
    /// Apps that may not have jobs look posts up, which X charges.
    pub look_up: bool,
}

/// How a step of a check ends that did not fail.
#[derive(Debug)]
enum Progress {
    /// It goes on from here.
    Step(CheckRow),
    /// X needs time.
    Waits,
    Done,
}

/// Why a check does not get on.
#[derive(Debug, thiserror::Error)]
enum Setback {
    /// X takes no more calls before.
    #[error("X takes no more calls for now")]
    Limited(Option<Timestamp>),
    /// The same step may do better later.
    #[error("{0}")]
    Later(String),
    /// Another check may do better.
    #[error("{0}")]
    Failed(String),
    /// The app may not.
    #[error("{0}")]
    NotAllowed(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The wait of a check under way.
struct Pause {
    until: Instant,
    length: Duration,
}

/// Makes the checks of all apps.
pub struct Checks {
    store: Store,
    rules: LiveRules,
    client: Arc<Client>,
    board: Board,
    settings: CheckSettings,
    pauses: HashMap<String, Pause>,
}

impl Checks {
    pub fn new(
        store: Store,
        rules: LiveRules,
        client: Arc<Client>,
        board: Board,
        settings: CheckSettings,
    ) -> Self {
        Self {
            store,
            rules,
            client,
            board,
            settings,
            pauses: HashMap::new(),
        }
    }

    /// Makes them until `stop`. A step that is cut off then is done again after the next start.
    pub async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.check_forever()).await;
    }

    async fn check_forever(&mut self) {
        loop {
            let rules = self.rules.now();
            let is_there = |name: &String| rules.registry.apps().iter().any(|it| it.name == *name);
            self.pauses.retain(|name, _| is_there(name));
            for app in rules.registry.apps() {
                if let Err(error) = self.look_after(&rules, app).await {
                    tracing::warn!(app = app.name, %error, "a compliance check cannot go on");
                    self.pause(&app.name, None);
                }
            }
            sleep(LOOK.min(self.next_in())).await;
        }
    }

    /// How long nothing can be gone on with.
    fn next_in(&self) -> Duration {
        let until = self.pauses.values().map(|pause| pause.until).min();
        until.map_or(LOOK, |until| {
            until.saturating_duration_since(Instant::now())
        })
    }

    /// Takes an app's check as far as it goes without waiting.
    async fn look_after(&mut self, rules: &Arc<Rules>, app: &App) -> Result<(), StoreError> {
        loop {
            let now = Timestamp::now();
            let row = self.row(app, now).await?;
            self.show(&row, now);
            let Some(check) = row.check.clone() else {
                self.pauses.remove(&app.name);
                if !state::is_due(&row, self.settings.auto, now) {
                    return Ok(());
                }
                let begun = state::begun(&row, now);
                self.change(app, now, move |row| *row = begun).await?;
                continue;
            };
            let pause = self.pauses.get(&app.name);
            if pause.is_some_and(|pause| pause.until > Instant::now()) {
                return Ok(());
            }
            let ended = self.advance(rules, app, &check, now).await;
            if !self.keep(app, ended, now).await? {
                return Ok(());
            }
        }
    }

    async fn advance(
        &self,
        rules: &Arc<Rules>,
        app: &App,
        check: &CheckRow,
        now: Timestamp,
    ) -> Result<Progress, Setback> {
        match check.look_up {
            Some(at) => self.look_up(rules, app, check, at, now).await,
            None => self.go_on_with_job(rules, app, check, now).await,
        }
    }

    /// Keeps how a step ended; whether the next can follow at once.
    async fn keep(
        &mut self,
        app: &App,
        ended: Result<Progress, Setback>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        match ended {
            Ok(Progress::Step(check)) => {
                self.pauses.remove(&app.name);
                self.change(app, now, move |row| row.check = Some(check))
                    .await?;
                Ok(true)
            }
            Ok(Progress::Waits) => {
                self.pause(&app.name, None);
                Ok(false)
            }
            Ok(Progress::Done) => {
                metrics::set_compliance_done(&app.name, now);
                tracing::info!(app = app.name, "a compliance check is done");
                self.change(app, now, move |row| state::done(row, now))
                    .await?;
                Ok(true)
            }
            Err(setback) => self.keep_setback(app, setback, now).await,
        }
    }

    async fn keep_setback(
        &mut self,
        app: &App,
        setback: Setback,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let problem = setback.to_string();
        match setback {
            Setback::Limited(until) => self.pause(&app.name, until),
            Setback::Store(error) => return Err(error),
            Setback::Later(_) => {
                self.pause(&app.name, None);
                let note = move |row: &mut ComplianceRow| state::failing(row, problem, now);
                self.change(app, now, note).await?;
            }
            Setback::Failed(_) => {
                tracing::info!(app = app.name, problem, "a compliance check failed");
                let note = move |row: &mut ComplianceRow| state::failed(row, problem, now);
                self.change(app, now, note).await?;
            }
            Setback::NotAllowed(_) => return self.keep_refusal(app, problem, now).await,
        }
        Ok(false)
    }

    async fn keep_refusal(
        &self,
        app: &App,
        problem: String,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let first = self.first_account(app);
        let instead = first.filter(|_| self.settings.look_up);
        let looks_up = instead.is_some();
        let note = move |row: &mut ComplianceRow| match (instead, &mut row.check) {
            (Some(account), Some(check)) if check.look_up.is_none() => {
                let before = None;
                check.look_up = Some(LookUp { account, before });
            }
            _ => state::refused(row, problem, now),
        };
        self.change(app, now, note).await?;
        Ok(looks_up)
    }

    async fn row(&self, app: &App, now: Timestamp) -> Result<ComplianceRow, StoreError> {
        let name = app.name.clone();
        let known = self.store.read(move |tx| tx.compliance_of(&name)).await?;
        match known {
            Some(known) => Ok(known),
            None => self.change(app, now, |_| {}).await,
        }
    }

    /// Changes what is kept of an app's checks; somebody else may have changed it meanwhile.
    async fn change(
        &self,
        app: &App,
        now: Timestamp,
        change: impl FnOnce(&mut ComplianceRow) + Send + 'static,
    ) -> Result<ComplianceRow, StoreError> {
        let name = app.name.clone();
        let write = move |tx: &mut Tx<'_>| {
            let known = tx.compliance_of(&name)?;
            let mut row = known.unwrap_or_else(|| state::new(&name, now));
            change(&mut row);
            tx.put_compliance(&row)?;
            Ok(row)
        };
        self.store.write(write).await
    }

    /// Longer each time; not before `until`.
    fn pause(&mut self, app: &str, until: Option<Timestamp>) {
        let (first, longest) = WAITS;
        let last = self.pauses.get(app).map(|pause| pause.length * 2);
        let length = last.unwrap_or(first).min(longest);
        let limited = until.and_then(|until| {
            let wait = until.duration_since(Timestamp::now());
            Duration::try_from(wait).ok()
        });
        let until = Instant::now() + limited.unwrap_or_default().max(length);
        self.pauses.insert(app.to_owned(), Pause { until, length });
    }

    fn show(&self, row: &ComplianceRow, now: Timestamp) {
        let subject = Subject::App(row.app.clone());
        let found = state::trouble(row, self.settings, now);
        self.board.set(&subject, &[state::FAILS], found, now);
    }
}

impl From<CallError> for Setback {
    fn from(error: CallError) -> Self {
        let problem = error.to_string();
        match error {
            CallError::RateLimited { until, .. } => Self::Limited(until),
            CallError::Refused(refusal) if refusal.upstream.status == 403 => {
                Self::NotAllowed(problem)
            }
            CallError::Refused(_) => Self::Failed(problem),
            CallError::NotSent { .. }
            | CallError::CreditsDepleted { .. }
            | CallError::Unauthorized { .. }
            | CallError::Unavailable { .. }
            | CallError::Uncertain { .. } => Self::Later(problem),
        }
    }
}
