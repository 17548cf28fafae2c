//! Fills gaps: times for which X may have what we have not, because deliveries were refused, because
//! the service did not run, or because somebody asks.
//!
//! X delivers again what it delivered or tried to in the last day (`replay`, with the spans that it
//! takes in `window`); what it does not, or not any more, is read from its lists (`reads`), account
//! by account and page by page. Either way messages go through [`Ingest`] as everything does, so what
//! is here already is known, and what comes late is marked as backfilled. What cannot be had is
//! closed as lost, and told (`faults`). Progress lies in the store: a restart goes on where it was.

mod estimate;
mod faults;
mod reads;
mod replay;
mod window;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::ingest::Ingest;
use super::rules::{LiveRules, Rules};
use super::watch::Board;
use crate::domain::account::{Account, App};
use crate::domain::ids::AccountId;
use crate::store::{Gap, GapEnd, GapMethod, GapReason, NewGap, ReplayEnd, Store, StoreError, Tx};
use crate::x::client::{CallError, Client, NotSent, offers_replay};
pub use estimate::{Estimate, estimate};

/// How soon a gap that the command line opens is seen.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// X's search goes back so far, and no read of ours ingests what is older.
pub const REACH: SignedDuration = SignedDuration::from_hours(7 * 24);
/// What may be missing at the end of that reach without a word.
const LENIENT: SignedDuration = SignedDuration::from_hours(1);
/// By which a gap that we noticed is filled beyond its ends: it is known to ten seconds.
const MARGIN: SignedDuration = SignedDuration::from_mins(1);
/// Until the next try where X does not say, and where it fails.
const LONG_PAUSE: SignedDuration = SignedDuration::from_mins(15);
const SHORT_PAUSE: SignedDuration = SignedDuration::from_mins(1);
/// How long what is lost is told unless somebody acknowledges it.
const LOST_TOLD: SignedDuration = SignedDuration::from_hours(24);

/// How gaps are filled.
#[derive(Clone, Debug)]
pub struct GapSettings {
    /// `public.url`: which of an app's webhooks is ours.
    pub public_url: Option<String>,
    /// A replay of which no end has come by then is ordered again.
    pub replay_end_within: Duration,
}

/// Fills the gaps of all apps.
pub struct Gaps {
    store: Store,
    rules: LiveRules,
    client: Arc<Client>,
    ingest: Arc<Ingest>,
    board: Board,
    settings: GapSettings,
    /// Accounts that are not read for a gap before then: X limits and refuses each by itself.
    pauses: Mutex<HashMap<(u64, AccountId), Timestamp>>,
}

/// What there is to do.
struct Sight {
    gaps: Vec<Gap>,
    ends: Vec<ReplayEnd>,
    /// Of which something is lost, not yet acknowledged.
    lost: Vec<Gap>,
    /// Accounts for which nothing may be read any more this month.
    over_budget: HashSet<AccountId>,
}

/// Opens a gap; its id. It is filled by the running service.
///
/// # Errors
/// When the store cannot be written.
pub fn open(tx: &Tx<'_>, gap: &NewGap) -> Result<u64, StoreError> {
    tx.add_gap(gap)
}

/// Whether a gap keeps it from being known that all is here which X had for an account. What came
/// before its linking was promised to nobody.
pub(super) fn concerns(gap: &Gap, account: &Account) -> bool {
    let linked_in_time = account.linking.is_none_or(|linking| linking.at < gap.until);
    let promised = gap.reason != GapReason::Linking;
    gap.app == account.app && gap.is_open_for(account.id) && promised && linked_in_time
}

impl Gaps {
    pub fn new(
        store: Store,
        rules: LiveRules,
        client: Arc<Client>,
        ingest: Arc<Ingest>,
        board: Board,
        settings: GapSettings,
    ) -> Self {
        Self {
            store,
            rules,
            client,
            ingest,
            board,
            settings,
            pauses: Mutex::default(),
        }
    }

    fn pause(&self, gap: u64, account: AccountId, until: Timestamp, now: Timestamp) {
        let mut pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.retain(|_, until| *until > now);
        pauses.insert((gap, account), until);
    }

    fn is_paused(&self, gap: u64, account: AccountId, now: Timestamp) -> bool {
        let pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        let until = pauses.get(&(gap, account));
        until.is_some_and(|until| *until > now)
    }

    /// Fills gaps until `stop`. A call under way is dropped then: a read changes nothing at X, and a
    /// replay was noted before it is ordered.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.fill_forever()).await;
    }

    async fn fill_forever(&self) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            ticks.tick().await;
            let filled = self.fill().await;
            match &filled {
                Err(error) if !failing => tracing::warn!(%error, "gaps are not filled"),
                _ => {}
            }
            failing = filled.is_err();
        }
    }

    /// Does all that can be done now.
    async fn fill(&self) -> Result<(), StoreError> {
        while self.round().await? {}
        Ok(())
    }

    /// A step for each gap, oldest first; whether anything was done.
    async fn round(&self) -> Result<bool, StoreError> {
        let rules = self.rules.now();
        let sight = self.see(&rules, Timestamp::now()).await?;
        faults::show(&self.board, &rules.registry, &sight, Timestamp::now());
        let running = sight.gaps.iter().filter(|gap| gap.order.is_some());
        let mut busy: HashSet<String> = running.map(|gap| gap.app.clone()).collect();
        let mut worked = false;
        for gap in &sight.gaps {
            let step = Step {
                gaps: self,
                rules: &rules,
                sight: &sight,
                gap,
                now: Timestamp::now(),
            };
            worked |= step.take(&mut busy).await?;
        }
        Ok(worked)
    }

    async fn see(&self, rules: &Rules, now: Timestamp) -> Result<Sight, StoreError> {
        let accounts: Vec<Account> = rules.registry.accounts().cloned().collect();
        let read = move |tx: &Tx<'_>| {
            let gaps = tx.open_gaps()?;
            let mut over_budget = HashSet::new();
            // Nobody is to be read for where there is no gap.
            for account in accounts.iter().filter(|_| !gaps.is_empty()) {
                if super::reads::is_spent(tx, account, now)? {
                    over_budget.insert(account.id);
                }
            }
            Ok(Sight {
                gaps,
                ends: tx.replay_ends()?,
                lost: tx.lost_gaps(before(now, LOST_TOLD))?,
                over_budget,
            })
        };
        self.store.read(read).await
    }
}

/// The next step for one gap.
struct Step<'a> {
    gaps: &'a Gaps,
    rules: &'a Arc<Rules>,
    sight: &'a Sight,
    gap: &'a Gap,
    now: Timestamp,
}

impl Step<'_> {
    /// `busy`: apps for whose webhook a replay runs. Whether anything was done.
    async fn take(&self, busy: &mut HashSet<String>) -> Result<bool, StoreError> {
        let gap = self.gap;
        let apps = self.rules.registry.apps();
        let Some(app) = apps.iter().find(|app| app.name == gap.app) else {
            let note = "The app is not here any more.".to_owned();
            return self.close(GapEnd::Lost, note).await;
        };
        if let Some(order) = &gap.order {
            return self.await_replay(order).await;
        }
        if gap.next_at.is_some_and(|next| next > self.now) {
            return Ok(false);
        }
        match gap.method {
            _ if self.rest().0 < self.oldest() => self.give_up_oldest().await,
            None => self.begin(app).await,
            Some(GapMethod::Replay) if busy.contains(&gap.app) => Ok(false),
            Some(GapMethod::Replay) => {
                busy.insert(gap.app.clone());
                self.replay_next(app).await
            }
            Some(GapMethod::Reads) => self.read_next(app).await,
        }
    }

    /// By what it is filled. X replays for a webhook, whoever is subscribed, and nothing from before.
    async fn begin(&self, app: &App) -> Result<bool, StoreError> {
        let replays = offers_replay(&app.delivery)
            && self.gap.account.is_none()
            && self.rules.registry.accounts_of(&app.name).next().is_some()
            && window::is_within_reach(self.span().1, self.now);
        let method = match replays {
            true => GapMethod::Replay,
            false => GapMethod::Reads,
        };
        let id = self.gap.id;
        self.write(move |tx| tx.set_gap_method(id, Some(method)))
            .await
    }

    /// From when to when it is filled.
    fn span(&self) -> (Timestamp, Timestamp) {
        let Gap {
            from,
            until,
            reason,
            ..
        } = self.gap;
        match reason {
            GapReason::Refused | GapReason::Downtime | GapReason::Undelivered => {
                (before(*from, MARGIN), after(*until, MARGIN))
            }
            GapReason::ByHand | GapReason::Linking => (*from, *until),
        }
    }

    /// What is left of that.
    fn rest(&self) -> (Timestamp, Timestamp) {
        let (from, until) = self.span();
        let filled = self.gap.filled.map(|filled| before(filled, MARGIN));
        (filled.map_or(from, |filled| filled.max(from)), until)
    }

    /// What is older is lost.
    fn oldest(&self) -> Timestamp {
        before(before(self.now, REACH), LENIENT)
    }

    async fn give_up_oldest(&self) -> Result<bool, StoreError> {
        let (gap, oldest, now) = (self.gap, before(self.now, REACH), self.now);
        let (id, method, whole) = (gap.id, gap.method, gap.until <= oldest);
        let until = gap.until.min(oldest);
        let note = format!(
            "What X had from {:.0} to {until:.0} cannot be had any more: its lists are read back seven \
             days.",
            gap.rest(),
        );
        self.write(move |tx| {
            if !whole {
                let rest = tx.split_gap(id, oldest)?;
                tx.set_gap_method(rest, method)?;
            }
            tx.close_gap(id, GapEnd::Lost, &note, now)
        })
        .await
    }

    async fn close(&self, end: GapEnd, note: String) -> Result<bool, StoreError> {
        let (gap, now) = (self.gap, self.now);
        tracing::info!(
            app = gap.app,
            from = %gap.from,
            until = %gap.until,
            how = end.name(),
            note,
            "a gap is closed"
        );
        let id = gap.id;
        self.write(move |tx| tx.close_gap(id, end, &note, now))
            .await
    }

    /// Nothing can be done before then.
    async fn wait(&self, until: Timestamp, note: impl Into<String>) -> Result<bool, StoreError> {
        let (id, note) = (self.gap.id, note.into());
        self.write(move |tx| tx.delay_gap(id, Some(until), &note))
            .await?;
        Ok(false)
    }

    /// Leaves it to the reads of X's lists, as far as it was not replayed.
    async fn leave_to_reads(&self, why: String) -> Result<bool, StoreError> {
        tracing::info!(
            app = self.gap.app,
            why,
            "X does not replay a gap, its lists are read"
        );
        let id = self.gap.id;
        self.write(move |tx| {
            tx.drop_replay(id)?;
            tx.delay_gap(id, None, &why)?;
            tx.set_gap_method(id, Some(GapMethod::Reads))
        })
        .await
    }

    async fn write(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<bool, StoreError> {
        self.gaps.store.write(work).await.map(|()| true)
    }
}

/// Until when to wait after a call that X may answer later; `None`: X will not.
fn pause(error: &CallError, now: Timestamp) -> Option<Timestamp> {
    match error {
        CallError::RateLimited { until, .. } => {
            let said = until.filter(|until| *until > now);
            Some(said.unwrap_or_else(|| after(now, LONG_PAUSE)))
        }
        CallError::CreditsDepleted { .. } | CallError::Unauthorized { .. } => {
            Some(after(now, LONG_PAUSE))
        }
        CallError::Unavailable { .. } | CallError::Uncertain { .. } => {
            Some(after(now, SHORT_PAUSE))
        }
        CallError::NotSent { reason } => match reason {
            NotSent::NoCredential(_) | NotSent::Unaskable(_) => None,
            NotSent::NoConnection(_)
            | NotSent::RefreshLost(_)
            | NotSent::TokenUnavailable(_)
            | NotSent::TokenVault(_)
            | NotSent::NoLeave => Some(after(now, SHORT_PAUSE)),
        },
        CallError::Refused(_) => None,
    }
}

fn before(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.saturating_sub(span).unwrap_or(Timestamp::MIN)
}

fn after(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.saturating_add(span).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::account::{Linking, Sending};

    fn account(id: &str, linked: Option<Timestamp>) -> Account {
        Account {
            app: "acme".to_owned(),
            id: AccountId(id.parse().unwrap()),
            username: String::new(),
            access_token: None,
            oauth2_refresh_token: None,
            linking: linked.map(|at| Linking { at, oauth2: false }),
            sending: Sending::Live,
            blocked: BTreeSet::new(),
            monthly_budget: None,
            max_post_length: None,
            enrich: Default::default(),
            feeds: Default::default(),
        }
    }

    fn at(hour: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hour)
    }

    fn gap() -> Gap {
        Gap {
            id: 1,
            app: "acme".to_owned(),
            account: None,
            from: at(10),
            until: at(12),
            reason: GapReason::Downtime,
            noted: at(12),
            method: None,
            filled: None,
            order: None,
            attempts: 0,
            next_at: None,
            closed: None,
            note: String::new(),
            acknowledged: false,
            settled: Vec::new(),
        }
    }

    #[test]
    fn a_gap_concerns_accounts_that_were_linked_and_are_not_settled() {
        let own = account("7", None);
        assert!(concerns(&gap(), &own));
        assert!(concerns(&gap(), &account("7", Some(at(11)))));
        assert!(!concerns(&gap(), &account("7", Some(at(12)))));
        let app = "other".to_owned();
        assert!(!concerns(&Gap { app, ..gap() }, &own));
        let settled = vec![own.id];
        assert!(!concerns(&Gap { settled, ..gap() }, &own));
        let reason = GapReason::Linking;
        assert!(!concerns(&Gap { reason, ..gap() }, &own));
        let only = Some(account("8", None).id);
        assert!(!concerns(
            &Gap {
                account: only,
                ..gap()
            },
            &own
        ));
    }

    #[test]
    fn of_a_gap_that_is_replayed_in_part_the_rest_is_missing() {
        let filled = Some(at(11));
        assert_eq!(Gap { filled, ..gap() }.rest(), at(11));
        assert_eq!(gap().rest(), at(10));
    }
}
