//! A TCP proxy that can go silent, come back, and cut what runs through it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;

/// Bytes for one connection, counted from 0 as they were accepted, or for all.
type Injected = (Option<usize>, Vec<u8>);

/// Listens on a free port of the loopback and passes every connection on to one target.
///
/// Ends with all its connections when it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    flowing: watch::Sender<bool>,
    injected: broadcast::Sender<Injected>,
    connections: Arc<Mutex<JoinSet<()>>>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    /// A proxy to `host:port`, with bytes flowing.
    pub(crate) async fn to(target: &str) -> Self {
        Self::at(([127, 0, 0, 1], 0).into(), target).await
    }

    /// The same on an address of one's own choice.
    pub(crate) async fn at(address: SocketAddr, target: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let flowing = watch::Sender::new(true);
        let injected = broadcast::Sender::new(16);
        let connections = Arc::new(Mutex::new(JoinSet::new()));
        let mut accepting = JoinSet::new();
        accepting.spawn({
            let (flowing, injected) = (flowing.clone(), injected.clone());
            let (connections, target) = (connections.clone(), target.to_owned());
            async move {
                for number in 0.. {
                    let Ok((client, _)) = listener.accept().await else {
                        return;
                    };
                    let relay = relay(
                        number,
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
        self.injected.send((None, bytes.to_vec())).unwrap();
    }

    /// The same, to the client of one connection, counted from 0 as they were accepted.
    pub(crate) fn inject_into(&self, number: usize, bytes: &[u8]) {
        self.injected.send((Some(number), bytes.to_vec())).unwrap();
    }
}

async fn relay(
    number: usize,
    client: TcpStream,
    target: String,
    flowing: watch::Receiver<bool>,
    injected: broadcast::Receiver<Injected>,
) {
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    // Either side's end is the end of both.
    tokio::select! {
        () = up(client_read, server_write, flowing.clone()) => {}
        () = down(number, server_read, client_write, flowing, injected) => {}
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
    number: usize,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut flowing: watch::Receiver<bool>,
    mut injected: broadcast::Receiver<Injected>,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let bytes = tokio::select! {
            // What is injected comes before whatever the target sends from now on.
            biased;
            Ok((to, bytes)) = injected.recv() => match to {
                Some(to) if to != number => continue,
                _ => &bytes.clone(),
            },
            read = read_when_flowing(&mut from, &mut buffer, &mut flowing) => match read {
                Some(read) => &buffer[..read],
                None => return,
            },
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
