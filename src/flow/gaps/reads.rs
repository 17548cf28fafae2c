//! Reads X's lists for what a gap holds, account by account, list by list, page by page.

use jiff::{SignedDuration, Timestamp};

use super::{GapEnd, GapMethod, REACH, Step, after, before, pause};
use crate::domain::account::{Account, App};
use crate::domain::activity::ActivityEvent;
use crate::domain::filter::{Filter, Match};
use crate::flow::ingest::IngestError;
use crate::flow::reads::charge;
use crate::flow::reply::result_name;
use crate::store::{GapRead, GapReason, ReadState, StoreError};
use crate::telemetry::metrics;
use crate::x::client::{Auth, CallError, Detail, Page, PageToken, Reply, Since, Span, Until};
use crate::x::normalize::ReadDelivery;

/// X's search and lists know a post some time after it was made.
const SETTLES_AFTER: SignedDuration = SignedDuration::from_secs(30);
/// So much nearer than X's limit, lest the request comes too late.
const IN_TIME: SignedDuration = SignedDuration::from_mins(5);
/// Posts bear the second in which they were made.
const SECOND: SignedDuration = SignedDuration::from_secs(1);
/// Most items of a page. Where few can be missing, fewer of those are read that are not.
const PAGE: u32 = 100;
const SMALL_PAGE: u32 = 10;
const SMALL_GAP: SignedDuration = SignedDuration::from_hours(1);
/// Longest query of X's search on self-serve.
const LONGEST_QUERY: usize = 512;

/// A list of X.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    /// Replies and quotes among them.
    Mentions,
    /// What the account wrote itself.
    OwnPosts,
    /// For terms of filters.
    Search(String),
    /// Both directions.
    DirectMessages,
}

impl Source {
    /// Names it in the store.
    fn key(&self) -> String {
        match self {
            Self::Mentions => "mentions".to_owned(),
            Self::OwnPosts => "own_posts".to_owned(),
            Self::Search(query) => format!("search:{query}"),
            Self::DirectMessages => "direct_messages".to_owned(),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Mentions => "the account's mentions",
            Self::OwnPosts => "the account's own posts",
            Self::Search(_) => "the search for its terms",
            Self::DirectMessages => "its direct messages",
        }
    }
}

/// What brings all that an account's filters may want, and what it wrote itself.
fn sources(filters: &[Filter]) -> Vec<Source> {
    let wants = |is: fn(&Match) -> bool| filters.iter().any(|filter| is(&filter.matches));
    let mut sources = vec![Source::OwnPosts];
    if wants(|it| !matches!(it, Match::DirectMessages)) {
        sources.push(Source::Mentions);
    }
    if wants(|it| matches!(it, Match::DirectMessages)) {
        sources.push(Source::DirectMessages);
    }
    sources.extend(queries(filters).into_iter().map(Source::Search));
    sources
}

/// All terms, as few queries as hold them.
fn queries(filters: &[Filter]) -> Vec<String> {
    let mut queries: Vec<String> = Vec::new();
    let mut seen = Vec::new();
    for filter in filters {
        let Match::Term(term) = &filter.matches else {
            continue;
        };
        let term = as_query(&term.to_string());
        if seen.contains(&term) {
            continue;
        }
        match queries.last_mut() {
            Some(query) if query.len() + term.len() + 4 <= LONGEST_QUERY => {
                query.push_str(" OR ");
                query.push_str(&term);
            }
            _ => queries.push(term.clone()),
        }
        seen.push(term);
    }
    queries
}

/// A tag and a name are operators of X's search; words are looked for in a row.
fn as_query(term: &str) -> String {
    match term.starts_with(['#', '@']) {
        true => term.to_owned(),
        false => format!("\"{}\"", term.replace('"', " ")),
    }
}

/// What is left to do for an account.
enum Task {
    /// Nothing more is sought.
    Settle(ReadState),
    /// The budget of the month is used up.
    Blocked,
    Read(Source, Timestamp, Option<PageToken>),
}

impl Step<'_> {
    /// The next page of the first account that is not done.
    pub(super) async fn read_next(&self, app: &App) -> Result<bool, StoreError> {
        let settled = after(self.rest().1, SETTLES_AFTER);
        if self.now < settled {
            let note = "X's lists have not settled yet.";
            return self.wait(settled, note).await;
        }
        let id = self.gap.id;
        let reads = self.gaps.store.read(move |tx| tx.gap_reads(id)).await?;
        let mut blocked = false;
        for account in self.unsettled(app) {
            match self.task(account, &reads) {
                Task::Settle(state) => return self.settle(account, state).await,
                Task::Read(source, since, page) => {
                    return self.read(app, account, source, (since, page)).await;
                }
                Task::Blocked => blocked = true,
            }
        }
        match blocked {
            true => Ok(false),
            false => self.close_as_read(&reads).await,
        }
    }

    fn unsettled<'s>(&'s self, app: &'s App) -> Vec<&'s Account> {
        let own = self.rules.registry.accounts_of(&app.name);
        let mut own: Vec<_> = own.filter(|it| self.gap.is_open_for(it.id)).collect();
        own.sort_by_key(|account| account.id);
        own
    }

    fn task(&self, account: &Account, reads: &[GapRead]) -> Task {
        let since = self.since(account);
        let own = || reads.iter().filter(|read| read.account == account.id);
        if since >= self.rest().1 {
            return Task::Settle(ReadState::Done);
        }
        if !account.has_credential() {
            let why = "there is no credential to read with".to_owned();
            return Task::Settle(ReadState::Lost { why });
        }
        for source in sources(self.rules.registry.filters(account.id)) {
            let key = source.key();
            let begun = own().find(|read| read.source == key);
            let (since, page) = match begun.map(|read| (read.since, &read.state)) {
                Some((_, ReadState::Done | ReadState::Lost { .. })) => continue,
                Some((since, ReadState::Open { page })) => (since, page.as_str()),
                None => (since, ""),
            };
            if self.sight.over_budget.contains(&account.id) {
                return Task::Blocked;
            }
            let page = (!page.is_empty()).then(|| PageToken::new(page));
            return Task::Read(source, since, page);
        }
        let lost = own().find(|read| matches!(read.state, ReadState::Lost { .. }));
        Task::Settle(lost.map_or(ReadState::Done, |read| read.state.clone()))
    }

    /// From when on is read: never from before seven days ago, nor, but for what was asked for at the
    /// linking itself, from before it.
    fn since(&self, account: &Account) -> Timestamp {
        let reach = after(before(self.now, REACH), IN_TIME);
        let linked = account.linking.map(|linking| linking.at);
        let linked = linked.filter(|_| self.gap.reason != GapReason::Linking);
        let since = self.rest().0.max(reach);
        linked.map_or(since, |linked| linked.max(since))
    }

    async fn read(
        &self,
        app: &App,
        account: &Account,
        source: Source,
        (since, page): (Timestamp, Option<PageToken>),
    ) -> Result<bool, StoreError> {
        let reply = self.call(app, account, &source, (since, &page)).await;
        self.bill(account, &reply).await?;
        let progress = |state| GapRead {
            account: account.id,
            source: source.key(),
            since,
            state,
        };
        let Reply { result, limits, .. } = reply;
        let found = match result {
            Ok(found) => found,
            Err(error) => return self.unread(&source, &error, page.is_some(), progress).await,
        };
        let last = self.ingest(account, &found, since).await?;
        let next = found.next.filter(|_| !last);
        let more = next.is_some();
        let state = next.map_or(ReadState::Done, |next| ReadState::Open {
            page: next.to_string(),
        });
        self.keep(progress(state)).await?;
        let used_up = limits.window.filter(|window| window.is_used_up());
        match used_up.filter(|_| more) {
            Some(window) => {
                self.wait(window.reset, "X takes no more reads for now.")
                    .await
            }
            None => Ok(true),
        }
    }

    async fn call(
        &self,
        app: &App,
        account: &Account,
        source: &Source,
        (since, page): (Timestamp, &Option<PageToken>),
    ) -> Reply<Page> {
        let client = &self.gaps.client;
        let (from, until) = self.span();
        let small = until.duration_since(from) < SMALL_GAP;
        let max_results = if small { SMALL_PAGE } else { PAGE };
        let span = Span {
            since: Since::Time(since),
            until: Until::Time(after(until, SECOND)),
            page: page.as_ref(),
            max_results,
            detail: Detail::Whole,
        };
        let auth = Auth::Account { app, account };
        match source {
            Source::Mentions => client.mentions(auth, account.id, &span).await,
            Source::OwnPosts => client.own_posts(auth, account.id, &span).await,
            Source::Search(query) => client.search(auth, query, Some(account.id), &span).await,
            Source::DirectMessages => {
                let (page, detail) = (page.as_ref(), Detail::Whole);
                let list = client.direct_message_events(app, account, page, max_results, detail);
                list.await
            }
        }
    }

    async fn bill(&self, account: &Account, reply: &Reply<Page>) -> Result<(), StoreError> {
        metrics::count_call(reply.call.name(), result_name(&reply.result));
        let (id, read, now) = (account.id, reply.resources, self.now);
        let prices = self.rules.prices.calls.clone();
        self.write(move |tx| charge(tx, &prices, id, read, now).map(drop))
            .await
            .map(drop)
    }

    /// Takes what lies in the gap; whether older things came: then nothing of it follows.
    async fn ingest(
        &self,
        account: &Account,
        page: &Page,
        since: Timestamp,
    ) -> Result<bool, StoreError> {
        let (since, until) = (before(since, SECOND), after(self.rest().1, SECOND));
        let mut older = false;
        for delivery in &page.deliveries {
            let at = time_of(delivery);
            older |= at.is_some_and(|at| at < since);
            if at.is_some_and(|at| at < since || at > until) {
                continue;
            }
            let body = delivery.body.clone();
            let taken = self
                .gaps
                .ingest
                .accept(&account.app, body, Timestamp::now());
            match taken.await {
                Ok(_) => {}
                Err(IngestError::Unavailable(error)) => return Err(error),
                Err(IngestError::NotADelivery(error)) => {
                    tracing::error!(%error, "what was read is no delivery of ours");
                }
            }
        }
        Ok(older)
    }

    /// X did not show a page.
    async fn unread(
        &self,
        source: &Source,
        error: &CallError,
        in_the_middle: bool,
        progress: impl Fn(ReadState) -> GapRead,
    ) -> Result<bool, StoreError> {
        if let Some(at) = pause(error, self.now) {
            let note = format!("X does not show {}: {error}", source.name());
            return self.wait(at, note).await;
        }
        if in_the_middle {
            // X forgets its words for pages: from the beginning, as far as it reaches now.
            let (id, mut again) = (
                self.gap.id,
                progress(ReadState::Open {
                    page: String::new(),
                }),
            );
            again.since = again.since.max(after(before(self.now, REACH), IN_TIME));
            return self.write(move |tx| tx.put_gap_read(id, &again)).await;
        }
        let why = format!("X does not show {}: {error}", source.name());
        self.keep(progress(ReadState::Lost { why })).await
    }

    async fn keep(&self, read: GapRead) -> Result<bool, StoreError> {
        let id = self.gap.id;
        self.write(move |tx| {
            tx.put_gap_read(id, &read)?;
            tx.delay_gap(id, None, "")
        })
        .await
    }

    async fn settle(&self, account: &Account, state: ReadState) -> Result<bool, StoreError> {
        let state = match state {
            ReadState::Lost { why } => ReadState::Lost {
                why: format!("@{}: {why}", account.username),
            },
            other => other,
        };
        self.keep(GapRead {
            account: account.id,
            source: String::new(),
            since: self.rest().0,
            state,
        })
        .await
    }

    async fn close_as_read(&self, reads: &[GapRead]) -> Result<bool, StoreError> {
        let whole = reads.iter().filter(|read| read.source.is_empty());
        let lost = whole.filter_map(|read| match &read.state {
            ReadState::Lost { why } => Some(why.as_str()),
            ReadState::Open { .. } | ReadState::Done => None,
        });
        let lost: Vec<_> = lost.collect();
        match lost.is_empty() {
            true => {
                let note = "It was read from X's lists.".to_owned();
                self.close(GapEnd::Filled(GapMethod::Reads), note).await
            }
            false => {
                let note = format!("Not all of it can be had. {}.", lost.join("; "));
                self.close(GapEnd::Lost, note).await
            }
        }
    }
}

/// When what was read was written; `None` where it cannot be read.
fn time_of(delivery: &ReadDelivery) -> Option<Timestamp> {
    let mut activities = delivery.normalized.activities.iter();
    activities.find_map(|activity| match &activity.event {
        ActivityEvent::Post(post) => Some(post.message.created_at),
        ActivityEvent::Direct(direct) => Some(direct.message.created_at),
        _ => None,
    })
}
