//! What was delivered or tried in the last day, so that X can deliver it again.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::deliver::{Courier, Target};
use crate::forms::replay_ended;
use crate::record::{AttemptResult, Delivery};
use crate::signature::sign;

const DAY_MS: i64 = 24 * 3600 * 1000;
/// The oldest go first when there are more.
const KEPT: usize = 250_000;

/// A delivery that was tried at least once.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    /// When what it tells of happened, by the simulator's clock.
    pub(crate) at_ms: i64,
    /// Where it went.
    pub(crate) webhook: String,
    /// As it was before the first try.
    pub(crate) delivery: Delivery,
}

/// The deliveries of the last day, in the order in which they were first tried.
#[derive(Default)]
pub(crate) struct DeliveryLog(Mutex<VecDeque<Logged>>);

impl DeliveryLog {
    pub(crate) fn add(&self, logged: Logged) {
        let oldest = logged.at_ms - DAY_MS;
        let mut kept = self.lock();
        kept.push_back(logged);
        while kept.len() > KEPT || kept.front().is_some_and(|first| first.at_ms < oldest) {
            kept.pop_front();
        }
    }

    /// What went to the webhook for the app in the span of the job, oldest first.
    fn wanted(&self, job: &ReplayJob) -> Vec<Logged> {
        let kept = self.lock();
        let span = job.from_ms..job.to_ms;
        let found = kept.iter().filter(|logged| {
            logged.webhook == job.webhook
                && logged.delivery.app == job.app
                && span.contains(&logged.at_ms)
        });
        let mut found: Vec<Logged> = found.cloned().collect();
        found.sort_by_key(|logged| logged.at_ms);
        found
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Logged>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An order to deliver again.
#[derive(Clone, Debug)]
pub(crate) struct ReplayJob {
    pub(crate) id: u64,
    pub(crate) app: String,
    /// X's id of the webhook, as the app named it.
    pub(crate) webhook_id: String,
    /// Its address.
    pub(crate) webhook: String,
    /// Inclusive.
    pub(crate) from_ms: i64,
    /// Exclusive.
    pub(crate) to_ms: i64,
}

/// Delivers again, each once and one after the other, and says at the webhook how it went.
pub(crate) async fn run(courier: &Courier, job: &ReplayJob) {
    let _busy = courier.record.busy();
    let mut complete = true;
    for logged in courier.log.wanted(job) {
        complete &= deliver(courier, job, logged.delivery).await;
    }
    let body = replay_ended(&job.webhook_id, job.id, complete);
    let delivery = Delivery {
        events: body.events,
        ..Delivery::new(&job.app, body.json.to_string().into())
    };
    deliver(courier, job, delivery).await;
}

/// True when the webhook has taken it.
async fn deliver(courier: &Courier, job: &ReplayJob, delivery: Delivery) -> bool {
    let target = {
        let world = courier.world.lock();
        let app = world.app(&job.app).ok().filter(|app| !app.suspended);
        let id = job.webhook_id.parse();
        let webhook = id.ok().and_then(|id| world.webhook(id).ok());
        let is_valid = webhook.is_some_and(|webhook| webhook.valid);
        app.filter(|_| is_valid).map(|app| Target {
            webhook: job.webhook.clone(),
            signature: Some(sign(app.delivery_secret(), &delivery.body)),
        })
    };
    match target {
        Some(target) => courier.once(delivery, target).await == AttemptResult::Answered(200),
        None => false,
    }
}
