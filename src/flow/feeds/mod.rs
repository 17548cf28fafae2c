//! What no webhook brings: posts that fit a term of a filter, by the filtered stream or by search;
//! and mentions that X Activity leaves out, replies to our replies among them, by the mentions
//! timeline. All of it is charged, within the account's budget, and recognised where it came before.

mod poll;
mod queries;
mod rules;
mod source;
mod stream;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ingest::Ingest;
use super::rules::{LiveRules, Rules};
use super::watch::{Board, Subject};
use crate::domain::account::Keywords;
use crate::domain::ids::AccountId;
use crate::store::{Feed, FeedMark, Store, StoreError, Tx};
use crate::x::client::Client;
use poll::Poll;
use source::Source;
use stream::StreamFeed;

/// What feeds work with.
pub struct FeedParts {
    pub store: Store,
    pub rules: LiveRules,
    pub client: Arc<Client>,
    pub ingest: Arc<Ingest>,
    pub board: Board,
    /// How long after a post was made X's search knows it.
    pub search_lag: std::time::Duration,
}

/// One feed that runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Job {
    Stream(String),
    Poll(AccountId, Feed),
}

/// Runs the feeds that the settings of accounts ask for.
pub struct Feeds {
    source: Arc<Source>,
}

impl Feeds {
    pub fn new(parts: FeedParts) -> Self {
        let search_lag = SignedDuration::try_from(parts.search_lag);
        Self {
            source: Arc::new(Source {
                store: parts.store,
                rules: parts.rules,
                client: parts.client,
                ingest: parts.ingest,
                board: parts.board,
                search_lag: search_lag.unwrap_or(SignedDuration::MAX),
                resting: Default::default(),
                windows: Default::default(),
            }),
        }
    }

    /// Runs until `stop`. A read under way is dropped then, and made again after the next start.
    pub async fn run(self, stop: CancellationToken) {
        let mut changes = self.source.rules.changes();
        let tasks = TaskTracker::new();
        let mut running: HashMap<Job, CancellationToken> = HashMap::new();
        let mut over = unwanted(&changes.borrow());
        loop {
            let wanted = wanted(&changes.borrow_and_update());
            running.retain(|job, token| {
                let stays = wanted.contains(job);
                if !stays {
                    token.cancel();
                    self.clear(job);
                    over.push(job.clone());
                }
                stays
            });
            self.forget(std::mem::take(&mut over)).await;
            for job in wanted {
                running
                    .entry(job.clone())
                    .or_insert_with(|| self.start(&tasks, job, stop.child_token()));
            }
            tokio::select! {
                () = stop.cancelled() => break,
                changed = changes.changed() => if changed.is_err() { break },
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    fn start(&self, tasks: &TaskTracker, job: Job, stop: CancellationToken) -> CancellationToken {
        let (source, token) = (Arc::clone(&self.source), stop.clone());
        match job {
            Job::Stream(app) => {
                let stream = Box::pin(StreamFeed::new(source, app).run());
                tasks.spawn(async move { stop.run_until_cancelled(stream).await });
            }
            Job::Poll(account, feed) => {
                let poll = Poll {
                    source,
                    account,
                    feed,
                };
                tasks.spawn(async move { stop.run_until_cancelled(poll.run()).await });
            }
        }
        token
    }

    /// What is asked for again begins then, not with what has come since it was given up.
    async fn forget(&self, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        let work = move |tx: &mut Tx<'_>| {
            jobs.iter().try_for_each(|job| match job {
                Job::Stream(app) => tx.forget_feed(Feed::Stream, app, None),
                Job::Poll(account, feed) => tx.forget_feed(*feed, &account.to_string(), None),
            })
        };
        if let Err(error) = self.source.store.write(work).await {
            tracing::warn!(%error, "feeds that nobody wants were not forgotten");
        }
    }

    /// Nobody asks for it any more: so nothing is wrong with it.
    fn clear(&self, job: &Job) {
        let (subject, codes): (_, &[&'static str]) = match job {
            Job::Stream(app) => (
                Subject::App(app.clone()),
                &["STREAM_DOWN", "STREAM_RULES_FAIL", "SEARCH_FAILS"],
            ),
            Job::Poll(account, Feed::Mentions) => (Subject::Account(*account), &["MENTIONS_FAIL"]),
            Job::Poll(account, Feed::Search | Feed::Stream) => {
                (Subject::Account(*account), &["SEARCH_FAILS"])
            }
        };
        self.source
            .board
            .set(&subject, codes, None, Timestamp::now());
    }
}

fn wanted(rules: &Rules) -> HashSet<Job> {
    let mut wanted = HashSet::new();
    for account in rules.registry.accounts() {
        match account.feeds.keywords {
            Keywords::None => {}
            Keywords::Stream => {
                wanted.insert(Job::Stream(account.app.clone()));
            }
            Keywords::Search => {
                wanted.insert(Job::Poll(account.id, Feed::Search));
            }
        }
        let app = rules.registry.app_of(account);
        if app.is_some_and(|app| account.feeds.polls_mentions(&app.delivery)) {
            wanted.insert(Job::Poll(account.id, Feed::Mentions));
        }
    }
    wanted
}

/// What the settings do not ask for, of all that they could.
fn unwanted(rules: &Rules) -> Vec<Job> {
    let apps = rules.registry.apps().iter();
    let streams = apps.map(|app| Job::Stream(app.name.clone()));
    let accounts = rules.registry.accounts();
    let polls = accounts
        .flat_map(|account| [Feed::Search, Feed::Mentions].map(|feed| Job::Poll(account.id, feed)));
    let wanted = wanted(rules);
    let all = streams.chain(polls);
    all.filter(|job| !wanted.contains(job)).collect()
}

/// Has an account's mentions and terms read from then on, where they are polled: what "the last day"
/// means at linking. Otherwise they begin with the account's linking; and X knows a week, no more.
///
/// # Errors
/// When the store cannot be written.
pub fn begin_at(tx: &Tx<'_>, account: AccountId, since: Timestamp) -> Result<(), StoreError> {
    for feed in [Feed::Search, Feed::Mentions] {
        tx.forget_feed(feed, &account.to_string(), None)?;
        let mark = FeedMark {
            query: String::new(),
            newest: None,
            complete_until: since,
        };
        tx.put_feed_mark(feed, &account.to_string(), &mark)?;
    }
    Ok(())
}
