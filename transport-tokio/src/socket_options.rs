//! Options of the sockets below.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// What the transport sets on every socket that it opens or accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketOptions {
    /// Send small segments at once (`TCP_NODELAY`). The transport joins small messages itself (PW-TCP-002). Default: on.
    pub no_delay: bool,
    /// The operating system's own probing, beside Pulsewire's heartbeat. Default: off, since the heartbeat does more.
    pub keepalive: Option<Keepalive>,
    /// How many unsent bytes the kernel may hold, in bytes (`TCP_NOTSENT_LOWAT`; where the system or `socket2` lacks that,
    /// the whole send buffer, `SO_SNDBUF`, which is said once as a warning). More of them would delay each PING behind them. On Linux the transport knows what
    /// the peer's host has acknowledged; elsewhere a slow link that only takes would look dead (PW-TCP-003, PW-TCP-005).
    /// Default: 128 KiB.
    pub unsent_max: Option<u32>,
    /// Give up when sent data stays unacknowledged for this long (`TCP_USER_TIMEOUT`; Linux and Android). Keepalive does not
    /// notice a dead network while data is in flight; this does. Default: the system's, some 15 minutes.
    pub user_timeout: Option<Duration>,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self { no_delay: true, keepalive: None, unsent_max: Some(128 << 10), user_timeout: None }
    }
}

/// The three numbers of TCP keepalive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first probe. Whole seconds on most systems; a part of a second is rounded up.
    pub idle: Duration,
    /// Between probes. Rounded likewise.
    pub interval: Duration,
    /// Unanswered probes until the connection is reset. Windows before version 10 (1703) has a fixed count and ignores it.
    pub probes: u32,
}

/// Turns on the operating system's keepalive on any TCP socket: for peers whose protocol can't be changed.
///
/// Set it on the connected or accepted socket; one set on a listening socket is not inherited everywhere. It notices a
/// machine or network that vanished while nothing is being sent. It does not notice a process that hangs, and while data is
/// in flight it is suspended: see [`SocketOptions::user_timeout`].
///
/// ```no_run
/// use std::time::Duration;
/// use pulsewire_transport_tokio::{Keepalive, set_keepalive};
///
/// let device = std::net::TcpStream::connect("192.0.2.7:4352")?;
/// let keepalive = Keepalive { idle: Duration::from_secs(5), interval: Duration::from_secs(2), probes: 3 };
/// set_keepalive(&device, keepalive)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// What the operating system says; a zero number is refused.
#[cfg(unix)]
pub fn set_keepalive(socket: &impl std::os::fd::AsFd, keepalive: Keepalive) -> io::Result<()> {
    apply_keepalive(&SockRef::from(socket), keepalive)
}

/// Turns on the operating system's keepalive on any TCP socket: for peers whose protocol can't be changed.
///
/// Set it on the connected or accepted socket. It notices a machine or network that vanished while nothing is being sent.
///
/// # Errors
/// What the operating system says; a zero number is refused.
#[cfg(windows)]
pub fn set_keepalive(socket: &impl std::os::windows::io::AsSocket, keepalive: Keepalive) -> io::Result<()> {
    apply_keepalive(&SockRef::from(socket), keepalive)
}

fn apply_keepalive(socket: &SockRef<'_>, keepalive: Keepalive) -> io::Result<()> {
    let Keepalive { idle, interval, probes } = keepalive;
    if idle.is_zero() || interval.is_zero() || probes == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "keepalive: idle, interval and probes must not be 0"));
    }
    let base = TcpKeepalive::new().with_time(round_up(idle)).with_interval(round_up(interval));
    match socket.set_tcp_keepalive(&base.clone().with_retries(probes)) {
        // The count is an option of its own, which not every Windows has.
        Err(_) if cfg!(windows) => socket.set_tcp_keepalive(&base),
        result => result,
    }
}

/// Unix counts seconds, and would take a part of one for 0.
fn round_up(duration: Duration) -> Duration {
    if cfg!(windows) || duration.subsec_nanos() == 0 { duration } else { Duration::from_secs(duration.as_secs() + 1) }
}

impl SocketOptions {
    /// Sets all of them on a connected or accepted socket. Endpoints do it themselves.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn apply(&self, socket: &tokio::net::TcpStream) -> io::Result<()> {
        let socket = SockRef::from(socket);
        socket.set_tcp_nodelay(self.no_delay)?;
        if let Some(keepalive) = self.keepalive {
            apply_keepalive(&socket, keepalive)?;
        }
        self.apply_platform(&socket)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn apply_platform(&self, socket: &SockRef<'_>) -> io::Result<()> {
        if let Some(unsent_max) = self.unsent_max {
            limit_unsent(
                unsent_max,
                |most| socket.set_tcp_notsent_lowat(most),
                |most| socket.set_send_buffer_size(most as usize),
            )?;
        }
        if let Some(user_timeout) = self.user_timeout {
            socket.set_tcp_user_timeout(Some(user_timeout))?;
        }
        Ok(())
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn apply_platform(&self, socket: &SockRef<'_>) -> io::Result<()> {
        self.unsent_max.map_or(Ok(()), |unsent_max| socket.set_send_buffer_size(unsent_max as usize))
    }
}

/// Limits what the system holds. One that lacks the exact option (an old kernel, WSL1, some sandboxes) limits its whole buffer, as
/// other systems do: it must not refuse every connection for what nobody may have asked for.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn limit_unsent(
    most: u32,
    exactly: impl FnOnce(u32) -> io::Result<()>,
    roughly: impl FnOnce(u32) -> io::Result<()>,
) -> io::Result<()> {
    static SAID: std::sync::Once = std::sync::Once::new();
    exactly(most).or_else(|error| {
        SAID.call_once(|| tracing::warn!(%error, "no TCP_NOTSENT_LOWAT here: the send buffer is limited instead"));
        roughly(most)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_system_without_the_exact_limit_gets_the_rough_one() {
        let lacks = |_| Err(io::Error::from_raw_os_error(libc::ENOPROTOOPT));
        let mut limited = 0;
        let roughly = |most| {
            limited = most;
            Ok(())
        };
        limit_unsent(1_000, lacks, roughly).unwrap();
        assert_eq!(limited, 1_000);
        limit_unsent(1_000, |_| Ok(()), |_| panic!("the exact one is there")).unwrap();
    }

    #[test]
    fn parts_of_a_second_are_rounded_up() {
        assert_eq!(round_up(Duration::from_secs(3)), Duration::from_secs(3));
        if !cfg!(windows) {
            assert_eq!(round_up(Duration::from_millis(1)), Duration::from_secs(1));
        }
    }

    #[test]
    fn zero_is_refused() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let keepalive = Keepalive { idle: Duration::ZERO, interval: Duration::from_secs(1), probes: 1 };
        assert_eq!(set_keepalive(&socket, keepalive).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
