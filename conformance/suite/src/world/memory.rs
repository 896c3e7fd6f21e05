//! Connections in the memory of a world. They do what TCP does where nothing is ever on its way: bounded buffers, two directions
//! that end apart, and resets.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Error, ErrorKind, Result};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::wait;

/// Bytes that wait at the receiver.
const RECEIVE_BUFFER: usize = 64 << 10;
/// Bytes that the sender's system takes besides.
const SEND_BUFFER: usize = 64 << 10;
/// The first port that is given out.
const FIRST_PORT: u16 = 40_000;

/// Who listens where.
#[derive(Default)]
pub(super) struct Network {
    listeners: Mutex<BTreeMap<u16, Backlog>>,
}

/// Connections that were made and not accepted yet.
type Backlog = Arc<Mutex<VecDeque<Endpoint>>>;

/// What listens on a port of its own.
pub(super) struct Listening {
    network: Arc<Network>,
    port: u16,
    backlog: Backlog,
}

/// One end of a connection; dropping it closes it.
pub(super) struct Endpoint {
    link: Arc<Mutex<Link>>,
    side: usize,
}

/// Both sides of a connection.
#[derive(Default)]
struct Link {
    sides: [Side; 2],
}

#[derive(Default)]
struct Side {
    /// What came and was not read yet.
    inbox: VecDeque<u8>,
    /// The other side sends nothing more.
    peer_ended: bool,
    /// This side sends nothing more.
    ended: bool,
    /// This side is gone.
    closed: bool,
    was_reset: bool,
    /// This side cuts the connection when it goes.
    cuts: bool,
    /// The reset, until it is told.
    error: Option<ErrorKind>,
}

impl Side {
    /// Takes a reset: what did not leave the sender's system is lost.
    fn reset(&mut self) {
        self.inbox.truncate(RECEIVE_BUFFER);
        self.was_reset = true;
        self.error = Some(if self.peer_ended { ErrorKind::BrokenPipe } else { ErrorKind::ConnectionReset });
    }

    fn room(&self) -> usize {
        (RECEIVE_BUFFER + SEND_BUFFER).saturating_sub(self.inbox.len())
    }

    fn is_readable(&self) -> bool {
        !self.inbox.is_empty() || self.peer_ended || self.was_reset
    }
}

impl Link {
    /// A side, and the other one.
    fn halves(&mut self, side: usize) -> (&mut Side, &mut Side) {
        let [first, second] = &mut self.sides;
        if side == 0 { (first, second) } else { (second, first) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Network {
    pub(super) fn listen(self: &Arc<Self>) -> Result<Listening> {
        let mut listeners = lock(&self.listeners);
        let port = (FIRST_PORT..=u16::MAX).find(|port| !listeners.contains_key(port)).ok_or(ErrorKind::AddrInUse)?;
        let backlog = Backlog::default();
        listeners.insert(port, Arc::clone(&backlog));
        Ok(Listening { network: Arc::clone(self), port, backlog })
    }

    pub(super) fn dial(&self, address: SocketAddr) -> Result<Endpoint> {
        let listeners = lock(&self.listeners);
        let backlog = listeners.get(&address.port()).ok_or(ErrorKind::ConnectionRefused)?;
        let [here, there] = pair();
        lock(backlog).push_back(there);
        Ok(here)
    }
}

impl Listening {
    pub(super) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The next connection, if one is made before the deadline.
    pub(super) fn accept(&self, until: Option<Instant>) -> Result<Endpoint> {
        let backlog = Arc::clone(&self.backlog);
        if lock(&backlog).is_empty() {
            wait("for a connection", until, move || !lock(&backlog).is_empty());
        }
        lock(&self.backlog).pop_front().ok_or_else(|| ErrorKind::TimedOut.into())
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        lock(&self.network.listeners).remove(&self.port);
    }
}

/// A connection.
pub(super) fn pair() -> [Endpoint; 2] {
    let link = Arc::new(Mutex::new(Link::default()));
    [0, 1].map(|side| Endpoint { link: Arc::clone(&link), side })
}

impl Endpoint {
    /// Reads what is there; 0 bytes are the end, and `None` is nothing before the deadline.
    pub(super) fn read(&self, buffer: &mut [u8], until: Instant) -> Result<Option<usize>> {
        let (link, side) = (Arc::clone(&self.link), self.side);
        if !lock(&link).sides[side].is_readable() {
            wait("to read", Some(until), move || lock(&link).sides[side].is_readable());
        }
        self.read_now(buffer)
    }

    fn read_now(&self, buffer: &mut [u8]) -> Result<Option<usize>> {
        let mut link = lock(&self.link);
        let side = &mut link.sides[self.side];
        if !side.inbox.is_empty() {
            let count = buffer.len().min(side.inbox.len());
            let (front, back) = side.inbox.as_slices();
            let from_front = count.min(front.len());
            buffer[..from_front].copy_from_slice(&front[..from_front]);
            buffer[from_front..count].copy_from_slice(&back[..count - from_front]);
            side.inbox.drain(..count);
            return Ok(Some(count));
        }
        if side.peer_ended {
            return Ok(Some(0));
        }
        if let Some(error) = side.error.take() {
            return Err(error.into());
        }
        Ok(side.was_reset.then_some(0))
    }

    /// Writes what has room, which may be nothing.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<usize> {
        let mut link = lock(&self.link);
        let (side, other) = link.halves(self.side);
        if let Some(error) = side.error.take() {
            return Err(error.into());
        }
        if side.was_reset || side.ended {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if other.closed {
            // It goes out, and comes back as a reset.
            side.reset();
            return Ok(bytes.len());
        }
        let count = other.room().min(bytes.len());
        other.inbox.extend(&bytes[..count]);
        Ok(count)
    }

    /// Whether bytes came that were not read.
    pub(super) fn has_unread(&self) -> bool {
        !lock(&self.link).sides[self.side].inbox.is_empty()
    }

    /// Waits until a write would do something.
    pub(super) fn await_room(&self, until: Instant) -> Result<()> {
        let (link, side) = (Arc::clone(&self.link), self.side);
        let has_room = wait("to write", Some(until), move || {
            let mut link = lock(&link);
            let (side, other) = link.halves(side);
            side.was_reset || other.closed || other.room() > 0
        });
        if has_room { Ok(()) } else { Err(ErrorKind::TimedOut.into()) }
    }

    pub(super) fn half_close(&self) {
        let mut link = lock(&self.link);
        let (side, other) = link.halves(self.side);
        side.ended = true;
        other.peer_ended = true;
    }

    pub(super) fn cut_when_dropped(&self) {
        lock(&self.link).sides[self.side].cuts = true;
    }

    pub(super) fn take_error(&self) -> Option<Error> {
        lock(&self.link).sides[self.side].error.take().map(Error::from)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        let mut link = lock(&self.link);
        let (side, other) = link.halves(self.side);
        side.closed = true;
        let unheard = !side.inbox.is_empty();
        if side.cuts || unheard && !side.was_reset {
            // As every system does it where bytes were not read: the peer must know that it was not heard.
            side.inbox.clear();
            other.reset();
        } else if !unheard {
            other.peer_ended = true;
        }
    }
}
