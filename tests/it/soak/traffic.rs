//! What runs meanwhile: customers who write, and a core that answers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::Value;
use simulator::{NewPost, PostId, Simulator, UserId};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::support::desk::{Desk, Noted};
use crate::support::stage::send_post;

/// A conversation: a customer's mention of an account, and what the account answers.
#[derive(Clone)]
pub(super) struct Thread {
    pub(super) account: UserId,
    pub(super) username: String,
    pub(super) customer: UserId,
    pub(super) number: usize,
    /// Once it is written.
    pub(super) mention: Option<PostId>,
}

/// A customer's post.
pub(super) struct Written {
    pub(super) id: String,
    pub(super) at: Instant,
}

/// A command that the broker has confirmed.
pub(super) struct Sent {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) account: UserId,
    pub(super) parent: PostId,
    pub(super) at: Instant,
}

impl Sent {
    /// The answer of this number, which is one in this conversation.
    pub(super) fn of(number: usize, thread: &Thread) -> Self {
        Self {
            id: format!("c{number}"),
            text: format!("Answer <{number}>."),
            account: thread.account,
            parent: thread.mention.unwrap(),
            at: Instant::now(),
        }
    }

    pub(super) fn body(&self) -> Value {
        let parent = self.parent.to_string();
        send_post(&self.id, self.account, &self.text, &parent)
    }
}

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    /// Deliveries in a second.
    pub(super) deliveries: u32,
    /// Commands in a second.
    pub(super) commands: u32,
}

impl Rates {
    /// How many commands there are in so many seconds and a little longer.
    pub(super) fn commands_in(self, seconds: u64) -> u64 {
        (seconds + 60) * u64::from(self.commands)
    }

    /// How many deliveries X makes, ours back included.
    pub(super) fn all_in(self, seconds: u64) -> usize {
        let all = u64::from(self.deliveries + self.commands) * (seconds + 120);
        usize::try_from(all).unwrap()
    }
}

/// All that happened until it was ended.
pub(super) struct Ledger {
    pub(super) written: Vec<Written>,
    pub(super) sent: Vec<Sent>,
    pub(super) desk: Desk,
    pub(super) took: Duration,
}

/// It runs by itself.
pub(super) struct Traffic {
    end: CancellationToken,
    began: Instant,
    noted: Arc<Mutex<Noted>>,
    sent: Arc<AtomicUsize>,
    writing: JoinHandle<Vec<Written>>,
    answering: JoinHandle<(Vec<Sent>, Desk)>,
}

impl Traffic {
    pub(super) fn start(
        simulator: Arc<Simulator>,
        desk: Desk,
        threads: &[Thread],
        rates: Rates,
    ) -> Self {
        let (end, noted) = (CancellationToken::new(), desk.shared());
        let (for_posts, for_commands) = (threads.to_vec(), threads.to_vec());
        let writing = write(simulator, for_posts, rates.deliveries, end.clone());
        let tasks = TaskTracker::new();
        let sent = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&sent);
        let answering = answer(desk, for_commands, rates.commands, count, end.clone());
        Self {
            end,
            began: Instant::now(),
            noted,
            sent,
            writing: tasks.spawn(writing),
            answering: tasks.spawn(answering),
        }
    }

    /// How many events the core has.
    pub(super) fn events(&self) -> usize {
        self.noted.lock().unwrap().events.len()
    }

    /// What the core has so far.
    pub(super) fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap()
    }

    /// How many commands the broker has confirmed.
    pub(super) fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// How many commands have their outcome.
    pub(super) fn outcomes(&self) -> usize {
        self.noted.lock().unwrap().outcomes.len()
    }

    /// No more of it.
    pub(super) async fn end(self) -> Ledger {
        self.end.cancel();
        let took = self.began.elapsed();
        let (written, answered) = (self.writing.await.unwrap(), self.answering.await.unwrap());
        Ledger {
            written,
            sent: answered.0,
            desk: answered.1,
            took,
        }
    }
}

async fn write(
    simulator: Arc<Simulator>,
    threads: Vec<Thread>,
    per_second: u32,
    end: CancellationToken,
) -> Vec<Written> {
    let (mut written, mut turns) = (Vec::new(), turns(per_second));
    for (number, thread) in threads.iter().cycle().enumerate() {
        if end.run_until_cancelled(turns.tick()).await.is_none() {
            break;
        }
        let text = format!("@{} where is parcel {number}?", thread.username);
        let at = Instant::now();
        let id = simulator.post(NewPost::by(thread.customer, &text)).unwrap();
        let id = id.to_string();
        written.push(Written { id, at });
    }
    written
}

async fn answer(
    mut desk: Desk,
    threads: Vec<Thread>,
    per_second: u32,
    count: Arc<AtomicUsize>,
    end: CancellationToken,
) -> (Vec<Sent>, Desk) {
    let (mut sent, mut turns) = (Vec::new(), turns(per_second));
    for (number, thread) in threads.iter().cycle().enumerate() {
        if end.run_until_cancelled(turns.tick()).await.is_none() {
            break;
        }
        let command = Sent::of(number, thread);
        desk.send(&command.body()).await;
        sent.push(command);
        count.store(sent.len(), Ordering::Relaxed);
    }
    (sent, desk)
}

/// What was missed is made up for.
fn turns(per_second: u32) -> tokio::time::Interval {
    let mut turns = interval(Duration::from_secs(1) / per_second);
    turns.set_missed_tick_behavior(MissedTickBehavior::Burst);
    turns
}
