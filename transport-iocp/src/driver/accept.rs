//! Listening, and accepting connections.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::time::Duration;

use pulsewire_protocol::{Instant, Transmit};

use pulsewire_socket::Cause;

use crate::crew::Arrival;
use crate::error::SystemError;
use crate::handler::Handler;
use crate::port::{Addresses, CompletionPort, Token};

use super::Driver;
use super::peer::CANCEL_PATIENCE;
use super::shortage::back_off;
use super::shutdown::Phase;

/// How many accepts are pending on a listener that has little to do, and on one that has much. Each holds a socket.
const FEWEST: usize = 8;
const MOST: usize = 256;

/// After so long without need there are fewer of them.
const CALM: Duration = Duration::from_secs(10);

/// A listener and the accepts that are pending on it.
#[derive(Debug)]
pub(super) struct Acceptor<Listener> {
    address: SocketAddr,
    /// `None` once it was stopped.
    listener: Option<Listener>,
    /// It was stopped, and its accepts have until then to come back.
    stopping: Option<(Listener, Instant)>,
    pending: usize,
    /// How many are to be pending.
    wanted: usize,
    /// When most of them were last needed.
    needed: Instant,
    /// Failures since the last success.
    failures: u32,
    /// Accepts were posted before.
    has_begun: bool,
    /// No accept is posted before, as the last one failed.
    retry: Option<Instant>,
}

impl<Listener> Acceptor<Listener> {
    fn new(listener: Listener, address: SocketAddr) -> Self {
        Self {
            address,
            listener: Some(listener),
            stopping: None,
            pending: 0,
            wanted: FEWEST,
            needed: Instant::ZERO,
            failures: 0,
            has_begun: false,
            retry: None,
        }
    }

    /// Whether nothing of it is left.
    fn is_over(&self) -> bool {
        self.listener.is_none() && self.stopping.is_none() && self.pending == 0
    }

    #[cfg(test)]
    pub(super) fn pending(&self) -> usize {
        self.pending
    }

    /// When accepts have to be posted.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let closing = self.stopping.as_ref().map(|(_, until)| *until);
        self.listener.as_ref().map_or(closing, |_| self.retry)
    }

    /// Stops listening. What is pending comes back, or its socket is closed at `until`.
    pub(super) fn stop<Port: CompletionPort<Listener = Listener>>(&mut self, port: &mut Port, until: Instant) {
        if let Some(listener) = self.listener.take() {
            port.cancel_listener(&listener);
            self.stopping = Some((listener, until));
        }
    }

    /// Closes the socket that no accept holds any more, or has held for too long.
    fn close<Port: CompletionPort<Listener = Listener>>(&mut self, port: &mut Port, now: Instant) {
        if let Some((listener, _)) = self.stopping.take_if(|(_, until)| self.pending == 0 || *until <= now) {
            port.close_listener(listener);
        }
    }

    /// Wants more accepts where most were used in one turn, lest clients wait for the next one. And fewer when that was a while ago.
    fn adapt(&mut self, now: Instant) {
        let most_were_used = self.pending <= self.wanted / 2;
        if most_were_used && self.failures == 0 && std::mem::replace(&mut self.has_begun, true) {
            self.wanted = (self.wanted * 2).min(MOST);
            self.needed = now;
        } else if now - self.needed >= CALM && self.pending < self.wanted {
            self.wanted = (self.wanted / 2).max(FEWEST);
            self.needed = now;
        }
    }

    /// Waits before the next attempt, longer each time: whatever was exhausted must get a chance to recover.
    fn back_off(&mut self, now: Instant) {
        if self.retry.is_none() {
            // Each pending one holds something of what is lacking.
            self.wanted = FEWEST;
            self.retry = Some(now + back_off(self.failures));
            self.failures += 1;
        }
    }
}

impl<Port: CompletionPort<Batch = Transmit>, H: Handler> Driver<Port, H> {
    pub(super) fn listen(&mut self, address: SocketAddr) -> io::Result<SocketAddr> {
        if self.phase != Phase::Running {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let (listener, address) = self.io.port.listen(address, self.options.listen)?;
        let acceptor = Acceptor::new(listener, address);
        // One that has ended, and whose accepts are all back, makes room.
        match self.acceptors.iter_mut().find(|acceptor| acceptor.is_over()) {
            Some(over) => *over = acceptor,
            None => self.acceptors.push(acceptor),
        }
        Ok(address)
    }

    /// Stops listening on an address. Returns whether somebody did.
    pub(super) fn stop_listening(&mut self, address: SocketAddr) -> bool {
        let until = self.now + CANCEL_PATIENCE;
        let mut listening = self.acceptors.iter_mut();
        let Some(acceptor) = listening.find(|it| it.address == address && it.listener.is_some()) else { return false };
        acceptor.stop(&mut self.io.port, until);
        true
    }

    /// Posts the accepts that are missing.
    pub(super) fn post_accepts(&mut self) {
        for (slot, acceptor) in (0..).zip(&mut self.acceptors) {
            acceptor.close(&mut self.io.port, self.now);
            if acceptor.listener.is_none() || acceptor.retry.is_some_and(|retry| retry > self.now) {
                continue;
            }
            acceptor.retry = None;
            acceptor.adapt(self.now);
            let Some(listener) = &acceptor.listener else { continue };
            for _ in acceptor.pending..acceptor.wanted {
                // A listener is replaced when its accepts are back, so one cookie does for all of them.
                self.io.port.accept(listener, Token { slot, cookie: NonZeroU64::MIN });
                self.io.outstanding += 1;
                acceptor.pending += 1;
            }
        }
    }

    /// Takes what other threads have accepted for this one.
    pub(super) fn take_arrivals(&mut self) {
        for arrival in self.crew.arrivals() {
            match self.phase {
                Phase::Running => self.settle(arrival),
                // As one that was accepted when nobody listens any more.
                Phase::Draining { .. } | Phase::Stopping { .. } | Phase::Cutting { .. } => drop(arrival),
            }
        }
    }

    /// Makes an accepted connection one of this thread, for good.
    fn settle(&mut self, arrival: Arrival<Port::Socket>) {
        let Arrival { socket, remote } = arrival;
        let adopted = self.io.port.adopt(&socket).map_err(io::Error::from);
        if let Err(error) = adopted.and_then(|()| self.take_in(socket, remote)) {
            self.service.statistics.unusable += 1;
            if let Some(count) = self.warnings.note(self.now) {
                tracing::warn!(peer = %remote, %error, count, "a connection was dropped");
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
                self.service.statistics.accepted += 1;
                // Whoever has the fewest takes it.
                if let Some(own) = self.crew.hand_on(Arrival { socket, remote: addresses.remote }, self.table.len()) {
                    self.settle(own);
                }
            }
            // That was the client, gone before it was accepted. There is one less of them, so this can't go on for ever.
            Err(error) if is_the_clients(error) => self.service.statistics.accept_failures += 1,
            Err(error) => {
                acceptor.back_off(now);
                self.service.statistics.accept_failures += 1;
                if let Some(count) = self.warnings.note(now) {
                    tracing::warn!(%error, count, "accepting failed; trying again later");
                }
            }
        }
    }
}

/// Whether an accept failed with a connection that broke before, and not for the listener or this host: `ERROR_SEM_TIMEOUT`,
/// `ERROR_CONNECTION_ABORTED`, `WSAECONNABORTED`, `WSAENOTCONN`, and what says that the peer did it.
fn is_the_clients(error: SystemError) -> bool {
    matches!(error.cause(), Cause::Reset | Cause::PeerEnded) || matches!(error.code(), 121 | 1236 | 10053 | 10057)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_wait_longer_and_longer_up_to_a_second() {
        let mut acceptor = Acceptor::new((), SocketAddr::from(([127, 0, 0, 1], 1)));
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
