//! What all feeds do alike: ask X for pages, pay for them, hand them to ingest, say what is wrong.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::domain::account::{Account, Tier};
use crate::domain::event::Effect;
use crate::domain::filter::Filter;
use crate::domain::ids::{AccountId, ConversationId, TweetId};
use crate::flow::ingest::{Ingest, IngestError};
use crate::flow::reads;
use crate::flow::reply::result_name;
use crate::flow::rules::{LiveRules, Rules};
use crate::flow::watch::{Board, Subject, Trouble};
use crate::store::{Feed, Store, StoreError};
use crate::telemetry::metrics;
use crate::x::client::{
    Auth, Call, CallError, Client, Detail, Limits, Page, Reply, Resources, Since, Span, Until,
};
use crate::x::normalize::ReadDelivery;

/// Posts on a page: as many as X gives.
const PAGE: u32 = 100;
/// Pages held before they are handed on, oldest post first.
const HELD_PAGES: usize = 10;
/// How far back X's recent search looks, less a minute for the way there.
const LOOKS_BACK: SignedDuration = SignedDuration::from_mins(7 * 24 * 60 - 1);
/// An app without credit is asked for again after this.
const REST: SignedDuration = SignedDuration::from_mins(5);
/// Storms of which X is not asked for more, at a time.
const STORMS: usize = 1000;
/// What goes wrong for less than this ends by itself, mostly.
const FAULT_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// Why nothing, or not all, was read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Halt {
    /// Until the month is over, or the budget is raised.
    #[error("the account's budget for this month is used up")]
    Budget,
    /// The app has no credit left at X.
    #[error("the app's credits at X are used up")]
    Resting(Timestamp),
    /// X takes no calls in the account's name.
    #[error("the account has no credential that X accepts")]
    NoCredential,
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Ingest(#[from] IngestError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is asked of X.
#[derive(Clone, Copy, Debug)]
pub(super) enum Question<'a> {
    Mentions,
    Search(&'a str),
}

impl Question<'_> {
    fn call(self) -> Call {
        match self {
            Self::Mentions => Call::Mentions,
            Self::Search(_) => Call::SearchRecent,
        }
    }
}

/// What an answer held, all pages together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Brought {
    pub posts: usize,
    pub newest: Option<TweetId>,
}

/// What feeds work with.
pub(super) struct Source {
    pub store: Store,
    pub rules: LiveRules,
    pub client: Arc<Client>,
    pub ingest: Arc<Ingest>,
    pub board: Board,
    /// How long after a post was made X's search knows it.
    pub search_lag: SignedDuration,
    /// Apps without credit, and when they are asked for again.
    pub resting: Mutex<HashMap<String, Timestamp>>,
    /// Windows of X that are used up, and when they open.
    pub windows: Mutex<HashMap<(AccountId, Call), Timestamp>>,
}

impl Source {
    /// Reads what X has of a span, all pages.
    pub(super) async fn read(
        &self,
        (rules, account): (&Rules, &Account),
        feed: Feed,
        question: Question<'_>,
        (since, until): (Since, Until),
    ) -> Result<Brought, Halt> {
        let mut brought = Brought::default();
        let (mut held, mut pages, mut next) = (Vec::new(), 0, None);
        loop {
            self.may_read(account, Timestamp::now()).await?;
            let span = Span {
                since,
                until,
                page: next.as_ref(),
                max_results: PAGE,
                detail: Detail::Whole,
            };
            let page = self.page(rules, account, question, &span).await?;
            metrics::count_feed_posts(feed.name(), page.deliveries.len());
            brought.posts += page.deliveries.len();
            brought.newest = brought.newest.max(page.newest);
            held.extend(page.deliveries);
            pages += 1;
            next = page.next;
            if next.is_none() || pages % HELD_PAGES == 0 {
                self.take(&account.app, std::mem::take(&mut held)).await?;
            }
            if next.is_none() {
                return Ok(brought);
            }
        }
    }

    /// Whether X may be asked in the account's name now.
    pub(super) async fn may_read(&self, account: &Account, now: Timestamp) -> Result<(), Halt> {
        self.may_ask(&account.app, now)?;
        if reads::is_over_budget(&self.store, account, now).await? {
            return Err(Halt::Budget);
        }
        let id = account.id;
        let state = self.store.read(move |tx| tx.account_state(id)).await?;
        match account.has_credential() && state.revoked_at.is_none() {
            true => Ok(()),
            false => Err(Halt::NoCredential),
        }
    }

    /// Whether an app's credit is not known to be used up.
    pub(super) fn may_ask(&self, app: &str, now: Timestamp) -> Result<(), Halt> {
        let mut resting = lock(&self.resting);
        match resting.get(app) {
            Some(until) if *until > now => Err(Halt::Resting(*until)),
            _ => {
                resting.remove(app);
                Ok(())
            }
        }
    }

    /// The app has no credit left.
    pub(super) fn rest(&self, app: &str, now: Timestamp) {
        lock(&self.resting).insert(app.to_owned(), now + REST);
    }

    async fn page(
        &self,
        rules: &Rules,
        account: &Account,
        question: Question<'_>,
        span: &Span<'_>,
    ) -> Result<Page, Halt> {
        let Some(app) = rules.registry.app_of(account) else {
            return Err(Halt::NoCredential);
        };
        let (auth, id) = (Auth::Account { app, account }, account.id);
        self.wait_for_window(id, question.call()).await;
        let reply = match question {
            Question::Mentions => self.client.mentions(auth, id, span).await,
            Question::Search(query) => self.client.search(auth, query, Some(id), span).await,
        };
        self.note(&account.app, Some(id), &reply);
        self.charge(rules, id, reply.resources).await?;
        Ok(reply.result?)
    }

    async fn wait_for_window(&self, account: AccountId, call: Call) {
        let opens = lock(&self.windows).remove(&(account, call));
        if let Some(opens) = opens {
            let wait = opens.duration_since(Timestamp::now());
            tokio::time::sleep(wait.try_into().unwrap_or_default()).await;
        }
    }

    /// Counts a call, and remembers what it says of the next ones.
    pub(super) fn note<T>(&self, app: &str, account: Option<AccountId>, reply: &Reply<T>) {
        metrics::count_call(reply.call.name(), result_name(&reply.result));
        if let Some(account) = account
            && let Some(opens) = opens(&reply.limits)
        {
            lock(&self.windows).insert((account, reply.call), opens);
        }
        if let Err(CallError::CreditsDepleted { .. }) = &reply.result {
            self.rest(app, Timestamp::now());
        }
    }

    async fn charge(
        &self,
        rules: &Rules,
        account: AccountId,
        read: Resources,
    ) -> Result<(), StoreError> {
        if read == Resources::default() {
            return Ok(());
        }
        let (prices, now) = (rules.prices.calls.clone(), Timestamp::now());
        let work = move |tx: &mut crate::store::Tx<'_>| {
            reads::charge(tx, &prices, account, read, now).map(drop)
        };
        self.store.write(work).await
    }

    /// X's pages begin with the newest; threads grow the other way.
    async fn take(&self, app: &str, deliveries: Vec<ReadDelivery>) -> Result<(), Halt> {
        for delivery in deliveries.into_iter().rev() {
            let now = Timestamp::now();
            self.ingest.accept(app, delivery.body, now).await?;
        }
        Ok(())
    }

    /// The conversations of an account that draw too many: X is not asked for more of them.
    pub(super) async fn stormy(&self, account: AccountId) -> Result<Vec<TweetId>, StoreError> {
        let storms = self.store.read(|tx| tx.storms(STORMS)).await?;
        let own = storms.into_iter().filter(|(of, _, _)| *of == account);
        let roots = own.filter_map(|(_, conversation, _)| match conversation {
            ConversationId::Thread(root) => Some(root),
            _ => None,
        });
        let mut roots: Vec<_> = roots.collect();
        roots.sort();
        Ok(roots)
    }
}

/// When the window opens that a call has used up.
fn opens(limits: &Limits) -> Option<Timestamp> {
    let window = limits.window?;
    window.is_used_up().then_some(window.reset)
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is older X's search does not know.
pub(super) fn earliest(wanted: Timestamp, now: Timestamp) -> Timestamp {
    wanted.max(now.saturating_sub(LOOKS_BACK).unwrap_or(now))
}

/// Longest search of an account's app.
pub(super) fn tier(rules: &Rules, account: &Account) -> Tier {
    rules.tier(account)
}

/// An account's filters.
pub(super) fn filters<'r>(rules: &'r Rules, account: &Account) -> &'r [Filter] {
    rules.registry.filters(account.id)
}

/// A feed that fails, until it works again.
pub(super) struct Failing {
    subject: Subject,
    code: &'static str,
    effect: Effect,
    since: Option<Timestamp>,
}

impl Failing {
    pub(super) fn new(subject: Subject, code: &'static str, effect: Effect) -> Self {
        Self {
            subject,
            code,
            effect,
            since: None,
        }
    }

    /// It works.
    pub(super) fn over(&mut self, board: &Board, now: Timestamp) {
        if self.since.take().is_some() {
            board.set(&self.subject, &[self.code], None, now);
        }
    }

    /// It does not: a fault once that has lasted.
    pub(super) fn failed(&mut self, board: &Board, now: Timestamp, what: &str, why: &str) {
        let since = *self.since.get_or_insert(now);
        if now.duration_since(since) >= FAULT_AFTER {
            self.tell(board, now, format!("{what}: {why}."), fix(why));
        } else {
            tracing::info!(code = self.code, "{what}: {why}");
        }
    }

    /// A fault at once.
    pub(super) fn tell(&mut self, board: &Board, now: Timestamp, sentence: String, fix: String) {
        let since = *self.since.get_or_insert(now);
        let trouble = Trouble {
            code: self.code,
            effect: self.effect,
            since: Some(since),
            sentence,
            fix,
            fix_url: String::new(),
        };
        board.set(&self.subject, &[self.code], [trouble], now);
    }
}

fn fix(why: &str) -> String {
    let mends = if why.contains("credits") {
        "Top up the credits in X's developer console."
    } else {
        "See what X says above, X's status page, and whether the app's tier has this product."
    };
    format!("{mends} It is tried again by itself, and then filled up from where it stopped.")
}
