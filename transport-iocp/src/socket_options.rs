//! Options of the sockets below.

use crate::error::SystemError;
use crate::keepalive::Keepalive;
use crate::port::CompletionPort;

/// What the transport sets on every socket that it opens or accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// Send small segments at once (`TCP_NODELAY`). The transport joins small messages itself (PW-TCP-002). Default: on.
    pub no_delay: bool,
    /// The operating system's own probing, beside Pulsewire's heartbeat. Default: off, since the heartbeat does more.
    pub keepalive: Option<Keepalive>,
    /// How many sent bytes the system may hold (`SO_SNDBUF`), in bytes. More of them would delay each PING behind them, and a
    /// slow link that only takes would look dead (PW-TCP-003). `None` leaves it to the system, which is right where links
    /// are fast and long. Default: 128 KiB.
    pub send_buffer: Option<u32>,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self { no_delay: true, keepalive: None, send_buffer: Some(128 << 10) }
    }
}

impl SocketOptions {
    /// Finds values that no socket would take, before there is one.
    #[cfg(windows)]
    pub(crate) fn check(&self) -> std::io::Result<()> {
        self.keepalive.map_or(Ok(()), Keepalive::check)
    }

    /// Sets them on a connection that was accepted or is connected.
    pub(crate) fn apply<Port: CompletionPort>(
        &self,
        port: &mut Port,
        socket: &Port::Socket,
    ) -> Result<(), SystemError> {
        port.set_no_delay(socket, self.no_delay)?;
        if let Some(bytes) = self.send_buffer {
            port.set_send_buffer(socket, bytes)?;
        }
        self.keepalive.map_or(Ok(()), |keepalive| port.set_keepalive(socket, keepalive))
    }
}
