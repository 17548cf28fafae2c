//! Wrong credentials slow whoever sends them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Wrong ones that cost nothing: people mistype.
const FREE: u32 = 10;
/// After the last free one; each further doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_mins(15);
/// A peer that has sent nothing wrong for so long starts anew.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(30);
/// Peers that are remembered; beyond, those go first that may try again soonest.
const PEERS: usize = 4096;

/// Counts wrong credentials by peer. A right one changes nothing: whoever shares an address with an
/// attacker must not open the door for it.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<HashMap<IpAddr, Failures>>);

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
    /// Until then nothing is looked at.
    until: Instant,
}

impl Throttle {
    /// How long a peer has to wait before a credential of it is looked at; `None`: not at all.
    pub(crate) fn wait(&self, peer: IpAddr, now: Instant) -> Option<Duration> {
        let peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = peers.get(&key(peer))?.until.checked_duration_since(now)?;
        (!wait.is_zero()).then_some(wait)
    }

    /// A credential was wrong.
    pub(crate) fn note_wrong(&self, peer: IpAddr, now: Instant) {
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = key(peer);
        if !peers.contains_key(&peer) && peers.len() >= PEERS {
            make_room(&mut peers, now);
        }
        let fresh = Failures {
            count: 0,
            last: now,
            until: now,
        };
        let failures = peers.entry(peer).or_insert(fresh);
        if now.saturating_duration_since(failures.last) > FORGOTTEN_AFTER {
            *failures = fresh;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        failures.until = now + wait_after(failures.count);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

fn wait_after(count: u32) -> Duration {
    match count.checked_sub(FREE) {
        Some(beyond) => {
            let factor = 2_u32.saturating_pow(beyond);
            FIRST_WAIT.saturating_mul(factor).min(LONGEST_WAIT)
        }
        None => Duration::ZERO,
    }
}

fn make_room(peers: &mut HashMap<IpAddr, Failures>, now: Instant) {
    peers.retain(|_, it| now.saturating_duration_since(it.last) <= FORGOTTEN_AFTER);
    if peers.len() >= PEERS {
        let first = peers.iter().min_by_key(|(_, it)| (it.until, it.last));
        if let Some(peer) = first.map(|(peer, _)| *peer) {
            peers.remove(&peer);
        }
    }
}

/// One customer of a provider has a whole /64 of IPv6.
fn key(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn ten_wrong_credentials_slow_a_peer_and_no_other() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..9 {
            throttle.note_wrong(peer(1), now);
            assert_eq!(throttle.wait(peer(1), now), None);
        }
        for seconds in [1, 2, 4, 8] {
            throttle.note_wrong(peer(1), now);
            let wait = Duration::from_secs(seconds);
            assert_eq!(throttle.wait(peer(1), now), Some(wait));
            assert_eq!(throttle.wait(peer(1), now + wait), None);
        }
        assert_eq!(throttle.wait(peer(2), now), None);
    }

    #[test]
    fn the_wait_has_an_end_and_is_forgotten() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..100 {
            throttle.note_wrong(peer(1), now);
        }
        assert_eq!(throttle.wait(peer(1), now), Some(LONGEST_WAIT));
        let later = now + FORGOTTEN_AFTER + Duration::from_secs(1);
        throttle.note_wrong(peer(1), later);
        assert_eq!(throttle.wait(peer(1), later), None);
    }

    #[test]
    fn memory_is_bounded_and_keeps_those_who_wait_longest() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..12 {
            throttle.note_wrong(peer(1), now);
        }
        for number in 0..2 * PEERS as u32 {
            throttle.note_wrong(IpAddr::V4(number.into()), now);
        }
        assert_eq!(throttle.len(), PEERS);
        assert!(throttle.wait(peer(1), now).is_some());
    }

    #[test]
    fn addresses_of_one_network_are_one_peer() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for number in 0..10_u128 {
            let address = Ipv6Addr::from((0x2001_0db8_u128 << 96) + number);
            throttle.note_wrong(address.into(), now);
        }
        let other: IpAddr = "2001:db8::ffff".parse().unwrap();
        assert!(throttle.wait(other, now).is_some());
        let elsewhere: IpAddr = "2001:db8:0:1::1".parse().unwrap();
        assert_eq!(throttle.wait(elsewhere, now), None);
    }
}
