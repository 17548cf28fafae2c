//! Deliveries passed on to others (`mirror` of an app): X allows pay-per-use one webhook for each
//! developer account, so a staging system lives on copies.
//!
//! Best effort: what was answered to X is on disk here; nothing waits for a mirror, and what it does
//! not take is not tried again.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Bytes;
use reqwest::{Client, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use url::Url;

use super::delivery::SIGNATURE;
use crate::telemetry::metrics;
use crate::x::client::mirror_client;

/// For all of a copy.
const TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Copies on their way at a time, to all mirrors together, and their bodies.
const AT_ONCE: usize = 64;
const BYTES: usize = 16 * 1024 * 1024;

/// Passes deliveries on.
#[derive(Clone)]
pub struct Mirror {
    /// For http and for https, made when they are first needed; none where that fails.
    clients: Arc<[OnceLock<Option<Client>>; 2]>,
    tasks: TaskTracker,
    places: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// A delivery as X sent it.
pub(super) struct Original {
    signature: Option<Vec<u8>>,
    content_type: Option<Vec<u8>>,
    body: Bytes,
}

impl Original {
    pub(super) fn new(request: &HttpRequest, body: Bytes) -> Self {
        let header = |name: &str| {
            let value = request.headers().get(name)?;
            Some(value.as_bytes().to_vec())
        };
        Self {
            signature: header(SIGNATURE),
            content_type: header(CONTENT_TYPE.as_str()),
            body,
        }
    }
}

impl Mirror {
    /// Copies under way are among `tasks`.
    pub fn new(tasks: TaskTracker) -> Self {
        Self {
            clients: Arc::default(),
            tasks,
            places: Arc::new(Semaphore::new(AT_ONCE)),
            bytes: Arc::new(Semaphore::new(BYTES)),
        }
    }

    /// Passes a delivery on to each of these, or drops it where too much is on its way. Does not wait.
    pub(super) fn pass_on(&self, app: &str, to: &[Url], original: &Original) {
        for url in to {
            let Some(room) = self.room(original.body.len()) else {
                metrics::count_mirrored(app, "dropped");
                continue;
            };
            let Some(request) = self.request(url, original) else {
                metrics::count_mirrored(app, "failed");
                continue;
            };
            let app = app.to_owned();
            self.tasks.spawn(async move {
                let result = request.send().await.map(|answer| answer.status());
                note(&app, &result);
                drop(room);
            });
        }
    }

    fn room(&self, bytes: usize) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let bytes = u32::try_from(bytes).ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(bytes).ok()?;
        Some((place, bytes))
    }

    fn client(&self, url: &Url) -> Option<&Client> {
        let [plain, tls] = &*self.clients;
        let slot = if url.scheme() == "https" { tls } else { plain };
        let made = slot.get_or_init(|| {
            mirror_client(url, CONNECT_TIMEOUT)
                .inspect_err(|error| tracing::error!(%error, "nothing can be mirrored"))
                .ok()
        });
        made.as_ref()
    }

    fn request(&self, url: &Url, original: &Original) -> Option<reqwest::RequestBuilder> {
        let request = self.client(url)?.post(url.clone()).timeout(TIMEOUT);
        let headers = [
            (SIGNATURE, &original.signature),
            (CONTENT_TYPE.as_str(), &original.content_type),
        ];
        let headers = headers.into_iter();
        let given = headers.filter_map(|(name, value)| Some((name, value.clone()?)));
        let request = given.fold(request, |request, (name, value)| {
            request.header(name, value)
        });
        Some(request.body(original.body.clone()))
    }
}

fn note(app: &str, result: &Result<StatusCode, reqwest::Error>) {
    let name = match result {
        Ok(status) if status.is_success() => "ok",
        Ok(_) => "refused",
        Err(_) => "failed",
    };
    metrics::count_mirrored(app, name);
    match result {
        Ok(status) => tracing::debug!(app, http.status = status.as_u16(), "a mirror answered"),
        // Its text would name the address, with what may be secret in it.
        Err(error) => {
            let timed_out = error.is_timeout();
            tracing::debug!(app, timed_out, "a mirror cannot be reached");
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    /// Nobody takes a connection there, and nobody refuses one.
    fn hanging() -> (tokio::net::TcpListener, Url) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1024).unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        (listener, url.parse().unwrap())
    }

    fn delivery(bytes: usize) -> Original {
        let request = TestRequest::default().to_http_request();
        Original::new(&request, Bytes::from(vec![b' '; bytes]))
    }

    /// How many copies of so many deliveries were dropped, with nothing waited for.
    fn dropped(deliveries: usize, bytes: usize) -> usize {
        let (_listener, url) = hanging();
        let (mirror, original) = (Mirror::new(TaskTracker::new()), delivery(bytes));
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        ::metrics::with_local_recorder(&recorder, || {
            for _ in 0..deliveries {
                mirror.pass_on("acme", std::slice::from_ref(&url), &original);
            }
        });
        assert_eq!(
            mirror.tasks.len() + counted(&recorder.handle().render()),
            deliveries
        );
        counted(&recorder.handle().render())
    }

    fn counted(page: &str) -> usize {
        let sample = "twitter_channel_mirrored_total{app=\"acme\",result=\"dropped\"} ";
        let mut lines = page.lines();
        let count = lines.find_map(|line| line.strip_prefix(sample));
        count.map_or(0, |count| count.parse().unwrap())
    }

    #[tokio::test]
    async fn copies_beyond_what_may_be_on_its_way_are_dropped_and_counted() {
        assert_eq!(dropped(AT_ONCE, 2), 0);
        assert_eq!(dropped(AT_ONCE + 3, 2), 3);
        // Few, but large.
        assert_eq!(dropped(3, BYTES / 2), 1);
    }

    #[tokio::test]
    async fn a_copy_that_has_ended_makes_room_for_the_next() {
        let url = "http://127.0.0.1:9/".parse().unwrap();
        let (mirror, original) = (Mirror::new(TaskTracker::new()), delivery(BYTES));
        mirror.pass_on("acme", std::slice::from_ref(&url), &original);
        assert!(mirror.room(1).is_none());
        mirror.tasks.close();
        mirror.tasks.wait().await;
        assert!(mirror.room(BYTES).is_some());
    }
}
