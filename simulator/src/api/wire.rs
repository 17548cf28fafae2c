//! The connection below a request, for faults that HTTP has no words for.

use std::any::Any;
use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::dev::Extensions;

/// A second handle on a connection.
#[derive(Clone, Debug)]
pub(crate) struct Wire(Arc<TcpStream>);

impl Wire {
    /// Keeps a handle beside every new connection.
    pub(crate) fn keep(connection: &dyn Any, extensions: &mut Extensions) {
        let stream = connection.downcast_ref::<actix_web::rt::net::TcpStream>();
        let handle = stream.and_then(|stream| stream.as_fd().try_clone_to_owned().ok());
        if let Some(handle) = handle {
            extensions.insert(Self(Arc::new(TcpStream::from(handle))));
        }
    }

    pub(crate) fn of(request: &HttpRequest) -> Option<Self> {
        request.conn_data::<Self>().cloned()
    }

    /// The client reads the end of the stream.
    pub(crate) fn close(&self) {
        // One that is closed already is what was wished for.
        let _ = self.0.shutdown(Shutdown::Both);
    }

    /// The client has closed its side, or the connection is broken.
    pub(crate) fn is_gone(&self) -> bool {
        // The socket does not block: tokio has set it so, and a second handle shares that.
        match self.0.peek(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }

    /// The client is told that the connection is reset.
    pub(crate) fn reset(&self) {
        // Linux ends a connection in this way with RST, whatever else holds the socket.
        if rustix::net::connect_unspec(&self.0).is_err() {
            self.close();
        }
    }

    /// Writes past the server, which has sent nothing of this answer yet.
    pub(crate) fn write(&self, bytes: &[u8]) {
        // A client that is gone does not need it.
        let _ = self.0.as_ref().write_all(bytes);
    }
}
