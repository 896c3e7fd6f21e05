//! Which addresses count as one.

use std::net::{IpAddr, Ipv6Addr};

/// What a limit per address counts by: an IPv4 address, also where it came in as `::ffff:192.0.2.7`; of an IPv6 address the first 64
/// bits, since whoever has one address of such a network has all of them.
///
/// ```
/// use pulsewire_policy::server::address_group;
///
/// assert_eq!(address_group("::ffff:192.0.2.7".parse()?), address_group("192.0.2.7".parse()?));
/// assert_eq!(address_group("2001:db8::1".parse()?), address_group("2001:db8::ffff:2".parse()?));
/// assert_ne!(address_group("2001:db8::1".parse()?), address_group("2001:db8:0:1::1".parse()?));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[must_use]
pub fn address_group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}
