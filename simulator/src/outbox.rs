//! Between what happened and its delivery: the place where order gets lost and copies are made.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use tokio::sync::mpsc;

use crate::deliver::Parcel;
use crate::dispatch::{Letter, merge};
use crate::record::{Delivery, Record};
use crate::replay::Logged;
use crate::settings::Disturbances;

/// Takes letters and passes them to the courier, disturbed as wished.
pub(crate) struct Outbox {
    state: Mutex<State>,
    record: Arc<Record>,
    courier: mpsc::UnboundedSender<Parcel>,
}

struct State {
    always: Disturbances,
    /// For the next thing that happens, in place of `always`.
    next: Option<Disturbances>,
    held: Vec<Letter>,
    /// What happens to `held` on release.
    held_under: Disturbances,
    random: StdRng,
    /// Whether X tells nobody of anything.
    silent: bool,
}

impl Outbox {
    pub(crate) fn new(
        always: Disturbances,
        seed: u64,
        record: Arc<Record>,
        courier: mpsc::UnboundedSender<Parcel>,
    ) -> Self {
        Self {
            state: Mutex::new(State {
                always,
                next: None,
                held: Vec::new(),
                held_under: Disturbances::default(),
                random: StdRng::seed_from_u64(seed),
                silent: false,
            }),
            record,
            courier,
        }
    }

    pub(crate) fn disturb(&self, always: Disturbances) {
        self.lock().always = always;
    }

    /// Whether what happens from now on is told to nobody, and never will be.
    pub(crate) fn silence(&self, silent: bool) {
        self.lock().silent = silent;
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.lock().silent
    }

    pub(crate) fn disturb_next(&self, next: Disturbances) {
        self.lock().next = Some(next);
    }

    /// Takes what one thing that happened gives rise to.
    pub(crate) fn put(&self, letters: Vec<Letter>) {
        self.put_later(letters, Duration::ZERO);
    }

    /// The same, that much later; the numbers of the deliveries come back unless they are held.
    pub(crate) fn put_later(&self, letters: Vec<Letter>, delay: Duration) -> Vec<u64> {
        let mut state = self.lock();
        let mut disturbances = state.next.take().unwrap_or_else(|| state.always.clone());
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        disturbances.delay_ms = disturbances.delay_ms.saturating_add(delay_ms);
        if disturbances.gather == 0 {
            return self.send(letters, &disturbances);
        }
        state.held.extend(letters);
        state.held_under = disturbances;
        if state.held.len() >= state.held_under.gather {
            self.send_held(&mut state);
        }
        Vec::new()
    }

    /// Sends what is held back.
    pub(crate) fn release(&self) {
        self.send_held(&mut self.lock());
    }

    fn send_held(&self, state: &mut State) {
        let mut letters = std::mem::take(&mut state.held);
        let disturbances = state.held_under.clone();
        if disturbances.merge {
            letters = merge(letters);
        }
        if disturbances.shuffle {
            letters.shuffle(&mut state.random);
        }
        self.send(letters, &disturbances);
    }

    fn send(&self, letters: Vec<Letter>, disturbances: &Disturbances) -> Vec<u64> {
        let mut ids = Vec::new();
        for letter in letters {
            let body = Bytes::from(letter.body.json.to_string());
            for copy in 0..=disturbances.copies {
                let delivery = delivery(&letter, body.clone());
                // A copy is another delivery of the same event, of which X keeps one.
                let first = (copy == 0).then(|| Logged {
                    at_ms: letter.at_ms,
                    webhook: String::new(),
                    delivery: delivery.clone(),
                });
                let id = self.record.open(delivery);
                let mut parcel = Parcel::new(id, letter.webhook, body.clone(), disturbances);
                parcel.untried = first;
                // The courier is gone only when the simulator has stopped.
                let _ = self.courier.send(parcel);
                ids.push(id);
            }
        }
        ids
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn delivery(letter: &Letter, body: Bytes) -> Delivery {
    Delivery {
        account: Some(letter.account),
        form: Some(letter.form),
        events: letter.body.events.clone(),
        ..Delivery::new(&letter.app, body)
    }
}
