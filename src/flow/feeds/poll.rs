//! What is asked for again and again: recent search for an account's terms, and its mentions.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::queries::{Terms, longest_search, mentions_of};
use super::source::{Brought, Failing, Halt, Question, Source, earliest, filters, tier};
use crate::domain::account::{Account, Feeds};
use crate::domain::event::Effect;
use crate::domain::ids::AccountId;
use crate::flow::rules::Rules;
use crate::flow::watch::Subject;
use crate::store::{Feed, FeedMark, StoreError};
use crate::telemetry::metrics;
use crate::x::client::{CallError, Since, Until};

/// X takes no id older than a week to go on from.
const FRESH: SignedDuration = SignedDuration::from_hours(6 * 24);
/// Mentions are looked at this seldom while nothing comes, and what fails is tried again.
const SELDOM: Duration = Duration::from_secs(600);
/// An account linked so recently is read from its linking on; one that turns a feed on later from
/// then on.
const JUST_LINKED: SignedDuration = SignedDuration::from_hours(1);
/// From the beginning of a search to its end, at the least: X refuses an end before the beginning.
const SPAN: SignedDuration = SignedDuration::from_secs(2);
/// Our clock may be ahead of X's, which tells what search knows.
const SKEW: SignedDuration = SignedDuration::from_secs(10);

/// One feed of an account.
pub(super) struct Poll {
    pub source: Arc<Source>,
    pub account: AccountId,
    pub feed: Feed,
}

impl Poll {
    /// Polls until it is dropped, or until the account is gone.
    pub(super) async fn run(self) {
        let mut changes = self.source.rules.changes();
        let mut failing = self.failing();
        let (mut quiet, mut failures) = (0, 0);
        loop {
            let rules = Arc::clone(&changes.borrow_and_update());
            let Some(account) = rules.registry.account(self.account.0) else {
                return;
            };
            let result = self.round(&rules, account).await;
            let wait = match &result {
                Ok(brought) => {
                    failures = 0;
                    quiet = if brought.posts > 0 { 0 } else { quiet + 1 };
                    longer(self.every(&account.feeds), self.doublings(quiet))
                }
                Err(halt) => {
                    failures += 1;
                    let every = self.every(&account.feeds);
                    again_after(halt, every, failures, Timestamp::now())
                }
            };
            self.tell(&mut failing, account, &result);
            let feeds = account.feeds;
            let until = tokio::time::Instant::now() + wait;
            while let Ok(changed) = tokio::time::timeout_at(until, changes.changed()).await {
                let now = self.source.rules.now();
                let account = now.registry.account(self.account.0);
                if changed.is_err() || account.is_none_or(|it| it.feeds != feeds) {
                    break;
                }
            }
        }
    }

    fn failing(&self) -> Failing {
        let code = match self.feed {
            Feed::Mentions => "MENTIONS_FAIL",
            Feed::Search | Feed::Stream => "SEARCH_FAILS",
        };
        // Webhooks may go on bringing what they bring.
        Failing::new(Subject::Account(self.account), code, Effect::Nothing)
    }

    fn every(&self, feeds: &Feeds) -> Duration {
        match self.feed {
            Feed::Mentions => feeds.mentions_every,
            Feed::Search | Feed::Stream => feeds.search_every,
        }
    }

    /// What is searched for was asked for; what is polled beside webhooks mostly is here already.
    fn doublings(&self, quiet: u32) -> u32 {
        match self.feed {
            Feed::Mentions => quiet.saturating_sub(1),
            Feed::Search | Feed::Stream => 0,
        }
    }

    fn tell(&self, failing: &mut Failing, account: &Account, result: &Result<Brought, Halt>) {
        let (board, now) = (&self.source.board, Timestamp::now());
        match result {
            // The watch tells of these.
            Ok(_) | Err(Halt::Budget | Halt::NoCredential) => failing.over(board, now),
            Err(halt) => {
                let what = match self.feed {
                    Feed::Mentions => {
                        format!("The mentions of @{} cannot be read", account.username)
                    }
                    Feed::Search | Feed::Stream => {
                        format!("The terms of @{} cannot be searched for", account.username)
                    }
                };
                failing.failed(board, now, &what, &halt.to_string());
            }
        }
    }

    async fn round(&self, rules: &Rules, account: &Account) -> Result<Brought, Halt> {
        match self.feed {
            Feed::Mentions => self.mentions(rules, account).await,
            Feed::Search | Feed::Stream => self.search(rules, account).await,
        }
    }

    async fn mentions(&self, rules: &Rules, account: &Account) -> Result<Brought, Halt> {
        let now = Timestamp::now();
        let Some(mark) = self.begun(account, now).await? else {
            return Ok(Brought::default());
        };
        let stormy = self.source.stormy(account.id).await?;
        let marks = self.marks().await?;
        if !stormy.is_empty() {
            // The timeline cannot leave a conversation out, search can: X charges for each reply.
            let query = mentions_of(&account.username, &stormy);
            let known = marks.iter().find(|mark| mark.query == query);
            let of_query = known.cloned().unwrap_or(FeedMark {
                query,
                newest: None,
                ..mark.clone()
            });
            return self
                .mentions_in_storm(rules, account, &mark, &of_query)
                .await;
        }
        self.forget_but(marks, &[]).await?;
        let asked = (since(&mark, now), Until::Now);
        let brought = self
            .source
            .read((rules, account), self.feed, Question::Mentions, asked)
            .await?;
        self.come_to(&mark, brought, now).await?;
        Ok(brought)
    }

    async fn mentions_in_storm(
        &self,
        rules: &Rules,
        account: &Account,
        whole: &FeedMark,
        mark: &FeedMark,
    ) -> Result<Brought, Halt> {
        let now = Timestamp::now();
        let until = now - self.source.search_lag;
        let Some(brought) = self.search_one(rules, account, mark, (until, now)).await? else {
            return Ok(Brought::default());
        };
        // Afterwards the timeline goes on from this time: from the newest it had brought it would
        // bring the storm along.
        let whole = FeedMark {
            newest: None,
            ..whole.clone()
        };
        self.come_to(&whole, Brought::default(), until - SKEW)
            .await?;
        Ok(brought)
    }

    async fn search(&self, rules: &Rules, account: &Account) -> Result<Brought, Halt> {
        let now = Timestamp::now();
        let Some(whole) = self.begun(account, now).await? else {
            return Ok(Brought::default());
        };
        let mut terms = Terms::default();
        terms.add(filters(rules, account));
        let stormy = self.source.stormy(account.id).await?;
        let queries = terms.searches(&stormy, longest_search(tier(rules, account)));
        let marks = self.marks().await?;
        let until = now - self.source.search_lag;
        let (mut all, mut searched) = (Brought::default(), true);
        for query in &queries {
            let known = marks.iter().find(|mark| mark.query == query.value);
            let mark = known.cloned().unwrap_or_else(|| FeedMark {
                query: query.value.clone(),
                ..whole.clone()
            });
            match self.search_one(rules, account, &mark, (until, now)).await? {
                Some(brought) => {
                    all.posts += brought.posts;
                    all.newest = all.newest.max(brought.newest);
                }
                None => searched = false,
            }
        }
        let kept: Vec<_> = queries.iter().map(|query| &*query.value).collect();
        self.forget_but(marks, &kept).await?;
        // From there on queries are searched for that other filters make.
        if searched && whole.complete_until < until {
            self.come_to(&whole, Brought::default(), until - SKEW)
                .await?;
        }
        Ok(all)
    }

    /// `None` where search does not know enough yet.
    async fn search_one(
        &self,
        rules: &Rules,
        account: &Account,
        mark: &FeedMark,
        (until, now): (Timestamp, Timestamp),
    ) -> Result<Option<Brought>, Halt> {
        let since = since(mark, now);
        if matches!(since, Since::Time(from) if from + SPAN > until) {
            return Ok(None);
        }
        let question = Question::Search(&mark.query);
        let brought = self
            .source
            .read((rules, account), self.feed, question, (since, Until::Now))
            .await?;
        self.come_to(mark, brought, until - SKEW).await?;
        Ok(Some(brought))
    }

    async fn marks(&self) -> Result<Vec<FeedMark>, StoreError> {
        let (feed, subject) = (self.feed, self.account.to_string());
        let read = move |tx: &crate::store::Tx<'_>| tx.feed_marks(feed, &subject);
        self.source.store.read(read).await
    }

    /// How far the feed has come; `None` where it begins now.
    async fn begun(
        &self,
        account: &Account,
        now: Timestamp,
    ) -> Result<Option<FeedMark>, StoreError> {
        let marks = self.marks().await?;
        if let Some(mark) = marks.into_iter().find(|mark| mark.query.is_empty()) {
            return Ok(Some(mark));
        }
        let linked = account.linking.map(|linking| linking.at);
        let recent = linked.filter(|at| now.duration_since(*at) <= JUST_LINKED);
        let mark = FeedMark {
            query: String::new(),
            newest: None,
            complete_until: recent.unwrap_or(now),
        };
        self.put(mark).await?;
        Ok(None)
    }

    /// All until then is here.
    async fn come_to(
        &self,
        mark: &FeedMark,
        brought: Brought,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let newest = brought.newest.map(|post| (post, Timestamp::now()));
        self.put(FeedMark {
            query: mark.query.clone(),
            newest: newest.or(mark.newest),
            complete_until: until.max(mark.complete_until),
        })
        .await?;
        if mark.query.is_empty() {
            metrics::set_feed(self.feed.name(), &self.account.to_string(), until);
        }
        Ok(())
    }

    async fn put(&self, mark: FeedMark) -> Result<(), StoreError> {
        let (feed, subject) = (self.feed, self.account.to_string());
        let work = move |tx: &mut crate::store::Tx<'_>| tx.put_feed_mark(feed, &subject, &mark);
        self.source.store.write(work).await
    }

    /// Queries that the filters do not make any more.
    async fn forget_but(&self, marks: Vec<FeedMark>, kept: &[&str]) -> Result<(), StoreError> {
        let queries = marks.into_iter().map(|mark| mark.query);
        let gone: Vec<_> = queries
            .filter(|query| !query.is_empty() && !kept.contains(&query.as_str()))
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        let (feed, subject) = (self.feed, self.account.to_string());
        let work = move |tx: &mut crate::store::Tx<'_>| {
            let mut gone = gone.iter();
            gone.try_for_each(|query| tx.forget_feed(feed, &subject, Some(query)))
        };
        self.source.store.write(work).await
    }
}

/// From where a feed goes on.
fn since(mark: &FeedMark, now: Timestamp) -> Since {
    match mark.newest {
        Some((post, at)) if now.duration_since(at) <= FRESH => Since::Post(post),
        _ => Since::Time(earliest(mark.complete_until, now)),
    }
}

/// Twice as long each time, up to ten minutes; never sooner than asked for.
fn longer(every: Duration, doublings: u32) -> Duration {
    let doubled = every.saturating_mul(2_u32.saturating_pow(doublings));
    doubled.min(SELDOM.max(every))
}

/// When a feed that was halted tries again.
fn again_after(halt: &Halt, every: Duration, failures: u32, now: Timestamp) -> Duration {
    let wait = |until: &Timestamp| {
        let wait = until.duration_since(now).try_into();
        wait.unwrap_or(Duration::ZERO)
    };
    match halt {
        Halt::Resting(until) => wait(until).max(every),
        Halt::Call(CallError::RateLimited {
            until: Some(until), ..
        }) => wait(until).max(every),
        _ => longer(every, failures.saturating_sub(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn minutes(quiet: &[u32]) -> Vec<u64> {
        let waits = quiet.iter().map(|it| longer(MINUTE, *it));
        waits.map(|it| it.as_secs() / 60).collect()
    }

    #[test]
    fn what_brings_nothing_is_asked_for_less_and_less_often() {
        assert_eq!(minutes(&[0, 1, 2, 3, 4, 40]), [1, 2, 4, 8, 10, 10]);
        let hour = Duration::from_hours(1);
        assert_eq!(longer(hour, 5), hour);
    }

    #[test]
    fn an_app_without_credit_rests() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let halt = Halt::Resting(now + SignedDuration::from_mins(5));
        assert_eq!(again_after(&halt, MINUTE, 1, now), 5 * MINUTE);
        assert_eq!(again_after(&Halt::Budget, MINUTE, 3, now), 4 * MINUTE);
    }
}
