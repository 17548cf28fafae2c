//! How both listeners are run.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::{self, ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::ServiceConfig;
use actix_web::{App, Error, HttpServer};
use tokio::sync::watch;
use tokio::time::timeout;

/// Longer than the idle time of usual load balancers, which must be the first to close.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// For the request line and headers; the time for a body is the handler's.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(5);

/// How a listener is run.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Threads that serve requests.
    pub workers: usize,
    /// Connections at a time; a quarter of the files that the process may open is kept for the rest
    /// of the service.
    pub max_connections: usize,
    /// How long requests under way may take once the service stops; whole seconds.
    pub grace: Duration,
}

/// A listener that takes requests.
pub struct Server {
    /// Where it listens; tells the port where 0 was asked for.
    pub address: SocketAddr,
    /// Stops it: `handle.stop(true)` lets requests under way finish.
    pub handle: ServerHandle,
    /// Begun some time before, it spares clients a connection that is closed as they use it.
    pub farewell: Farewell,
    /// Drives it, so it must be awaited or spawned; ends when the listener has stopped.
    pub running: dev::Server,
}

/// Whether each answer asks the client to use its connection no more.
///
/// A connection that is closed while it is idle may have a request on its way, which is lost then:
/// where clients are busy, their connections end with an answer first.
#[derive(Clone, Debug, Default)]
pub struct Farewell(Arc<Guests>);

#[derive(Debug, Default)]
struct Guests {
    are_asked_to_leave: AtomicBool,
    /// Connections.
    count: watch::Sender<usize>,
}

/// A connection, for as long as it lasts.
struct Guest(Arc<Guests>);

impl Guest {
    fn of(guests: &Arc<Guests>) -> Self {
        guests.count.send_modify(|count| *count += 1);
        Self(Arc::clone(guests))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.count.send_modify(|count| *count -= 1);
    }
}

impl Farewell {
    /// Begins it, and waits until no client has a connection any more: at most so long, for those of
    /// clients that ask for nothing stay.
    pub async fn take(&self, limit: Duration) {
        self.0.are_asked_to_leave.store(true, Ordering::Relaxed);
        let mut count = self.0.count.subscribe();
        // The sender is ours: it does not fail.
        let _gone = timeout(limit, count.wait_for(|count| *count == 0)).await;
    }

    async fn say(
        self,
        request: ServiceRequest,
        next: Next<BoxBody>,
    ) -> Result<ServiceResponse<BoxBody>, Error> {
        let mut response = next.call(request).await?;
        if self.0.are_asked_to_leave.load(Ordering::Relaxed) {
            let head = response.response_mut().head_mut();
            head.set_connection_type(ConnectionType::Close);
        }
        Ok(response)
    }
}

impl Server {
    /// Starts to serve `routes`. Signals are left to the caller.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub fn start(
        listener: TcpListener,
        settings: &ServerSettings,
        routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let farewell = Farewell::default();
        let says = farewell.clone();
        let app = move || {
            let says = says.clone();
            let say =
                move |request: ServiceRequest, next: Next<BoxBody>| says.clone().say(request, next);
            App::new().wrap(from_fn(say)).configure(&routes)
        };
        let guests = Arc::clone(&farewell.0);
        let running = HttpServer::new(app)
            .on_connect(move |_connection, held| {
                held.insert(Guest::of(&guests));
            })
            .workers(settings.workers)
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HEADERS_TIMEOUT)
            .max_connections(connections(settings))
            .shutdown_timeout(settings.grace.as_secs())
            .disable_signals()
            .listen(listener)?
            .run();
        Ok(Self {
            address,
            handle: running.handle(),
            farewell,
            running,
        })
    }
}

/// For each worker. Beyond, connections wait to be accepted: the idle ones are closed meanwhile.
fn connections(settings: &ServerSettings) -> usize {
    let files = open_files().map_or(usize::MAX, |files| files / 4 * 3);
    settings
        .max_connections
        .min(files)
        .div_ceil(settings.workers.max(1))
        .max(1)
}

/// How many files the process may have open; `None` where that is not told.
fn open_files() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use actix_web::{HttpResponse, web};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    fn start(
        routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    ) -> (SocketAddr, ServerHandle) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let settings = ServerSettings {
            workers: 1,
            max_connections: 100,
            grace: Duration::from_secs(20),
        };
        let server = Server::start(listener, &settings, routes).unwrap();
        actix_web::rt::spawn(server.running);
        (server.address, server.handle)
    }

    async fn read_answer(stream: &mut TcpStream) -> String {
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    #[actix_web::test]
    async fn stopping_waits_for_requests_but_not_for_idle_connections() {
        let (address, handle) = start(|routes| {
            routes.route("/", web::get().to(HttpResponse::Ok));
            routes.route("/slow", web::get().to(slow));
        });
        let mut idle = TcpStream::connect(address).await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        assert!(read_answer(&mut idle).await.starts_with("HTTP/1.1 200"));
        let mut busy = TcpStream::connect(address).await.unwrap();
        busy.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        SLOW_STARTED.notified().await;

        let began = Instant::now();
        handle.stop(true).await;
        assert!(began.elapsed() < Duration::from_secs(10));
        assert!(read_answer(&mut busy).await.starts_with("HTTP/1.1 200"));
    }

    #[actix_web::test]
    async fn who_takes_leave_ends_a_connection_with_an_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let settings = ServerSettings {
            workers: 1,
            max_connections: 100,
            grace: Duration::from_secs(20),
        };
        let routes = |routes: &mut ServiceConfig| {
            routes.route("/", web::get().to(HttpResponse::Ok));
        };
        let server = Server::start(listener, &settings, routes).unwrap();
        actix_web::rt::spawn(server.running);
        let mut client = TcpStream::connect(server.address).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        client.write_all(request).await.unwrap();
        assert!(!read_answer(&mut client).await.contains("connection: close"));
        let (farewell, long) = (server.farewell.clone(), Duration::from_secs(60));
        let idle = tokio::time::timeout(Duration::from_millis(50), farewell.take(long)).await;
        assert!(idle.is_err(), "the client has not left");
        client.write_all(request).await.unwrap();
        let answer = read_answer(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        let began = Instant::now();
        farewell.take(long).await;
        assert!(began.elapsed() < long, "the only client has left");
        server.handle.stop(true).await;
    }

    static SLOW_STARTED: tokio::sync::Notify = tokio::sync::Notify::const_new();

    async fn slow() -> HttpResponse {
        SLOW_STARTED.notify_one();
        tokio::time::sleep(Duration::from_millis(200)).await;
        HttpResponse::Ok().finish()
    }
}
