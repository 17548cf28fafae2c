//! Sending deliveries: as fast as they are taken, or at a given pace.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::ensure;
use hdrhistogram::Histogram;
use std::cell::{Cell, RefCell};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, sleep_until};

use crate::deliveries::{APP, Deliveries};
use crate::http::{Client, request};

/// Keep-alive connections that deliver.
const CONNECTIONS: usize = 64;
const CRC_PERIOD: Duration = Duration::from_millis(20);

/// What came of one load.
pub(crate) struct Answers {
    /// When the first delivery was sent.
    pub(crate) began: Instant,
    /// When the last one was answered 200.
    pub(crate) ended: Instant,
    /// Time to the answer, microseconds.
    pub(crate) latency: Histogram<u64>,
}

/// When each delivery is to be sent.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// As soon as a connection is free.
    Full,
    /// This many a second, whether or not the earlier ones have been answered.
    PerSecond(f64),
}

/// Sends them all, to each of these in turn, and waits for the answers, every one of which must be
/// 200.
pub(crate) async fn send(
    to: &[SocketAddr],
    deliveries: &Rc<Deliveries>,
    pace: Pace,
) -> anyhow::Result<Answers> {
    let latency = Rc::new(RefCell::new(empty()?));
    let next = Rc::new(Cell::new(0));
    let mut clients = Vec::new();
    for to in to.iter().cycle().take(CONNECTIONS) {
        clients.push(Client::connect(*to).await?);
    }
    let began = Instant::now();
    let senders = LocalSet::new();
    let mut running = JoinSet::new();
    for client in clients {
        let sender = Sender {
            client,
            deliveries: Rc::clone(deliveries),
            next: Rc::clone(&next),
            latency: Rc::clone(&latency),
            began,
            pace,
        };
        running.spawn_local_on(sender.run(), &senders);
    }
    senders
        .run_until(async {
            while let Some(ended) = running.join_next().await {
                ended??;
            }
            anyhow::Ok(())
        })
        .await?;
    let latency = latency.borrow().clone();
    Ok(Answers {
        began,
        ended: Instant::now(),
        latency,
    })
}

/// One connection.
struct Sender {
    client: Client,
    deliveries: Rc<Deliveries>,
    /// Of the deliveries, shared by all connections.
    next: Rc<Cell<usize>>,
    latency: Rc<RefCell<Histogram<u64>>>,
    began: Instant,
    pace: Pace,
}

impl Sender {
    async fn run(mut self) -> anyhow::Result<()> {
        loop {
            let index = self.next.replace(self.next.get() + 1);
            let Some(request) = self.deliveries.get(index) else {
                return Ok(());
            };
            let since = self.turn(index).await;
            let status = self.client.exchange(request).await?;
            ensure!(status == 200, "a delivery was answered {status}");
            record(&mut self.latency.borrow_mut(), since.elapsed())?;
        }
    }

    /// Waits for the delivery's turn; since when it waits for its answer. One that is late because
    /// every connection was busy waits since its turn, else a slow service would set the pace.
    async fn turn(&self, index: usize) -> Instant {
        let Pace::PerSecond(rate) = self.pace else {
            return Instant::now();
        };
        let due = self.began + Duration::from_secs_f64(index as f64 / rate);
        if due < Instant::now() {
            return due;
        }
        sleep_until(due).await;
        Instant::now()
    }
}

/// Asks for challenges (CRC) until dropped.
pub(crate) async fn challenge(
    to: SocketAddr,
    latency: &RefCell<Histogram<u64>>,
) -> anyhow::Result<()> {
    let mut client = Client::connect(to).await?;
    let path = format!("/webhooks/twitter/{APP}?crc_token=bench-token");
    let request = request("GET", &path, "");
    loop {
        let began = Instant::now();
        let status = client.exchange(&request).await?;
        ensure!(status == 200, "a challenge was answered {status}");
        record(&mut latency.borrow_mut(), began.elapsed())?;
        sleep(CRC_PERIOD).await;
    }
}

/// A histogram of microseconds.
pub(crate) fn empty() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new(3)?)
}

pub(crate) fn record(latency: &mut Histogram<u64>, took: Duration) -> anyhow::Result<()> {
    Ok(latency.record(u64::try_from(took.as_micros())?)?)
}
