//! What the leader does in a term: the way to the broker and from it, the way to X, the watch and
//! the housekeeping. Built anew for each term, on a store that refuses what it writes once the term
//! is over, and gone with it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Base, LANE_RETRY, StartError, gap_settings, keeper, stop, telling_of_its_end};
use crate::attachments::Attachments;
use crate::attachments::fetch::Fetcher;
use crate::broker::consumer::Consumer;
use crate::broker::inbox::InboxMonitor;
use crate::broker::publisher::Publisher;
use crate::config::ComplianceCheck;
use crate::flow::compliance::{CheckSettings, Checks};
use crate::flow::enrich::{Enricher, Wishes};
use crate::flow::feeds::{FeedParts, Feeds};
use crate::flow::gaps::Gaps;
use crate::flow::ingest::Ingest;
use crate::flow::plan_check::PlanCheck;
use crate::flow::relay::{Relay, RelaySettings};
use crate::flow::reply::Replies;
use crate::flow::restored::Look;
use crate::flow::setup::{Setup, Signatures};
use crate::flow::upkeep;
use crate::flow::watch::{Watch, Watched};
use crate::store::{Store, Term};

/// What every replica has that the leader works with.
pub(super) struct Shared {
    pub base: Arc<Base>,
    pub ingest: Arc<Ingest>,
    pub setup: Arc<Setup>,
    pub signatures: Signatures,
}

/// The leader's parts at work.
pub(super) struct Parts {
    base: Arc<Base>,
    /// In the term.
    store: Store,
    ingest: Arc<Ingest>,
    tasks: TaskTracker,
    until: CancellationToken,
}

impl Parts {
    /// Starts all of them. What a former leader may still be sending is looked up after `settle_in`.
    ///
    /// # Errors
    /// [`StartError`]; none of them runs then.
    pub(super) async fn start(
        shared: &Shared,
        term: &Term,
        settle_in: Duration,
    ) -> Result<Self, StartError> {
        let store = shared.base.store.in_term(term);
        let parts = Self {
            ingest: Arc::new(shared.ingest.with_store(store.clone())),
            store,
            base: Arc::clone(&shared.base),
            tasks: TaskTracker::new(),
            until: shared.base.stop.child_token(),
        };
        parts.catch_up().await?;
        let relay = parts.relay().await?;
        let replies = parts.replies(settle_in).await?;
        let (enricher, wishes) = parts.enricher();
        let consumer = Consumer::new(Arc::clone(&parts.base.broker));
        let consumer = consumer.telling(parts.base.consumer.clone());
        let watch = parts.watch(&replies);

        parts.base.directory.set_serving(true);
        parts.spawn(relay.run(parts.until()));
        parts.spawn(consumer.run(
            replies.intake(&shared.base.broker.names.commands),
            parts.until(),
        ));
        parts.spawn(replies.run(parts.until()));
        parts.spawn(enricher.run(parts.until()));
        parts.spawn(watch.run(parts.until()));
        parts.spawn_reads(&shared.setup, &shared.signatures);
        parts.spawn_upkeep(wishes);
        Ok(parts)
    }

    /// Ends all of them; false where some do not end within `limit`.
    pub(super) async fn end(self, limit: Duration) -> bool {
        self.until.cancel();
        self.tasks.close();
        let ended = timeout(limit, self.tasks.wait()).await.is_ok();
        self.base.directory.set_serving(false);
        self.base.health.clear();
        // Of persons nothing stays where nobody would have it erased.
        self.base.enrichment.forget_all();
        ended
    }

    /// What others did since this process led, if it ever has.
    async fn catch_up(&self) -> Result<(), StartError> {
        let base = &self.base;
        base.client.forget_all_tokens();
        base.directory.refresh().await?;
        base.rules.now().post_limits.reload(&self.store).await?;
        Ok(())
    }

    /// Runs a part, whose end before that of the term ends the service.
    fn spawn(&self, part: impl Future<Output = ()> + Send + 'static) {
        let part = telling_of_its_end(part, self.until(), self.base.fallen.clone());
        self.tasks.spawn(part);
    }

    fn until(&self) -> CancellationToken {
        self.until.clone()
    }

    /// The way from the journal to the broker.
    async fn relay(&self) -> Result<Relay, StartError> {
        let settings = RelaySettings {
            window: self.base.broker.publish_window,
            lane_retry: LANE_RETRY,
        };
        let publisher = Publisher::new(Arc::clone(&self.base.broker));
        let state = self.base.relay.clone();
        Ok(Relay::new(self.store.clone(), publisher, settings, state).await?)
    }

    /// The way of commands to X, with a place for their attachments.
    async fn replies(&self, settle_in: Duration) -> Result<Replies, StartError> {
        let base = &self.base;
        let fetcher = Fetcher::new(base.settings.attachments.clone())?;
        let replies = Replies::new(
            self.store.clone(),
            base.rules.clone(),
            Arc::clone(&base.client),
            Attachments::new(fetcher, base.vault.clone()),
            settle_in,
        );
        let replies = replies.await?;
        let replies = replies.stopping_within(stop::time_for_calls(base.settings.stop.grace));
        Ok(replies.forgetting(base.enrichment.clone()))
    }

    fn enricher(&self) -> (Enricher, Wishes) {
        let base = &self.base;
        let (client, found) = (Arc::clone(&base.client), base.enrichment.clone());
        Enricher::new(self.store.clone(), base.rules.clone(), client, found)
    }

    fn watch(&self, replies: &Replies) -> Watch {
        let watched = Watched {
            inboxes: InboxMonitor::new(Arc::clone(&self.base.broker)),
            paused: replies.paused(),
            view: self.base.health.clone(),
            traffic: self.ingest.traffic(),
        };
        Watch::new(self.store.clone(), self.base.rules.clone(), watched)
    }

    /// What keeps X's side of the set-up right, reads beside its webhooks and fills what they did
    /// not bring.
    fn spawn_reads(&self, setup: &Arc<Setup>, signatures: &Signatures) {
        let base = &self.base;
        let (store, rules) = (self.store.clone(), base.rules.clone());
        let (client, board) = (Arc::clone(&base.client), base.board.clone());
        let (told, reading) = (board.clone(), Arc::clone(&client));
        let look = Look::new(store.clone(), rules.clone(), reading, told);
        self.spawn(look.run(self.until()));
        let plans = PlanCheck::new(store.clone(), rules.clone(), Arc::clone(&client));
        self.spawn(plans.run(self.until()));
        let with = (setup, &board, signatures);
        let keeper = keeper(&base.settings, &store, &rules, Arc::clone(&client), with);
        if let Some(keeper) = keeper {
            self.spawn(keeper.run(self.until()));
        }
        let gaps = Gaps::new(
            store.clone(),
            rules.clone(),
            Arc::clone(&client),
            Arc::clone(&self.ingest),
            board.clone(),
            gap_settings(&base.settings),
        );
        self.spawn(gaps.run(self.until()));
        let settings = CheckSettings {
            auto: base.settings.compliance.check == ComplianceCheck::Auto,
            look_up: base.settings.compliance.look_up,
        };
        let (reading, told) = (Arc::clone(&client), board.clone());
        let checks = Checks::new(store.clone(), rules.clone(), reading, told, settings);
        self.spawn(checks.run(self.until()));
        let feeds = Feeds::new(FeedParts {
            store,
            rules,
            client,
            ingest: Arc::clone(&self.ingest),
            board,
            search_lag: base.settings.x_api.search_lag,
        });
        self.spawn(feeds.run(self.until()));
    }

    /// What lets waiting deliveries go, and keeps the store in order.
    fn spawn_upkeep(&self, wishes: Wishes) {
        let (echoes, until) = (Arc::clone(&self.ingest), self.until());
        self.spawn(async move { echoes.release_echoes(wishes, until).await });
        let settings = &self.base.settings;
        let kept = (settings.retention.clone(), settings.unwanted);
        let (store, ingest) = (self.store.clone(), Arc::clone(&self.ingest));
        self.spawn(upkeep::run(store, ingest, kept, self.until()));
    }
}
