//! Where a database lies and how it is reached, as its URL says.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;
use url::Url;

/// Until a connection stands, to each address of the host.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A server that acknowledges nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(10);
/// How an idle connection is found dead.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// A PostgreSQL database.
#[derive(Clone)]
pub struct PostgresSettings {
    config: Config,
    tls: Tls,
    /// The URL without user, password and options: for people.
    shown: String,
}

/// How the connection is secured.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tls {
    Off,
    /// By a certificate for the host's name, of one of the authorities in this file, or of those
    /// that the system trusts.
    Verified(Option<PathBuf>),
}

/// What is wrong with a URL; does not show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("expected postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
    Shape,
    #[error("expected sslmode=disable or sslmode=verify-full")]
    SslMode,
    #[error("expected no other options than sslmode and sslrootcert")]
    Option,
}

impl fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostgresSettings")
            .field(&self.shown)
            .finish()
    }
}

impl fmt::Display for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl PostgresSettings {
    /// Reads a URL as libpq has them: `postgres://user:password@host:port/database`, with the options
    /// `sslmode` (`disable`, or `verify-full`; `require` is taken for the latter; without it
    /// `verify-full`, but on this machine `disable`) and `sslrootcert` (a file of certificates, PEM).
    ///
    /// # Errors
    /// What it is not.
    pub fn parse(url: &SecretString) -> Result<Self, UrlError> {
        let mut url: Url = url
            .expose_secret()
            .parse()
            .map_err(|_unreadable| UrlError::Shape)?;
        let known = matches!(url.scheme(), "postgres" | "postgresql");
        let database = url.path().trim_start_matches('/');
        if !known || database.is_empty() || database.contains('/') || url.fragment().is_some() {
            return Err(UrlError::Shape);
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or(UrlError::Shape)?;
        let tls = Tls::of(&url, is_loopback(host))?;
        let port = url.port().unwrap_or(5432);
        let shown = format!("postgres://{host}:{port}/{database}");
        url.set_query(None);
        let mut config: Config = url
            .as_str()
            .parse()
            .map_err(|_unreadable| UrlError::Shape)?;
        config
            .application_name("twitter-channel")
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_user_timeout(SILENCE)
            .keepalives_idle(KEEPALIVE)
            .keepalives_interval(KEEPALIVE)
            .ssl_mode(match tls {
                Tls::Off => SslMode::Disable,
                Tls::Verified(_) => SslMode::Require,
            });
        Ok(Self { config, tls, shown })
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// What makes connections secure; the file of authorities is read anew each time.
    pub(super) fn tls(&self) -> Result<MakeRustlsConnect, String> {
        let roots = match &self.tls {
            Tls::Off => RootCertStore::empty(),
            Tls::Verified(Some(path)) => roots_in(path)?,
            Tls::Verified(None) => roots_of_system(),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(MakeRustlsConnect::new(config))
    }
}

impl Tls {
    fn of(url: &Url, is_loopback: bool) -> Result<Self, UrlError> {
        let (mut mode, mut roots) = (None, None);
        for (key, value) in url.query_pairs() {
            match key.as_ref() {
                "sslmode" => mode = Some(value.into_owned()),
                "sslrootcert" => roots = Some(PathBuf::from(value.into_owned())),
                _ => return Err(UrlError::Option),
            }
        }
        match mode.as_deref() {
            Some("disable") => Ok(Self::Off),
            Some("require" | "verify-full") => Ok(Self::Verified(roots)),
            Some(_) => Err(UrlError::SslMode),
            None if is_loopback && roots.is_none() => Ok(Self::Off),
            None => Ok(Self::Verified(roots)),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    let address: Option<std::net::IpAddr> = host.parse().ok();
    host == "localhost" || address.is_some_and(|address| address.is_loopback())
}

fn roots_in(path: &PathBuf) -> Result<RootCertStore, String> {
    let unreadable = |error: String| format!("sslrootcert {}: {error}", path.display());
    let mut roots = RootCertStore::empty();
    let read = CertificateDer::pem_file_iter(path).map_err(|e| unreadable(e.to_string()))?;
    for certificate in read {
        let certificate = certificate.map_err(|e| unreadable(e.to_string()))?;
        roots
            .add(certificate)
            .map_err(|e| unreadable(e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unreadable("no certificate is in it".to_owned()));
    }
    Ok(roots)
}

fn roots_of_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn parsed(url: &str) -> Result<PostgresSettings, UrlError> {
        PostgresSettings::parse(&SecretString::from(url))
    }

    #[rstest]
    #[case(
        "postgres://u:p@db.example/tickets",
        "postgres://db.example:5432/tickets",
        Tls::Verified(None)
    )]
    #[case(
        "postgresql://u:p@db:6432/t?sslmode=disable",
        "postgres://db:6432/t",
        Tls::Off
    )]
    #[case("postgres://u@127.0.0.1/t", "postgres://127.0.0.1:5432/t", Tls::Off)]
    #[case(
        "postgres://u@localhost/t?sslmode=require",
        "postgres://localhost:5432/t",
        Tls::Verified(None)
    )]
    #[case(
        "postgres://u@localhost/t?sslrootcert=/ca.pem",
        "postgres://localhost:5432/t",
        Tls::Verified(Some("/ca.pem".into()))
    )]
    fn a_url_tells_where_and_how(#[case] url: &str, #[case] shown: &str, #[case] tls: Tls) {
        let settings = parsed(url).unwrap();
        assert_eq!((settings.to_string().as_str(), settings.tls), (shown, tls));
    }

    #[rstest]
    #[case("postgres://u:p@host", UrlError::Shape)]
    #[case("postgres:///t", UrlError::Shape)]
    #[case("mysql://u:p@host/t", UrlError::Shape)]
    #[case("nonsense", UrlError::Shape)]
    #[case("postgres://u:p@host/t?sslmode=prefer", UrlError::SslMode)]
    #[case("postgres://u:p@host/t?options=-c", UrlError::Option)]
    fn what_it_is_not_is_told(#[case] url: &str, #[case] error: UrlError) {
        assert_eq!(parsed(url).unwrap_err(), error);
    }

    #[test]
    fn a_password_is_never_shown() {
        let settings = parsed("postgres://user:hunter2@db.example/t").unwrap();
        assert!(!format!("{settings:?} {settings}").contains("hunter2"));
        let password = settings.config().get_password();
        assert_eq!(password, Some(b"hunter2".as_slice()));
    }

    #[test]
    fn a_password_may_hold_what_urls_escape() {
        let settings = parsed("postgres://user:a%40b%2Fc@db.example/t").unwrap();
        assert_eq!(settings.config().get_password(), Some(b"a@b/c".as_slice()));
    }
}
