//! The least X: takes every post, answers after a given time, and is generous with its windows, so
//! that the service is measured and not its obedience.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web::{Bytes, Data, post};
use actix_web::{App, HttpResponse, HttpServer};
use anyhow::Context;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// The first post that it makes: a snowflake later than those of [`crate::deliveries`].
const FIRST_POST: u64 = 1_950_000_000_000_000_000;
/// How long the service may take to send what is expected of it.
const PATIENCE: Duration = Duration::from_secs(120);
/// Calls in each of its windows, and left in them.
const PLENTY: &str = "1000000000";
const WINDOWS: [&str; 3] = ["x-rate-limit", "x-app-limit-24hour", "x-user-limit-24hour"];
/// Seconds until they end.
const WINDOW_ENDS: i64 = 900;

/// A running server; it ends with [`X::stop`].
pub(crate) struct X {
    pub(crate) address: SocketAddr,
    answers: Arc<Answers>,
    arrivals: mpsc::UnboundedReceiver<Instant>,
    handle: ServerHandle,
    running: JoinSet<std::io::Result<()>>,
}

/// What its handler knows.
struct Answers {
    next_post: AtomicU64,
    /// Milliseconds until the answer.
    delay: AtomicU64,
    arrivals: mpsc::UnboundedSender<Instant>,
}

impl X {
    pub(crate) fn start(address: SocketAddr) -> anyhow::Result<Self> {
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let answers = Arc::new(Answers {
            // No two of them make the same post, whenever they were started.
            next_post: AtomicU64::new(
                FIRST_POST + Timestamp::now().as_microsecond().unsigned_abs(),
            ),
            delay: AtomicU64::new(0),
            arrivals: arrived,
        });
        let data = Data::from(Arc::clone(&answers));
        let app = move || {
            App::new()
                .app_data(data.clone())
                .route("/2/tweets", post().to(take))
        };
        let server = HttpServer::new(app)
            .workers(1)
            .disable_signals()
            .bind(address)
            .with_context(|| format!("X cannot listen on {address}"))?;
        let address = server.addrs().first().copied().context("no address")?;
        let server = server.run();
        let handle = server.handle();
        let mut running = JoinSet::new();
        running.spawn(server);
        Ok(Self {
            address,
            answers,
            arrivals,
            handle,
            running,
        })
    }

    /// Answers come this long after their requests from now on.
    pub(crate) fn set_delay(&self, delay: Duration) {
        let delay = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.answers.delay.store(delay, Ordering::Relaxed);
    }

    /// Waits for the next post; when the whole request was there.
    pub(crate) async fn arrival(&mut self) -> anyhow::Result<Instant> {
        let arrival = timeout(PATIENCE, self.arrivals.recv()).await;
        arrival.context("no post came")?.context("X has ended")
    }

    /// How many posts came since the last look.
    pub(crate) fn arrived(&mut self) -> usize {
        std::iter::from_fn(|| self.arrivals.try_recv().ok()).count()
    }

    /// Returns once nobody listens any more.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.handle.stop(false).await;
        while let Some(ended) = self.running.join_next().await {
            ended??;
        }
        Ok(())
    }
}

async fn take(body: Bytes, answers: Data<Answers>) -> HttpResponse {
    // Nobody listens any more when it is stopped.
    let _stopped = answers.arrivals.send(Instant::now());
    let delay = answers.delay.load(Ordering::Relaxed);
    if delay > 0 {
        sleep(Duration::from_millis(delay)).await;
    }
    if body.is_empty() {
        return HttpResponse::BadRequest().finish();
    }
    let id = answers.next_post.fetch_add(1, Ordering::Relaxed);
    let mut answer = HttpResponse::Created();
    let ends = (Timestamp::now().as_second() + WINDOW_ENDS).to_string();
    for window in WINDOWS {
        answer.insert_header((format!("{window}-limit"), PLENTY));
        answer.insert_header((format!("{window}-remaining"), PLENTY));
        answer.insert_header((format!("{window}-reset"), ends.as_str()));
    }
    answer.json(json!({
        "data": {"id": id.to_string(), "text": "We look into it.", "edit_history_tweet_ids": [id.to_string()]},
    }))
}
