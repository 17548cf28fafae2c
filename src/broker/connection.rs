//! Connections to the broker that can be ended at any time.

use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::tcp::{AsyncTcpStream, OwnedTLSConfig};
use lapin::types::LongString;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use super::settings::BrokerSettings;

/// Largest frame asked of the broker. lapin keeps two buffers of 32 frames for each connection:
/// with RabbitMQ's own 128 KiB that would be 8 MiB each.
const FRAME_MAX: u32 = 32 * 1024;

/// The same for a connection that takes in what others published: all headers of a message come in
/// one frame, and RabbitMQ lets a sender fill 128 KiB. lapin ends a connection on a larger frame, so
/// one such message would end each new one.
const FRAME_MAX_CONSUMER: u32 = 128 * 1024;

/// How long a clean close may take before the socket is simply shut.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why there is no connection. None of the messages shows the URL.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL cannot be read; its text is left out, as it may hold a password.
    #[error("broker.url is not of the form amqp[s]://user:password@host:port/vhost")]
    BadUrl,
    /// The file of authorities cannot be read.
    #[error("broker.ca_file cannot be read")]
    CaFile(#[source] io::Error),
    /// The broker at this address refused the user, the password or the virtual host.
    #[error("the broker at {address} refused the login or the virtual host")]
    Refused {
        /// Host and port.
        address: String,
        /// What the broker said.
        #[source]
        source: lapin::Error,
    },
    /// The broker did not finish the handshake in time.
    #[error("the broker at {address} did not answer in {}s", limit.as_secs_f32())]
    TimedOut {
        /// Host and port.
        address: String,
        /// How long was waited.
        limit: Duration,
    },
    /// Nothing at this address speaks AMQP with us.
    #[error("the broker at {address} cannot be reached")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What went wrong.
        #[source]
        source: lapin::Error,
    },
}

/// A connection that ends, socket and all, when it is dropped.
///
/// lapin's own drop asks the broker to close and waits for the answer in a thread; a broker that is
/// silent or blocks the connection would keep thread, buffers and socket for good.
pub struct Session {
    connection: Connection,
    line: Line,
}

impl Session {
    /// Connects under the name `twitter-channel <role>`, without lapin's automatic recovery: it
    /// gives up after some attempts and hides which messages were lost.
    pub async fn connect(settings: &BrokerSettings, role: &str) -> Result<Self, ConnectError> {
        Self::connect_with(settings, role, FRAME_MAX).await
    }

    /// The same, to take in whatever others published.
    pub async fn connect_consumer(
        settings: &BrokerSettings,
        role: &str,
    ) -> Result<Self, ConnectError> {
        Self::connect_with(settings, role, FRAME_MAX_CONSUMER).await
    }

    async fn connect_with(
        settings: &BrokerSettings,
        role: &str,
        frame_max: u32,
    ) -> Result<Self, ConnectError> {
        let uri = parse_url(&settings.url, settings.heartbeat, frame_max)?;
        let address = format!("{}:{}", uri.authority.host, uri.authority.port);
        let tls = tls_config(settings.ca_file.as_deref()).await?;
        let limit = settings.connect_timeout;
        let line = Line::default();
        let properties = ConnectionProperties::default()
            .with_connection_name(LongString::from(format!("twitter-channel {role}")));
        match timeout(limit, open(uri, properties, tls, line.clone(), limit)).await {
            Ok(Ok(connection)) => Ok(Self { connection, line }),
            Ok(Err(source)) => Err(connect_error(address, source)),
            Err(_) => {
                line.cut();
                Err(ConnectError::TimedOut { address, limit })
            }
        }
    }

    /// Opens a channel.
    pub async fn channel(&self) -> Result<Channel, lapin::Error> {
        self.connection.create_channel().await
    }

    /// Whether the connection is up, blocked or not.
    pub fn is_connected(&self) -> bool {
        self.connection.status().connected()
    }

    /// Whether the broker takes no publishes at present (a memory or disk alarm).
    pub fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    /// Says goodbye to the broker, which keeps its log quiet.
    pub async fn close(self) {
        // Whatever comes of it, dropping ends the connection.
        let _ = timeout(CLOSE_TIMEOUT, self.connection.close(200, "OK".into())).await;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.line.cut();
    }
}

/// A second handle on a connection's socket, to shut it without lapin's consent.
#[derive(Clone, Default)]
struct Line(Arc<OnceLock<std::net::TcpStream>>);

impl Line {
    fn hold(&self, socket: &impl AsFd) -> io::Result<()> {
        let handle = socket.as_fd().try_clone_to_owned()?;
        // Set once: without recovery lapin connects a single time.
        let _ = self.0.set(handle.into());
        Ok(())
    }

    fn cut(&self) {
        if let Some(socket) = self.0.get() {
            // An error means that it is shut already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

async fn open(
    uri: AMQPUri,
    properties: ConnectionProperties,
    tls: OwnedTLSConfig,
    line: Line,
    limit: Duration,
) -> Result<Connection, lapin::Error> {
    // lapin's thread waits for this future on its own, whoever has stopped listening: hence the
    // second time limit.
    let runtime = lapin::runtime::default_runtime()?;
    Connection::connector(
        uri,
        runtime,
        async move |uri: AMQPUri, runtime| {
            let dialled = timeout(limit, async {
                let host = uri.authority.host.clone();
                let addresses = runtime.to_socket_addrs((host, uri.authority.port));
                let stream = AsyncTcpStream::connect(&runtime, addresses).await?;
                if let AsyncTcpStream::Plain(socket) = &stream {
                    line.hold(socket.get_ref())?;
                }
                match uri.scheme {
                    AMQPScheme::AMQP => Ok(stream),
                    AMQPScheme::AMQPS => stream.into_tls(&uri.authority.host, tls.as_ref()).await,
                }
            })
            .await;
            dialled
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                .map_err(lapin::Error::from)
        },
        properties,
    )
    .await
}

fn parse_url(
    url: &SecretString,
    heartbeat: Duration,
    frame_max: u32,
) -> Result<AMQPUri, ConnectError> {
    // The parser's own message may quote the URL, so it is dropped.
    let Ok(mut uri) = url.expose_secret().parse::<AMQPUri>() else {
        return Err(ConnectError::BadUrl);
    };
    let seconds = u16::try_from(heartbeat.as_secs()).unwrap_or(u16::MAX);
    uri.query.heartbeat.get_or_insert(seconds);
    uri.query.frame_max.get_or_insert(frame_max);
    Ok(uri)
}

async fn tls_config(ca_file: Option<&Path>) -> Result<OwnedTLSConfig, ConnectError> {
    let cert_chain = match ca_file {
        Some(path) => Some(
            tokio::fs::read_to_string(path)
                .await
                .map_err(ConnectError::CaFile)?,
        ),
        None => None,
    };
    Ok(OwnedTLSConfig {
        identity: None,
        cert_chain,
    })
}

fn connect_error(address: String, source: lapin::Error) -> ConnectError {
    match source.kind() {
        ErrorKind::ProtocolError(_) => ConnectError::Refused { address, source },
        _ => ConnectError::Unreachable { address, source },
    }
}

/// What the broker closed a channel for, where it did.
pub(super) fn channel_fault(error: &lapin::Error) -> Option<&AMQPSoftError> {
    match error.kind() {
        ErrorKind::ProtocolError(fault) => match fault.kind() {
            AMQPErrorKind::Soft(soft) => Some(soft),
            AMQPErrorKind::Hard(_) => None,
        },
        _ => None,
    }
}
