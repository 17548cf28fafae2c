//! A TCP proxy that can go silent, come back, and cut what runs through it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

/// Listens on a free port of the loopback and passes every connection on to one target.
///
/// Ends with all its connections when it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    flowing: watch::Sender<bool>,
    injected: broadcast::Sender<Vec<u8>>,
    connections: Arc<Mutex<JoinSet<()>>>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    /// A proxy to `host:port`, with bytes flowing.
    pub(crate) async fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let flowing = watch::Sender::new(true);
        let injected = broadcast::Sender::new(16);
        let connections = Arc::new(Mutex::new(JoinSet::new()));
        let mut accepting = JoinSet::new();
        accepting.spawn({
            let (flowing, injected) = (flowing.clone(), injected.clone());
            let (connections, target) = (connections.clone(), target.to_owned());
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let relay = relay(
                        client,
                        target.clone(),
                        flowing.subscribe(),
                        injected.subscribe(),
                    );
                    connections.lock().unwrap().spawn(relay);
                }
            }
        });
        Self {
            address,
            flowing,
            injected,
            connections,
            _accepting: accepting,
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Goes silent: connections stay open and are still accepted, but nothing passes.
    pub(crate) fn pause(&self) {
        self.flowing.send_replace(false);
    }

    /// Passes on again, beginning with what was held.
    pub(crate) fn resume(&self) {
        self.flowing.send_replace(true);
    }

    /// Ends the connections of the moment; new ones are accepted.
    pub(crate) fn cut(&self) {
        self.connections.lock().unwrap().abort_all();
    }

    /// Sends bytes to the clients of the moment as if the target had, also while silent.
    pub(crate) fn inject(&self, bytes: &[u8]) {
        self.injected.send(bytes.to_vec()).unwrap();
    }
}

async fn relay(
    client: TcpStream,
    target: String,
    flowing: watch::Receiver<bool>,
    injected: broadcast::Receiver<Vec<u8>>,
) {
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    // Either side's end is the end of both.
    tokio::select! {
        () = up(client_read, server_write, flowing.clone()) => {}
        () = down(server_read, client_write, flowing, injected) => {}
    }
}

async fn up(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut flowing: watch::Receiver<bool>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Some(read) = read_when_flowing(&mut from, &mut buffer, &mut flowing).await {
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

async fn down(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut flowing: watch::Receiver<bool>,
    mut injected: broadcast::Receiver<Vec<u8>>,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let bytes = tokio::select! {
            read = read_when_flowing(&mut from, &mut buffer, &mut flowing) => match read {
                Some(read) => &buffer[..read],
                None => return,
            },
            Ok(bytes) = injected.recv() => &bytes.clone(),
        };
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

/// Waits until bytes may flow and there are some. `None` at the end.
async fn read_when_flowing(
    from: &mut OwnedReadHalf,
    buffer: &mut [u8],
    flowing: &mut watch::Receiver<bool>,
) -> Option<usize> {
    loop {
        flowing.wait_for(|flowing| *flowing).await.ok()?;
        tokio::select! {
            // A pause must win over bytes that are there already.
            biased;
            paused = flowing.wait_for(|flowing| !flowing) => { paused.ok()?; }
            read = from.read(buffer) => return read.ok().filter(|read| *read > 0),
        }
    }
}
