//! A completion port in memory, for tests on every system: all outcomes that the real one may have, in any order that
//! it may have them in, chosen by a seed.
//!
//! - Of the operations that can finish, each wait finishes some, in an order of its own. The bytes of one direction
//!   stay in order, as there is one operation on them at a time.
//! - What could not be started comes back first, from the next wait.
//! - Receives are short, sends are partial, and an operation that was cancelled may have succeeded before.
//! - Time is virtual. A wait that finds nothing to finish moves it on by the whole timeout, at once.
//! - Faults are injected through [`FakeNetwork`].

mod allocations;
mod faults;
mod network;
mod observed;
mod outcomes;
mod random;
mod seeds;
mod sends;
mod stream;
mod tests;

use crate::error::SystemError;
use crate::port::{Completion, CompletionPort, GatherBuffer, MAX_SLICES_PER_SEND, Token};
use crate::wake_flag::WakeFlag;
use allocations::Uncounted;
pub(crate) use allocations::allocations;
use bytes::BytesMut;
pub(crate) use faults::{CALL_ERRORS, OPERATION_ERRORS, Stuck, Troubles};
use network::{Network, SocketNumber};
use pulsewire_socket::{Keepalive, ListenOptions};
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
pub(crate) struct FakeNetwork(Rc<RefCell<Network>>, Rc<RefCell<Meanwhile>>);

/// What other threads do while a port waits, told the time.
type Meanwhile = Option<Box<dyn FnMut(Duration)>>;

/// How many completions one wait delivers at most, as many as the real port dequeues at once.
const BATCH: usize = 64;

impl FakeNetwork {
    /// Makes a network in which everything that may vary is chosen by `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Rc::new(RefCell::new(Network::new(seed))), Rc::default())
    }

    /// Makes another port. Sockets of different ports reach each other.
    pub(crate) fn port<Batch: GatherBuffer>(&self) -> FakePort<Batch> {
        FakePort {
            network: Rc::clone(&self.0),
            meanwhile: Rc::clone(&self.1),
            pending: Vec::new(),
            done: Vec::new(),
            delivered: 0,
            calls: 0,
            waker: Arc::new(FakeWaker { flag: WakeFlag::new(), fails: Arc::clone(&self.0.borrow().wakes_fail) }),
        }
    }
}

/// An open socket, shared by its owner and the operations that are pending on it. The last of them closes it.
struct OpenSocket {
    network: Rc<RefCell<Network>>,
    number: SocketNumber,
    /// Its owner dropped it, or asked for its operations back.
    cancelled: Cell<bool>,
    /// It was closed under what is pending.
    closed: Cell<bool>,
    /// It belongs to a port.
    adopted: Cell<bool>,
    /// What is done at once skips the queue.
    skips: Cell<bool>,
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        if !self.closed.get() {
            self.network.borrow_mut().close(self.number);
        }
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
    meanwhile: Rc<RefCell<Meanwhile>>,
    pending: Vec<Pending<Batch>>,
    /// What was done at once, on sockets that skip the queue.
    done: Vec<Completion<FakeSocket, Batch>>,
    delivered: usize,
    calls: usize,
    waker: Arc<FakeWaker>,
}

struct FakeWaker {
    /// While it is set, the message lies in the queue.
    flag: WakeFlag,
    /// There is no memory for messages.
    fails: Arc<AtomicBool>,
}

impl Wake for FakeWaker {
    fn wake(self: Arc<Self>) {
        self.flag.wake(|| if self.fails.load(Ordering::Acquire) { Err(()) } else { Ok(()) });
    }
}

struct Pending<Batch> {
    token: Token,
    /// In which order they were submitted.
    number: usize,
    /// It could not be started, and comes back with this.
    refused: Option<SystemError>,
    socket: Rc<OpenSocket>,
    resources: Resources<Batch>,
}

enum Resources<Batch> {
    Accept,
    Connect { remote: SocketAddr },
    Receive { buffer: BytesMut, limit: usize },
    AwaitReadable,
    Send { batch: Batch, moved: usize },
}

impl<Batch: GatherBuffer> FakePort<Batch> {
    fn open(&self, number: SocketNumber) -> FakeSocket {
        FakeSocket(Rc::new(OpenSocket {
            network: Rc::clone(&self.network),
            number,
            cancelled: Cell::new(false),
            closed: Cell::new(false),
            adopted: Cell::new(false),
            skips: Cell::new(false),
        }))
    }

    fn submit(&mut self, token: Token, socket: &FakeSocket, resources: Resources<Batch>) {
        let _own = Uncounted::begin();
        assert!(socket.0.adopted.get(), "nothing is started on a socket of no port");
        self.calls += 1;
        let refused = self.network.borrow_mut().call_fails().err();
        let pending = Pending { token, number: self.calls, refused, socket: Rc::clone(&socket.0), resources };
        // Whether the system does it while it is called, or just after, nobody knows.
        if socket.0.skips.get() && pending.refused.is_none() && self.can_finish(&pending) && self.flip() {
            let done = self.finish(pending);
            return self.done.push(done);
        }
        self.pending.push(pending);
    }

    fn is_pending(&self, socket: &FakeSocket, same_kind: impl Fn(&Resources<Batch>) -> bool) -> bool {
        self.pending.iter().any(|pending| Rc::ptr_eq(&pending.socket, &socket.0) && same_kind(&pending.resources))
    }

    fn assert_no_receive(&self, socket: &FakeSocket) {
        let receives =
            |resources: &Resources<Batch>| matches!(resources, Resources::Receive { .. } | Resources::AwaitReadable);
        assert!(!self.is_pending(socket, receives), "a second receive on one socket has no defined order");
    }

    /// Whether a wait gives less than there is.
    fn breaks_off(&self) -> bool {
        self.network.borrow().cuts_short && self.flip()
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

    fn listen(
        &mut self,
        address: SocketAddr,
        _of_the_real_port: ListenOptions,
    ) -> Result<(FakeSocket, SocketAddr), SystemError> {
        self.network.borrow_mut().call_fails()?;
        let (number, address) = self.network.borrow_mut().listen(address)?;
        let socket = self.open(number);
        socket.0.adopted.set(true);
        Ok((socket, address))
    }

    fn accept(&mut self, listener: &FakeSocket, token: Token) {
        self.submit(token, listener, Resources::Accept);
    }

    fn adopt(&mut self, socket: &FakeSocket) -> Result<(), SystemError> {
        self.network.borrow_mut().call_fails()?;
        assert!(!socket.0.adopted.replace(true), "a socket stays with its port for good");
        Ok(())
    }

    fn connect(&mut self, remote: SocketAddr, token: Token) -> Result<FakeSocket, SystemError> {
        self.network.borrow_mut().call_fails()?;
        let number = self.network.borrow_mut().open();
        let socket = self.open(number);
        socket.0.adopted.set(true);
        self.submit(token, &socket, Resources::Connect { remote });
        Ok(socket)
    }

    fn receive(&mut self, socket: &FakeSocket, buffer: BytesMut, limit: usize, token: Token) {
        assert!(limit > 0 && buffer.len() < buffer.capacity(), "a receive needs room");
        self.assert_no_receive(socket);
        self.submit(token, socket, Resources::Receive { buffer, limit });
    }

    fn await_readable(&mut self, socket: &FakeSocket, token: Token) {
        self.assert_no_receive(socket);
        self.submit(token, socket, Resources::AwaitReadable);
    }

    fn send(&mut self, socket: &FakeSocket, batch: Batch, token: Token) {
        let cut = |resources: &Resources<Batch>| match resources {
            Resources::Send { batch, .. } => batch.slices().count() > MAX_SLICES_PER_SEND,
            _ => false,
        };
        assert!(!self.is_pending(socket, cut), "what follows a send that leaves a rest would come before that");
        self.submit(token, socket, Resources::Send { batch, moved: 0 });
    }

    fn shut_down_send(&mut self, socket: &FakeSocket) -> Result<(), SystemError> {
        self.network.borrow_mut().call_fails()?;
        self.network.borrow_mut().shut_down_send(socket.0.number)
    }

    fn cancel(&mut self, socket: &FakeSocket) {
        socket.0.cancelled.set(true);
    }

    fn close(&mut self, socket: FakeSocket) {
        socket.0.cancelled.set(true);
        socket.0.closed.set(true);
        self.network.borrow_mut().close(socket.0.number);
    }

    fn cancel_listener(&mut self, listener: &FakeSocket) {
        self.cancel(listener);
    }

    fn close_listener(&mut self, listener: FakeSocket) {
        self.close(listener);
    }

    fn rest(&mut self, duration: Duration) {
        self.network.borrow_mut().now += duration;
    }

    fn set_no_delay(&mut self, socket: &FakeSocket, no_delay: bool) -> Result<(), SystemError> {
        self.network.borrow_mut().call_fails()?;
        self.network.borrow_mut().set_no_delay(socket.0.number, no_delay)
    }

    fn set_send_buffer(&mut self, socket: &FakeSocket, bytes: u32) -> Result<(), SystemError> {
        self.network.borrow_mut().call_fails()?;
        self.network.borrow_mut().set_send_buffer(socket.0.number, bytes)
    }

    fn set_keepalive(&mut self, socket: &FakeSocket, keepalive: Keepalive) -> Result<(), SystemError> {
        self.network.borrow_mut().call_fails()?;
        self.network.borrow_mut().set_keepalive(socket.0.number, keepalive)
    }

    fn skip_on_success(&mut self, socket: &FakeSocket) -> bool {
        socket.0.skips.set(self.network.borrow().can_skip);
        socket.0.skips.get()
    }

    fn take_done(&mut self, completions: &mut Vec<Completion<FakeSocket, Batch>>) {
        self.delivered += self.done.len();
        completions.append(&mut self.done);
        while let Some(index) = self.pending.iter().position(|pending| pending.refused.is_some()) {
            let refused = self.pending.swap_remove(index);
            completions.push(self.finish(refused));
            self.delivered += 1;
        }
    }

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        completions: &mut Vec<Completion<FakeSocket, Batch>>,
    ) -> Result<(), SystemError> {
        let _own = Uncounted::begin();
        self.calls += 1;
        if let Some(act) = &mut *self.meanwhile.borrow_mut() {
            let now = self.network.borrow().now;
            act(now);
        }
        self.network.borrow_mut().wait_fails()?;
        let before = completions.len();
        self.take_done(completions);
        let mut finished = completions.len() - before;
        loop {
            let candidates: Vec<_> = (0..self.pending.len()).filter(|&index| self.able(&self.pending[index])).collect();
            let woken = self.waker.flag.is_set();
            let most = candidates.len() + usize::from(woken);
            if most == 0 || finished >= BATCH || (finished > 0 && self.breaks_off()) {
                break;
            }
            let chosen = self.network.borrow_mut().random.up_to(most) - 1;
            finished += 1;
            // The message of the waker lies somewhere among the others.
            let Some(&index) = candidates.get(chosen) else {
                self.waker.flag.message_taken();
                completions.push(Completion::Woken);
                self.network.borrow_mut().interruptions += 1;
                continue;
            };
            if self.moves_a_part(index) {
                continue;
            }
            let pending = self.pending.swap_remove(index);
            completions.push(self.finish(pending));
            self.delivered += 1;
        }
        if finished == 0 {
            // With no timeout only another port or thread can end the wait, and they run after it returned.
            self.network.borrow_mut().now += timeout.unwrap_or_default();
        }
        Ok(())
    }

    fn waker(&self) -> Waker {
        Arc::clone(&self.waker).into()
    }
}
