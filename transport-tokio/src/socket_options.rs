//! Options of the sockets below.

use std::io;
use std::num::NonZeroU32;
use std::sync::Once;
use std::time::Duration;

use pulsewire_policy::Joining;
use pulsewire_protocol::{ConfigError, check_range};
use pulsewire_socket::{
    Error, Keepalive, ListenOptions, UnsentLimit, UserTimeout, limit_unsent, set_keepalive, set_user_timeout,
};
use socket2::SockRef;

/// What the transport sets on every socket that it opens or accepts.
///
/// With the feature `serde` they can be read; a keepalive or a user timeout that no system takes is refused then.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct SocketOptions {
    /// Send small segments at once (`TCP_NODELAY`). The transport joins small messages itself (PW-TCP-002). Default: on.
    pub no_delay: bool,
    /// When what tasks send is written: each message at once, or joined with others for a while. Default: at once.
    pub joining: Joining,
    /// The operating system's own probing, beside Pulsewire's heartbeat. Default: off, since the heartbeat does more.
    pub keepalive: Option<Keepalive>,
    /// How many unsent bytes the kernel may hold (`TCP_NOTSENT_LOWAT`). More of them would delay each PING behind them. A system
    /// without that option limits its whole send buffer instead (`SO_SNDBUF`): Windows always, others with a warning that is
    /// given once. At most 2,147,483,647, which is what systems take. On Linux and macOS the transport knows what the peer's host has acknowledged; elsewhere a slow link that only
    /// takes would look dead (PW-TCP-003, PW-TCP-005). Default: 128 KiB.
    pub unsent_max: Option<NonZeroU32>,
    /// Give up when sent data stays unacknowledged for this long. Keepalive does not notice a dead network while data is in flight;
    /// this does. A system that lacks it refuses each connection. Default: the system's, some 15 minutes on Linux.
    #[cfg_attr(feature = "serde", serde(rename = "user_timeout_ms"))]
    pub user_timeout: Option<UserTimeout>,
    /// How an endpoint listens: how many connections may wait to be accepted, and whether `[::]` takes IPv4 too. Default: as many as
    /// the system lets, and no.
    pub listen: ListenOptions,
    /// How long opening a TCP connection may take, over all addresses of a name; the handshake has its own limit behind it
    /// (`timeouts.handshake`). The system's own limit is minutes. 1 ms to 1 h, default 10 s.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "connect_timeout_ms", with = "pulsewire_protocol::representation::milliseconds")
    )]
    pub connect_timeout: Duration,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            no_delay: true,
            joining: Joining::Immediate,
            keepalive: None,
            unsent_max: NonZeroU32::new(128 << 10),
            user_timeout: None,
            listen: ListenOptions::default(),
            connect_timeout: Duration::from_secs(10),
        }
    }
}

impl SocketOptions {
    /// Checks every number against its range: what is wrong then fails here, and not at each connection. An [`Endpoint`] refuses to
    /// listen and to connect with what does not pass; the times of [`Keepalive`] and [`UserTimeout`] were checked when they were made.
    ///
    /// # Errors
    /// [`ConfigError`] names the first field that is wrong, and what it may hold.
    ///
    /// [`Endpoint`]: crate::Endpoint
    pub fn validate(&self) -> Result<(), ConfigError> {
        let (shortest, longest) = (Duration::from_millis(1), Duration::from_secs(3_600));
        check_range("connect_timeout", self.connect_timeout, shortest, longest, "1 ms to 1 h")?;
        let unsent = self.unsent_max.map_or(1, NonZeroU32::get);
        check_range("unsent_max", unsent, 1, i32::MAX as u32, "1 to 2,147,483,647")
    }

    /// The same as an error of the system.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.validate().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }

    /// Sets all of them on a connected or accepted socket. Endpoints do it themselves.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn apply(&self, socket: &tokio::net::TcpStream) -> io::Result<()> {
        SockRef::from(socket).set_tcp_nodelay(self.no_delay)?;
        if let Some(keepalive) = self.keepalive {
            match set_keepalive(socket, keepalive) {
                // It is over already. Receiving tells how it ended.
                Ok(_) | Err(Error::NotEstablished { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(bytes) = self.unsent_max {
            tell_once(&limit_unsent(socket, bytes)?);
        }
        if let Some(timeout) = self.user_timeout {
            set_user_timeout(socket, timeout)?;
        }
        Ok(())
    }
}

/// A system that lacks the exact limit lacks it at each connection. Windows always does, which needs no warning.
fn tell_once(limit: &UnsentLimit) {
    static SAID: Once = Once::new();
    match limit {
        UnsentLimit::Exact => {}
        UnsentLimit::SendBuffer { .. } if cfg!(windows) => {}
        UnsentLimit::SendBuffer { bytes, reason } => SAID.call_once(|| {
            tracing::warn!(%reason, bytes, "no TCP_NOTSENT_LOWAT here: the send buffer is limited instead");
        }),
    }
}
