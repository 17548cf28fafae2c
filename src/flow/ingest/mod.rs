//! From a delivery of X to the journal: normalized, given its conversation, routed, and on disk
//! before X hears 200.

mod directs;
mod echo;
mod foresee;
mod posts;
mod quarantine;
mod refusals;
mod storms;
mod threads;
mod work;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::domain::activity::{Normalized, Via};
use crate::domain::event::Event;
use crate::domain::ids::EventId;
use crate::flow::enrich::Enrichment;
use crate::flow::media_link::MediaLinks;
use crate::flow::rules::LiveRules;
use crate::flow::watch::TrafficCounts;
use crate::store::{Foresight, Store, StoreError};
use crate::telemetry::{metrics, traces};
use crate::x::normalize::{NotADelivery, normalize};
use refusals::{Refusals, Spans};
use work::Context;
pub(crate) use work::append;
use work::{Arrival, Report, store_delivery};

/// A commit not done by then is answered 503. X waits 10 s by its present pages, 3 s by older
/// ones; a commit that lands later is recognised as a duplicate.
const COMMIT_WITHIN: Duration = Duration::from_millis(2500);
/// How often is looked for gaps to note, and how exactly a downtime is known.
const NOTES_EVERY: Duration = Duration::from_secs(2);
const ALIVE_EVERY: Duration = Duration::from_secs(10);
/// Typing notices that may wait for the broker; more are dropped, they are worth nothing later.
const TYPING_QUEUE: usize = 256;

/// A delivery is on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// It held something that was not known before and is not old.
    pub new: bool,
    /// What it brought, while traces are on.
    pub events: Vec<EventId>,
}

/// Why a delivery was not taken.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// Not a JSON object: X never sends that.
    #[error(transparent)]
    NotADelivery(#[from] NotADelivery),
    /// The store cannot take it now; X will send it again, or a gap is noted.
    #[error("the delivery cannot be stored: {0}")]
    Unavailable(#[from] StoreError),
}

/// Takes deliveries.
#[derive(Clone)]
pub struct Ingest {
    store: Store,
    rules: LiveRules,
    media: Arc<MediaLinks>,
    enrichment: Enrichment,
    typing: mpsc::Sender<Event>,
    traffic: TrafficCounts,
    refusals: Arc<Refusals>,
}

impl Ingest {
    /// The same, with another handle of the store: for what the leader takes in.
    #[must_use]
    pub fn with_store(&self, store: Store) -> Self {
        Self {
            store,
            ..self.clone()
        }
    }

    /// Notes what is known of deliveries beside the deliveries themselves: gaps, counts and a sign
    /// of life. Each replica does, until `stop`.
    pub async fn keep_notes(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = interval(NOTES_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut alive_due = Instant::now();
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let alive = Instant::now() >= alive_due;
            if alive {
                alive_due = Instant::now() + ALIVE_EVERY;
            }
            self.note_all(alive).await;
        }
        self.note_all(true).await;
    }

    async fn note_all(&self, alive: bool) {
        if let Err(error) = self.note_refusals().await {
            tracing::warn!(%error, "gaps are not noted yet");
        }
        if !alive {
            return;
        }
        if let Err(error) = self.traffic.write(&self.store).await {
            tracing::warn!(%error, "the last traffic was not noted yet");
        }
        let alive = self.store.write(|tx| tx.note_alive(Timestamp::now()));
        if let Err(error) = alive.await {
            tracing::warn!(%error, "there was no sign of life");
        }
    }

    /// Also returns where typing notices come out.
    pub fn new(
        store: Store,
        rules: LiveRules,
        media: MediaLinks,
        enrichment: Enrichment,
    ) -> (Self, mpsc::Receiver<Event>) {
        let (typing, notices) = mpsc::channel(TYPING_QUEUE);
        let ingest = Self {
            store,
            rules,
            media: Arc::new(media),
            enrichment,
            typing,
            traffic: TrafficCounts::default(),
            refusals: Arc::default(),
        };
        (ingest, notices)
    }

    /// Forgets what was read of X once a person was erased since `known`, perhaps by another
    /// process; how many were, by now.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn forget_after_erasures(&self, known: Option<u64>) -> Result<u64, StoreError> {
        let newest = self.store.read(|tx| tx.newest_proof()).await?;
        if known.is_some_and(|known| known < newest) {
            self.enrichment.forget_all();
        }
        Ok(newest)
    }

    /// What a delivery is stored by: one view of the rules, whatever changes meanwhile.
    fn context(&self) -> Context {
        Context::new(
            self.rules.now(),
            Arc::clone(&self.media),
            self.enrichment.clone(),
            self.store.settings().held_limit(),
        )
    }

    /// Takes a delivery to `app` whose signature was checked. Returns once it is on disk.
    ///
    /// # Errors
    /// [`IngestError`]; after `Unavailable` it may still land, and is then known.
    pub async fn accept(
        &self,
        app: &str,
        body: Bytes,
        received_at: Timestamp,
    ) -> Result<Accepted, IngestError> {
        let delivery = normalize(&body)?;
        // What we read ourselves is read again: only what X has to deliver leaves a gap.
        let is_read = delivery.via.is_some_and(Via::is_read);
        for kind in &delivery.ignored {
            metrics::count_ignored(kind);
        }
        if delivery.activities.is_empty() && delivery.rejected.is_empty() {
            return Ok(Accepted::default());
        }
        match self.store(app, delivery, body, received_at).await {
            Ok((report, gaps)) => {
                self.refusals.written(&gaps);
                trace(&report, received_at, is_read);
                Ok(self.note(report))
            }
            Err(error) => {
                if !is_read {
                    self.refusals.note(app, received_at);
                }
                Err(error.into())
            }
        }
    }

    /// Notes the gaps of deliveries refused since the last one that was taken, lest they wait for the
    /// next.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn note_refusals(&self) -> Result<(), StoreError> {
        if self.refusals.any() {
            let refusals = Arc::clone(&self.refusals);
            let gaps = self.store.write(move |tx| refusals.write(tx)).await?;
            self.refusals.written(&gaps);
        }
        Ok(())
    }

    async fn store(
        &self,
        app: &str,
        delivery: Normalized,
        body: Bytes,
        at: Timestamp,
    ) -> Result<(Report, Spans), StoreError> {
        let context = self.context();
        let refusals = Arc::clone(&self.refusals);
        let limit = self.store.settings().ingest_limit();
        let foresight = match self.store.looks_ahead() {
            true => foresee::foresee(context.registry(), app, &delivery),
            false => Foresight::default(),
        };
        let app = app.to_owned();
        self.store
            .write_foreseen(COMMIT_WITHIN, foresight, move |tx| {
                let used = tx.used_bytes()?;
                if used > limit {
                    return Ok(Err(StoreError::Full { used, limit }));
                }
                let gaps = refusals.write(tx)?;
                let arrival = Arrival {
                    app: &app,
                    body: &body,
                    received_at: at,
                    waited: false,
                    released: None,
                };
                let report = store_delivery(tx, &context, arrival, &delivery, at)?;
                Ok(Ok((report, gaps)))
            })
            .await?
    }

    /// What was counted, for the watch.
    pub fn traffic(&self) -> TrafficCounts {
        self.traffic.clone()
    }

    fn count_traffic(&self, report: &Report) {
        let now = Timestamp::now();
        for account in &report.heard {
            self.traffic.heard(*account, now);
        }
        for (account, event_type) in &report.messages {
            match *event_type {
                "message.received" => self.traffic.received(*account, now),
                "message.sent" => self.traffic.sent(*account, now),
                _ => {}
            }
        }
    }

    /// What is committed is counted, and what goes past the journal is passed on.
    fn note(&self, report: Report) -> Accepted {
        for (id, event_type, kind) in &report.published {
            metrics::count_event(event_type, kind);
            tracing::debug!(event.id = %id, event_type, "an event was written");
        }
        for _ in 0..report.duplicates {
            metrics::count_duplicate();
        }
        self.count_traffic(&report);
        for why in report.unwanted {
            metrics::count_unwanted(why);
        }
        if let Some(reason) = report.quarantined {
            metrics::count_quarantined(reason);
        }
        for notice in report.typing {
            metrics::count_event(notice.payload.event_type(), notice.payload.kind());
            if self.typing.try_send(notice).is_err() {
                tracing::debug!("a typing notice was dropped: the broker is busy");
            }
        }
        let events = match traces::is_on() {
            true => report.published.iter().map(|(id, ..)| *id).collect(),
            false => Vec::new(),
        };
        Accepted {
            new: report.new,
            events,
        }
    }
}

fn trace(report: &Report, received_at: Timestamp, is_read: bool) {
    let took = Timestamp::now().duration_since(received_at).unsigned_abs();
    for (id, event_type, _) in &report.published {
        traces::journaled(*id, event_type, took, is_read);
    }
}
