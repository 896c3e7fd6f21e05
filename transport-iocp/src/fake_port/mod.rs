//! A completion port in memory, for tests on every system: all outcomes that the real one may have, in any order that
//! it may have them in, chosen by a seed.
//!
//! - Of the operations that can finish, each wait finishes some, in an order of its own. The bytes of one direction
//!   stay in order, as there is one operation on them at a time.
//! - Receives are short, sends are partial, and an operation that was cancelled may have succeeded before.
//! - Time is virtual. A wait that finds nothing to finish moves it on by the whole timeout, at once.
//! - Faults are injected through [`FakeNetwork`].

mod network;
mod random;
mod seeds;
mod tests;

use crate::error::SystemError;
use crate::keepalive::Keepalive;
use crate::port::{Completion, CompletionPort, GatherBuffer, Token};
use crate::socket_options::SocketOptions;
use bytes::BytesMut;
use network::{Inbound, Network, Outbound, SocketNumber};
pub(crate) use random::Random;
pub(crate) use seeds::for_each_seed;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

/// A network in memory, with one virtual time for all of its ports.
pub(crate) struct FakeNetwork(Rc<RefCell<Network>>);

impl FakeNetwork {
    /// Makes a network in which everything that may vary is chosen by `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Rc::new(RefCell::new(Network::new(seed))))
    }

    /// Makes another port. Sockets of different ports reach each other.
    pub(crate) fn port<Batch: GatherBuffer>(&self) -> FakePort<Batch> {
        FakePort { network: Rc::clone(&self.0), pending: Vec::new(), delivered: 0, waker: Arc::default() }
    }

    /// Resets a connection, at both ends: what was not received yet is lost.
    pub(crate) fn reset(&self, socket: &FakeSocket) {
        self.0.borrow_mut().reset(socket.0.number);
    }

    /// Cuts the cable of a connection: nothing passes any more, and nobody is told.
    pub(crate) fn cut(&self, socket: &FakeSocket) {
        self.0.borrow_mut().cut(socket.0.number);
    }

    /// Makes TCP give up on the peer of this socket.
    pub(crate) fn give_up(&self, socket: &FakeSocket) {
        self.0.borrow_mut().fail(socket.0.number, SystemError::SEM_TIMEOUT);
    }

    /// From now on each receive takes all that there is, and each send all that fits.
    pub(crate) fn move_bytes_whole(&self) {
        self.0.borrow_mut().cuts_short = false;
    }

    /// Makes every accept fail at once, until it is called with `None`.
    pub(crate) fn fail_accepts(&self, error: Option<SystemError>) {
        self.0.borrow_mut().accept_failure = error;
    }

    /// What was set on the connected sockets that are open: no-delay and keepalive.
    pub(crate) fn options_set(&self) -> Vec<SocketOptions> {
        self.0.borrow().options_set()
    }

    /// Makes an address swallow every attempt to connect to it.
    pub(crate) fn make_unreachable(&self, address: SocketAddr) {
        self.0.borrow_mut().make_unreachable(address);
    }
}

/// An open socket, shared by its owner and the operations that are pending on it. The last of them closes it.
struct OpenSocket {
    network: Rc<RefCell<Network>>,
    number: SocketNumber,
    /// Its owner dropped it.
    cancelled: Cell<bool>,
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.network.borrow_mut().close(self.number);
    }
}

/// A socket of the fake port, listening or not.
pub(crate) struct FakeSocket(Rc<OpenSocket>);

impl Drop for FakeSocket {
    fn drop(&mut self) {
        self.0.cancelled.set(true);
    }
}

/// The completion port of a [`FakeNetwork`], for operations that send `Batch`.
pub(crate) struct FakePort<Batch> {
    network: Rc<RefCell<Network>>,
    pending: Vec<Pending<Batch>>,
    delivered: usize,
    waker: Arc<FakeWaker>,
}

#[derive(Default)]
struct FakeWaker(AtomicBool);

impl Wake for FakeWaker {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

struct Pending<Batch> {
    token: Token,
    socket: Rc<OpenSocket>,
    resources: Resources<Batch>,
}

enum Resources<Batch> {
    Accept,
    Connect { remote: SocketAddr },
    Receive { buffer: BytesMut, limit: usize },
    Send { batch: Batch },
}

impl<Batch: GatherBuffer> FakePort<Batch> {
    /// How many operations have not come back yet.
    pub(crate) fn outstanding(&self) -> usize {
        self.pending.len()
    }

    /// How many operations have come back so far.
    pub(crate) fn delivered(&self) -> usize {
        self.delivered
    }

    fn open(&self, number: SocketNumber) -> FakeSocket {
        FakeSocket(Rc::new(OpenSocket { network: Rc::clone(&self.network), number, cancelled: Cell::new(false) }))
    }

    fn submit(&mut self, token: Token, socket: &FakeSocket, resources: Resources<Batch>) {
        self.pending.push(Pending { token, socket: Rc::clone(&socket.0), resources });
    }

    fn is_pending(&self, socket: &FakeSocket, same_kind: impl Fn(&Resources<Batch>) -> bool) -> bool {
        self.pending.iter().any(|pending| Rc::ptr_eq(&pending.socket, &socket.0) && same_kind(&pending.resources))
    }

    /// Whether an operation has an outcome by itself, without being cancelled.
    fn can_finish(&self, pending: &Pending<Batch>) -> bool {
        let (network, number) = (&mut *self.network.borrow_mut(), pending.socket.number);
        match &pending.resources {
            Resources::Accept => network.accept_failure.is_some() || network.has_backlog(number),
            Resources::Connect { remote } => !network.is_unreachable(*remote),
            Resources::Receive { .. } => !matches!(network.inbound(number), Inbound::Nothing),
            Resources::Send { .. } => !matches!(network.outbound(number), Outbound::Full),
        }
    }

    /// Finishes an operation, which must have an outcome or have been cancelled.
    fn finish(&self, pending: Pending<Batch>) -> Completion<FakeSocket, Batch> {
        let succeeds = self.can_finish(&pending) && !(pending.socket.cancelled.get() && self.flip());
        let allowed = if succeeds { Ok(()) } else { Err(SystemError::OPERATION_ABORTED) };
        let Pending { token, socket, resources } = pending;
        let completion = match resources {
            Resources::Accept => {
                let accepted = allowed.and_then(|()| self.network.borrow_mut().accept(socket.number));
                let outcome = accepted.map(|(number, addresses)| (self.open(number), addresses));
                Completion::Accepted { token, outcome }
            }
            Resources::Connect { remote } => {
                let outcome = allowed.and_then(|()| self.network.borrow_mut().connect(socket.number, remote));
                Completion::Connected { token, outcome }
            }
            Resources::Receive { mut buffer, limit } => {
                let outcome =
                    allowed.and_then(|()| self.network.borrow_mut().receive(socket.number, &mut buffer, limit));
                Completion::Received { token, buffer, outcome }
            }
            Resources::Send { batch } => {
                let outcome = allowed.and_then(|()| self.network.borrow_mut().send(socket.number, &batch));
                Completion::Sent { token, batch, outcome }
            }
        };
        // Only now, with nothing of the network borrowed, may the last share of a socket go.
        drop(socket);
        completion
    }

    fn flip(&self) -> bool {
        self.network.borrow_mut().random.flip()
    }
}

impl<Batch: GatherBuffer> CompletionPort for FakePort<Batch> {
    type Batch = Batch;
    type Listener = FakeSocket;
    type Socket = FakeSocket;

    fn now(&self) -> Duration {
        self.network.borrow().now
    }

    fn listen(&mut self, address: SocketAddr) -> Result<(FakeSocket, SocketAddr), SystemError> {
        let (number, address) = self.network.borrow_mut().listen(address)?;
        Ok((self.open(number), address))
    }

    fn accept(&mut self, listener: &FakeSocket, token: Token) {
        self.submit(token, listener, Resources::Accept);
    }

    fn connect(&mut self, remote: SocketAddr, token: Token) -> Result<FakeSocket, SystemError> {
        let number = self.network.borrow_mut().open();
        let socket = self.open(number);
        self.submit(token, &socket, Resources::Connect { remote });
        Ok(socket)
    }

    fn receive(&mut self, socket: &FakeSocket, buffer: BytesMut, limit: usize, token: Token) {
        assert!(limit > 0 && buffer.len() < buffer.capacity(), "a receive needs room");
        let second = self.is_pending(socket, |resources| matches!(resources, Resources::Receive { .. }));
        assert!(!second, "a second receive on one socket has no defined order");
        self.submit(token, socket, Resources::Receive { buffer, limit });
    }

    fn send(&mut self, socket: &FakeSocket, batch: Batch, token: Token) {
        let second = self.is_pending(socket, |resources| matches!(resources, Resources::Send { .. }));
        assert!(!second, "a second send on one socket has no defined order");
        self.submit(token, socket, Resources::Send { batch });
    }

    fn shut_down_send(&mut self, socket: &FakeSocket) -> Result<(), SystemError> {
        self.network.borrow_mut().shut_down_send(socket.0.number)
    }

    fn set_no_delay(&mut self, socket: &FakeSocket, no_delay: bool) -> Result<(), SystemError> {
        self.network.borrow_mut().set_no_delay(socket.0.number, no_delay)
    }

    fn set_send_buffer(&mut self, socket: &FakeSocket, bytes: u32) -> Result<(), SystemError> {
        self.network.borrow_mut().set_send_buffer(socket.0.number, bytes)
    }

    fn set_keepalive(&mut self, socket: &FakeSocket, keepalive: Keepalive) -> Result<(), SystemError> {
        self.network.borrow_mut().set_keepalive(socket.0.number, keepalive)
    }

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        completions: &mut Vec<Completion<FakeSocket, Batch>>,
    ) -> Result<(), SystemError> {
        let woken = self.waker.0.swap(false, Ordering::AcqRel);
        if woken {
            completions.push(Completion::Woken);
        }
        let mut finished = 0;
        loop {
            let able = |pending: &Pending<Batch>| pending.socket.cancelled.get() || self.can_finish(pending);
            let candidates: Vec<_> = (0..self.pending.len()).filter(|&index| able(&self.pending[index])).collect();
            if candidates.is_empty() || (finished > 0 && self.flip()) {
                break;
            }
            let chosen = self.network.borrow_mut().random.up_to(candidates.len()) - 1;
            let pending = self.pending.swap_remove(candidates[chosen]);
            completions.push(self.finish(pending));
            finished += 1;
        }
        self.delivered += finished;
        if finished == 0 && !woken {
            // With no timeout only another port or thread can end the wait, and they run after it returned.
            self.network.borrow_mut().now += timeout.unwrap_or_default();
        }
        Ok(())
    }

    fn waker(&self) -> Waker {
        Arc::clone(&self.waker).into()
    }
}
