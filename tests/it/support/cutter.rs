//! A proxy that knows HTTP, and breaks the connection at a byte of a request or of its answer.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Where a connection breaks: after so many bytes of what goes in this direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cut {
    Request(usize),
    Answer(usize),
}

/// A cut that was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) cut: Cut,
    /// How many bytes there were in this direction.
    pub(crate) of: usize,
}

/// Says for a whole request where it is to be cut. It is asked once for each.
pub(crate) type Plan = dyn Fn(&[u8]) -> Option<Cut> + Send + Sync;

/// The running proxy; it ends when it is dropped.
pub(crate) struct Cutter {
    address: SocketAddr,
    made: Arc<Mutex<Vec<Made>>>,
    _connections: JoinSet<()>,
}

impl Cutter {
    /// A proxy to the `host:port` of an HTTP server.
    pub(crate) async fn to(target: &str, plan: Arc<Plan>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let made = Arc::<Mutex<Vec<Made>>>::default();
        let mut tasks = JoinSet::new();
        let (target, noted) = (target.to_owned(), Arc::clone(&made));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (target, plan, made) = (target.clone(), Arc::clone(&plan), Arc::clone(&noted));
                connections.spawn(async move {
                    // A broken connection is what this is for.
                    let _broken = serve(client, &target, &*plan, &made).await;
                });
            }
        });
        Self {
            address,
            made,
            _connections: tasks,
        }
    }

    /// The base URL of the proxy.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The cuts made so far.
    pub(crate) fn made(&self) -> Vec<Made> {
        self.made.lock().unwrap().clone()
    }
}

async fn serve(
    mut client: TcpStream,
    target: &str,
    plan: &Plan,
    made: &Mutex<Vec<Made>>,
) -> io::Result<()> {
    while let Some(request) = message(&mut client).await? {
        // Not kept: the server ends connections that were idle for a while.
        let mut server = TcpStream::connect(target).await?;
        let cut = plan(&request);
        let note = |cut, of| made.lock().unwrap().push(Made { cut, of });
        if let Some(cut @ Cut::Request(at)) = cut
            && at <= request.len()
        {
            server.write_all(&request[..at]).await?;
            server.flush().await?;
            note(cut, request.len());
            return end(client, at);
        }
        server.write_all(&request).await?;
        let answer = message(&mut server).await?.unwrap_or_default();
        if let Some(cut @ Cut::Answer(at)) = cut
            && at < answer.len()
        {
            client.write_all(&answer[..at]).await?;
            client.flush().await?;
            note(cut, answer.len());
            return end(client, at);
        }
        client.write_all(&answer).await?;
    }
    Ok(())
}

/// Closed at every other byte, reset at the others.
fn end(client: TcpStream, at: usize) -> io::Result<()> {
    if at % 2 == 1 {
        client.set_zero_linger()?;
    }
    Ok(())
}

/// A whole message of HTTP/1.1 with a `content-length`; `None` at the end of the connection.
async fn message(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        if let Some(length) = whole_length(&bytes)
            && bytes.len() >= length
        {
            assert_eq!(bytes.len(), length, "one message at a time");
            return Ok(Some(bytes));
        }
        let reading = tokio::time::timeout(Duration::from_secs(120), stream.read(&mut buffer));
        match reading.await.map_err(io::Error::other)?? {
            0 if bytes.is_empty() => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}

/// How long the message is, once its head is there.
fn whole_length(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let mut lines = head.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
    Some(end + length)
}
