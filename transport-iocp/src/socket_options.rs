//! Options of the sockets below.

use std::io;
use std::num::NonZeroU32;

use crate::error::SystemError;
use crate::port::CompletionPort;
use pulsewire_policy::Joining;
#[cfg(windows)]
use pulsewire_socket::TrafficType;
use pulsewire_socket::{Keepalive, ListenOptions};

/// What [`SocketOptions::largest_send`] may be.
const LEAST_SEND: u32 = 1 << 10;
const MOST_SEND: u32 = 16 << 20;

/// What the transport sets on every socket that it opens or accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// Send small segments at once (`TCP_NODELAY`). The transport joins small messages itself (PW-TCP-002). Default: on.
    pub no_delay: bool,
    /// The operating system's own probing, beside Pulsewire's heartbeat. Default: off, since the heartbeat does more.
    pub keepalive: Option<Keepalive>,
    /// How many sent bytes the system may hold (`SO_SNDBUF`), in bytes. More of them would delay each PING behind them, and a
    /// slow link that only takes would look dead (PW-TCP-003). `None` leaves it to the system, which is right where links
    /// are fast and long. At most `i32::MAX`, which is all that the option can say. Default: 128 KiB.
    pub send_buffer: Option<u32>,
    /// How much one send takes at most, in bytes, and how much of what waits behind it a PING and its answer can't overtake. What is
    /// less costs more calls of the system: 8 KiB is much for messages that must be quick, and little for files. 1 KiB to 16 MiB,
    /// default 128 KiB.
    pub largest_send: u32,
    /// Another send is started while those that the system has not finished hold fewer bytes than this. 0: one at a time. With a
    /// [`send_buffer`](Self::send_buffer) of 0 the system copies nothing, and a send is finished when the peer's host has all of it:
    /// then this is what keeps a long link busy, and what a PING has to wait behind. Default: 0.
    pub send_ahead: u32,
    /// When messages that other threads send are written. What a handler sends in one turn is always joined. Default: at once.
    pub joining: Joining,
    /// Has operations that are done at once come back without a detour through the queue of the completion port
    /// (`FILE_SKIP_COMPLETION_PORT_ON_SUCCESS`), so many in each direction of one connection before the others have their turn again.
    /// Each connection is asked whether its sockets offer that; where a provider is layered above the system's they don't, and all is
    /// as without. It saves calls of the system. Whether it saves time depends on the load: measure. Default: off.
    pub skip_on_success: Option<NonZeroU32>,
    /// Has the packets of every connection marked for routers and switches, by the quality of service of Windows
    /// ([`Qos`](pulsewire_socket::Qos)), whose service has to run: an endpoint does not start without. A connection that the system
    /// can't mark, such as one within this machine, goes on unmarked. There is no other way on Windows, which ignores the option of
    /// sockets for that. Default: none.
    #[cfg(windows)]
    pub traffic_type: Option<TrafficType>,
    /// How an endpoint listens: how many connections may wait to be accepted, and whether `[::]` takes IPv4 too. Default: as many as
    /// the system lets, and no.
    pub listen: ListenOptions,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            no_delay: true,
            keepalive: None,
            send_buffer: Some(128 << 10),
            largest_send: 128 << 10,
            send_ahead: 0,
            joining: Joining::Immediate,
            skip_on_success: None,
            #[cfg(windows)]
            traffic_type: None,
            listen: ListenOptions::default(),
        }
    }
}

impl SocketOptions {
    /// Checks every number against its range, as `Endpoint::start` does.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`], which names the option and what it may be.
    pub fn validate(&self) -> io::Result<()> {
        let refuse = |what| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        match self.send_buffer {
            Some(bytes) if i32::try_from(bytes).is_err() => {
                return refuse(format!("a send buffer of {bytes} bytes is out of range: at most {}", i32::MAX));
            }
            Some(_) | None => {}
        }
        match self.largest_send {
            LEAST_SEND..=MOST_SEND => Ok(()),
            bytes => refuse(format!("sends of {bytes} bytes are out of range: {LEAST_SEND} to {MOST_SEND}")),
        }
    }

    /// Sets them on a connection that was accepted or is connected.
    pub(crate) fn apply<Port: CompletionPort>(
        &self,
        port: &mut Port,
        socket: &Port::Socket,
    ) -> Result<(), SystemError> {
        if self.skip_on_success.is_some() && !port.skip_on_success(socket) {
            tracing::debug!("the sockets of this system do not skip the completion port");
        }
        port.set_no_delay(socket, self.no_delay)?;
        if let Some(bytes) = self.send_buffer {
            port.set_send_buffer(socket, bytes)?;
        }
        self.keepalive.map_or(Ok(()), |keepalive| port.set_keepalive(socket, keepalive))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_is_refused() {
        let with = |send_buffer| SocketOptions { send_buffer, ..SocketOptions::default() };
        let most = i32::MAX.cast_unsigned();
        for fine in [None, Some(0), Some(most)] {
            with(fine).validate().unwrap();
        }
        let sends = |largest_send| SocketOptions { largest_send, ..SocketOptions::default() };
        assert!([LEAST_SEND, MOST_SEND].map(sends).iter().all(|fine| fine.validate().is_ok()));
        for bytes in [0, LEAST_SEND - 1, MOST_SEND + 1] {
            let error = sends(bytes).validate().unwrap_err();
            assert!(error.kind() == io::ErrorKind::InvalidInput && error.to_string().contains(&bytes.to_string()));
        }
        for bytes in [most + 1, u32::MAX] {
            let error = with(Some(bytes)).validate().unwrap_err();
            assert!(error.kind() == io::ErrorKind::InvalidInput && error.to_string().contains(&bytes.to_string()));
        }
    }
}
