//! X under load: many deliveries at once, each repeated until it is answered 200.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use simulator::{SIGNATURE_HEADER, sign};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::broker::{client, eventually};
use super::service::{ACME, APP, secret_of};

/// Deliveries under way at the same time.
const SENDERS: usize = 12;
/// X gives up on an answer after this long.
const X_WAITS: Duration = Duration::from_secs(10);
/// Before a delivery is repeated; X takes its time.
const REPEAT_AFTER: Duration = Duration::from_millis(50);
/// Each so-manieth delivery comes again after its 200.
const REPEATED_ANYWAY: u64 = 7;
/// How long a whole load may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The first post or message has this id plus one.
const FIRST_ID: u64 = 1_900_000_000_000_000_000;

/// A load that runs by itself.
pub(crate) struct Load {
    state: Arc<State>,
    senders: JoinSet<()>,
}

struct State {
    url: String,
    http: reqwest::Client,
    deliveries: u64,
    first: u64,
    last: AtomicU64,
    next: AtomicU64,
    told: AtomicUsize,
    refused: AtomicUsize,
}

impl Load {
    /// Sends so many deliveries to the app's webhook: mentions (odd) and direct messages (even).
    pub(crate) fn start(webhook: String, deliveries: u64) -> Self {
        Self::start_after(0, webhook, deliveries)
    }

    /// The same with other messages than a load before.
    pub(crate) fn start_after(sent: u64, webhook: String, deliveries: u64) -> Self {
        let state = Arc::new(State {
            url: webhook,
            http: client(),
            deliveries,
            first: sent + 1,
            last: AtomicU64::new(sent + deliveries),
            next: AtomicU64::new(sent + 1),
            told: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        });
        let mut senders = JoinSet::new();
        for _ in 0..SENDERS {
            let state = Arc::clone(&state);
            senders.spawn(async move { state.send_all().await });
        }
        Self { state, senders }
    }

    /// Waits until this share of all deliveries was answered 200.
    pub(crate) async fn told(&self, percent: u64) {
        let wanted = self.state.deliveries * percent / 100;
        let reached =
            async || (self.state.told.load(Ordering::Relaxed) as u64 >= wanted).then_some(());
        eventually(&format!("{wanted} deliveries answered 200"), reached).await;
    }

    /// Waits until so many more answers were 503.
    pub(crate) async fn refused(&self, more: usize) {
        let wanted = self.refusals() + more;
        let reached = async || (self.refusals() >= wanted).then_some(());
        eventually(&format!("{wanted} answers of 503"), reached).await;
    }

    /// How many answers were 503.
    pub(crate) fn refusals(&self) -> usize {
        self.state.refused.load(Ordering::Relaxed)
    }

    /// Begins no more deliveries.
    pub(crate) fn end(&self) {
        let next = self.state.next.load(Ordering::Relaxed);
        self.state.last.fetch_min(next - 1, Ordering::Relaxed);
    }

    /// Waits until every delivery was answered 200; the ids of the messages in them.
    pub(crate) async fn all_told(&mut self) -> HashSet<String> {
        let finish = async {
            while let Some(sender) = self.senders.join_next().await {
                sender.unwrap();
            }
        };
        let finished = timeout(PATIENCE, finish).await;
        let told = self.state.told.load(Ordering::Relaxed);
        finished.unwrap_or_else(|_| panic!("after {PATIENCE:?} only {told} are answered 200"));
        let last = self.state.last.load(Ordering::Relaxed);
        (self.state.first..=last).map(message_id).collect()
    }
}

impl State {
    async fn send_all(&self) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number > self.last.load(Ordering::Relaxed) {
                return;
            }
            let body = delivery(number).to_string();
            self.send_until_told(&body).await;
            self.told.fetch_add(1, Ordering::Relaxed);
            if number.is_multiple_of(REPEATED_ANYWAY) {
                self.send_until_told(&body).await;
            }
        }
    }

    async fn send_until_told(&self, body: &str) {
        while !self.is_told(body).await {
            sleep(REPEAT_AFTER).await;
        }
    }

    async fn is_told(&self, body: &str) -> bool {
        let request = self.http.post(&self.url).timeout(X_WAITS);
        let request = request.header(SIGNATURE_HEADER, sign(&secret_of(APP), body.as_bytes()));
        // No answer: nobody listens, or the service died meanwhile.
        let Ok(answer) = request.body(body.to_owned()).send().await else {
            return false;
        };
        match answer.status().as_u16() {
            200 => true,
            503 => {
                assert!(answer.headers().contains_key("retry-after"));
                self.refused.fetch_add(1, Ordering::Relaxed);
                false
            }
            other => panic!("answered {other}"),
        }
    }
}

/// Whether a message of the load is a direct one.
pub(crate) fn is_direct(message_id: &str) -> bool {
    let id: u64 = message_id.parse().unwrap();
    id.is_multiple_of(2)
}

fn message_id(number: u64) -> String {
    (FIRST_ID + number).to_string()
}

/// One delivery of Account Activity, always the same for a number.
fn delivery(number: u64) -> Value {
    let id = message_id(number);
    let author = (5_000_000 + number % 50).to_string();
    match is_direct(&id) {
        true => direct_message(&id, &author),
        false => mention(&id, &author),
    }
}

fn mention(id: &str, author: &str) -> Value {
    json!({
        "for_user_id": ACME.0.to_string(),
        "tweet_create_events": [{
            "created_at": "Mon Dec 23 13:03:29 +0000 2024",
            "id_str": id,
            "text": format!("@acme where is my parcel {id}?"),
            "user": {"id_str": author, "screen_name": "jo", "name": "Jo"},
            "entities": {"user_mentions": [
                {"id_str": ACME.0.to_string(), "screen_name": "acme", "name": "Acme", "indices": [0, 5]}
            ]},
        }],
    })
}

fn direct_message(id: &str, author: &str) -> Value {
    json!({
        "for_user_id": ACME.0.to_string(),
        "direct_message_events": [{
            "type": "message_create",
            "id": id,
            "created_timestamp": "1734958800000",
            "message_create": {
                "target": {"recipient_id": ACME.0.to_string()},
                "sender_id": author,
                "message_data": {"text": format!("Where is my parcel {id}?")},
            },
        }],
        "users": {author: {"id": author, "screen_name": "jo", "name": "Jo"}},
    })
}
