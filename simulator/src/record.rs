//! What became of each delivery.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use tokio::sync::watch;

use crate::model::{Form, UserId};

/// One delivery with all its attempts.
#[derive(Clone, Debug, Serialize)]
pub struct Delivery {
    /// Counts up from 1.
    pub id: u64,
    /// The app it goes to.
    pub app: String,
    /// The subscribed account; absent in what a test made by hand.
    pub account: Option<UserId>,
    /// The form; absent in what a test made by hand.
    pub form: Option<Form>,
    /// The events in it, by X's names.
    pub events: Vec<String>,
    /// The signed bytes.
    #[serde(serialize_with = "as_text")]
    pub body: Bytes,
    /// Every try, oldest first.
    pub attempts: Vec<Attempt>,
    /// Where it stands.
    pub state: DeliveryState,
}

impl Delivery {
    /// One that is yet to be sent, and numbered by the record.
    pub(crate) fn new(app: &str, body: Bytes) -> Self {
        Self {
            id: 0,
            app: app.to_owned(),
            account: None,
            form: None,
            events: Vec::new(),
            body,
            attempts: Vec::new(),
            state: DeliveryState::Pending,
        }
    }

    /// The status of the last answer, if there was one.
    pub fn status(&self) -> Option<u16> {
        self.attempts
            .iter()
            .rev()
            .find_map(|attempt| match attempt.result {
                AttemptResult::Answered(status) => Some(status),
                _ => None,
            })
    }
}

/// One try to deliver.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    /// When it began, by this machine's clock.
    #[serde(serialize_with = "as_display")]
    pub at: Timestamp,
    /// How long it took.
    #[serde(serialize_with = "as_milliseconds")]
    pub took: Duration,
    /// What came of it.
    pub result: AttemptResult,
}

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptResult {
    /// The service answered with this status.
    Answered(u16),
    /// No answer, and why.
    Failed(String),
    /// We broke the connection on purpose.
    Cut,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Not answered with 200 so far.
    Pending,
    /// Answered with 200.
    Delivered,
    /// Given up after the last repeat.
    Lost,
    /// The webhook is invalid, so X did not even try.
    Withheld,
}

/// The latest deliveries, and how many are on their way.
pub(crate) struct Record {
    state: Mutex<State>,
    pending: watch::Sender<usize>,
}

struct State {
    deliveries: VecDeque<Delivery>,
    kept: usize,
    last_id: u64,
}

impl Record {
    pub(crate) fn new(kept: usize) -> Self {
        Self {
            state: Mutex::new(State {
                deliveries: VecDeque::new(),
                kept,
                last_id: 0,
            }),
            pending: watch::Sender::new(0),
        }
    }

    /// Notes a delivery that is about to go out, and numbers it.
    pub(crate) fn open(&self, mut delivery: Delivery) -> u64 {
        let mut state = self.lock();
        state.last_id += 1;
        delivery.id = state.last_id;
        let id = delivery.id;
        state.deliveries.push_back(delivery);
        if state.deliveries.len() > state.kept {
            state.deliveries.pop_front();
        }
        self.pending.send_modify(|count| *count += 1);
        id
    }

    pub(crate) fn attempted(&self, id: u64, attempt: Attempt) {
        self.update(id, |delivery| delivery.attempts.push(attempt));
        // Wakes who waits for first attempts.
        self.pending.send_modify(|_| ());
    }

    /// Waits until each of these has been tried once, or will not be.
    pub(crate) async fn tried(&self, ids: &[u64]) {
        let is_over = |id: &u64| {
            let state = self.lock();
            let mut newest_first = state.deliveries.iter().rev();
            // One that has dropped out of the record is long over.
            newest_first
                .find(|delivery| delivery.id == *id)
                .is_none_or(|delivery| {
                    !delivery.attempts.is_empty() || delivery.state != DeliveryState::Pending
                })
        };
        let mut pending = self.pending.subscribe();
        while !ids.iter().all(is_over) {
            // The sender lives in `self`, so the channel cannot close under us.
            let _ = pending.changed().await;
        }
    }

    /// The delivery is over, one way or another.
    pub(crate) fn close(&self, id: u64, state: DeliveryState) {
        self.update(id, |delivery| delivery.state = state);
        self.pending
            .send_modify(|count| *count = count.saturating_sub(1));
    }

    pub(crate) fn all(&self) -> Vec<Delivery> {
        self.lock().deliveries.iter().cloned().collect()
    }

    /// More is to come: until this is dropped, `settled` waits.
    pub(crate) fn busy(&self) -> Busy<'_> {
        self.pending.send_modify(|count| *count += 1);
        Busy(self)
    }

    /// Waits until nothing is on its way.
    pub(crate) async fn settled(&self) {
        // The sender lives in `self`, so the channel cannot close under us.
        let _ = self.pending.subscribe().wait_for(|count| *count == 0).await;
    }

    fn update(&self, id: u64, change: impl FnOnce(&mut Delivery)) {
        let mut state = self.lock();
        // One that has dropped out of the record is no longer of interest.
        if let Some(delivery) = state
            .deliveries
            .iter_mut()
            .rev()
            .find(|delivery| delivery.id == id)
        {
            change(delivery);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stands for deliveries that are still to be made.
pub(crate) struct Busy<'a>(&'a Record);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let Self(record) = self;
        record
            .pending
            .send_modify(|count| *count = count.saturating_sub(1));
    }
}

fn as_text<S: Serializer>(body: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(body))
}

fn as_display<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

fn as_milliseconds<S: Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
}
