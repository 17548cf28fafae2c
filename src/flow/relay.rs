//! The journal to the bus: one cursor, windows of confirms, and lanes for what cannot go yet.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::broker::link::LinkState;
use crate::broker::publisher::{Attributes, Fate, Outgoing, PublishError, Publisher};
use crate::domain::ids::{CommandId, EventId};
use crate::domain::text::written;
use crate::flow::reply::trace_of;
use crate::store::{JournalRow, Lane, Store, StoreError, Tx};
use crate::telemetry::traces::{self, CommandTrace, SenderTrace, TraceContext};
use crate::telemetry::{chain, metrics};

/// Most bodies of a window, bytes.
const WINDOW_BYTES: usize = 2 * 1024 * 1024;
/// How often the store is asked for rows that another process wrote.
const POLL: Duration = Duration::from_secs(1);
/// How often the store hears how far the broker has confirmed: for each window by itself that would
/// be a commit of its own. After a crash what was confirmed since then is published again.
const MARK_EVERY: Duration = Duration::from_millis(50);
/// First and longest pause after a failure.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// How the relay runs.
#[derive(Clone, Debug)]
pub struct RelaySettings {
    /// Most events of a window.
    pub window: usize,
    /// How often what nobody had bound is tried again.
    pub lane_retry: Duration,
}

/// What others may ask of the relay.
#[derive(Clone, Default)]
pub struct RelayState(LinkState);

impl RelayState {
    /// Whether the last window reached the broker.
    pub fn is_connected(&self) -> bool {
        self.0.is_connected()
    }

    /// Why it did not, for people; empty where it did.
    pub fn fault(&self) -> String {
        self.0.fault()
    }
}

/// One cursor over the journal.
pub struct Relay {
    store: Store,
    publisher: Publisher,
    settings: RelaySettings,
    state: RelayState,
    /// Up to here every row is confirmed or in a lane; the store hears of it by `mark_due`.
    cursor: u64,
    /// Lane entries of windows that the store has not heard of yet.
    aside: Vec<(Lane, u64, String)>,
    /// When the store is to hear of the cursor; none while it knows.
    mark_due: Option<Instant>,
    next_lanes: Instant,
}

/// Why a round went wrong; the next one comes after a pause.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error("cannot publish: {0}")]
    Publish(#[from] PublishError),
    #[error("cannot read or mark the journal: {0}")]
    Store(#[from] StoreError),
}

impl Relay {
    /// A relay that goes on where the store's cursor stands.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn new(
        store: Store,
        publisher: Publisher,
        settings: RelaySettings,
        state: RelayState,
    ) -> Result<Self, StoreError> {
        let cursor = store.read(|tx| tx.cursor()).await?;
        Ok(Self {
            store,
            publisher,
            settings,
            state,
            cursor,
            aside: Vec::new(),
            mark_due: None,
            next_lanes: Instant::now(),
        })
    }

    /// Runs until `stop`; then marks what is confirmed and closes the connection.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut pause = BACKOFF.0;
        while !stop.is_cancelled() {
            match self.round(&stop).await {
                Ok(()) => pause = BACKOFF.0,
                Err(error) => {
                    self.note_failure(&error);
                    // What was appended since was so by a store that is there again.
                    let by_store = matches!(error, RelayError::Store(_));
                    tokio::select! {
                        () = sleep(pause) => pause = (pause * 2).min(BACKOFF.1),
                        () = self.store.appended().notified(), if by_store => {}
                        () = stop.cancelled() => {}
                    }
                }
            }
        }
        if let Err(error) = self.mark().await {
            tracing::warn!(%error, "the last window will be published again");
        }
        self.set_away(String::new());
        self.publisher.close().await;
    }

    fn note_failure(&self, error: &RelayError) {
        if let RelayError::Publish(error) = error {
            self.set_away(chain(error));
        }
        tracing::warn!(error = %chain(error), "events wait in the journal, and are tried again");
    }

    fn set_away(&self, fault: String) {
        self.state.0.set_away(fault);
        metrics::set_broker_connected(false);
    }

    fn set_connected(&self) {
        if !self.state.0.is_connected() {
            tracing::info!("events go out to RabbitMQ");
        }
        self.state.0.set_connected();
        metrics::set_broker_connected(true);
    }

    /// Publishes what there is, or waits for more.
    async fn round(&mut self, stop: &CancellationToken) -> Result<(), RelayError> {
        if Instant::now() >= self.next_lanes {
            // Set first: a fault of theirs must not keep the journal from going out.
            self.next_lanes = Instant::now() + self.settings.lane_retry;
            self.mark().await?;
            if self.lanes().await? {
                self.next_lanes = Instant::now();
            }
        }
        if self.mark_due.is_some_and(|due| due <= Instant::now()) {
            self.mark().await?;
        }
        let window = self
            .store
            .after(self.cursor, self.settings.window, WINDOW_BYTES)
            .await?;
        if !window.is_empty() {
            return self.publish_next(window).await;
        }
        let mark_due = self.mark_due.unwrap_or_else(|| Instant::now() + POLL);
        tokio::select! {
            () = self.store.appended().notified() => {}
            () = sleep_until(mark_due), if self.mark_due.is_some() => {}
            () = sleep_until(self.next_lanes.min(Instant::now() + POLL)) => self.probe().await?,
            () = stop.cancelled() => {}
        }
        Ok(())
    }

    /// An idle relay keeps its connection (and the topology) in place, and notices its loss.
    async fn probe(&mut self) -> Result<(), RelayError> {
        self.publisher.publish_window(&[]).await?;
        self.set_connected();
        Ok(())
    }

    async fn publish_next(&mut self, window: Vec<JournalRow>) -> Result<(), RelayError> {
        let fates = self.publish(&window, false).await?;
        for (row, fate) in window.iter().zip(&fates) {
            if let Some(lane) = lane_for(row, fate) {
                self.aside
                    .push((lane, row.sequence, row.routing_key.clone()));
            }
        }
        if let Some(oldest) = window.first() {
            let waited = Timestamp::now().duration_since(oldest.at);
            metrics::observe_publish(waited.unsigned_abs());
        }
        if let Some(last) = window.last() {
            self.cursor = last.sequence;
            self.mark_due.get_or_insert(Instant::now() + MARK_EVERY);
        }
        Ok(())
    }

    async fn publish(
        &mut self,
        rows: &[JournalRow],
        republished: bool,
    ) -> Result<Vec<Fate>, RelayError> {
        let (places, began) = (self.places(rows).await?, SystemTime::now());
        let placed = rows.iter().zip(&places);
        let outgoing: Vec<_> = placed
            .map(|(row, place)| outgoing(row, place, republished))
            .collect();
        let fates = self.publisher.publish_window(&outgoing).await?;
        self.set_connected();
        if traces::is_on() {
            let published = rows.iter().zip(&places).zip(&fates);
            published.for_each(|((row, place), fate)| self.trace(row, place, fate, began));
        }
        Ok(fates)
    }

    /// Where messages stand in their traces: outcomes in that of their command, as the core told of
    /// it; all others in one of their own.
    async fn places(&self, rows: &[JournalRow]) -> Result<Vec<Place>, RelayError> {
        let commands = rows.iter().map(command_of).collect::<Vec<_>>();
        if commands.iter().all(Option::is_none) {
            return Ok(rows.iter().map(|row| Place::of_event(row.id)).collect());
        }
        let read = move |tx: &Tx<'_>| {
            let told = commands.into_iter().map(|id| {
                let sender = id.as_ref().map(|id| trace_of(tx, id)).transpose()?;
                Ok(id.zip(sender))
            });
            told.collect::<Result<Vec<_>, StoreError>>()
        };
        let told = self.store.read(read).await?;
        let places = rows.iter().zip(told).map(|(row, told)| match told {
            Some((command, sender)) => Place::of_outcome(row.id, &command, sender),
            None => Place::of_event(row.id),
        });
        Ok(places.collect())
    }

    fn trace(&self, row: &JournalRow, place: &Place, fate: &Fate, began: SystemTime) {
        traces::published(&traces::Publishing {
            context: place.own,
            parent: place.parent,
            exchange: self.publisher.exchange(),
            routing_key: &row.routing_key,
            event: row.id,
            bytes: row.body.len(),
            began,
            error: match fate {
                Fate::Confirmed => None,
                Fate::Returned { .. } => Some("returned"),
                Fate::Nacked => Some("nacked"),
                Fate::Unsendable { .. } => Some("unsendable"),
            },
        });
    }

    /// Tells the store how far the broker has confirmed, unless it knows.
    async fn mark(&mut self) -> Result<(), RelayError> {
        if self.mark_due.is_none() {
            return Ok(());
        }
        let (cursor, aside) = (self.cursor, self.aside.clone());
        self.store
            .write(move |tx| {
                if cursor == tx.cursor()? && aside.is_empty() {
                    return Ok(());
                }
                tx.advance_cursor(cursor, &aside, Timestamp::now())
            })
            .await?;
        self.aside.clear();
        self.mark_due = None;
        Ok(())
    }

    /// Gives each lane a chance, but no more than a window: the journal must not wait for them.
    /// Whether there is more that can go now.
    async fn lanes(&mut self) -> Result<bool, RelayError> {
        let limit = self.settings.window;
        let mut more = self.republish().await?;
        for lane in [Lane::Unrouted, Lane::Nacked] {
            // One of each routing key finds out whether there is a way by now.
            let read = move |tx: &Tx<'_>| tx.lane_heads(lane, limit);
            let heads = self.store.read(read).await?;
            for key in self.release(lane, heads).await? {
                more |= self.drain(lane, key).await?;
            }
        }
        Ok(more)
    }

    /// Publishes rows of a lane; the routing keys of those that went out.
    async fn release(
        &mut self,
        lane: Lane,
        rows: Vec<JournalRow>,
    ) -> Result<Vec<String>, RelayError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let fates = self.publish(&rows, false).await?;
        let (mut keys, mut done) = (Vec::new(), Vec::new());
        for (row, fate) in rows.into_iter().zip(fates) {
            if fate == Fate::Confirmed {
                done.push(row.sequence);
                keys.push(row.routing_key);
            }
        }
        self.leave(lane, done).await?;
        Ok(keys)
    }

    /// Publishes a window of one routing key; whether there may be more that can go now.
    async fn drain(&mut self, lane: Lane, key: String) -> Result<bool, RelayError> {
        let limit = self.settings.window;
        let read = move |tx: &Tx<'_>| tx.lane(lane, Some(&key), limit);
        let rows = self.store.read(read).await?;
        Ok(self.release(lane, rows).await?.len() == limit)
    }

    async fn leave(&self, lane: Lane, sequences: Vec<u64>) -> Result<(), RelayError> {
        if sequences.is_empty() {
            return Ok(());
        }
        self.store
            .write(move |tx| {
                let mut sequences = sequences.into_iter();
                sequences.try_for_each(|sequence| tx.leave_lane(lane, sequence))
            })
            .await?;
        Ok(())
    }

    /// Sends again a window of what was asked for; what nobody has bound waits with the rest of its
    /// kind. Whether there may be more.
    async fn republish(&mut self) -> Result<bool, RelayError> {
        let limit = self.settings.window;
        let read = move |tx: &Tx<'_>| tx.lane(Lane::Republish, None, limit);
        let rows = self.store.read(read).await?;
        if rows.is_empty() {
            return Ok(false);
        }
        let fates = self.publish(&rows, true).await?;
        let full = rows.len() == limit;
        self.store
            .write(move |tx| {
                rows.iter().zip(&fates).try_for_each(|(row, fate)| {
                    tx.leave_lane(Lane::Republish, row.sequence)?;
                    lane_for(row, fate).map_or(Ok(()), |lane| {
                        tx.enter_lane(lane, row.sequence, &row.routing_key, Timestamp::now())
                    })
                })
            })
            .await?;
        Ok(full)
    }
}

/// Where a row waits that was not confirmed; none for what nobody has to have bound.
fn lane_for(row: &JournalRow, fate: &Fate) -> Option<Lane> {
    match fate {
        Fate::Confirmed => None,
        Fate::Returned { .. } => row.mandatory.then_some(Lane::Unrouted),
        Fate::Nacked => Some(Lane::Nacked),
        Fate::Unsendable { property } => {
            tracing::error!(event.id = %row.id, property, "an event does not fit into AMQP");
            Some(Lane::Nacked)
        }
    }
}

/// Where a message stands in its trace.
struct Place {
    parent: TraceContext,
    own: TraceContext,
    tracestate: Option<String>,
}

impl Place {
    /// The event's id is the trace, so that any repeat continues the same one.
    fn of_event(id: EventId) -> Self {
        let parent = TraceContext::of_event(id);
        Self {
            own: parent.child(),
            parent,
            tracestate: None,
        }
    }

    fn of_outcome(id: EventId, command: &CommandId, upstream: Option<SenderTrace>) -> Self {
        let trace = CommandTrace::of(command, upstream.as_ref()).of_outcome();
        let parent = trace.unwrap_or_else(|| TraceContext::of_event(id));
        let tracestate = upstream.map(|upstream| upstream.tracestate);
        Self {
            own: parent.child(),
            parent,
            tracestate: tracestate.filter(|state| !state.is_empty()),
        }
    }
}

/// Whose outcome, or wait, an event tells of.
fn command_of(row: &JournalRow) -> Option<CommandId> {
    let is_outcome = row.event_type.starts_with("command.");
    let id = is_outcome.then(|| row.correlation_id.parse().ok());
    id.flatten()
}

fn outgoing(row: &JournalRow, place: &Place, republished: bool) -> Outgoing {
    let account = row.routing_key.rsplit('.').next().unwrap_or("unknown");
    Outgoing {
        message_id: written(32, row.id),
        event_type: row.event_type.clone(),
        routing_key: row.routing_key.clone(),
        correlation_id: row.correlation_id.clone(),
        timestamp: seconds(row.time),
        attributes: attributes(account, &row.event_type, &row.subject, row.time),
        traceparent: Some(place.own.traceparent()),
        tracestate: place.tracestate.clone(),
        body: row.body.clone(),
        mandatory: row.mandatory,
        expiration_ms: None,
        republished,
    }
}

pub(super) fn attributes(
    account: &str,
    event_type: &str,
    subject: &str,
    time: Timestamp,
) -> Attributes {
    Attributes {
        source: written(64, format_args!("/twitter-channel/accounts/{account}")),
        time: written(24, format_args!("{time:.3}")),
        subject: subject.to_owned(),
        dataschema: written(64, format_args!("proto:helpdesk.twitter.v1/{event_type}")),
    }
}

/// AMQP knows no time before 1970.
pub(super) fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_second()).unwrap_or(0)
}
