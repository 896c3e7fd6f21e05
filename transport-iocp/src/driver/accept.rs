//! Listening, and accepting connections.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::time::Duration;

use pulsewire_protocol::{Instant, Role, Transmit};

use crate::error::{ConnectionEnd, SystemError};
use crate::handler::Handler;
use crate::port::{Addresses, CompletionPort, Token};

use super::Driver;
use super::peer::Stage;
use super::shutdown::Phase;

/// How many accepts are pending on a listener.
const PENDING: usize = 8;

/// The wait after a first failure to accept, and the longest.
const RETRY_FIRST: Duration = Duration::from_millis(10);
const RETRY_MAX: Duration = Duration::from_secs(1);

/// A listener and the accepts that are pending on it.
#[derive(Debug)]
pub(super) struct Acceptor<Listener> {
    /// `None` once it was stopped.
    listener: Option<Listener>,
    pending: usize,
    /// Failures since the last success.
    failures: u32,
    /// No accept is posted before, as the last one failed.
    retry: Option<Instant>,
}

impl<Listener> Acceptor<Listener> {
    #[cfg(test)]
    pub(super) fn pending(&self) -> usize {
        self.pending
    }

    /// When accepts have to be posted.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.listener.as_ref().and(self.retry)
    }

    /// Stops listening. What is pending comes back.
    pub(super) fn stop(&mut self) {
        self.listener = None;
    }

    /// Waits before the next attempt, longer each time: whatever was exhausted must get a chance to recover.
    fn back_off(&mut self, now: Instant) {
        if self.retry.is_none() {
            self.retry = Some(now + (RETRY_FIRST * 2_u32.pow(self.failures.min(16))).min(RETRY_MAX));
            self.failures += 1;
        }
    }
}

impl<Port: CompletionPort<Batch = Transmit>, H: Handler> Driver<Port, H> {
    pub(super) fn listen(&mut self, address: SocketAddr) -> io::Result<SocketAddr> {
        if self.phase != Phase::Running {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let (listener, address) = self.io.port.listen(address)?;
        self.acceptors.push(Acceptor { listener: Some(listener), pending: 0, failures: 0, retry: None });
        Ok(address)
    }

    /// Posts the accepts that are missing.
    pub(super) fn post_accepts(&mut self) {
        for (slot, acceptor) in (0..).zip(&mut self.acceptors) {
            let Some(listener) = &acceptor.listener else { continue };
            if acceptor.retry.is_some_and(|retry| retry > self.now) {
                continue;
            }
            acceptor.retry = None;
            for _ in acceptor.pending..PENDING {
                // Listeners are never replaced, so one cookie does for all of them.
                self.io.port.accept(listener, Token { slot, cookie: NonZeroU64::MIN });
                self.io.outstanding += 1;
                acceptor.pending += 1;
            }
        }
    }

    pub(super) fn accepted(&mut self, slot: u32, outcome: Result<(Port::Socket, Addresses), SystemError>) {
        let now = self.now;
        let Some(acceptor) = self.acceptors.get_mut(slot as usize) else { return };
        acceptor.pending -= 1;
        if acceptor.listener.is_none() {
            return;
        }
        match outcome {
            Ok((socket, addresses)) => {
                acceptor.failures = 0;
                if let Err(error) = self.admit(socket, addresses.remote) {
                    tracing::warn!(peer = %addresses.remote, %error, "a connection was dropped");
                }
            }
            // That was the client, gone before it was accepted. There is one less of them, so this can't go on for ever.
            Err(error) if error.end() == ConnectionEnd::Reset => {}
            Err(error) => {
                tracing::warn!(%error, "accepting failed; trying again later");
                acceptor.back_off(now);
            }
        }
    }

    /// Takes in a connection whose handshake is still to come.
    fn admit(&mut self, socket: Port::Socket, remote: SocketAddr) -> io::Result<()> {
        self.options.apply(&mut self.io.port, &socket)?;
        let id = self.insert(Role::Server, remote)?;
        if let Some(mut connection) = self.table.get_mut(id) {
            connection.data().stage = Stage::Open(socket);
        }
        self.touch(id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_wait_longer_and_longer_up_to_a_second() {
        let mut acceptor = Acceptor { listener: Some(()), pending: 0, failures: 0, retry: None };
        let mut waits = Vec::new();
        for _ in 0..40 {
            // The others of the same batch change nothing.
            acceptor.back_off(Instant::ZERO);
            acceptor.back_off(Instant::ZERO);
            waits.push((acceptor.retry.take().unwrap() - Instant::ZERO).as_millis());
        }
        assert_eq!(waits[..8], [10, 20, 40, 80, 160, 320, 640, 1000]);
        assert_eq!(waits[39], 1000);
    }
}
