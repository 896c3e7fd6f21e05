//! The operating system's own probing of an idle connection.

use std::time::Duration;

#[cfg(windows)]
use {
    socket2::{SockRef, TcpKeepalive},
    std::{io, os::windows::io::AsSocket},
};

/// When the operating system probes an idle TCP connection, and when it gives up.
///
/// It is the means for a peer whose protocol cannot be changed. Where both ends speak Pulsewire the heartbeat of the
/// protocol notices more, and sooner. The traps:
///
/// - Units differ between systems: Windows counts milliseconds, others seconds. Here they are in the types.
/// - It belongs on the connection: set it on each accepted socket, and on a connecting one once it is connected. What
///   is set on the listening socket, or before connecting, may be lost.
/// - It only runs while the connection is idle. With unacknowledged data under way the system retransmits instead, and
///   gives up much later.
/// - It finds a peer that vanished: power, cable, network. A peer process that exits ends the connection anyway.
/// - A probe is answered by the peer's system. It says nothing about the peer's program, which may hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// The silence before the first probe. The system's default is 2 hours.
    pub idle: Duration,
    /// The time between probes that stay unanswered. The system's default is 1 second.
    pub interval: Duration,
    /// How many unanswered probes end the connection, where the system lets it be chosen: Windows 10 version 1703 and
    /// later. Older ones ignore it and take 10 (before Windows Vista: 5). `None` leaves it to the system.
    pub probes: Option<u32>,
}

impl Keepalive {
    /// Whether both times can be expressed: at least 1 and at most 4,294,967,294 ms, in whole milliseconds rounded up.
    #[cfg(windows)]
    fn in_whole_milliseconds(self) -> io::Result<(Duration, Duration)> {
        let whole = |time: Duration, name: &str| {
            let rounded = Duration::from_millis(u64::from(crate::timeout::milliseconds(Some(time))));
            if time.is_zero() || time > rounded {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("keepalive {name} out of range")));
            }
            Ok(rounded)
        };
        Ok((whole(self.idle, "idle time")?, whole(self.interval, "interval")?))
    }

    /// Finds values that no socket would take.
    #[cfg(windows)]
    pub(crate) fn check(self) -> io::Result<()> {
        self.in_whole_milliseconds().map(drop)
    }
}

/// Turns on the operating system's keepalive for any TCP socket, one of this crate's or not.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidInput`] for a time of zero or of more than 49 days; otherwise what the system reports. A
/// system that does not let [`Keepalive::probes`] be chosen is no error.
#[cfg(windows)]
pub fn set_keepalive(socket: &impl AsSocket, keepalive: Keepalive) -> io::Result<()> {
    let (idle, interval) = keepalive.in_whole_milliseconds()?;
    let times = TcpKeepalive::new().with_time(idle).with_interval(interval);
    let socket = SockRef::from(socket);
    socket.set_tcp_keepalive(&times)?;
    if let Some(probes) = keepalive.probes {
        // Not every version of the system has this option, and the times work without it.
        let _unsupported = socket.set_tcp_keepalive(&times.with_retries(probes));
    }
    Ok(())
}

#[cfg(all(test, windows))]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    const KEEPALIVE: Keepalive =
        Keepalive { idle: Duration::from_secs(5), interval: Duration::from_millis(1500), probes: Some(3) };

    #[test]
    fn it_can_be_set_on_both_ends_of_any_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        for socket in [&connected, &accepted] {
            set_keepalive(socket, KEEPALIVE).unwrap();
            assert!(SockRef::from(socket).keepalive().unwrap());
        }
    }

    #[test]
    fn times_that_the_system_cannot_express_are_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        for time in [Duration::ZERO, Duration::from_millis(1 << 32), Duration::MAX] {
            for keepalive in [Keepalive { idle: time, ..KEEPALIVE }, Keepalive { interval: time, ..KEEPALIVE }] {
                let error = set_keepalive(&listener, keepalive).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{keepalive:?}");
            }
        }
    }
}
