//! A web server that answers as it is told, byte for byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use super::settings::{AttachmentSource, FetchSettings};

/// What a server does with a request.
pub(super) enum Answer {
    /// Sends this and closes.
    Bytes(Vec<u8>),
    /// Sends this again and again, until the other side has gone.
    Drip(Vec<u8>, Duration),
    /// Takes the request and says nothing.
    Silence,
}

/// 200 with a file.
pub(super) fn file(content: &[u8]) -> Answer {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
        content.len()
    );
    Answer::Bytes([head.as_bytes(), content].concat())
}

/// An answer of a status line and headers only.
pub(super) fn head(lines: &str) -> Answer {
    Answer::Bytes(format!("HTTP/1.1 {lines}\r\nContent-Length: 0\r\n\r\n").into_bytes())
}

pub(super) fn redirect(to: &str) -> Answer {
    head(&format!("302 Found\r\nLocation: {to}"))
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Listens on an address, port 0 for a free one. `answer` gets the path.
    pub(super) async fn start(
        address: &str,
        answer: impl Fn(&str) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::listen(std::net::TcpListener::bind(address).unwrap(), answer)
    }

    /// On a port that was found before.
    pub(super) fn listen(
        listener: std::net::TcpListener,
        answer: impl Fn(&str) -> Answer + Send + Sync + 'static,
    ) -> Self {
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answer, seen) = (Arc::new(answer), Arc::clone(&requests));
        let tasks = TaskTracker::new();
        let connections = tasks.clone();
        tasks.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, Arc::clone(&answer), Arc::clone(&seen)));
            }
        });
        Self { address, requests }
    }

    /// The heads of all requests, in lower case; a connection without one counts too, as "".
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    answer: Arc<impl Fn(&str) -> Answer>,
    seen: Arc<Mutex<Vec<String>>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_closed) => break,
        }
    }
    let head = String::from_utf8(head).unwrap();
    seen.lock().unwrap().push(head.to_lowercase());
    let path = head.split(' ').nth(1).unwrap_or_default();
    match answer(path) {
        // The other side may close first; that is its right.
        Answer::Bytes(bytes) => drop(stream.write_all(&bytes).await),
        Answer::Drip(bytes, pause) => {
            while stream.write_all(&bytes).await.is_ok() {
                tokio::time::sleep(pause).await;
            }
        }
        Answer::Silence => drop(stream.read_u8().await),
    }
}

/// Limits that no test meets unless it lowers them.
pub(super) fn settings(sources: &[&str]) -> FetchSettings {
    let source = |host: &&str| AttachmentSource {
        host: (*host).to_owned(),
        authorization: Some("Bearer of-the-helpdesk".into()),
    };
    FetchSettings {
        folder: None,
        connect_timeout: Duration::from_secs(20),
        idle_timeout: Duration::from_secs(20),
        timeout: Duration::from_secs(40),
        max_bytes: 64 * 1024 * 1024,
        sources: sources.iter().map(source).collect(),
    }
}
