//! TLS to a real broker: its certificate is checked, ours is shown, and files that change are
//! followed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use twitter_channel::broker::connection::{ConnectError, Session};
use twitter_channel::broker::settings::{Auth, BrokerSettings, TlsSettings};
use twitter_channel::broker::tls;

use crate::support::address::kept_port;
use crate::support::broker::eventually;
use crate::support::process::PrivateBroker;

/// An authority and what it has signed, as PEM files of one folder.
struct Authority {
    folder: PathBuf,
    name: &'static str,
}

impl Authority {
    fn new(folder: &Path, name: &'static str) -> Self {
        let authority = Self {
            folder: folder.to_owned(),
            name,
        };
        let (key, pem) = (authority.path("key"), authority.path("pem"));
        let subject = format!("/CN={name}");
        request(&subject, &key, &pem, &["-x509", "-days", "2"]);
        authority
    }

    /// A certificate for a name that is a host's or, for a client, a user's.
    fn sign(&self, common_name: &str) {
        let file = |end: &str| self.file(common_name, end);
        let (key, request) = (file("key"), file("csr"));
        let subject = format!("/CN={common_name}");
        self::request(&subject, &key, &request, &["-new"]);
        let extensions = file("ext");
        fs::write(&extensions, format!("subjectAltName=DNS:{common_name}\n")).unwrap();
        openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            &self.path("pem"),
            "-CAkey",
            &self.path("key"),
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            &extensions,
            "-out",
            &file("pem"),
        ]);
    }

    fn path(&self, end: &str) -> String {
        self.file(self.name, end)
    }

    fn file(&self, name: &str, end: &str) -> String {
        let file = self.folder.join(format!("{name}.{end}"));
        file.display().to_string()
    }
}

/// Makes a key, and what `more` says for it.
fn request(subject: &str, key: &str, out: &str, more: &[&str]) {
    let curve = "ec_paramgen_curve:P-256";
    let common = ["req", "-newkey", "ec", "-pkeyopt", curve, "-nodes"];
    let files = ["-keyout", key, "-out", out, "-subj", subject];
    openssl(&[&common[..], &files, more].concat());
}

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

/// A broker that takes TLS, with an authority of its own, and where it listens.
async fn secured(more: &str, plugins: &str) -> (PrivateBroker, Authority, u16) {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    authority.sign("localhost");
    let (_kept, port) = kept_port();
    let settings = format!(
        "listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.cacertfile = {}\n\
         ssl_options.certfile = {}\nssl_options.keyfile = {}\n{more}",
        authority.path("pem"),
        authority.file("localhost", "pem"),
        authority.file("localhost", "key"),
    );
    let broker = PrivateBroker::start_with(&settings, plugins, folder).await;
    // The script waits for the listeners that every broker has.
    let listens = async || TcpStream::connect(("127.0.0.1", port)).await.ok();
    eventually("the listener for TLS", listens).await;
    (broker, authority, port)
}

fn settings(authority: &Authority, url: String) -> BrokerSettings {
    let mut settings = BrokerSettings::new(url.into());
    settings.tls.ca_file = Some(authority.path("pem").into());
    settings.connect_timeout = Duration::from_secs(15);
    settings
}

async fn failing(settings: &BrokerSettings) -> ConnectError {
    let connected = Session::connect(settings, "test").await;
    connected.err().expect("a connection that is refused")
}

#[tokio::test]
async fn the_brokers_certificate_is_checked_and_changed_files_are_followed() {
    let (broker, authority, port) = secured("", "").await;
    let url = |host: &str| format!("amqps://guest:guest@{host}:{port}/%2f");
    let by_name = settings(&authority, url("localhost"));
    let session = Session::connect(&by_name, "test").await.unwrap();
    session.channel().await.unwrap();

    // The address is not in the certificate; the name that is can be told.
    let mut by_address = settings(&authority, url("127.0.0.1"));
    let other = failing(&by_address).await;
    assert!(matches!(other, ConnectError::Tls { .. }), "{other:?}");
    assert!(
        other.to_string().contains("broker.tls.server_name"),
        "{other}"
    );
    by_address.tls.server_name = Some("localhost".to_owned());
    assert!(Session::connect(&by_address, "test").await.is_ok());

    // The system's authorities count only where no file is given, and none there signed this one.
    let stranger = Authority::new(broker.folder(), "stranger");
    let unknown = failing(&settings(&stranger, url("localhost"))).await;
    assert!(
        unknown.to_string().contains("broker.tls.ca_file"),
        "{unknown}"
    );

    // More authorities in the file of the connection in hand: that one is made anew.
    let both = [authority.path("pem"), stranger.path("pem")].map(|it| fs::read(it).unwrap());
    fs::write(authority.path("pem"), both.concat()).unwrap();
    let followed = async || session.successor(&by_name).await;
    let successor = eventually("a new connection", followed).await;
    assert!(successor.is_connected());
    assert!(successor.successor(&by_name).await.is_none());

    let address = broker.url();
    let address = address
        .replace("amqp://", "amqps://")
        .replace("127.0.0.1", "localhost");
    let plain = failing(&settings(&authority, address)).await;
    assert!(!matches!(plain, ConnectError::Refused { .. }), "{plain:?}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_can_be_the_login() {
    let more = "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n\
                auth_mechanisms.1 = EXTERNAL\nssl_cert_login_from = common_name\n";
    let plugins = ",rabbitmq_auth_mechanism_ssl";
    let (_broker, authority, port) = secured(more, plugins).await;
    // The common name is the user's.
    authority.sign("guest");
    let mut settings = settings(&authority, format!("amqps://localhost:{port}/%2f"));
    settings.auth = Auth::External;

    let without = failing(&settings).await;
    assert!(
        without.to_string().contains("broker.tls.cert_file"),
        "{without}"
    );

    settings.tls.cert_file = Some(authority.file("guest", "pem").into());
    settings.tls.key_file = Some(authority.file("guest", "key").into());
    let session = Session::connect(&settings, "test").await;
    session
        .map_err(|error| panic!("{error:?}"))
        .unwrap()
        .channel()
        .await
        .unwrap();

    authority.sign("nobody");
    settings.tls.cert_file = Some(authority.file("nobody", "pem").into());
    settings.tls.key_file = Some(authority.file("nobody", "key").into());
    let refused = failing(&settings).await;
    assert!(
        matches!(refused, ConnectError::Refused { .. }),
        "{refused:?}"
    );
}

#[test]
fn a_file_that_is_no_use_is_named_with_what_is_wrong() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let other = Authority::new(folder.path(), "other");
    let empty = folder.path().join("empty.pem");
    fs::write(&empty, "nothing\n").unwrap();
    let path = |name: &str| Some(PathBuf::from(name));
    let (cert, key) = (path(&authority.path("pem")), path(&authority.path("key")));
    let with = |ca_file, cert_file, key_file| TlsSettings {
        ca_file,
        cert_file,
        key_file,
        server_name: None,
    };
    let cases = [
        (
            with(path("/missing.pem"), None, None),
            "broker.tls.ca_file = \"/missing.pem\" cannot be read",
        ),
        (
            with(Some(empty.clone()), None, None),
            "empty.pem\" holds no certificate in PEM form",
        ),
        (
            with(None, Some(empty), key.clone()),
            "holds no certificate in PEM form",
        ),
        (
            with(None, cert.clone(), cert.clone()),
            "holds no private key in PEM form",
        ),
        (
            with(cert.clone(), cert.clone(), path(&other.path("key"))),
            "broker.tls.cert_file and broker.tls.key_file",
        ),
    ];
    for (settings, wanted) in cases {
        let error = tls::check(&settings).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
    tls::check(&with(cert.clone(), cert, key)).unwrap();
}
