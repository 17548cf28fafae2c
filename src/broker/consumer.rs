//! Takes commands from the broker: each is answered once it is stored or buried, never requeued.

use std::collections::VecDeque;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{FutureExt, try_join_all};
use futures_util::{Stream, StreamExt};

use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Acker, BasicProperties, message};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::{ConnectError, Session};
use super::dead::{DeadLetters, Letter};
use super::delivery::{Delivery, Handler, Verdict};
use super::link::LinkState;
use super::rights::{Denied, Entity, Right};
use super::settings::BrokerSettings;
use super::topology::{self, TopologyError};
use crate::telemetry::{chain, metrics};

/// Most deliveries in hand. A body may hold megabytes of attachments, and this many are one
/// transaction: enough to keep a disk busy.
const PREFETCH: u16 = 32;
/// First and longest pause after a failure.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// How often it is looked whether credentials have changed.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// So often may the handler panic over one delivery.
const PANICS: u32 = 3;

/// What others may ask of the consumer.
#[derive(Clone, Default)]
pub struct ConsumerState(LinkState);

impl ConsumerState {
    /// Whether commands are taken from the broker, or would be if this replica were first in line.
    pub fn is_connected(&self) -> bool {
        self.0.is_connected()
    }

    /// Why they are not, for people; empty where they are.
    pub fn fault(&self) -> String {
        self.0.fault()
    }

    fn set_connected(&self) {
        self.0.set_connected();
        metrics::set_consumer_connected(true);
    }

    fn set_away(&self, fault: String) {
        self.0.set_away(fault);
        metrics::set_consumer_connected(false);
    }
}

/// Why consuming ended; it begins anew after a pause.
#[derive(Debug, thiserror::Error)]
enum ConsumerError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Topology(#[from] TopologyError),
    #[error("the broker did not let the commands be consumed in time")]
    Late,
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("the broker does not let the commands be consumed")]
    Refused(#[source] lapin::Error),
    #[error("the broker ended the consumer: its queue was deleted, or moved")]
    Cancelled,
    #[error("the connection for consuming ended")]
    Lost(#[source] lapin::Error),
}

/// Reads the commands queue over a connection of its own, in order.
pub struct Consumer {
    settings: Arc<BrokerSettings>,
    state: ConsumerState,
}

impl Consumer {
    /// A consumer that connects when it runs.
    pub fn new(settings: Arc<BrokerSettings>) -> Self {
        let state = ConsumerState::default();
        Self { settings, state }
    }

    /// With this state in place of its own: for those who ask whichever consumer there is.
    #[must_use]
    pub fn telling(self, state: ConsumerState) -> Self {
        Self { state, ..self }
    }

    /// What others may ask of it.
    pub fn state(&self) -> ConsumerState {
        self.state.clone()
    }

    /// Hands every delivery to `handler` until `stop`, whatever happens to the connection. At the
    /// stop the batch in hand is finished and answered; what has not been handed in, or waits, goes
    /// back to the queue.
    pub async fn run(self, handler: impl Handler, stop: CancellationToken) {
        let mut dead = DeadLetters::new(Arc::clone(&self.settings));
        let mut pause = Pause::default();
        let mut successor = None;
        while !stop.is_cancelled() {
            let begun = Instant::now();
            let ended = self
                .serve(successor.take(), &handler, &mut dead, &stop)
                .await;
            let error = match ended {
                Ok(next) => {
                    successor = next;
                    continue;
                }
                Err(error) => chain(&error),
            };
            if begun.elapsed() > BACKOFF.1 {
                pause = Pause::default();
            }
            tracing::warn!(
                error,
                "commands wait in the queue: they cannot be taken, and are tried again"
            );
            self.state.set_away(error);
            tokio::select! {
                () = sleep(pause.next()) => {}
                () = stop.cancelled() => {}
            }
        }
        self.state.set_away(String::new());
        dead.close().await;
    }

    /// Consumes on one connection; `Ok` when it was stopped, or is to go on on another one.
    async fn serve(
        &self,
        session: Option<Session>,
        handler: &impl Handler,
        dead: &mut DeadLetters,
        stop: &CancellationToken,
    ) -> Result<Option<Session>, ConsumerError> {
        let session = match session {
            Some(session) => session,
            None => Session::connect_consumer(&self.settings, "consumer").await?,
        };
        topology::ensure(&session, &self.settings).await?;
        let subscribing = subscribe(&session, &self.settings.names.commands);
        let deliveries = timeout(self.settings.connect_timeout, subscribing)
            .await
            .map_err(|_elapsed| ConsumerError::Late)?
            .map_err(|source| self.refusal(source))?;
        self.state.set_connected();
        tracing::info!("commands are taken from RabbitMQ");
        let (turn, mut successor) = (stop.child_token(), None);
        let watching = async {
            successor = Some(self.wait_for_successor(&session).await);
            // The batch in hand is still finished.
            turn.cancel();
            pending::<()>().await;
        };
        let working = Desk::new(handler, dead).work(deliveries, &turn);
        tokio::select! {
            ended = working => ended?,
            () = watching => {}
        }
        // No `basic.cancel` before: it would let the next replica in while the last batch is not
        // answered yet. Closing gives back what is left, in its order.
        session.close().await;
        Ok(successor)
    }

    async fn wait_for_successor(&self, session: &Session) -> Session {
        loop {
            sleep(LOOK_EVERY).await;
            if let Some(successor) = session.successor(&self.settings).await {
                return successor;
            }
        }
    }

    fn refusal(&self, source: lapin::Error) -> ConsumerError {
        let queue = Entity::Queue(self.settings.names.commands.clone());
        match Denied::of(source, [(Right::Read, queue)]) {
            Ok(denied) => ConsumerError::Denied(denied),
            Err(source) => ConsumerError::Refused(source),
        }
    }
}

async fn subscribe(session: &Session, queue: &str) -> lapin::Result<lapin::Consumer> {
    let channel = session.channel().await?;
    let options = BasicQosOptions::default();
    channel.basic_qos(PREFETCH, options).await?;
    let tag = ShortString::from("twitter-channel");
    let options = BasicConsumeOptions::default();
    channel
        .basic_consume(queue.into(), tag, options, FieldTable::default())
        .await
}

/// Pauses that grow from one to the next.
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(BACKOFF.0)
    }
}

impl Pause {
    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(BACKOFF.1);
        pause
    }
}

/// A delivery without an answer.
struct Held {
    delivery: Delivery,
    properties: BasicProperties,
    acker: Acker,
    panics: u32,
}

impl Held {
    fn new(message: message::Delivery) -> Self {
        let properties = message.properties;
        let text = |value: &Option<ShortString>| value.as_ref().map(ToString::to_string);
        let delivery = Delivery {
            body: Bytes::from(message.data),
            message_id: text(properties.message_id()),
            content_type: text(properties.content_type()),
            redelivered: message.redelivered,
            traceparent: header(&properties, "traceparent"),
            tracestate: header(&properties, "tracestate"),
        };
        Self {
            delivery,
            properties,
            acker: message.acker,
            panics: 0,
        }
    }

    async fn ack(&self) -> lapin::Result<()> {
        // `false`: the channel is gone, and the broker delivers it again.
        let acked = self.acker.ack(BasicAckOptions::default()).await;
        acked.map(drop)
    }

    /// Answers it and all that came before it.
    async fn ack_up_to(&self) -> lapin::Result<()> {
        let options = BasicAckOptions { multiple: true };
        self.acker.ack(options).await.map(drop)
    }
}

fn header(properties: &BasicProperties, name: &str) -> Option<String> {
    match properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::LongString(text) => String::from_utf8(text.as_bytes().to_vec()).ok(),
        _ => None,
    }
}

/// A delivery that has to be buried before it is answered.
struct Doomed {
    held: Held,
    reason: &'static str,
    detail: String,
}

/// The work on the deliveries of one channel.
struct Desk<'a, H> {
    handler: &'a H,
    dead: &'a mut DeadLetters,
    /// In the order of the queue, the oldest first.
    held: VecDeque<Held>,
    /// Not handed in before.
    next_try: Instant,
    try_pause: Pause,
    /// So many of the first are handed in one by one, to find the one that makes the handler panic.
    alone: usize,
    doomed: VecDeque<Doomed>,
    /// Not buried before.
    next_burial: Instant,
    burial_pause: Pause,
    /// Whether more may come.
    open: bool,
}

impl<'a, H: Handler> Desk<'a, H> {
    fn new(handler: &'a H, dead: &'a mut DeadLetters) -> Self {
        Self {
            handler,
            dead,
            held: VecDeque::new(),
            next_try: Instant::now(),
            try_pause: Pause::default(),
            alone: 0,
            doomed: VecDeque::new(),
            next_burial: Instant::now(),
            burial_pause: Pause::default(),
            open: true,
        }
    }

    /// Works until `stop`, or until the channel or the queue is gone.
    async fn work(
        mut self,
        mut deliveries: impl Stream<Item = lapin::Result<message::Delivery>> + Unpin,
        stop: &CancellationToken,
    ) -> Result<(), ConsumerError> {
        loop {
            // A deleted queue does not bring back what is in hand: that is finished first.
            if !self.open && self.held.is_empty() && self.doomed.is_empty() {
                return Err(ConsumerError::Cancelled);
            }
            tokio::select! {
                // What has come already is handed in together.
                biased;
                () = stop.cancelled() => return Ok(()),
                next = deliveries.next(), if self.open => match next {
                    Some(message) => {
                        let message = message.map_err(ConsumerError::Lost)?;
                        self.held.push_back(Held::new(message));
                    }
                    None => self.open = false,
                },
                () = sleep_until(self.next_try), if !self.held.is_empty() => {
                    self.hand_in().await.map_err(ConsumerError::Lost)?;
                }
                () = sleep_until(self.next_burial), if !self.doomed.is_empty() => {
                    self.bury().await.map_err(ConsumerError::Lost)?;
                }
            }
        }
    }

    /// Hands in what is held and acts on the verdicts.
    async fn hand_in(&mut self) -> lapin::Result<()> {
        let count = if self.alone > 0 { 1 } else { self.held.len() };
        let batch = self.held.iter().take(count);
        let batch = batch.map(|held| held.delivery.clone()).collect();
        let handler = self.handler;
        // The handler is called again only with the same deliveries, which a panic cannot change.
        let handling = AssertUnwindSafe(async move { handler.handle(batch).await });
        match handling.catch_unwind().await {
            Ok(verdicts) => self.settle(count, verdicts).await,
            Err(_panic) => {
                self.note_panic(count);
                Ok(())
            }
        }
    }

    async fn settle(&mut self, count: usize, verdicts: Vec<Verdict>) -> lapin::Result<()> {
        if verdicts.len() != count {
            let verdicts = verdicts.len();
            tracing::error!(count, verdicts, "the handler must judge each delivery");
        }
        let mut verdicts = verdicts.into_iter();
        let (mut accepted, mut waiting) = (Vec::new(), VecDeque::new());
        for held in self.held.drain(..count) {
            match verdicts.next().unwrap_or(Verdict::Later) {
                Verdict::Accepted => accepted.push(held),
                Verdict::Dead { reason, detail } => self.doomed.push_back(Doomed {
                    held,
                    reason,
                    detail,
                }),
                Verdict::Later => waiting.push_back(held),
            }
        }
        if waiting.is_empty() {
            self.alone = self.alone.saturating_sub(count);
            self.try_pause = Pause::default();
        } else {
            self.next_try = Instant::now() + self.try_pause.next();
        }
        // Of what came before the last one nothing is open: one answer is enough, which costs the
        // broker as much as that of a single delivery.
        let in_one = waiting.is_empty() && self.doomed.is_empty();
        waiting.append(&mut self.held);
        self.held = waiting;
        match accepted.last().filter(|_| in_one) {
            Some(last) => last.ack_up_to().await,
            None => try_join_all(accepted.iter().map(Held::ack)).await.map(drop),
        }
    }

    /// After a panic over several each is handed in alone; the one that panics again and again is
    /// dead.
    fn note_panic(&mut self, count: usize) {
        self.next_try = Instant::now() + self.try_pause.next();
        if count > 1 {
            tracing::error!(count, "the handler of commands panicked");
            self.alone = count;
            return;
        }
        let Some(mut held) = self.held.pop_front() else {
            return;
        };
        held.panics += 1;
        let message_id = held.delivery.message_id.as_deref().unwrap_or_default();
        tracing::error!(command.id = message_id, "the handler of commands panicked");
        if held.panics < PANICS {
            self.held.push_front(held);
            return;
        }
        self.alone = self.alone.saturating_sub(1);
        self.doomed.push_back(Doomed {
            held,
            reason: "handler-panicked",
            detail: "a fault of this service, see its log".to_owned(),
        });
    }

    /// Buries what is doomed, each before it is acknowledged. Others do not wait for that.
    async fn bury(&mut self) -> lapin::Result<()> {
        while let Some(doomed) = self.doomed.front() {
            let letter = Letter {
                body: &doomed.held.delivery.body,
                properties: &doomed.held.properties,
                reason: doomed.reason,
                detail: &doomed.detail,
            };
            if let Err(error) = self.dead.bury(letter).await {
                self.next_burial = Instant::now() + self.burial_pause.next();
                tracing::warn!(error = %chain(&error), "a dead letter waits");
                return Ok(());
            }
            metrics::count_dead_command(doomed.reason);
            // Without the detail: it may quote what an agent wrote.
            let message_id = doomed
                .held
                .delivery
                .message_id
                .as_deref()
                .unwrap_or_default();
            let reason = doomed.reason;
            tracing::warn!(
                command.id = message_id,
                reason,
                "a command was put on the dead-letter queue"
            );
            self.burial_pause = Pause::default();
            doomed.held.ack().await?;
            self.doomed.pop_front();
        }
        Ok(())
    }
}
