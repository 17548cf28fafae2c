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
            Self::Mentions => "the mentions",
            Self::OwnPosts => "the posts",
            Self::Search(_) => "the search for the terms",
            Self::DirectMessages => "the direct messages",
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
    /// The budget of the month is used up, or X wants a pause.
    Blocked,
    Read(Source, Timestamp, Option<PageToken>),
}

/// A page that X did not show.
struct Unread<'a> {
    account: &'a Account,
    source: &'a Source,
    error: &'a CallError,
    in_the_middle: bool,
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
            let why = format!("There is no credential of @{}", account.username);
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
            let paused = self.gaps.is_paused(self.gap.id, account.id, self.now);
            if paused || self.sight.over_budget.contains(&account.id) {
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
            Err(error) => {
                let unread = Unread {
                    account,
                    source: &source,
                    error: &error,
                    in_the_middle: page.is_some(),
                };
                return self.unread(unread, progress).await;
            }
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
                let note = format!("X takes no more reads for @{} for now.", account.username);
                self.pause(account, window.reset, note).await
            }
            None => Ok(true),
        }
    }

    /// Others go on meanwhile.
    async fn pause(
        &self,
        account: &Account,
        until: Timestamp,
        note: String,
    ) -> Result<bool, StoreError> {
        let id = self.gap.id;
        self.gaps.pause(id, account.id, until, self.now);
        self.write(move |tx| tx.delay_gap(id, None, &note)).await
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
        unread: Unread<'_>,
        progress: impl Fn(ReadState) -> GapRead,
    ) -> Result<bool, StoreError> {
        let Unread { account, error, .. } = unread;
        let what = unread.source.name();
        let why = format!("X does not show {what} of @{}: {error}", account.username);
        if let Some(at) = pause(error, self.now) {
            return self.pause(account, at, why).await;
        }
        if unread.in_the_middle {
            // X forgets its words for pages: from the beginning, as far as it reaches now.
            let page = String::new();
            let mut again = progress(ReadState::Open { page });
            again.since = again.since.max(after(before(self.now, REACH), IN_TIME));
            return self.keep(again).await;
        }
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
        let lost: Vec<_> = lost.map(|why| format!("{why}.")).collect();
        match lost.is_empty() {
            true => {
                let note = "It was read from X's lists.".to_owned();
                self.close(GapEnd::Filled(GapMethod::Reads), note).await
            }
            false => {
                let note = lost.join(" ");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::filter::{Route, SpamConditions};
    use crate::domain::ids::AccountId;
    use crate::domain::term::Term;

    fn filters(matches: Vec<Match>) -> Vec<Filter> {
        let filter = |matches| Filter {
            account: AccountId("7".parse().unwrap()),
            matches,
            route: Route::default(),
            reposts: false,
            own: false,
            conditions: SpamConditions::default(),
            storm: None,
        };
        matches.into_iter().map(filter).collect()
    }

    fn term(written: &str) -> Match {
        Match::Term(Term::parse(written).unwrap())
    }

    #[test]
    fn only_lists_that_filters_want_are_read() {
        let read = |matches| sources(&filters(matches));
        assert_eq!(read(vec![]), [Source::OwnPosts]);
        let direct = read(vec![Match::DirectMessages]);
        assert_eq!(direct, [Source::OwnPosts, Source::DirectMessages]);
        let query = Source::Search("#acmehelp".to_owned());
        let found = read(vec![term("#acmehelp")]);
        assert_eq!(found, [Source::OwnPosts, Source::Mentions, query]);
    }

    #[test]
    fn terms_are_asked_for_together_each_once() {
        let filters = filters(vec![
            term("#acmehelp"),
            Match::Replies,
            term("my order"),
            term("#acmehelp"),
        ]);
        assert_eq!(queries(&filters), ["#acmehelp OR \"my order\""]);
    }

    #[test]
    fn a_query_is_no_longer_than_x_takes() {
        let terms = (0..60).map(|number| term(&format!("#acmehelp{number}")));
        let queries = queries(&filters(terms.collect()));
        assert!(queries.len() > 1 && queries.iter().all(|it| it.len() <= LONGEST_QUERY));
        let terms: Vec<_> = queries.iter().flat_map(|it| it.split(" OR ")).collect();
        assert_eq!(terms.len(), 60);
    }
}
