//! Addresses that stay a test's own.
//!
//! A port that the system has handed out is anybody's as soon as its listener is gone: it may be
//! the near end of another test's connection by the time it is wanted again.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// An address of the loopback for one test: ports on it are nobody else's, also while nobody
/// listens there.
pub(crate) fn own_address() -> Ipv4Addr {
    let [_, a, b, c] = rand::random::<u32>().to_be_bytes();
    Ipv4Addr::new(127, a, b.clamp(1, 254), c.clamp(1, 254))
}

/// Where nobody listens, until the test itself does.
pub(crate) fn free_address() -> SocketAddr {
    (own_address(), 8080).into()
}

/// A port of `127.0.0.1` where nobody listens, for who has to be reached by `localhost`. As long as
/// the socket lives, the system gives the port to nobody who does not ask for it by number.
pub(crate) fn kept_port() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}
