//! An X that answers as it is told, down to the bytes, and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use url::Url;

/// What is done with one request.
#[derive(Clone, Debug)]
pub(in crate::x::client) enum Act {
    /// A whole answer; the connection is kept.
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// A whole answer, after which the connection is closed so soon that the next request may
    /// meet it closing.
    AnswerAndClose { body: String, after: Duration },
    /// These bytes, then the end.
    Raw(Vec<u8>),
    /// These pieces with pauses between them, then neither more nor the end.
    Held {
        pieces: Vec<Vec<u8>>,
        pause: Duration,
    },
    /// Reset as soon as the connection is there.
    ResetUnread,
    /// Reset after the request was read.
    ResetRead,
    /// Read, and never answered.
    Silent,
}

impl Act {
    pub(in crate::x::client) fn ok(body: impl ToString) -> Self {
        Self::status(200, body)
    }

    pub(in crate::x::client) fn status(status: u16, body: impl ToString) -> Self {
        Self::Answer {
            status,
            headers: Vec::new(),
            body: body.to_string(),
        }
    }

    /// A success whose body comes in these chunks; the end is told if it `ends`, else the connection
    /// is just closed.
    pub(in crate::x::client) fn chunks(chunks: &[&[u8]], ends: bool) -> Self {
        let mut bytes = CHUNKED.to_vec();
        chunks.iter().for_each(|it| bytes.extend(chunk(it)));
        if ends {
            bytes.extend(b"0\r\n\r\n");
        }
        Self::Raw(bytes)
    }

    /// The same, each chunk after a pause; then neither more nor the end.
    pub(in crate::x::client) fn held(chunks: &[&[u8]], pause: Duration) -> Self {
        let chunks = chunks.iter().map(|it| chunk(it));
        let pieces = std::iter::once(CHUNKED.to_vec()).chain(chunks).collect();
        Self::Held { pieces, pause }
    }

    pub(in crate::x::client) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name, value.to_string()));
        }
        self
    }
}

const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

fn chunk(bytes: &[u8]) -> Vec<u8> {
    let head = format!("{:x}\r\n", bytes.len());
    [head.as_bytes(), bytes, b"\r\n"].concat()
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(in crate::x::client) struct Recorded {
    pub(in crate::x::client) method: String,
    pub(in crate::x::client) path: String,
    pub(in crate::x::client) query: Vec<(String, String)>,
    pub(in crate::x::client) raw_query: String,
    pub(in crate::x::client) headers: Vec<(String, String)>,
    pub(in crate::x::client) body: Vec<u8>,
}

impl Recorded {
    pub(in crate::x::client) fn header(&self, wanted: &str) -> &str {
        let header = self.headers.iter().find(|(name, _)| name == wanted);
        header.map_or("", |(_, value)| value)
    }

    pub(in crate::x::client) fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The fields of a form.
    pub(in crate::x::client) fn form(&self) -> Vec<(String, String)> {
        let media_type = "application/x-www-form-urlencoded";
        assert_eq!(self.header("content-type"), media_type);
        url::form_urlencoded::parse(&self.body)
            .into_owned()
            .collect()
    }

    pub(in crate::x::client) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub(in crate::x::client) fn parameter(&self, wanted: &str) -> &str {
        let found = self.query.iter().find(|(name, _)| name == wanted);
        found.map_or("", |(_, value)| value)
    }
}

pub(in crate::x::client) struct FakeX {
    pub(in crate::x::client) url: Url,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

#[derive(Default)]
struct Shared {
    script: Mutex<VecDeque<Act>>,
    recorded: Mutex<Vec<Recorded>>,
    connections: Mutex<usize>,
}

impl FakeX {
    pub(in crate::x::client) async fn start(script: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared::default());
        shared.script.lock().unwrap().extend(script);
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let serving = serve(listener, shared.clone(), tasks.clone());
        let until = stop.clone();
        tasks.spawn(async move { until.run_until_cancelled(serving).await });
        Self {
            url: url.parse().unwrap(),
            shared,
            _stop: stop.drop_guard(),
        }
    }

    pub(in crate::x::client) fn then(&self, acts: impl IntoIterator<Item = Act>) {
        self.shared.script.lock().unwrap().extend(acts);
    }

    /// Everything that was asked, in order.
    pub(in crate::x::client) fn recorded(&self) -> Vec<Recorded> {
        self.shared.recorded.lock().unwrap().clone()
    }

    pub(in crate::x::client) fn only(&self) -> Recorded {
        let recorded = self.recorded();
        assert_eq!(recorded.len(), 1, "{recorded:?}");
        recorded.into_iter().next().unwrap()
    }

    pub(in crate::x::client) fn connections(&self) -> usize {
        *self.shared.connections.lock().unwrap()
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, tasks: TaskTracker) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        *shared.connections.lock().unwrap() += 1;
        let shared = shared.clone();
        tasks.spawn(async move { talk(stream, &shared).await });
    }
}

async fn talk(mut stream: TcpStream, shared: &Shared) {
    stream.set_nodelay(true).unwrap();
    if matches!(
        shared.script.lock().unwrap().front(),
        Some(Act::ResetUnread)
    ) {
        shared.script.lock().unwrap().pop_front();
        return reset(stream);
    }
    while let Some(request) = read_request(&mut stream).await {
        shared.recorded.lock().unwrap().push(request);
        let act = shared.script.lock().unwrap().pop_front();
        match act {
            Some(Act::Answer {
                status,
                headers,
                body,
            }) => {
                let answer = answer(status, &headers, &body);
                if stream.write_all(&answer).await.is_err() {
                    return;
                }
            }
            Some(Act::AnswerAndClose { body, after }) => {
                let _ = stream.write_all(&answer(201, &[], &body)).await;
                tokio::time::sleep(after).await;
                return;
            }
            Some(Act::Raw(bytes)) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                return;
            }
            Some(Act::Held { pieces, pause }) => {
                for piece in pieces {
                    let _ = stream.write_all(&piece).await;
                    tokio::time::sleep(pause).await;
                }
                std::future::pending().await
            }
            Some(Act::ResetUnread | Act::ResetRead) => return reset(stream),
            Some(Act::Silent) => std::future::pending().await,
            None => {
                let _ = stream
                    .write_all(&answer(599, &[], "nothing was planned"))
                    .await;
            }
        }
    }
}

fn answer(status: u16, headers: &[(&'static str, String)], body: &str) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} Whatever\r\ncontent-type: application/json\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("content-length: {}\r\n\r\n{body}", body.len());
    text.into_bytes()
}

/// Closed with what was not read, the kernel answers with a reset; without, by this.
fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
}

/// `None` at the end of the connection.
async fn read_request(stream: &mut TcpStream) -> Option<Recorded> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        let mut some = [0; 4096];
        match stream.read(&mut some).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&some[..count]),
        }
    };
    let mut request = parse_head(std::str::from_utf8(&bytes[..head_end]).unwrap());
    let length: usize = request.header("content-length").parse().unwrap_or(0);
    assert_eq!(request.header("transfer-encoding"), "", "lengths are known");
    request.body = bytes.split_off(head_end + 4);
    let missing = length - request.body.len();
    let mut rest = vec![0; missing];
    stream.read_exact(&mut rest).await.ok()?;
    request.body.extend(rest);
    Some(request)
}

fn parse_head(head: &str) -> Recorded {
    let (line, headers) = head.split_once("\r\n").unwrap();
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let (path, raw_query) = target.split_once('?').unwrap_or((target, ""));
    let headers = headers.split("\r\n").map(|header| {
        let (name, value) = header.split_once(": ").unwrap();
        (name.to_lowercase(), value.to_owned())
    });
    Recorded {
        method: method.to_owned(),
        path: path.to_owned(),
        query: url::form_urlencoded::parse(raw_query.as_bytes())
            .into_owned()
            .collect(),
        raw_query: raw_query.to_owned(),
        headers: headers.collect(),
        body: Vec::new(),
    }
}
