//! Which addresses are public. Everything else might be a machine of ours, or this one.
//!
//! Source: IANA's registries of special-purpose addresses for IPv4 and IPv6, as of 2025.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Not of the public network, with the length of the prefix.
const NOT_PUBLIC_V4: [(Ipv4Addr, u32); 18] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),        // this network
    (Ipv4Addr::new(10, 0, 0, 0), 8),       // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),    // carriers' NAT; a cloud's metadata, 100.100.100.200
    (Ipv4Addr::new(127, 0, 0, 0), 8),      // loopback
    (Ipv4Addr::new(168, 63, 129, 16), 32), // Azure's host agent, public by its number only
    (Ipv4Addr::new(169, 254, 0, 0), 16),   // link-local; metadata of most clouds
    (Ipv4Addr::new(172, 16, 0, 0), 12),    // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),     // IETF assignments; a cloud's metadata, 192.0.0.192
    (Ipv4Addr::new(192, 0, 2, 0), 24),     // documentation
    (Ipv4Addr::new(192, 31, 196, 0), 24),  // AS112
    (Ipv4Addr::new(192, 52, 193, 0), 24),  // AMT
    (Ipv4Addr::new(192, 88, 99, 0), 24),   // 6to4 relays
    (Ipv4Addr::new(192, 168, 0, 0), 16),   // private
    (Ipv4Addr::new(192, 175, 48, 0), 24),  // AS112
    (Ipv4Addr::new(198, 18, 0, 0), 15),    // benchmarking
    (Ipv4Addr::new(198, 51, 100, 0), 24),  // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),   // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 3),      // multicast, reserved, broadcast
];

/// The only space of public hosts ...
const GLOBAL_UNICAST_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// ... but for these.
const NOT_PUBLIC_V6: [(Ipv6Addr, u32); 5] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // IETF: Teredo, benchmarking, ORCHID
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48), // AS112
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];
/// NAT64: how hosts of IPv4 are reached where there is only IPv6.
const NAT64: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// Whether a host anywhere may have this address. An IPv4 address inside an IPv6 one counts.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match embedded_v4(address) {
            Some(embedded) => is_public_v4(embedded),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let within = |(prefix, length): (Ipv4Addr, u32)| {
        (u32::from(address) ^ u32::from(prefix)).leading_zeros() >= length
    };
    !NOT_PUBLIC_V4.into_iter().any(within)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let within = |block| is_within_v6(address, block);
    // ISATAP puts an IPv4 address behind any prefix.
    let [_, _, _, _, flags, isatap, high, low] = address.segments();
    let tunnels = flags & !0x200 == 0
        && isatap == 0x5efe
        && !is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    within(GLOBAL_UNICAST_V6) && !NOT_PUBLIC_V6.into_iter().any(within) && !tunnels
}

fn is_within_v6(address: Ipv6Addr, (prefix, length): (Ipv6Addr, u32)) -> bool {
    (u128::from(address) ^ u128::from(prefix)).leading_zeros() >= length
}

/// Of the forms that public hosts are reached by: mapped, and NAT64 of the well-known prefix.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let last = Ipv4Addr::from(u128::from(address) as u32);
    let nat64 = is_within_v6(address, NAT64).then_some(last);
    address.to_ipv4_mapped().or(nat64)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("8.8.8.8")]
    #[case("9.255.255.255")]
    #[case("11.0.0.0")]
    #[case("100.63.255.255")]
    #[case("100.128.0.0")]
    #[case("172.15.255.255")]
    #[case("172.32.0.0")]
    #[case("192.167.255.255")]
    #[case("198.20.0.0")]
    #[case("223.255.255.255")]
    #[case("2606:4700:4700::1111")]
    #[case("2001:4860:4860::8888")]
    #[case("2a00:1450:4001:82a::200e")]
    #[case::mapped("::ffff:8.8.8.8")]
    #[case::nat64("64:ff9b::8.8.8.8")]
    fn a_public_address_is_public(#[case] address: &str) {
        assert!(is_public(address.parse().unwrap()));
    }

    #[rstest]
    #[case::unspecified("0.0.0.0")]
    #[case::this_network("0.1.2.3")]
    #[case::private("10.0.0.1")]
    #[case::private("10.255.255.255")]
    #[case::carrier("100.64.0.1")]
    #[case::metadata("100.100.100.200")]
    #[case::carrier("100.127.255.255")]
    #[case::loopback("127.0.0.1")]
    #[case::loopback("127.255.255.254")]
    #[case::metadata("168.63.129.16")]
    #[case::metadata("169.254.169.254")]
    #[case::private("172.16.0.1")]
    #[case::private("172.31.255.255")]
    #[case::metadata("192.0.0.192")]
    #[case::documentation("192.0.2.1")]
    #[case::relays("192.88.99.1")]
    #[case::private("192.168.1.1")]
    #[case::benchmarking("198.18.0.1")]
    #[case::benchmarking("198.19.255.255")]
    #[case::documentation("198.51.100.1")]
    #[case::documentation("203.0.113.1")]
    #[case::multicast("224.0.0.1")]
    #[case::reserved("240.0.0.1")]
    #[case::broadcast("255.255.255.255")]
    #[case::unspecified("::")]
    #[case::loopback("::1")]
    #[case::compatible("::127.0.0.1")]
    #[case::compatible("::8.8.8.8")]
    #[case::mapped_loopback("::ffff:127.0.0.1")]
    #[case::mapped_private("::ffff:10.0.0.1")]
    #[case::mapped_metadata("::ffff:169.254.169.254")]
    #[case::translated("::ffff:0:127.0.0.1")]
    #[case::nat64_private("64:ff9b::10.0.0.1")]
    #[case::nat64_metadata("64:ff9b::a9fe:a9fe")]
    #[case::nat64_local("64:ff9b:1::8.8.8.8")]
    #[case::discard("100::1")]
    #[case::teredo("2001:0:4136:e378:8000:63bf:3fff:fdd2")]
    #[case::benchmarking("2001:2::1")]
    #[case::orchid("2001:20::1")]
    #[case::documentation("2001:db8::1")]
    #[case::sixtofour_private("2002:a00:1::1")]
    #[case::sixtofour("2002:808:808::1")]
    #[case::documentation("3fff::1")]
    #[case::isatap("2606:4700::5efe:10.0.0.1")]
    #[case::isatap("2606:4700::200:5efe:10.0.0.1")]
    #[case::segment_routing("5f00::1")]
    #[case::unique_local("fc00::1")]
    #[case::metadata("fd00:ec2::254")]
    #[case::link_local("fe80::1")]
    #[case::site_local("fec0::1")]
    #[case::multicast("ff02::1")]
    fn any_other_is_not(#[case] address: &str) {
        assert!(!is_public(address.parse().unwrap()));
    }
}
