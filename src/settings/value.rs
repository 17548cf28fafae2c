//! Parsers of single values into final types. What each expects is the text of its refusal.
//!
//! The environment has strings only, so numbers and booleans are taken as strings too; never the
//! other way round: an id given as a number has lost digits by the time it is read.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use jiff::civil::Date;
use reqwest::Url;
use secrecy::{SecretBox, SecretString};
use serde_json::Value;
use tracing_subscriber::filter::Targets;

use crate::domain::ids::UserId;
use crate::domain::money::{InvalidUsd, Usd};
use crate::domain::storm::StormLimit;
use crate::domain::term::Term;
use crate::domain::text::LONG_POST_LIMIT;

/// A value, or the sentence that says what is expected.
pub(crate) type Parsed<T> = Result<T, String>;

/// An `http` or `https` address that paths are appended to: no `/` at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    url: Url,
    written: String,
}

impl BaseUrl {
    /// The address without a `/` at its end.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The address as a URL.
    pub fn as_url(&self) -> &Url {
        &self.url
    }

    /// Where X delivers to for an app.
    pub fn webhook(&self, app: &str) -> String {
        format!("{}{}", self.written, webhook_path(app))
    }

    /// Where X sends those back to who link an account.
    pub fn callback(&self) -> String {
        format!("{}{CALLBACK}", self.written)
    }

    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    pub(crate) fn has_https_and_no_port(&self) -> bool {
        self.url.scheme() == "https" && self.url.port().is_none()
    }

    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host().trim_matches(['[', ']']);
        host == "localhost"
            || host
                .parse()
                .is_ok_and(|address: IpAddr| address.is_loopback())
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// Path of the page to which X sends those back who link an account.
pub const CALLBACK: &str = "/oauth/twitter/callback";

/// Path to which X delivers for an app.
pub fn webhook_path(app: &str) -> String {
    format!("/webhooks/twitter/{app}")
}

/// The key that credentials are encrypted with.
pub type SecretKey = SecretBox<[u8; 32]>;

fn string<'v>(value: &'v Value, expected: &str) -> Result<&'v str, String> {
    value.as_str().ok_or_else(|| expected.to_owned())
}

/// Parses a string; the parser's own error is dropped for the sentence.
fn parsed<T>(value: &Value, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Parsed<T> {
    parse(string(value, expected)?).ok_or_else(|| expected.to_owned())
}

pub(crate) fn text(value: &Value) -> Parsed<String> {
    parsed(value, "expected a string", |raw| Some(raw.to_owned()))
}

pub(crate) fn path(value: &Value) -> Parsed<PathBuf> {
    text(value).map(PathBuf::from)
}

/// A folder; empty for the one that is meant where none is named.
pub(crate) fn folder(value: &Value) -> Parsed<Option<PathBuf>> {
    let path = path(value)?;
    Ok((!path.as_os_str().is_empty()).then_some(path))
}

pub(crate) fn boolean(value: &Value) -> Parsed<bool> {
    let read = value.as_bool().or_else(|| value.as_str()?.parse().ok());
    read.ok_or_else(|| "expected true or false".to_owned())
}

pub(crate) fn count(value: &Value) -> Parsed<u32> {
    let expected = "expected a whole number from 0 to 4294967295";
    let read = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    read.and_then(|n| n.try_into().ok())
        .ok_or_else(|| expected.to_owned())
}

/// Weighted characters of a post.
pub(crate) fn post_length(value: &Value) -> Parsed<u32> {
    match count(value) {
        Ok(length @ 1..=LONG_POST_LIMIT) => Ok(length),
        _ => Err(format!(
            "expected a whole number from 1 to {LONG_POST_LIMIT}"
        )),
    }
}

/// A share, 0 to 1.
pub(crate) fn ratio(value: &Value) -> Parsed<f64> {
    let read = value.as_f64().or_else(|| value.as_str()?.parse().ok());
    read.filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

/// `None` for 0.
pub(crate) fn count_or_zero(value: &Value) -> Parsed<Option<NonZeroUsize>> {
    count(value).map(|n| NonZeroUsize::new(n as usize))
}

pub(crate) fn positive_count(value: &Value) -> Parsed<usize> {
    let expected = "expected a whole number from 1 to 4294967295";
    let read = count_or_zero(value).ok().flatten();
    read.map(NonZeroUsize::get)
        .ok_or_else(|| expected.to_owned())
}

pub(crate) fn storm_messages(value: &Value) -> Parsed<NonZeroU32> {
    let read = count(value).ok().and_then(NonZeroU32::new);
    read.ok_or_else(|| "expected a whole number from 1 to 4294967295".to_owned())
}

/// From a second to a month: longer ago than bodies are kept, nothing is counted.
pub(crate) fn storm_time(value: &Value) -> Parsed<Duration> {
    let longest = Duration::from_hours(30 * 24);
    let read = duration(value).ok();
    let fits = |time: &Duration| (StormLimit::SHORTEST..=longest).contains(time);
    read.filter(fits)
        .ok_or_else(|| "expected a duration from \"1s\" to \"30d\", e.g. \"1h\"".to_owned())
}

/// From one read of X to the next.
pub(crate) fn feed_interval(value: &Value) -> Parsed<Duration> {
    let bounds = Duration::from_secs(1)..=Duration::from_hours(24);
    let read = duration(value).ok();
    read.filter(|interval| bounds.contains(interval))
        .ok_or_else(|| "expected a duration from \"1s\" to \"24h\", e.g. \"60s\"".to_owned())
}

pub(crate) fn size(value: &Value) -> Parsed<u64> {
    let read = value.as_u64().or_else(|| parse_size(value.as_str()?));
    read.filter(|bytes| *bytes > 0)
        .ok_or_else(|| "expected a number of bytes or a size, e.g. \"1MiB\"".to_owned())
}

fn parse_size(raw: &str) -> Option<u64> {
    let (number, unit) = split_number(raw)?;
    let factor: u64 = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// A size that must fit into memory.
pub(crate) fn memory_size(value: &Value) -> Parsed<usize> {
    let bytes = size(value)?;
    usize::try_from(bytes).map_err(|e| format!("expected less: {e}"))
}

pub(crate) fn duration(value: &Value) -> Parsed<Duration> {
    parsed(
        value,
        "expected a duration with its unit, e.g. \"500ms\", \"20s\", \"24h\" or \"30d\"",
        parse_duration,
    )
}

/// What AMQP's heartbeat can say.
pub(crate) fn whole_seconds(value: &Value) -> Parsed<Duration> {
    let expected = "expected whole seconds, from \"1s\" to \"65535s\"";
    let read = duration(value).ok();
    let fits = |d: &Duration| d.subsec_nanos() == 0 && d.as_secs() <= u64::from(u16::MAX);
    read.filter(fits).ok_or_else(|| expected.to_owned())
}

fn parse_duration(raw: &str) -> Option<Duration> {
    let mut left = raw;
    let mut total = Duration::ZERO;
    while !left.is_empty() {
        let (number, behind) = split_number(left)?;
        let end = behind
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(behind.len());
        let (unit, next) = behind.split_at_checked(end)?;
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(number.checked_mul(millis)?))?;
        left = next;
    }
    (!total.is_zero()).then_some(total)
}

fn split_number(raw: &str) -> Option<(u64, &str)> {
    let end = raw.find(|c: char| !c.is_ascii_digit()).unwrap_or(raw.len());
    let (digits, behind) = raw.split_at_checked(end)?;
    Some((digits.parse().ok()?, behind))
}

pub(crate) fn socket_addr(value: &Value) -> Parsed<SocketAddr> {
    parsed(
        value,
        "expected an IP address and a port, e.g. \"127.0.0.1:8081\"",
        |raw| raw.parse().ok(),
    )
}

pub(crate) fn base_url(value: &Value) -> Parsed<BaseUrl> {
    parsed(
        value,
        "expected http:// or https:// with a host, without user, query or fragment",
        |raw| {
            let url = Url::parse(raw).ok()?;
            let plain = url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none();
            let usable = plain && matches!(url.scheme(), "http" | "https") && url.has_host();
            let written = url.as_str().trim_end_matches('/').to_owned();
            usable.then_some(BaseUrl { url, written })
        },
    )
}

/// Where deliveries are passed on to: they hold words of people, so encrypted beyond this machine.
pub(crate) fn mirror_url(value: &Value) -> Parsed<Url> {
    let expected = "expected https:// with a host (http:// on this machine only), without user, \
                    query or fragment";
    let url = base_url(value).map_err(|_other| expected.to_owned())?;
    match url.url.scheme() == "https" || url.is_loopback() {
        true => Ok(url.url),
        false => Err(expected.to_owned()),
    }
}

/// Addresses of a network, `10.0.0.0/8`, or a single one.
pub(crate) fn network(value: &Value) -> Parsed<IpNet> {
    let expected = "expected addresses of a network, e.g. \"10.0.0.0/8\", or one address";
    parsed(value, expected, |raw| {
        let single = || raw.parse::<std::net::IpAddr>().ok().map(IpNet::from);
        raw.parse().ok().or_else(single)
    })
}

/// `host` or `host:port`, as in a URL.
pub(crate) fn host(value: &Value) -> Parsed<String> {
    let expected = "expected a host, with a port if it has one, e.g. \"helpdesk.internal:8080\"";
    parsed(value, expected, |raw| {
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
        let usable = raw.chars().all(plain) && Url::parse(&format!("https://{raw}/")).is_ok();
        usable.then(|| raw.to_ascii_lowercase())
    })
}

/// A name or an address that a certificate is for.
pub(crate) fn server_name(value: &Value) -> Parsed<String> {
    let expected = "expected a host name without a port, e.g. \"rabbitmq.internal\"";
    parsed(value, expected, |raw| {
        let name = rustls::pki_types::ServerName::try_from(raw);
        name.ok().map(|_| raw.to_owned())
    })
}

pub(crate) fn amqp_url(value: &Value) -> Parsed<SecretString> {
    let expected = "expected amqp:// or amqps:// with user, password, host and virtual host";
    parsed(value, expected, |raw| {
        let uri: Result<lapin::uri::AMQPUri, _> = raw.parse();
        uri.ok().map(|_| SecretString::from(raw))
    })
}

/// A name of an exchange or queue.
pub(crate) fn amqp_name(value: &Value) -> Parsed<String> {
    parsed(
        value,
        "expected a name of 1 to 255 bytes that does not begin with \"amq.\"",
        |raw| {
            let usable = raw.len() <= 255 && !raw.starts_with("amq.");
            usable.then(|| raw.to_owned())
        },
    )
}

/// Where the store lies.
#[derive(Clone, Debug)]
pub(crate) enum StoreUrl {
    File(PathBuf),
    /// Of PostgreSQL, to be read by its client.
    Server(SecretString),
}

/// The path of the database file, or the URL of a server.
pub(crate) fn store_url(value: &Value) -> Parsed<StoreUrl> {
    let expected = "expected sqlite:// and the path of a file, e.g. \"sqlite:///var/lib/twitter-channel/channel.db\", or postgres://USER:PASSWORD@HOST:PORT/DATABASE";
    let raw = string(value, expected)?;
    if raw.starts_with("postgres://") || raw.starts_with("postgresql://") {
        return Ok(StoreUrl::Server(raw.into()));
    }
    let path = raw.strip_prefix("sqlite://").unwrap_or_default();
    // What other programs have to say to create the file; this one always does.
    let path = path.strip_suffix("?mode=rwc").unwrap_or(path);
    let usable = !path.is_empty() && !path.ends_with('/') && !path.contains([':', '?']);
    usable
        .then(|| StoreUrl::File(PathBuf::from(path)))
        .ok_or_else(|| expected.to_owned())
}

pub(crate) fn user_id(value: &Value) -> Parsed<UserId> {
    let expected = "expected an id as a string of 1 to 19 digits without leading zeros (a number would lose digits)";
    parsed(value, expected, |raw| raw.parse().ok())
}

/// A handle without `@`.
pub(crate) fn username(value: &Value) -> Parsed<String> {
    parsed(
        value,
        "expected a handle without @: letters, digits and _",
        |raw| {
            let usable = raw.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            usable.then(|| raw.to_owned())
        },
    )
}

/// A segment of a URL's path.
pub(crate) fn app_name(value: &Value) -> Parsed<String> {
    parsed(
        value,
        "expected 1 to 64 letters, digits, `.`, `_` or `-` (it is part of a URL), the first a letter or digit",
        |raw| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
            let usable = raw.len() <= 64
                && raw.bytes().all(plain)
                && raw.starts_with(|c: char| c.is_ascii_alphanumeric());
            usable.then(|| raw.to_owned())
        },
    )
}

/// Visible ASCII: what can stand in a header.
pub(crate) fn bearer_token(value: &Value) -> Parsed<SecretString> {
    parsed(
        value,
        "expected visible ASCII signs without blanks",
        |raw| {
            raw.bytes()
                .all(|b| b.is_ascii_graphic())
                .then(|| SecretString::from(raw))
        },
    )
}

/// What can stand in a header, blanks within included.
pub(crate) fn header(value: &Value) -> Parsed<SecretString> {
    parsed(value, "expected visible ASCII signs and blanks", |raw| {
        let plain = |b: u8| b.is_ascii_graphic() || b == b' ';
        raw.bytes().all(plain).then(|| SecretString::from(raw))
    })
}

pub(crate) fn secret_key(value: &Value) -> Parsed<SecretKey> {
    parsed(
        value,
        "expected 32 bytes in base64 (openssl rand -base64 32)",
        |raw| {
            let bytes: [u8; 32] = STANDARD.decode(raw).ok()?.try_into().ok()?;
            Some(SecretBox::new(Box::new(bytes)))
        },
    )
}

pub(crate) fn term(value: &Value) -> Parsed<Term> {
    Term::parse(string(value, "expected #tag, @name, a word or a phrase")?)
        .map_err(|e| e.to_string())
}

pub(crate) fn usd(value: &Value) -> Parsed<Usd> {
    let read: Result<Usd, InvalidUsd> = value.as_str().unwrap_or_default().parse();
    read.map_err(|error| error.to_string())
}

pub(crate) fn date(value: &Value) -> Parsed<Date> {
    parsed(value, "expected a date, e.g. \"2026-08-22\"", |raw| {
        raw.parse().ok()
    })
}

/// Levels, one alone or for parts of the program, separated by commas.
pub(crate) fn log_level(value: &Value) -> Parsed<Targets> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    parsed(
        value,
        "expected error, warn, info, debug or trace, also as \"info,lapin=warn\"",
        |raw| {
            let known = |directive: &str| {
                let level = directive
                    .rsplit_once('=')
                    .map_or(directive, |(_, level)| level);
                LEVELS.contains(&level)
            };
            // Alone `Targets` would take a name without a level.
            raw.split(',')
                .all(known)
                .then(|| raw.parse().ok())
                .flatten()
        },
    )
}

/// One of a few words.
pub(crate) fn one_of<T: Clone>(choices: &[(&str, T)]) -> impl Fn(&Value) -> Parsed<T> {
    move |value| {
        let chosen = choices
            .iter()
            .find(|(word, _)| value.as_str() == Some(word));
        chosen.map(|(_, meaning)| meaning.clone()).ok_or_else(|| {
            let words: Vec<String> = choices
                .iter()
                .map(|(word, _)| format!("{word:?}"))
                .collect();
            format!("expected {}", words.join(" or "))
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("500ms", 500)]
    #[case("20s", 20_000)]
    #[case("1h30m", 5_400_000)]
    #[case("30d", 2_592_000_000)]
    fn durations_have_units(#[case] raw: &str, #[case] millis: u64) {
        assert_eq!(duration(&json!(raw)), Ok(Duration::from_millis(millis)));
    }

    #[rstest]
    #[case(json!("20"))]
    #[case(json!(20))]
    #[case(json!("0s"))]
    #[case(json!("-1s"))]
    #[case(json!("s"))]
    #[case(json!("1 s"))]
    #[case(json!("1.5h"))]
    #[case(json!("99999999999999999999s"))]
    #[case(json!("18446744073709551615d"))]
    #[case(json!("20s "))]
    fn what_is_no_duration_is_refused(#[case] value: Value) {
        assert!(duration(&value).is_err(), "{value}");
    }

    #[test]
    fn sizes_are_bytes_or_have_binary_units() {
        assert_eq!(size(&json!(7)), Ok(7));
        assert_eq!(size(&json!("7")), Ok(7));
        assert_eq!(size(&json!("2GiB")), Ok(2 << 30));
        for value in [
            json!(0),
            json!("1MB"),
            json!("-1"),
            json!(1.5),
            json!("18446744073709551615GiB"),
        ] {
            assert!(size(&value).is_err(), "{value}");
        }
    }

    #[test]
    fn a_base_url_has_no_slash_at_its_end() {
        assert_eq!(
            base_url(&json!("https://x.example/")).unwrap().as_str(),
            "https://x.example"
        );
        assert_eq!(
            base_url(&json!("https://x.example/a/")).unwrap().as_str(),
            "https://x.example/a"
        );
        for raw in [
            "x.example",
            "ftp://x.example",
            "https://",
            "https://u:p@x.example",
            "https://x.example?a",
            "https://x.example/#a",
        ] {
            assert!(base_url(&json!(raw)).is_err(), "{raw}");
        }
    }

    #[test]
    fn a_mirror_is_encrypted_or_on_this_machine() {
        for raw in [
            "https://staging.example/webhooks/twitter/acme",
            "http://127.0.0.1:9/x",
        ] {
            assert_eq!(mirror_url(&json!(raw)).unwrap().as_str(), raw);
        }
        for raw in [
            "http://staging.example/x",
            "https://u:p@staging.example",
            "staging",
        ] {
            assert!(mirror_url(&json!(raw)).is_err(), "{raw}");
        }
    }

    #[test]
    fn networks_are_written_with_or_without_their_length() {
        for raw in ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"] {
            assert!(network(&json!(raw)).is_ok(), "{raw}");
        }
        for raw in ["10.0.0.0/33", "example.com", ""] {
            assert!(network(&json!(raw)).is_err(), "{raw}");
        }
    }

    #[test]
    fn loopback_is_told_by_name_and_by_number() {
        for raw in ["http://localhost:1", "http://127.0.0.2", "http://[::1]:80"] {
            assert!(base_url(&json!(raw)).unwrap().is_loopback(), "{raw}");
        }
        assert!(
            !base_url(&json!("http://127.0.0.1.example"))
                .unwrap()
                .is_loopback()
        );
    }

    #[rstest]
    #[case("sqlite:///var/lib/x.db", "/var/lib/x.db")]
    #[case("sqlite://x.db", "x.db")]
    #[case("sqlite://x.db?mode=rwc", "x.db")]
    fn a_store_is_a_file(#[case] url: &str, #[case] path: &str) {
        let Ok(StoreUrl::File(read)) = store_url(&json!(url)) else {
            panic!("{url} is no file");
        };
        assert_eq!(read, PathBuf::from(path));
    }

    #[rstest]
    #[case("sqlite://")]
    #[case("sqlite://:memory:")]
    #[case("sqlite://data/")]
    #[case("sqlite://x.db?mode=ro")]
    #[case("/var/lib/x.db")]
    #[case("mysql://x")]
    fn what_is_no_file_is_no_store(#[case] url: &str) {
        assert!(store_url(&json!(url)).unwrap_err().contains("sqlite://"));
    }

    #[rstest]
    #[case("postgres://h/db")]
    #[case("postgresql://h/db")]
    fn a_store_may_be_on_a_server(#[case] url: &str) {
        let read = store_url(&json!(url));
        assert!(matches!(read, Ok(StoreUrl::Server(_))), "{read:?}");
    }

    #[test]
    fn hosts_have_no_path_and_no_user() {
        assert_eq!(
            host(&json!("Helpdesk.internal:8080")).unwrap(),
            "helpdesk.internal:8080"
        );
        assert_eq!(
            host(&json!("helpdesk.internal")).unwrap(),
            "helpdesk.internal"
        );
        for raw in ["https://h", "h/path", "u@h", "h:0x", "h h", "h:99999"] {
            assert!(host(&json!(raw)).is_err(), "{raw}");
        }
    }

    #[test]
    fn log_levels_may_name_parts_of_the_program() {
        for raw in [
            "info",
            "info,lapin=warn",
            "off,twitter_channel::broker=trace",
        ] {
            assert!(log_level(&json!(raw)).is_ok(), "{raw}");
        }
        for raw in ["verbose", "info,", "info,lapin=loud"] {
            assert!(log_level(&json!(raw)).is_err(), "{raw}");
        }
    }

    #[test]
    fn the_broker_is_an_amqp_address() {
        assert!(amqp_url(&json!("amqp://u:p@h:5672/%2f")).is_ok());
        assert!(amqp_url(&json!("amqps://h")).is_ok());
        assert!(amqp_url(&json!("http://h")).is_err());
    }
}
