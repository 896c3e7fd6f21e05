//! What a test does to the network and its ports, and looks at.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{FakeNetwork, FakeSocket};
use crate::error::SystemError;
use crate::socket_options::SocketOptions;

/// When operations come back that were cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stuck {
    /// Soon.
    Never,
    /// When their socket is closed.
    UntilClosed,
    /// Not at all.
    ForEver,
}

/// The codes with which the calls of Winsock and of completion ports may fail, of whatever meaning.
pub(crate) const CALL_ERRORS: [u32; 58] = [
    5, 6, 8, 14, 50, 53, 55, 59, 64, 87, 121, 170, 535, 676, 735, 995, 996, 998, 1117, 1167, 1225, 1226, 1229, 1231,
    1232, 1233, 1235, 1236, 1450, 1453, 1455, 1816, 10004, 10009, 10013, 10014, 10022, 10024, 10035, 10036, 10037,
    10038, 10040, 10042, 10045, 10048, 10050, 10051, 10052, 10053, 10054, 10055, 10056, 10057, 10058, 10060, 10061,
    10065,
];

/// The NTSTATUS and the code with which an operation may end that was started.
pub(crate) const OPERATION_ERRORS: [(u32, u32); 12] = [
    (0xC000_009A, 1450),
    (0xC000_013B, 64),
    (0xC000_013C, 64),
    (0xC000_020C, 64),
    (0xC000_020D, 64),
    (0xC000_0237, 1226),
    (0xC000_0241, 1236),
    (0xC000_00B5, 121),
    (0xC000_0236, 1225),
    (0xC000_023C, 1231),
    (0xC000_023D, 1232),
    (0xC000_0017, 8),
];

/// What the calls of a port fail with, each one of so many times.
#[derive(Clone, Debug)]
pub(crate) struct Troubles {
    /// A call, or an operation that is not started.
    pub(crate) calls: Vec<SystemError>,
    /// An operation that was started, and with it its connection.
    pub(crate) operations: Vec<SystemError>,
    /// Waiting.
    pub(crate) waits: Vec<SystemError>,
    pub(crate) one_in: usize,
}

impl FakeNetwork {
    /// Resets a connection, at both ends: what was not received yet is lost.
    pub(crate) fn reset(&self, socket: &FakeSocket) {
        self.0.borrow_mut().reset(socket.0.number);
    }

    /// From now on every send on this socket fails, while what has arrived can be received.
    pub(crate) fn fail_sends(&self, socket: &FakeSocket, error: SystemError) {
        self.0.borrow_mut().fail_sends(socket.0.number, error);
    }

    /// Cuts the cable of a connection: nothing passes any more, and nobody is told.
    pub(crate) fn cut(&self, socket: &FakeSocket) {
        self.0.borrow_mut().cut(socket.0.number);
    }

    /// Makes TCP give up on the peer of this socket.
    pub(crate) fn give_up(&self, socket: &FakeSocket) {
        self.0.borrow_mut().fail(socket.0.number, SystemError::SEM_TIMEOUT);
    }

    /// Has `act` done during each wait from now on, as other threads act while the driver works.
    pub(crate) fn meanwhile(&self, act: impl FnMut(Duration) + 'static) {
        *self.1.borrow_mut() = Some(Box::new(act));
    }

    /// From now on each receive takes all that there is, each send all that fits, and each wait what has finished.
    pub(crate) fn move_bytes_whole(&self) {
        self.0.borrow_mut().cuts_short = false;
    }

    /// From now on so many bytes fit into one direction of a connection.
    pub(crate) fn widen(&self, capacity: usize) {
        self.0.borrow_mut().capacity = capacity;
    }

    /// From now on calls fail now and then, or not any more.
    pub(crate) fn make_trouble(&self, troubles: Option<Troubles>) {
        self.0.borrow_mut().troubles = troubles;
    }

    /// How many waits have failed so far, or found a wake.
    pub(crate) fn interruptions(&self) -> usize {
        self.0.borrow().interruptions
    }

    /// From now on operations that were cancelled come back then.
    pub(crate) fn hold_cancelled(&self, stuck: Stuck) {
        self.0.borrow_mut().stuck = stuck;
    }

    /// From now on a waker finds no memory for its message, or finds it again.
    pub(crate) fn fail_wakes(&self, fail: bool) {
        self.0.borrow().wakes_fail.store(fail, Ordering::Release);
    }

    /// Makes every accept fail at once, until it is called with `None`.
    pub(crate) fn fail_accepts(&self, error: Option<SystemError>) {
        self.0.borrow_mut().accept_failure = error;
    }

    /// Has the next connections broken when they are accepted, one for each error.
    pub(crate) fn break_accepted(&self, errors: &[SystemError]) {
        self.0.borrow_mut().broken_accepts.extend(errors);
    }

    /// From now on sockets can't skip the queue of their port.
    pub(crate) fn layer_a_provider(&self) {
        self.0.borrow_mut().can_skip = false;
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
