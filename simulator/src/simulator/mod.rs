//! The simulator as tests drive it: start and stop here, all it can do in the modules below.

mod api;
mod apps;
mod deliveries;
mod happenings;
mod linking;
mod load;
mod reading;
mod webhooks;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{Notify, mpsc};
use tokio_util::task::TaskTracker;

pub use api::{MessageSeen, PostSeen};
pub use deliveries::{RawSignature, SignedBody};
pub use load::{Pace, Storm, Traffic, Written};
pub use reading::StreamSeen;
pub use webhooks::{SubscriptionSeen, WebhookSeen};

use crate::api::Api;
use crate::deliver::Courier;
use crate::model::{MediaHosts, World};
use crate::outbox::Outbox;
use crate::server;
use crate::settings::{MediaBase, Settings};
use crate::shared::SharedWorld;

/// The simulator cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("cannot listen")]
    Listen(#[source] io::Error),
    /// The HTTP client cannot be made.
    #[error("cannot make an HTTP client")]
    Client(#[source] reqwest::Error),
    /// The TLS settings of the HTTP client are refused.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
}

/// A running X. Clones drive the same one.
#[derive(Clone)]
pub struct Simulator {
    inner: Arc<Inner>,
}

struct Inner {
    url: String,
    courier: Courier,
    outbox: Outbox,
    api: Api,
    crc_timeout: Duration,
    /// The clock has been moved on.
    advanced: Notify,
}

impl Simulator {
    /// Starts to listen and to deliver, on the runtime of the caller.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let listener = TcpListener::bind(settings.listen).map_err(StartError::Listen)?;
        let address = listener.local_addr().map_err(StartError::Listen)?;
        let url = format!("http://{address}");
        let hosts = media_hosts(&settings.media_base, &url);
        let world = World::new(settings.clock.clone(), settings.seed, hosts);
        let courier = Courier::new(http_client()?, SharedWorld::new(world), &settings);
        let (parcels, queue) = mpsc::unbounded_channel();
        courier.tasks.spawn(courier.clone().run(queue));
        let record = courier.record.clone();
        let simulator = Self {
            inner: Arc::new(Inner {
                url,
                courier,
                outbox: Outbox::new(settings.disturbances, settings.seed, record, parcels),
                api: Api::new(settings.api, settings.seed),
                crc_timeout: settings.crc_timeout,
                advanced: Notify::new(),
            }),
        };
        simulator.serve(listener)?;
        if let Some(interval) = settings.crc_interval {
            let checks = simulator.clone().check_regularly(interval);
            simulator.courier().tasks.spawn(checks);
        }
        Ok(simulator)
    }

    fn serve(&self, listener: TcpListener) -> Result<(), StartError> {
        let server = server::build(self.clone(), listener).map_err(StartError::Listen)?;
        let handle = server.handle();
        let Courier { tasks, stop, .. } = self.courier().clone();
        tasks.spawn(server);
        tasks.spawn(async move {
            stop.cancelled().await;
            handle.stop(true).await;
        });
        Ok(())
    }

    async fn check_regularly(self, interval: Duration) {
        let stop = &self.courier().stop;
        let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
        let due = async || {
            tokio::select! {
                // A clock of its own does not move by waiting: then all are checked.
                () = tokio::time::sleep(interval) => self.unchecked_for(i64::MIN),
                () = self.inner.advanced.notified() => self.unchecked_for(interval_ms),
            }
        };
        while let Some(webhooks) = stop.run_until_cancelled(due()).await {
            for webhook in webhooks {
                if let Err(error) = self.check_webhook(webhook).await {
                    tracing::warn!(webhook, %error, "CRC failed");
                }
            }
        }
    }

    /// Stops listening and delivering; what is on its way is not repeated.
    pub async fn stop(&self) {
        let courier = self.courier();
        courier.stop.cancel();
        self.api().streams.close();
        courier.tasks.close();
        courier.tasks.wait().await;
    }

    /// Where the page and the control API are.
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// Lets time pass: windows end, tokens age. The wall clock is ahead by that much from then on.
    pub fn advance(&self, by: Duration) {
        self.world().lock().advance(by);
        self.inner.advanced.notify_one();
    }

    pub(crate) fn world(&self) -> &SharedWorld {
        &self.courier().world
    }

    pub(crate) fn api(&self) -> &Api {
        &self.inner.api
    }

    /// What outlives a request, but not the simulator.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.courier().tasks
    }

    fn courier(&self) -> &Courier {
        &self.inner.courier
    }
}

fn media_hosts(base: &MediaBase, own_url: &str) -> MediaHosts {
    match base {
        MediaBase::X => MediaHosts::of_x(),
        MediaBase::Simulator => MediaHosts::all_at(own_url),
        MediaBase::Url(url) => MediaHosts::all_at(url),
    }
}

/// Deliveries go to this machine in the clear. reqwest panics without a TLS provider, so it gets
/// one that is not the process's default and trusts nobody.
fn http_client() -> Result<reqwest::Client, StartError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(StartError::Tls)?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(StartError::Client)
}
