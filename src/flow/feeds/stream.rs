//! The stream of an app: connected while its rules ask for something, and what was missed in between
//! filled up by search.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::queries::{Terms, longest_search};
use super::rules::Kept;
use super::source::{Failing, Halt, Question, Source, earliest, filters, tier};
use crate::domain::account::App;
use crate::domain::event::Effect;
use crate::flow::ingest::IngestError;
use crate::flow::rules::Rules;
use crate::flow::watch::Subject;
use crate::store::{Feed, FeedMark, StoreError};
use crate::telemetry::metrics;
use crate::x::client::stream::{Backoff, PostStream, SILENCE, StreamItem, Trouble};
use crate::x::client::{CallError, Since, Until, Upstream};

/// X's blank line may be on its way yet.
const MARGIN: Duration = Duration::from_secs(3);
/// Deliveries on their way into the store at a time; they keep their order.
const AT_ONCE: usize = 64;
/// How exactly it is known after a restart until when the stream was read.
const NOTE_EVERY: SignedDuration = SignedDuration::from_secs(10);
/// What was posted before the stream was lost may not have come yet. Source: X's "Consuming
/// streaming data", 6 to 7 s for the slowest of a hundred.
const LATENCY: SignedDuration = SignedDuration::from_secs(10);
/// How soon budget and storms change the rules.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// Rules that cannot be kept, and holes that cannot be filled, are tried again after this, doubled
/// each time up to the second.
const AGAIN: Duration = Duration::from_secs(5);
const SELDOM: Duration = Duration::from_secs(320);
/// X may take a connection that was lost for an open one.
const HANGS_ON: SignedDuration = SignedDuration::from_mins(2);
/// X refuses the end of a search that is less than 10 s ago.
const PAST: SignedDuration = SignedDuration::from_secs(12);

/// A time in which the stream may have missed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hole {
    from: Timestamp,
    until: Timestamp,
}

/// How far the stream has come.
#[derive(Debug, Default)]
struct Progress {
    /// When the last line came; `None`: it was never connected.
    heard: Option<Timestamp>,
    hole: Option<Hole>,
    noted: Option<Timestamp>,
}

impl Progress {
    /// All before it is here.
    fn complete_until(&self) -> Option<Timestamp> {
        self.hole.map(|hole| hole.from).or(self.heard)
    }
}

/// The stream of one app.
pub(super) struct StreamFeed {
    source: Arc<Source>,
    app: String,
    progress: Mutex<Progress>,
    /// A hole was opened, widened or closed.
    holes: watch::Sender<Option<Hole>>,
    /// Whether X has rules of ours.
    has_rules: watch::Sender<bool>,
}

/// Why a connection is over.
enum End {
    Lost(Trouble, String),
    /// X has no rules any more.
    NotWanted,
}

impl StreamFeed {
    pub(super) fn new(source: Arc<Source>, app: String) -> Self {
        Self {
            source,
            app,
            progress: Mutex::default(),
            holes: watch::Sender::default(),
            has_rules: watch::Sender::default(),
        }
    }

    /// Streams until it is dropped.
    pub(super) async fn run(self) {
        let mut again = AGAIN;
        while let Err(error) = self.recall().await {
            tracing::warn!(%error, app = self.app, "how far the stream has come cannot be read");
            sleep(again).await;
            again = (again * 2).min(SELDOM);
        }
        tokio::join!(self.keep_rules(), self.keep_connected(), self.keep_filled());
    }

    async fn recall(&self) -> Result<(), StoreError> {
        let app = self.app.clone();
        let read = move |tx: &crate::store::Tx<'_>| tx.feed_marks(Feed::Stream, &app);
        let marks = self.source.store.read(read).await?;
        let heard = marks.first().map(|mark| mark.complete_until);
        self.lock().heard = heard;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failing(&self, code: &'static str) -> Failing {
        Failing::new(Subject::App(self.app.clone()), code, Effect::Nothing)
    }

    /// Keeps X's rules as the filters want them.
    async fn keep_rules(&self) {
        let mut changes = self.source.rules.changes();
        let (mut kept, mut again) = (Kept::default(), AGAIN);
        let mut failing = self.failing("STREAM_RULES_FAIL");
        loop {
            let rules = Arc::clone(&changes.borrow_and_update());
            let now = Timestamp::now();
            let wait = match self.keep_rules_once(&rules, &mut kept, now).await {
                Ok(count) => {
                    self.has_rules
                        .send_if_modified(|has| std::mem::replace(has, count > 0) != (count > 0));
                    failing.over(&self.source.board, now);
                    again = AGAIN;
                    LOOK_EVERY
                }
                Err(halt) => {
                    let what = format!(
                        "The rules of the stream of the app {} cannot be kept",
                        self.app
                    );
                    failing.failed(&self.source.board, now, &what, &halt.to_string());
                    let wait = again;
                    again = (again * 2).min(SELDOM);
                    wait
                }
            };
            tokio::select! {
                () = sleep(wait) => {}
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn keep_rules_once(
        &self,
        rules: &Rules,
        kept: &mut Kept,
        now: Timestamp,
    ) -> Result<usize, Halt> {
        self.source.may_ask(&self.app, now)?;
        match app(rules, &self.app) {
            Some(app) => self.source.keep_rules(rules, app, kept, now).await,
            None => Ok(0),
        }
    }

    /// Connects whenever X has rules of ours.
    async fn keep_connected(&self) {
        let (mut wanted, mut backoff) = (self.has_rules.subscribe(), Backoff::default());
        let mut failing = self.failing("STREAM_DOWN");
        let mut lost_at: Option<Timestamp> = None;
        loop {
            // Its sender lives in `self`.
            let _ = wanted.wait_for(|has| *has).await;
            let now = Timestamp::now();
            if let Err(Halt::Resting(until)) = self.source.may_ask(&self.app, now) {
                self.fail(&mut failing, "the app's credits at X are used up", now);
                sleep(until.duration_since(now).try_into().unwrap_or(AGAIN)).await;
                continue;
            }
            let (trouble, why) = match self.connect().await {
                Ok(stream) => match self.follow(stream, &mut backoff, &mut failing).await {
                    End::NotWanted => continue,
                    End::Lost(trouble, why) => {
                        lost_at = Some(Timestamp::now());
                        (trouble, why)
                    }
                },
                Err(error) if is_taken(error.upstream()) => {
                    let hangs_on = lost_at.is_some_and(|at| now.duration_since(at) < HANGS_ON);
                    if !hangs_on {
                        self.tell_taken(&mut failing, now);
                    }
                    (Trouble::from(&error), error.to_string())
                }
                Err(error) => (Trouble::from(&error), error.to_string()),
            };
            let now = Timestamp::now();
            self.fail(&mut failing, &why, now);
            sleep(backoff.after(trouble, now)).await;
        }
    }

    fn fail(&self, failing: &mut Failing, why: &str, now: Timestamp) {
        let what = format!("The stream of the app {} is down", self.app);
        failing.failed(&self.source.board, now, &what, why);
    }

    fn tell_taken(&self, failing: &mut Failing, now: Timestamp) {
        let sentence = format!(
            "X refuses a stream to the app {}: another program holds it (TooManyConnections), so \
             posts that fit only a term do not come.",
            self.app
        );
        let fix = "End the other program that streams with this app's keys, or give one of the two \
                   an app of its own. It is tried again by itself.";
        failing.tell(&self.source.board, now, sentence, fix.to_owned());
    }

    async fn connect(&self) -> Result<PostStream, CallError> {
        let rules = self.source.rules.now();
        let Some(app) = app(&rules, &self.app) else {
            return Err(crate::x::client::NotSent::NoCredential("the app is gone").into());
        };
        let reply = self.source.client.post_stream(app, SILENCE + MARGIN).await;
        self.source.note(&self.app, None, &reply);
        reply.result
    }

    /// Takes what the stream brings until it ends.
    async fn follow(
        &self,
        stream: PostStream,
        backoff: &mut Backoff,
        failing: &mut Failing,
    ) -> End {
        self.connected(Timestamp::now());
        let mut wanted = self.has_rules.subscribe();
        let taken = stream.items().map(|item| self.take(item));
        // A beginning makes sure of its place in the store's queue: so they keep their order.
        let mut taken = Box::pin(taken.buffered(AT_ONCE));
        loop {
            let item = tokio::select! {
                item = taken.next() => item,
                _ = wanted.wait_for(|has| !has) => return End::NotWanted,
            };
            match item {
                Some(Ok(true)) => {
                    backoff.established();
                    let now = Timestamp::now();
                    failing.over(&self.source.board, now);
                    self.heard(now).await;
                }
                Some(Ok(false)) => {}
                Some(Err(end)) => return end,
                None => return End::Lost(Trouble::Network, "X ended the stream".to_owned()),
            }
        }
    }

    /// Whether it shows that the stream works.
    async fn take(
        &self,
        item: Result<StreamItem, crate::x::client::stream::Disconnect>,
    ) -> Result<bool, End> {
        match item {
            Ok(StreamItem::Heartbeat) => Ok(true),
            Ok(StreamItem::Delivery(body)) => {
                metrics::count_feed_posts(Feed::Stream.name(), 1);
                match self
                    .source
                    .ingest
                    .accept(&self.app, body, Timestamp::now())
                    .await
                {
                    Ok(_) => Ok(true),
                    Err(error @ IngestError::NotADelivery(_)) => {
                        tracing::warn!(%error, app = self.app, "the stream brought what is no delivery");
                        Ok(true)
                    }
                    // From the last one that was taken on it is filled up, once there is room.
                    Err(error) => Err(End::Lost(Trouble::Http, error.to_string())),
                }
            }
            Ok(StreamItem::Error(upstream)) => {
                tracing::warn!(%upstream, app = self.app, "X tells of trouble in the stream");
                if upstream.problem() == "credits-depleted" {
                    self.source.rest(&self.app, Timestamp::now());
                }
                Ok(false)
            }
            Err(end) => Err(End::Lost(Trouble::from(&end), end.to_string())),
        }
    }

    /// From the last line of the connection before to now something may be missing.
    fn connected(&self, now: Timestamp) {
        let mut progress = self.lock();
        if let Some(from) = progress.complete_until() {
            let from = match progress.hole {
                Some(hole) => hole.from,
                None => from - LATENCY,
            };
            progress.hole = Some(Hole { from, until: now });
            self.holes.send_replace(progress.hole);
        }
        progress.heard = Some(now);
        tracing::info!(app = self.app, hole = ?progress.hole, "the stream is connected");
    }

    async fn heard(&self, now: Timestamp) {
        let complete_until = {
            let mut progress = self.lock();
            progress.heard = Some(now);
            let is_due = progress
                .noted
                .is_none_or(|at| now.duration_since(at) >= NOTE_EVERY);
            if !is_due {
                return;
            }
            progress.noted = Some(now);
            progress.complete_until().unwrap_or(now)
        };
        self.note(complete_until).await;
    }

    async fn note(&self, complete_until: Timestamp) {
        metrics::set_feed(Feed::Stream.name(), &self.app, complete_until);
        let app = self.app.clone();
        let mark = FeedMark {
            query: String::new(),
            newest: None,
            complete_until,
        };
        let work = move |tx: &mut crate::store::Tx<'_>| tx.put_feed_mark(Feed::Stream, &app, &mark);
        if let Err(error) = self.source.store.write(work).await {
            tracing::warn!(%error, app = self.app, "how far the stream has come was not noted");
        }
    }

    /// Fills holes, each when search knows all of it.
    async fn keep_filled(&self) {
        let mut holes = self.holes.subscribe();
        let mut failing = self.failing("SEARCH_FAILS");
        let mut again = AGAIN;
        loop {
            let hole = *holes.borrow_and_update();
            let Some(hole) = hole else {
                let _ = holes.changed().await;
                continue;
            };
            let now = Timestamp::now();
            let ripe = hole.until + self.source.search_lag;
            if ripe > now {
                let wait = ripe.duration_since(now).try_into();
                let ripe = Instant::now() + wait.unwrap_or(AGAIN);
                // Another connection widens it.
                tokio::select! {
                    () = sleep_until(ripe) => {}
                    _ = holes.changed() => continue,
                }
            }
            match self.fill(hole).await {
                Ok(posts) => {
                    tracing::info!(
                        app = self.app,
                        ?hole,
                        posts,
                        "what the stream missed was searched for"
                    );
                    failing.over(&self.source.board, Timestamp::now());
                    again = AGAIN;
                    self.filled(hole).await;
                }
                Err(halt) => {
                    let what = format!(
                        "What the stream of the app {} missed cannot be searched for",
                        self.app
                    );
                    failing.failed(
                        &self.source.board,
                        Timestamp::now(),
                        &what,
                        &halt.to_string(),
                    );
                    sleep(again).await;
                    again = (again * 2).min(SELDOM);
                }
            }
        }
    }

    async fn fill(&self, hole: Hole) -> Result<usize, Halt> {
        let rules = self.source.rules.now();
        let mut posts = 0;
        for account in self.source.streamed(&rules, &self.app).await? {
            let mut terms = Terms::default();
            terms.add(filters(&rules, account));
            let stormy = self.source.stormy(account.id).await?;
            let now = Timestamp::now();
            let linked = account.linking.map_or(hole.from, |linking| linking.at);
            let from = earliest(hole.from, now).max(linked);
            let until = match now.duration_since(hole.until) > PAST {
                true => Until::Time(hole.until),
                false => Until::Now,
            };
            if from >= hole.until {
                continue;
            }
            for query in terms.searches(&stormy, longest_search(tier(&rules, account))) {
                let (question, span) = (Question::Search(&query.value), (Since::Time(from), until));
                let read = self
                    .source
                    .read((&rules, account), Feed::Search, question, span);
                posts += read.await?.posts;
            }
        }
        Ok(posts)
    }

    /// Unless it was widened meanwhile.
    async fn filled(&self, hole: Hole) {
        let complete_until = {
            let mut progress = self.lock();
            if progress.hole != Some(hole) {
                return;
            }
            progress.hole = None;
            self.holes.send_replace(None);
            progress.complete_until()
        };
        if let Some(complete_until) = complete_until {
            self.note(complete_until).await;
        }
    }
}

fn app<'r>(rules: &'r Rules, name: &str) -> Option<&'r App> {
    rules.registry.apps().iter().find(|app| app.name == name)
}

/// Somebody else is connected.
fn is_taken(upstream: Option<&Upstream>) -> bool {
    upstream.is_some_and(|it| it.problem() == "streaming-connection")
}
