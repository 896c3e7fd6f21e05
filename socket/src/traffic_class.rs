//! The mark by which routers and switches treat packets differently.

use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;
use std::str::FromStr;

use socket2::SockRef;

use crate::error::{Error, OutOfRange, Setting};

/// A DiffServ code point: 6 bits of the IP header (RFC 2474), with the names of the registry as constants.
///
/// What a network does with it is its administrator's decision. On the internet it is mostly ignored or erased.
///
/// ```
/// use pulsewire_socket::Dscp;
///
/// assert_eq!("EF".parse(), Ok(Dscp::EF));
/// assert_eq!("46".parse(), Ok(Dscp::EF));
/// assert_eq!(Dscp::AF41.to_string(), "AF41");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "String", try_from = "crate::representation::NumberOrName"))]
pub struct Dscp(u8);

macro_rules! named {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $value:literal;)+) => {
        impl Dscp {
            $($(#[doc = $doc])+ pub const $name: Self = Self($value);)+

            const NAMES: &[(&str, Self)] = &[$(($text, Self($value))),+];
        }
    };
}

named! {
    /// Default forwarding: best effort, what every packet has that nobody marked.
    CS0 = "CS0", 0;
    /// Class selector 1: of old, less than best effort. [`LE`](Self::LE) has taken its place.
    CS1 = "CS1", 8;
    /// Class selector 2: operation and management.
    CS2 = "CS2", 16;
    /// Class selector 3: broadcast video.
    CS3 = "CS3", 24;
    /// Class selector 4: real-time interactive.
    CS4 = "CS4", 32;
    /// Class selector 5: signalling.
    CS5 = "CS5", 40;
    /// Class selector 6: network control, meant for routing protocols.
    CS6 = "CS6", 48;
    /// Class selector 7: reserved for the network's own use.
    CS7 = "CS7", 56;
    /// Lower effort (RFC 8622): what may wait for all others.
    LE = "LE", 1;
    /// Assured forwarding (RFC 2597), class 1: bulk data; dropped late when there is too much.
    AF11 = "AF11", 10;
    /// Class 1, dropped in the middle.
    AF12 = "AF12", 12;
    /// Class 1, dropped early.
    AF13 = "AF13", 14;
    /// Class 2: low-latency data; dropped late.
    AF21 = "AF21", 18;
    /// Class 2, dropped in the middle.
    AF22 = "AF22", 20;
    /// Class 2, dropped early.
    AF23 = "AF23", 22;
    /// Class 3: streaming; dropped late.
    AF31 = "AF31", 26;
    /// Class 3, dropped in the middle.
    AF32 = "AF32", 28;
    /// Class 3, dropped early.
    AF33 = "AF33", 30;
    /// Class 4: conferences; dropped late.
    AF41 = "AF41", 34;
    /// Class 4, dropped in the middle.
    AF42 = "AF42", 36;
    /// Class 4, dropped early.
    AF43 = "AF43", 38;
    /// Expedited forwarding (RFC 3246): little delay and loss; voice, control of machines.
    EF = "EF", 46;
    /// Voice that was admitted (RFC 5865).
    VOICE_ADMIT = "VOICE-ADMIT", 44;
}

impl Dscp {
    /// The code point with this number, 0 to 63. The byte of the IP header is four times that.
    ///
    /// # Errors
    /// More than 63: perhaps it is the byte.
    pub fn new(number: u8) -> Result<Self, OutOfRange> {
        if number < 64 {
            Ok(Self(number))
        } else {
            Err(OutOfRange::new("a DSCP", number, "0 to 63; the byte of the IP header is four times that"))
        }
    }

    /// The number, 0 to 63.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The byte of the IP header (TOS, traffic class), without congestion bits: those are TCP's.
    #[cfg(any(unix, test))]
    const fn byte(self) -> u32 {
        (self.0 as u32) << 2
    }
}

impl Display for Dscp {
    /// The name, or the number where there is none.
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match Self::NAMES.iter().find(|(_, named)| named == self) {
            Some((name, _)) => formatter.pad(name),
            None => Display::fmt(&self.0, formatter),
        }
    }
}

impl From<Dscp> for String {
    fn from(dscp: Dscp) -> Self {
        dscp.to_string()
    }
}

impl FromStr for Dscp {
    type Err = OutOfRange;

    /// A name in any case, or a number.
    fn from_str(text: &str) -> Result<Self, OutOfRange> {
        let named = Self::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        match (named, text.parse()) {
            (Some((_, dscp)), _) => Ok(*dscp),
            (None, Ok(number)) => Self::new(number),
            (None, Err(_)) => Err(OutOfRange::new(
                "a DSCP",
                text,
                "a number of 0 to 63, or a name: CS0 to CS7, LE, AF11 to AF43, EF, VOICE-ADMIT",
            )),
        }
    }
}

/// Marks what a socket sends from now on. On a listener it marks the handshakes, and on Linux the accepted connections too;
/// elsewhere set it on each of them.
///
/// A socket for IPv6 that may carry IPv4 (dual stack, `::ffff:192.0.2.7`) is marked for both.
///
/// # Errors
/// [`Error::Unsupported`] on Windows, which accepts the option and ignores it: take a `QosFlow` there. Also where a connection over
/// IPv4 on a socket for IPv6 cannot be marked (macOS). [`Error::System`].
pub fn set_traffic_class<'s>(socket: impl Into<SockRef<'s>>, dscp: Dscp) -> Result<(), Error> {
    let socket = &socket.into();
    match family(socket)? {
        Family::V4 => system::mark_v4(socket, dscp),
        Family::V6 => {
            system::mark_v6(socket, dscp)?;
            // For connections over IPv4, if there are to be some. What it sends itself has a mark already.
            let _v6_only = system::mark_v4(socket, dscp);
            Ok(())
        }
        Family::V4OnV6 => {
            system::mark_v6(socket, dscp)?;
            system::mark_v4(socket, dscp).map_err(|error| match error {
                Error::System { .. } if cfg!(target_vendor = "apple") => Error::Unsupported {
                    setting: Setting::TrafficClass,
                    instead: "take a socket for IPv4: this system doesn't mark IPv4 on a socket for IPv6",
                },
                error => error,
            })
        }
    }
}

/// The mark of what a socket sends.
///
/// # Errors
/// [`Error::Unsupported`] on Windows; [`Error::System`].
pub fn traffic_class<'s>(socket: impl Into<SockRef<'s>>) -> Result<Dscp, Error> {
    let socket = &socket.into();
    let byte = match family(socket)? {
        Family::V4 | Family::V4OnV6 => system::mark_of_v4(socket)?,
        Family::V6 => system::mark_of_v6(socket)?,
    };
    Ok(Dscp((byte >> 2) as u8 & 63))
}

/// By which protocol a socket sends.
enum Family {
    V4,
    V6,
    /// IPv4 on a socket for IPv6.
    V4OnV6,
}

fn family(socket: &SockRef<'_>) -> Result<Family, Error> {
    let local = socket.local_addr().map_err(Error::system(Setting::TrafficClass))?;
    let peer = socket.peer_addr().ok().and_then(|address| address.as_socket());
    Ok(match (local.as_socket(), peer) {
        (Some(SocketAddr::V6(_)), Some(SocketAddr::V6(peer))) if peer.ip().to_ipv4_mapped().is_some() => Family::V4OnV6,
        (Some(SocketAddr::V6(_)), _) => Family::V6,
        (Some(SocketAddr::V4(_)) | None, _) => Family::V4,
    })
}

#[cfg(unix)]
mod system {
    use super::{Dscp, Error, Setting, SockRef};

    pub(super) fn mark_v4(socket: &SockRef<'_>, dscp: Dscp) -> Result<(), Error> {
        socket.set_tos_v4(dscp.byte()).map_err(Error::system(Setting::TrafficClass))
    }

    pub(super) fn mark_v6(socket: &SockRef<'_>, dscp: Dscp) -> Result<(), Error> {
        socket.set_tclass_v6(dscp.byte()).map_err(Error::system(Setting::TrafficClass))
    }

    pub(super) fn mark_of_v4(socket: &SockRef<'_>) -> Result<u32, Error> {
        socket.tos_v4().map_err(Error::system(Setting::TrafficClass))
    }

    pub(super) fn mark_of_v6(socket: &SockRef<'_>) -> Result<u32, Error> {
        socket.tclass_v6().map_err(Error::system(Setting::TrafficClass))
    }
}

#[cfg(windows)]
mod system {
    use super::{Dscp, Error, Setting, SockRef};

    const IGNORED: Error = Error::Unsupported {
        setting: Setting::TrafficClass,
        instead: "Windows ignores it on sockets: mark the connection with a QosFlow, or by a policy of the system",
    };

    pub(super) fn mark_v4(_socket: &SockRef<'_>, _dscp: Dscp) -> Result<(), Error> {
        Err(IGNORED)
    }

    pub(super) fn mark_v6(_socket: &SockRef<'_>, _dscp: Dscp) -> Result<(), Error> {
        Err(IGNORED)
    }

    pub(super) fn mark_of_v4(_socket: &SockRef<'_>) -> Result<u32, Error> {
        Err(IGNORED)
    }

    pub(super) fn mark_of_v6(_socket: &SockRef<'_>) -> Result<u32, Error> {
        Err(IGNORED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_written_and_read_back() {
        for number in 0..64 {
            let dscp = Dscp::new(number).unwrap();
            assert_eq!(dscp.to_string().parse(), Ok(dscp));
            assert_eq!(number.to_string().parse(), Ok(dscp));
            assert_eq!(dscp.byte(), u32::from(number) * 4);
        }
    }

    #[test]
    fn names_are_the_registry_s() {
        assert_eq!("ef".parse(), Ok(Dscp::new(46).unwrap()));
        assert_eq!("af11".parse(), Ok(Dscp::new(10).unwrap()));
        assert_eq!("af43".parse(), Ok(Dscp::new(38).unwrap()));
        // AFxy is 8 x + 2 y, and CSx is 8 x.
        for (name, dscp) in Dscp::NAMES {
            let digits: Vec<u8> = name.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
            match (&name[..2], &digits[..]) {
                ("AF", [class, drop]) => assert_eq!(dscp.number(), 8 * class + 2 * drop, "{name}"),
                ("CS", [class]) => assert_eq!(dscp.number(), 8 * class, "{name}"),
                _ => assert!(["LE", "EF", "VOICE-ADMIT"].contains(name), "{name}"),
            }
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        assert!(Dscp::new(64).unwrap_err().to_string().contains("four times"));
        for text in ["64", "184", "256", "-1", "AF44", "", "best effort"] {
            text.parse::<Dscp>().unwrap_err();
        }
    }
}
