//! How both listeners are run.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::{self, ServerHandle};
use actix_web::web::ServiceConfig;
use actix_web::{App, HttpServer};

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
    /// Drives it, so it must be awaited or spawned; ends when the listener has stopped.
    pub running: dev::Server,
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
        let running = HttpServer::new(move || App::new().configure(&routes))
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

    static SLOW_STARTED: tokio::sync::Notify = tokio::sync::Notify::const_new();

    async fn slow() -> HttpResponse {
        SLOW_STARTED.notify_one();
        tokio::time::sleep(Duration::from_millis(200)).await;
        HttpResponse::Ok().finish()
    }
}
