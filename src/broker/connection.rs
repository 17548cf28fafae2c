//! Connections to the broker that can be ended at any time.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::tcp::{AsyncTcpStream, RustlsConnector};
use lapin::types::LongString;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::login::{Login, Target};
use super::settings::BrokerSettings;
use super::tls::TlsFileError;
use crate::settings::secret::SecretFileError;
use crate::telemetry::chain;

/// Largest frame asked of the broker. lapin keeps two buffers of 32 frames for each connection:
/// with RabbitMQ's own 128 KiB that would be 8 MiB each.
const FRAME_MAX: u32 = 32 * 1024;

/// The same for a connection that takes in what others published: all headers of a message come in
/// one frame, and RabbitMQ lets a sender fill 128 KiB. lapin ends a connection on a larger frame, so
/// one such message would end each new one.
const FRAME_MAX_CONSUMER: u32 = 128 * 1024;

/// How often it is looked whether files have changed.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// After what they say now was refused, the connection in hand goes on for this long.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How long a clean close may take before the socket is simply shut.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why there is no connection. None of the messages shows the URL.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL cannot be read; its text is left out, as it may hold a password.
    #[error("{0} is not of the form amqp[s]://user:password@host:port/vhost")]
    BadUrl(String),
    /// The file of a credential is of no use.
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    /// A certificate file is of no use.
    #[error(transparent)]
    TlsFile(#[from] TlsFileError),
    /// No address is known under this name.
    #[error("no address is known for the broker's host {host}")]
    Unknown {
        /// As the settings have it.
        host: String,
        /// The resolver's words.
        #[source]
        source: io::Error,
    },
    /// The broker at this address refused the user, the password or the virtual host.
    #[error("the broker at {address} refused {what}")]
    Refused {
        /// Host and port.
        address: String,
        /// What of ours, and where that is set.
        what: String,
        /// What the broker said.
        #[source]
        source: Box<lapin::Error>,
    },
    /// The two sides do not trust each other.
    #[error("no TLS with the broker at {address}: {what}")]
    Tls {
        /// Host and port.
        address: String,
        /// What is wrong, and where that is set.
        what: String,
        /// What went wrong.
        #[source]
        source: Box<lapin::Error>,
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
    /// None of several hosts, or of several addresses of one.
    #[error("no host of the broker takes a connection: {}", list(.0))]
    All(Vec<ConnectError>),
}

fn list(errors: &[ConnectError]) -> String {
    let errors = errors.iter().map(|error| chain(error));
    errors.collect::<Vec<_>>().join("; ")
}

impl ConnectError {
    fn of(mut errors: Vec<Self>) -> Self {
        match errors.pop() {
            Some(only) if errors.is_empty() => only,
            Some(last) => {
                errors.push(last);
                Self::All(errors)
            }
            None => Self::All(errors),
        }
    }
}

/// A connection that ends, socket and all, when it is dropped.
///
/// lapin's own drop asks the broker to close and waits for the answer in a thread; a broker that is
/// silent or blocks the connection would keep thread, buffers and socket for good.
pub struct Session {
    connection: Connection,
    line: Line,
    role: Role,
    /// What it was made with.
    login: Arc<Login>,
    next_look: Mutex<Instant>,
}

/// What a connection is for.
#[derive(Clone, Debug)]
struct Role {
    name: String,
    frame_max: u32,
}

impl Session {
    /// Connects under the name `twitter-channel <role>`, without lapin's automatic recovery: it
    /// gives up after some attempts and hides which messages were lost.
    ///
    /// Credentials and certificates are read from their files each time. The hosts are tried in
    /// random order; one that refuses the user speaks for all of the cluster.
    pub async fn connect(settings: &BrokerSettings, role: &str) -> Result<Self, ConnectError> {
        let (name, frame_max) = (role.to_owned(), FRAME_MAX);
        Self::connect_as(settings, Role { name, frame_max }).await
    }

    /// The same, to take in whatever others published.
    pub async fn connect_consumer(
        settings: &BrokerSettings,
        role: &str,
    ) -> Result<Self, ConnectError> {
        let (name, frame_max) = (role.to_owned(), FRAME_MAX_CONSUMER);
        Self::connect_as(settings, Role { name, frame_max }).await
    }

    async fn connect_as(settings: &BrokerSettings, role: Role) -> Result<Self, ConnectError> {
        let login = Arc::new(Login::read(settings).await?);
        Self::log_in(settings, role, login).await
    }

    async fn log_in(
        settings: &BrokerSettings,
        role: Role,
        login: Arc<Login>,
    ) -> Result<Self, ConnectError> {
        let tls = login.tls()?;
        let server_name = settings.tls.server_name.as_deref();
        let (targets, mut errors) = login.targets(settings).await;
        let dial_limit =
            settings.connect_timeout / u32::try_from(targets.len()).unwrap_or(1).max(1);
        for target in targets {
            let dialling = Dialling {
                address: target.address,
                tls: tls.clone(),
                server_name: server_name.unwrap_or(&target.host).to_owned(),
                tcp_limit: dial_limit,
                limit: settings.connect_timeout,
                line: Line::default(),
            };
            match dialling.connect(&login, &target, &role).await {
                Ok((connection, line)) => {
                    return Ok(Self {
                        connection,
                        line,
                        role,
                        login,
                        next_look: Mutex::new(Instant::now() + LOOK_EVERY),
                    });
                }
                Err(refused @ ConnectError::Refused { .. }) => return Err(refused),
                Err(error) => errors.push(error),
            }
        }
        Err(ConnectError::of(errors))
    }

    /// A connection made with what the files of credentials and certificates say now, where that has
    /// changed since this one was made and the broker takes it. Else this one goes on. Looked at
    /// every few seconds at most; otherwise free.
    pub async fn successor(&self, settings: &BrokerSettings) -> Option<Self> {
        if !settings.follows_files() {
            return None;
        }
        let mut next_look = self.next_look.lock().await;
        if *next_look > Instant::now() {
            return None;
        }
        *next_look = Instant::now() + LOOK_EVERY;
        let renewed = match Login::read(settings).await {
            Ok(login) if login == *self.login => return None,
            Ok(login) => Self::log_in(settings, self.role.clone(), Arc::new(login)).await,
            Err(error) => Err(error),
        };
        let role = &self.role.name;
        match renewed {
            Ok(session) => {
                tracing::info!(role, "the broker's credentials changed: a new connection");
                Some(session)
            }
            Err(error) => {
                *next_look = Instant::now() + TRY_AGAIN_AFTER;
                let error = chain(&error);
                tracing::warn!(
                    role,
                    error,
                    "changed credentials for the broker do not work yet"
                );
                None
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

/// One attempt at one address.
#[derive(Clone)]
struct Dialling {
    address: SocketAddr,
    tls: Option<RustlsConnector>,
    server_name: String,
    /// For the TCP handshake.
    tcp_limit: Duration,
    /// For all of it.
    limit: Duration,
    line: Line,
}

impl Dialling {
    async fn connect(
        self,
        login: &Login,
        target: &Target,
        role: &Role,
    ) -> Result<(Connection, Line), ConnectError> {
        let (limit, line) = (self.limit, self.line.clone());
        let address = match target.host.parse::<std::net::IpAddr>() {
            Ok(_) => target.address.to_string(),
            Err(_name) => format!("{}:{}", target.host, target.address.port()),
        };
        let uri = login.uri(target, role.frame_max);
        let properties = ConnectionProperties::default()
            .with_connection_name(LongString::from(format!("twitter-channel {}", role.name)));
        match timeout(limit, self.open(uri, properties)).await {
            Ok(Ok(connection)) => Ok((connection, line)),
            Ok(Err(source)) => Err(connect_error(address, login, limit, source)),
            Err(_) => {
                line.cut();
                Err(ConnectError::TimedOut { address, limit })
            }
        }
    }

    async fn open(
        self,
        uri: AMQPUri,
        properties: ConnectionProperties,
    ) -> Result<Connection, lapin::Error> {
        let runtime = lapin::runtime::default_runtime()?;
        Connection::connector(
            uri,
            runtime,
            async move |_uri, runtime| {
                // lapin's thread waits for this future on its own, whoever has stopped listening:
                // hence time limits of its own.
                let connecting = AsyncTcpStream::connect(&runtime, self.address);
                let stream = in_time(self.tcp_limit, connecting).await?;
                if let AsyncTcpStream::Plain(socket) = &stream {
                    self.line.hold(socket.get_ref())?;
                }
                let Some(tls) = &self.tls else {
                    return Ok(stream);
                };
                let secured = stream.into_rustls(tls, &self.server_name);
                Ok(in_time(self.limit, secured).await?)
            },
            properties,
        )
        .await
    }
}

async fn in_time<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let done = timeout(limit, work).await;
    done.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()))
}

fn connect_error(
    address: String,
    login: &Login,
    limit: Duration,
    source: lapin::Error,
) -> ConnectError {
    if let Some(what) = refusal(login, &source) {
        return ConnectError::Refused {
            address,
            what,
            source: source.into(),
        };
    }
    let ErrorKind::IOError(error) = source.kind() else {
        return ConnectError::Unreachable { address, source };
    };
    if error.kind() == io::ErrorKind::TimedOut {
        return ConnectError::TimedOut { address, limit };
    }
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(fault) => ConnectError::Tls {
            address,
            what: tls_fault(fault),
            source: source.into(),
        },
        // By TLS 1.3 a client has said more before it is told that it lacks a certificate; the
        // connection may be gone before that is read.
        None if login.is_anonymous() && has_ended(error.kind()) => ConnectError::Tls {
            address,
            what: "it ended the connection, perhaps for want of our certificate \
                   (broker.tls.cert_file)"
                .to_owned(),
            source: source.into(),
        },
        None => ConnectError::Unreachable { address, source },
    }
}

/// Whether the other side ended a connection that stood.
fn has_ended(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let ended = [
        BrokenPipe,
        ConnectionAborted,
        ConnectionReset,
        UnexpectedEof,
    ];
    ended.contains(&kind)
}

/// What of ours the broker refused, if it refused something.
fn refusal(login: &Login, error: &lapin::Error) -> Option<String> {
    let ErrorKind::ProtocolError(fault) = error.kind() else {
        return None;
    };
    let user = login.user();
    Some(match fault.kind() {
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => format!(
            "the login of user {user:?}: name or password is wrong, or the user may not log in so"
        ),
        AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => format!(
            "virtual host {:?} to user {user:?}: there is none of that name, or the user has no \
             permissions in it",
            login.vhost()
        ),
        _ => format!(
            "the connection of user {user:?} to virtual host {:?}",
            login.vhost()
        ),
    })
}

fn tls_fault(fault: &rustls::Error) -> String {
    use rustls::{CertificateError, Error};
    match fault {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "no authority of broker.tls.ca_file (or of the system) has signed its certificate"
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "its certificate is for another name; broker.tls.server_name can give that",
        Error::InvalidCertificate(_) => "its certificate is not valid",
        Error::AlertReceived(_) => {
            "it does not take our certificate (broker.tls.cert_file), or wants one"
        }
        Error::InvalidMessage(_) => "there is no TLS at this port",
        _ => "the handshake failed",
    }
    .to_owned()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of a connection that ended so.
    async fn told(url: &str, kind: io::ErrorKind) -> String {
        let settings = BrokerSettings::new(url.into());
        let login = Login::read(&settings).await.unwrap();
        let ended: lapin::Error = io::Error::from(kind).into();
        connect_error("here".to_owned(), &login, Duration::from_secs(1), ended).to_string()
    }

    #[tokio::test]
    async fn a_connection_that_ends_for_want_of_a_certificate_names_it() {
        let (plain, secured) = ("amqp://a:b@localhost/%2f", "amqps://a:b@localhost/%2f");
        let reset = io::ErrorKind::ConnectionReset;
        assert!(told(secured, reset).await.contains("broker.tls.cert_file"));
        for away in [
            told(plain, reset).await,
            told(secured, io::ErrorKind::ConnectionRefused).await,
        ] {
            assert_eq!(away, "the broker at here cannot be reached");
        }
    }
}
