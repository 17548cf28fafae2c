//! Settings of the adapters: broker, store, attachments and the two listeners.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::attachments::settings::{AttachmentSource, FetchSettings};
use crate::broker::settings::{Auth, BrokerSettings, Inbox, Names, TlsSettings, TopologyMode};
use crate::broker::tls;
use crate::domain::attachment::LARGEST_BYTES;
use crate::http::public::SourceLimits;
use crate::settings::reader::Reader;
use crate::settings::value::{self, BaseUrl, StoreUrl};
use crate::store::{PostgresSettings, StorePlace, StoreSettings};
use crate::telemetry::chain;

/// The listener for X.
#[derive(Clone, Debug)]
pub struct PublicConfig {
    pub listen: SocketAddr,
    /// How X reaches it.
    pub url: Option<BaseUrl>,
    pub max_body_bytes: usize,
    /// `None`: one for each processor.
    pub workers: Option<NonZeroUsize>,
    /// At a time, of all sources together.
    pub max_connections: usize,
    pub sources: SourceLimits,
}

/// The listener for ops, administrators and the core.
#[derive(Clone, Debug)]
pub struct PrivateConfig {
    pub listen: SocketAddr,
    /// How browsers and the core reach it.
    pub url: Option<BaseUrl>,
    /// Where other replicas reach it; `None`: where it listens.
    pub advertise: Option<BaseUrl>,
    /// `None`: nobody may use the API.
    pub token: Option<SecretString>,
}

pub(super) fn broker(r: &mut Reader<'_>) -> Option<BrokerSettings> {
    let modes = [
        ("declare", TopologyMode::Declare),
        ("check", TopologyMode::Check),
    ];
    let url = r.required_followed_secret_as("url", value::amqp_url);
    let hosts = r.values("hosts", value::host);
    let username = r.followed_secret_as("username", value::text);
    let password = r.followed_secret_as("password", value::text);
    let vhost = r.optional("vhost", value::text);
    let auths = [("password", Auth::Password), ("external", Auth::External)];
    let auth = r.required("auth", value::one_of(&auths));
    let tls = r.section("tls", |r| certificates(r, auth));
    if let (Some((_, url)), Some(tls)) = (&url, &tls) {
        check_tls(r, url, tls);
    }
    let topology = r.required("topology", value::one_of(&modes));
    let publish_window = r.required("publish_window", value::positive_count);
    let confirm_timeout = r.required("confirm_timeout", value::duration);
    let connect_timeout = r.required("connect_timeout", value::duration);
    let heartbeat = r.required("heartbeat", value::whole_seconds);
    let mut queues = HashSet::new();
    let inboxes = r.tables("inboxes", |r| inbox(r, &mut queues));
    let names = r.section("names", names);
    Some(BrokerSettings {
        url: url?.0,
        hosts,
        username: username.map(|(secret, _)| secret),
        password: password.map(|(secret, _)| secret),
        vhost,
        auth: auth?,
        tls: tls?,
        topology: topology?,
        inboxes,
        names: names?,
        publish_window: publish_window?,
        confirm_timeout: confirm_timeout?,
        connect_timeout: connect_timeout?,
        heartbeat: heartbeat?,
    })
}

fn certificates(r: &mut Reader<'_>, auth: Option<Auth>) -> Option<TlsSettings> {
    let tls = TlsSettings {
        ca_file: r.optional("ca_file", value::path),
        cert_file: r.optional("cert_file", value::path),
        key_file: r.optional("key_file", value::path),
        server_name: r.optional("server_name", value::server_name),
    };
    let missing = match (&tls.cert_file, &tls.key_file) {
        (Some(_), None) => ("key_file", "missing, expected the key of cert_file"),
        (None, Some(_)) => ("cert_file", "missing, expected the certificate of key_file"),
        (None, None) if auth == Some(Auth::External) => (
            "cert_file",
            "missing, expected a client certificate, as broker.auth is \"external\"",
        ),
        _ => return Some(tls),
    };
    r.fault(missing.0, None, missing.1);
    None
}

/// Whether the certificates are used at all, and can be.
fn check_tls(r: &Reader<'_>, url: &SecretString, given: &TlsSettings) {
    if *given == TlsSettings::default() {
        return;
    }
    if !url.expose_secret().starts_with("amqps:") {
        let expected = "expected amqps:// in broker.url: without it there is no TLS";
        r.fault("tls", None, expected);
    } else if let Err(error) = tls::check(given) {
        r.fault(
            "tls",
            None,
            format!("expected usable files: {}", chain(&error)),
        );
    }
}

fn inbox(r: &mut Reader<'_>, seen: &mut HashSet<String>) -> Option<Inbox> {
    let queue = r.required("queue", value::amqp_name);
    let bind = r.values("bind", value::text);
    if bind.is_empty() {
        r.fault(
            "bind",
            None,
            "expected at least one routing pattern, e.g. [\"#\"]",
        );
    }
    let queue = queue?;
    if !seen.insert(queue.clone()) {
        r.fault(
            "queue",
            Some(format!("{queue:?}")),
            "expected each queue once",
        );
    }
    Some(Inbox { queue, bind })
}

fn names(r: &mut Reader<'_>) -> Option<Names> {
    let events = r.required("events", value::amqp_name);
    let commands = r.required("commands", value::amqp_name);
    let dead = r.required("dead", value::amqp_name);
    Some(Names {
        events: events?,
        commands: commands?,
        dead: dead?,
    })
}

/// Also how long is remembered what nobody wanted. `retention` of bodies stands in a section of its
/// own.
pub(super) fn store(
    r: &mut Reader<'_>,
    retention: Option<Duration>,
) -> Option<(StoreSettings, Duration)> {
    let place = r.required_secret_as("url", store_place);
    let max_bytes = r.required("max_bytes", value::size);
    let unwanted = r.required("unwanted", value::duration);
    let settings = StoreSettings {
        place: place?,
        max_bytes: max_bytes?,
        retention: retention?,
    };
    Some((settings, unwanted?))
}

fn store_place(value: &Value) -> Result<StorePlace, String> {
    match value::store_url(value)? {
        StoreUrl::File(path) => Ok(StorePlace::Sqlite(path)),
        StoreUrl::Server(url) => PostgresSettings::parse(&url)
            .map(|settings| StorePlace::Postgres(Box::new(settings)))
            .map_err(|error| error.to_string()),
    }
}

pub(super) fn attachments(
    r: &mut Reader<'_>,
    sources: Vec<AttachmentSource>,
) -> Option<FetchSettings> {
    let folder = r.optional("folder", value::folder).flatten();
    let connect_timeout = r.required("connect_timeout", value::duration);
    let idle_timeout = r.required("idle_timeout", value::duration);
    let fetch_timeout = r.required("fetch_timeout", value::duration);
    Some(FetchSettings {
        folder,
        connect_timeout: connect_timeout?,
        idle_timeout: idle_timeout?,
        timeout: fetch_timeout?,
        max_bytes: LARGEST_BYTES,
        sources,
    })
}

/// `media.max_bytes`.
pub(super) fn media(r: &mut Reader<'_>) -> Option<u64> {
    r.required("max_bytes", value::size)
}

pub(super) fn attachment_source(r: &mut Reader<'_>) -> Option<AttachmentSource> {
    let host = r.required("host", value::host);
    let authorization = r.secret_as("authorization", value::header);
    Some(AttachmentSource {
        host: host?,
        authorization,
    })
}

pub(super) fn public(r: &mut Reader<'_>) -> Option<PublicConfig> {
    let listen = r.required("listen", value::socket_addr);
    let url = r.optional("url", value::base_url);
    let max_body_bytes = r.required("max_body_bytes", value::memory_size);
    let workers = r.required("workers", value::count_or_zero);
    let max_connections = r.required("max_connections", value::positive_count);
    let unsigned_per_minute = r.required("unsigned_per_minute", value::positive_count);
    let trusted_proxies = r.values("trusted_proxies", value::network);
    Some(PublicConfig {
        listen: listen?,
        url,
        max_body_bytes: max_body_bytes?,
        workers: workers?,
        max_connections: max_connections?,
        sources: SourceLimits {
            // It was read as one.
            unsigned_per_minute: unsigned_per_minute?.try_into().unwrap_or(u32::MAX),
            trusted_proxies,
        },
    })
}

pub(super) fn private(r: &mut Reader<'_>) -> Option<PrivateConfig> {
    let listen = r.required("listen", value::socket_addr);
    let url = r.optional("url", value::base_url);
    let advertise = r.optional("advertise", value::base_url);
    let has_token = r.has_secret("token");
    let token = r.secret_as("token", value::bearer_token);
    let listen = listen?;
    if !listen.ip().is_loopback() && !has_token {
        let expected = "missing, expected a token: private.listen is open to other machines";
        r.fault("token", None, expected);
    }
    Some(PrivateConfig {
        listen,
        url,
        advertise,
        token,
    })
}
