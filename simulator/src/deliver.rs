//! Sends deliveries: signed, in order, and again after a failure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::Url;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::record::{Attempt, AttemptResult, Delivery, DeliveryState, Record};
use crate::replay::{DeliveryLog, Logged};
use crate::settings::{CutPoint, Disturbances, Settings};
use crate::shared::SharedWorld;
use crate::signature::{SIGNATURE_HEADER, sign};

/// X's waits before it delivers again, each after the previous failure.
const REPEATS: [Duration; 3] = [
    Duration::from_secs(3),
    Duration::from_secs(27),
    Duration::from_secs(242),
];

/// A signed body on its way.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    /// Its number in the record.
    pub(crate) id: u64,
    /// Where it goes.
    pub(crate) webhook: u64,
    pub(crate) body: Bytes,
    pub(crate) delay: Duration,
    /// So many attempts are still to be cut, and where.
    pub(crate) cuts: u32,
    pub(crate) cut_point: CutPoint,
    /// What the log is told at the first try.
    pub(crate) untried: Option<Logged>,
}

impl Parcel {
    pub(crate) fn new(id: u64, webhook: u64, body: Bytes, disturbances: &Disturbances) -> Self {
        Self {
            id,
            webhook,
            body,
            delay: Duration::from_millis(disturbances.delay_ms),
            cuts: disturbances.cuts,
            cut_point: disturbances.cut_point,
            untried: None,
        }
    }
}

/// Takes parcels and brings them to the webhooks.
#[derive(Clone)]
pub(crate) struct Courier {
    pub(crate) http: reqwest::Client,
    pub(crate) world: SharedWorld,
    pub(crate) record: Arc<Record>,
    pub(crate) log: Arc<DeliveryLog>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    time_scale: f64,
    timeout: Duration,
}

impl Courier {
    pub(crate) fn new(http: reqwest::Client, world: SharedWorld, settings: &Settings) -> Self {
        Self {
            http,
            world,
            record: Arc::new(Record::new(settings.kept_deliveries)),
            log: Arc::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            time_scale: settings.time_scale,
            timeout: settings.delivery_timeout,
        }
    }

    /// Makes first attempts one after the other; what is delayed or failed goes its own way.
    pub(crate) async fn run(self, mut parcels: mpsc::UnboundedReceiver<Parcel>) {
        while let Some(Some(mut parcel)) = self.stop.run_until_cancelled(parcels.recv()).await {
            if !parcel.delay.is_zero() {
                self.tasks.spawn(self.clone().deliver_later(parcel));
            } else if !self.attempt(&mut parcel).await {
                self.tasks.spawn(self.clone().repeat(parcel));
            }
        }
    }

    async fn deliver_later(self, mut parcel: Parcel) {
        self.pause(parcel.delay).await;
        if !self.attempt(&mut parcel).await {
            self.repeat(parcel).await;
        }
    }

    async fn repeat(self, mut parcel: Parcel) {
        for wait in REPEATS {
            self.pause(wait.mul_f64(self.time_scale)).await;
            if self.stop.is_cancelled() || self.attempt(&mut parcel).await {
                return;
            }
        }
        self.record.close(parcel.id, DeliveryState::Lost);
    }

    async fn pause(&self, time: Duration) {
        self.stop
            .run_until_cancelled(tokio::time::sleep(time))
            .await;
    }

    /// Tries once; true when the delivery is over.
    async fn attempt(&self, parcel: &mut Parcel) -> bool {
        let Some(target) = self.target(parcel) else {
            self.record.close(parcel.id, DeliveryState::Withheld);
            return true;
        };
        if let Some(logged) = parcel.untried.take() {
            let webhook = target.webhook.clone();
            self.log.add(Logged { webhook, ..logged });
        }
        let attempt = if parcel.cuts > 0 {
            parcel.cuts -= 1;
            timed(target.cut(&parcel.body, parcel.cut_point)).await
        } else {
            timed(target.send(self, parcel.body.clone())).await
        };
        let result = attempt.result.clone();
        self.record.attempted(parcel.id, attempt);
        self.judge(parcel, &result)
    }

    /// Sends something made by hand, once, and records it like all else.
    pub(crate) async fn deliver_once(
        &self,
        app: &str,
        target: Target,
        body: Bytes,
    ) -> AttemptResult {
        self.once(Delivery::new(app, body), target).await
    }

    /// The same with anything, which is not repeated.
    pub(crate) async fn once(&self, delivery: Delivery, target: Target) -> AttemptResult {
        let body = delivery.body.clone();
        let id = self.record.open(delivery);
        let attempt = timed(target.send(self, body)).await;
        let result = attempt.result.clone();
        self.record.attempted(id, attempt);
        let state = match result {
            AttemptResult::Answered(200) => DeliveryState::Delivered,
            _ => DeliveryState::Lost,
        };
        self.record.close(id, state);
        result
    }

    fn judge(&self, parcel: &Parcel, result: &AttemptResult) -> bool {
        match result {
            AttemptResult::Answered(200) => {
                self.record.close(parcel.id, DeliveryState::Delivered);
                true
            }
            // Anything but 2xx, 4xx and 5xx invalidates the webhook at once.
            AttemptResult::Answered(status) if !matches!(status, 200..=299 | 400..=599) => {
                self.world.invalidate(parcel.webhook);
                false
            }
            _ => false,
        }
    }

    fn target(&self, parcel: &Parcel) -> Option<Target> {
        let world = self.world.lock();
        let webhook = world.webhook(parcel.webhook).ok()?;
        let app = world.app(&webhook.app).ok()?;
        (webhook.valid && !app.suspended).then(|| Target {
            webhook: webhook.url.clone(),
            signature: Some(sign(app.delivery_secret(), &parcel.body)),
        })
    }
}

async fn timed(attempt: impl Future<Output = AttemptResult>) -> Attempt {
    let at = Timestamp::now();
    let began = Instant::now();
    let result = attempt.await;
    Attempt {
        at,
        took: began.elapsed(),
        result,
    }
}

/// Where one attempt goes, and the signature it bears.
pub(crate) struct Target {
    pub(crate) webhook: String,
    pub(crate) signature: Option<String>,
}

impl Target {
    async fn send(&self, courier: &Courier, body: Bytes) -> AttemptResult {
        let mut request = courier
            .http
            .post(&self.webhook)
            .timeout(courier.timeout)
            .header("content-type", "application/json")
            .body(body);
        if let Some(signature) = &self.signature {
            request = request.header(SIGNATURE_HEADER, signature);
        }
        match request.send().await {
            Ok(response) => AttemptResult::Answered(response.status().as_u16()),
            Err(error) => AttemptResult::Failed(describe(&error.without_url())),
        }
    }

    /// Breaks the connection on purpose, which no HTTP client does for us.
    async fn cut(&self, body: &Bytes, point: CutPoint) -> AttemptResult {
        match self.write_and_drop(body, point).await {
            Ok(()) => AttemptResult::Cut,
            Err(error) => AttemptResult::Failed(error.to_string()),
        }
    }

    async fn write_and_drop(&self, body: &Bytes, point: CutPoint) -> std::io::Result<()> {
        let url = Url::parse(&self.webhook).map_err(std::io::Error::other)?;
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or(80);
        let mut stream = TcpStream::connect((host, port)).await?;
        let signature = self.signature.as_deref().unwrap_or_default();
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: {host}:{port}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n{SIGNATURE_HEADER}: {signature}\r\n\r\n",
            url.path(),
            body.len(),
        );
        stream.write_all(head.as_bytes()).await?;
        let written = match point {
            CutPoint::InBody => body.len() / 2,
            CutPoint::BeforeAnswer => body.len(),
        };
        stream
            .write_all(body.get(..written).unwrap_or(body))
            .await?;
        stream.shutdown().await
    }
}

/// An error with its causes: reqwest's own text says little.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
