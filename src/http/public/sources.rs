//! Who floods the public listener with requests that X did not sign, and what such a one still gets.
//!
//! A request that X signed is never counted nor slowed, whoever it shares an address with: its
//! signature is looked at first. Only what has none, or a wrong one, costs its source something.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";
/// Over so long a source may make as many unsigned requests as are allowed.
const WINDOW: Duration = Duration::from_mins(1);
/// Sources that are remembered; beyond, those go first that have been quiet longest.
const SOURCES: usize = 16_384;

/// How unsigned requests are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLimits {
    /// For each source in a minute; beyond, 429.
    pub unsigned_per_minute: u32,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

impl Default for SourceLimits {
    fn default() -> Self {
        Self {
            unsigned_per_minute: 600,
            trusted_proxies: Vec::new(),
        }
    }
}

/// Counts unsigned requests by source: a bucket for each, that fills again evenly.
pub(super) struct Sources {
    limits: SourceLimits,
    seen: Mutex<HashMap<IpAddr, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// What is left, in parts of a request.
    left: f64,
    at: Instant,
}

impl Sources {
    pub(super) fn new(limits: SourceLimits) -> Self {
        Self {
            limits,
            seen: Mutex::default(),
        }
    }

    /// Notes an unsigned request; whether its source has made more of them than it may.
    pub(super) fn is_flooding(&self, request: &HttpRequest, now: Instant) -> bool {
        let peer = request.peer_addr().map(|address| address.ip());
        // Without an address (a test's request) there is nobody to hold to account.
        let Some(peer) = peer else { return false };
        let source = source(peer, request.headers(), &self.limits.trusted_proxies);
        !self.admit(source, now)
    }

    fn admit(&self, source: IpAddr, now: Instant) -> bool {
        let most = f64::from(self.limits.unsigned_per_minute);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let key = network(source);
        if !seen.contains_key(&key) && seen.len() >= SOURCES {
            make_room(&mut seen, now);
        }
        let bucket = seen.entry(key).or_insert(Bucket {
            left: most,
            at: now,
        });
        let passed = now.saturating_duration_since(bucket.at);
        let refilled = most * passed.as_secs_f64() / WINDOW.as_secs_f64();
        bucket.left = (bucket.left + refilled).min(most);
        bucket.at = now;
        let admitted = bucket.left >= 1.0;
        if admitted {
            bucket.left -= 1.0;
        }
        admitted
    }
}

/// Buckets that are full again say nothing; where all are in use, the one that is oldest goes.
fn make_room(seen: &mut HashMap<IpAddr, Bucket>, now: Instant) {
    seen.retain(|_, bucket| now.saturating_duration_since(bucket.at) < WINDOW);
    if seen.len() >= SOURCES
        && let Some((oldest, _)) = seen.iter().min_by_key(|(_, bucket)| bucket.at)
    {
        let oldest = *oldest;
        seen.remove(&oldest);
    }
}

/// Who sent a request: the peer, or behind proxies that are trusted the last address that none of
/// them has. What stands before that, anybody may have written.
fn source(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| {
        let address = address.to_canonical();
        trusted.iter().any(|net| net.contains(&address))
    };
    if !is_trusted(&peer) {
        return peer;
    }
    let lines: Vec<_> = headers.get_all(FORWARDED_FOR).collect();
    let hops = lines.iter().rev().filter_map(|line| line.to_str().ok());
    let mut nearest = peer;
    for hop in hops.flat_map(|line| line.rsplit(',')) {
        let Some(address) = address(hop.trim()) else {
            break;
        };
        nearest = address;
        if !is_trusted(&address) {
            break;
        }
    }
    nearest
}

/// Some proxies add the port.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    let bare = bare.parse().ok();
    bare.or_else(|| hop.parse().ok().map(|it: std::net::SocketAddr| it.ip()))
}

/// One customer of a provider has a whole /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use actix_web::test::TestRequest;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn limited(per_minute: u32) -> Sources {
        Sources::new(SourceLimits {
            unsigned_per_minute: per_minute,
            trusted_proxies: Vec::new(),
        })
    }

    fn behind(peer: &str, forwarded: &[&str], trusted: &[&str]) -> IpAddr {
        let mut request = TestRequest::get();
        for line in forwarded {
            let line = (FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
            request = request.append_header(line);
        }
        let trusted: Vec<_> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        source(ip(peer), request.to_http_request().headers(), &trusted)
    }

    #[test]
    fn a_source_that_floods_is_told_so_and_no_other() {
        let (sources, now) = (limited(3), Instant::now());
        let admitted = |at| sources.admit(ip("192.0.2.1"), at);
        assert_eq!([(); 4].map(|()| admitted(now)), [true, true, true, false]);
        assert!(sources.admit(ip("192.0.2.2"), now));
        // A third of a minute is worth one request.
        let later = now + Duration::from_secs(20);
        assert_eq!([(); 2].map(|()| admitted(later)), [true, false]);
    }

    #[test]
    fn memory_is_bounded() {
        let (sources, now) = (limited(1), Instant::now());
        for number in 0..u32::try_from(SOURCES).unwrap() + 100 {
            sources.admit(IpAddr::V4(number.into()), now);
        }
        assert_eq!(sources.seen.lock().unwrap().len(), SOURCES);
    }

    #[test]
    fn addresses_of_one_network_are_one_source() {
        let (sources, now) = (limited(1), Instant::now());
        assert!(sources.admit(ip("2001:db8::1"), now));
        assert!(!sources.admit(ip("2001:db8::2"), now));
        assert!(sources.admit(ip("::ffff:192.0.2.1"), now));
        assert!(!sources.admit(ip("192.0.2.1"), now));
    }

    #[test]
    fn only_trusted_proxies_say_who_asks() {
        let proxies = ["10.0.0.0/8"];
        let told = ["203.0.113.9, 198.51.100.7, 10.1.1.1"];
        assert_eq!(behind("10.0.0.5", &told, &proxies), ip("198.51.100.7"));
        assert_eq!(behind("192.0.2.1", &told, &proxies), ip("192.0.2.1"));
        assert_eq!(behind("10.0.0.5", &[], &proxies), ip("10.0.0.5"));
        let ports = ["198.51.100.7:4711"];
        assert_eq!(behind("10.0.0.5", &ports, &proxies), ip("198.51.100.7"));
        // What cannot be read ends the search: the last that is known counts.
        let garbage = ["198.51.100.7, unknown, 10.1.1.1"];
        assert_eq!(behind("10.0.0.5", &garbage, &proxies), ip("10.1.1.1"));
        let lines = ["203.0.113.9", "198.51.100.7"];
        assert_eq!(behind("10.0.0.5", &lines, &proxies), ip("198.51.100.7"));
    }
}
