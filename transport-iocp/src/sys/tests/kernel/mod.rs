//! The system's part in what it shares with this crate, for Miri, which has no sockets and no completion ports: the functions by their
//! names, so that the real port calls them.
//!
//! It does what is hardest on the memory that it is lent. It keeps pointers and nothing else, and reads and writes as late as it may: when
//! completions are dequeued, after every reference is gone. So Miri sees each access that the system would make. Every other operation
//! it does at once, if it can, and reports it all the same; on a socket that skips the queue it does so with each, and never speaks of it
//! again.

mod functions;

use std::collections::{BTreeMap, VecDeque};
use std::ptr;
use std::sync::{Condvar, Mutex, MutexGuard};

use windows_sys::Win32::Networking::WinSock::{AF_INET, SOCKADDR, SOCKET};
use windows_sys::Win32::System::IO::OVERLAPPED;

/// How many bytes one direction of a connection holds.
const CAPACITY: usize = 4096;

const SUCCESS: u32 = 0;
const CANCELLED: u32 = 0xC000_0120;
const REFUSED: u32 = 0xC000_0236;

/// What is kept of a pending operation.
struct Pending {
    overlapped: *mut OVERLAPPED,
    work: Work,
}

enum Work {
    Accept {
        accepted: SOCKET,
        addresses: *mut u8,
        room: usize,
    },
    Connect {
        to: u16,
    },
    /// Of no bytes too.
    Receive {
        buffer: *mut u8,
        room: usize,
        flags: *mut u32,
    },
    Send {
        slices: Vec<(*const u8, usize)>,
    },
}

impl Work {
    /// Whether it has to wait for another one on its socket: the bytes of one direction keep their order.
    fn follows(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

#[derive(Default)]
struct Socket {
    family: u16,
    /// Its port of the protocol, and whether it listens there.
    local: u16,
    listens: bool,
    remote: u16,
    /// Clients that nobody has accepted yet.
    backlog: VecDeque<SOCKET>,
    peer: Option<SOCKET>,
    inbound: VecDeque<u8>,
    /// Nothing more comes in, or goes out.
    ended: bool,
    shut: bool,
    /// The completion port that it belongs to, for good.
    queue: Option<usize>,
    /// What is done at once is not reported there.
    skips: bool,
    pending: Vec<Pending>,
}

#[derive(Default)]
struct Kernel {
    sockets: BTreeMap<SOCKET, Socket>,
    made: usize,
    /// How many operations were.
    started: usize,
    /// What was finished, by completion port.
    queues: BTreeMap<usize, VecDeque<(*mut OVERLAPPED, u32, usize)>>,
    /// What was cancelled is not given back.
    keeps: bool,
    /// The handles of sockets are those of a provider above the system.
    is_layered: bool,
    kept: Vec<Pending>,
}

// SAFETY: the pointers go to operations that were given away to the system, which may use them on any thread.
unsafe impl Send for Kernel {}

static KERNEL: Mutex<Kernel> = Mutex::new(Kernel {
    sockets: BTreeMap::new(),
    made: 0,
    started: 0,
    queues: BTreeMap::new(),
    keeps: false,
    is_layered: false,
    kept: Vec::new(),
});
static FINISHED: Condvar = Condvar::new();

fn kernel() -> MutexGuard<'static, Kernel> {
    KERNEL.lock().unwrap()
}

/// From now on what is cancelled does not come back, or does again.
pub(super) fn keep_cancelled(keep: bool) {
    kernel().keeps = keep;
}

/// From now on the handles of sockets are those of a provider above the system, or are the system's again.
pub(super) fn layer_providers(layered: bool) {
    kernel().is_layered = layered;
}

/// Writes wherever what never came back lets it: that memory must still be there. Says to how many operations.
pub(super) fn write_to_what_was_kept() -> usize {
    let kernel = kernel();
    for &Pending { overlapped, ref work } in &kernel.kept {
        if let Work::Receive { buffer, room, .. } = *work {
            // SAFETY: the buffer is the system's until the operation comes back.
            unsafe { ptr::write_bytes(buffer, 7, room) };
        }
        // SAFETY: so is the OVERLAPPED.
        unsafe { (*overlapped).Internal = CANCELLED as usize };
    }
    kernel.kept.len()
}

/// Writes how a pending operation ended, where its owner may read it.
fn write_outcome(overlapped: *mut OVERLAPPED, status: u32, count: usize) {
    // SAFETY: the operation is pending, so its OVERLAPPED is the system's to write.
    unsafe { (*overlapped).Internal = status as usize };
    // SAFETY: as above.
    unsafe { (*overlapped).InternalHigh = count };
}

impl Kernel {
    fn finish(&mut self, queue: usize, overlapped: *mut OVERLAPPED, status: u32, count: usize) {
        write_outcome(overlapped, status, count);
        self.queues.entry(queue).or_default().push_back((overlapped, status, count));
        FINISHED.notify_all();
    }

    /// Finishes what can be.
    fn work(&mut self) {
        let sockets: Vec<_> = self.sockets.keys().copied().collect();
        for number in sockets {
            let Some(socket) = self.sockets.get_mut(&number) else { continue };
            let Some(queue) = socket.queue else { continue };
            for pending in std::mem::take(&mut socket.pending) {
                match self.attempt(number, &pending.work) {
                    Some((status, count)) => self.finish(queue, pending.overlapped, status, count),
                    None => self.sockets.get_mut(&number).expect("it is open").pending.push(pending),
                }
            }
        }
    }

    /// The status and the count, if an operation has an outcome.
    fn attempt(&mut self, number: SOCKET, work: &Work) -> Option<(u32, usize)> {
        match *work {
            Work::Accept { accepted, addresses, room } => self.accept(number, accepted, addresses, room),
            Work::Connect { to } => Some(self.connect(number, to)),
            Work::Receive { buffer, room, flags } => {
                let socket = self.sockets.get_mut(&number)?;
                if socket.inbound.is_empty() && !socket.ended {
                    return None;
                }
                let taken = if room == 0 { 0 } else { socket.inbound.len().min(room) };
                let bytes: Vec<u8> = socket.inbound.drain(..taken).collect();
                // SAFETY: the receive is pending, so its buffer is the system's to write, as far as was said.
                unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), buffer, taken) };
                // SAFETY: as are its flags.
                unsafe { *flags = 0 };
                Some((SUCCESS, taken))
            }
            Work::Send { ref slices } => {
                let peer = self.sockets.get(&number)?.peer?;
                let total: usize = slices.iter().map(|(_, length)| length).sum();
                let peer = self.sockets.get_mut(&peer)?;
                if peer.inbound.len() + total > CAPACITY {
                    return None;
                }
                for &(start, length) in slices {
                    // SAFETY: the send is pending, so its bytes stay where they are, and nobody writes to them.
                    peer.inbound.extend(unsafe { std::slice::from_raw_parts(start, length) });
                }
                Some((SUCCESS, total))
            }
        }
    }

    fn accept(&mut self, listener: SOCKET, accepted: SOCKET, addresses: *mut u8, room: usize) -> Option<(u32, usize)> {
        let listening = self.sockets.get_mut(&listener)?;
        let (client, local, family) = (listening.backlog.pop_front()?, listening.local, listening.family);
        let theirs = self.sockets.get_mut(&client)?;
        theirs.peer = Some(accepted);
        let remote = theirs.local;
        let ours = self.sockets.get_mut(&accepted)?;
        (ours.peer, ours.local, ours.remote) = (Some(client), local, remote);
        write_address(addresses, family, local);
        // SAFETY: the buffer has twice that room, and is the system's while the accept is pending.
        write_address(unsafe { addresses.add(room) }, family, remote);
        Some((SUCCESS, 0))
    }

    fn connect(&mut self, number: SOCKET, to: u16) -> (u32, usize) {
        let Some(listener) = self.sockets.values_mut().find(|it| it.listens && it.local == to) else {
            return (REFUSED, 0);
        };
        listener.backlog.push_back(number);
        self.sockets.entry(number).and_modify(|it| it.remote = to);
        (SUCCESS, 0)
    }

    /// Gives back what is pending on a socket, or keeps it for ever.
    fn cancel(&mut self, number: SOCKET) {
        let Some(socket) = self.sockets.get_mut(&number) else { return };
        let Some(queue) = socket.queue else { return };
        let pending = std::mem::take(&mut socket.pending);
        if self.keeps {
            return self.kept.extend(pending);
        }
        for pending in pending {
            self.finish(queue, pending.overlapped, CANCELLED, 0);
        }
    }

    /// Starts an operation on a socket. `Ok`: it is done, and its port is told of that unless the socket skips it.
    fn start(&mut self, number: SOCKET, overlapped: *mut OVERLAPPED, work: Work) -> Result<(), i32> {
        const NOT_A_SOCKET: i32 = 10038;
        const SHUT_DOWN: i32 = 10058;
        const IO_PENDING: i32 = 997;
        self.started += 1;
        let socket = self.sockets.get_mut(&number).ok_or(NOT_A_SOCKET)?;
        let (skips, queue) = (socket.skips, socket.queue.expect("else nobody would ever learn how it ended"));
        if socket.shut && matches!(work, Work::Send { .. }) {
            return Err(SHUT_DOWN);
        }
        let is_first = socket.pending.iter().all(|other| !work.follows(&other.work));
        let at_once = is_first && (skips || self.started.is_multiple_of(2));
        match at_once.then(|| self.attempt(number, &work)).flatten() {
            Some((SUCCESS, count)) if skips => write_outcome(overlapped, SUCCESS, count),
            Some((SUCCESS, count)) => self.finish(queue, overlapped, SUCCESS, count),
            Some((status, count)) => {
                self.finish(queue, overlapped, status, count);
                return Err(IO_PENDING);
            }
            None => {
                self.sockets.entry(number).and_modify(|it| it.pending.push(Pending { overlapped, work }));
                return Err(IO_PENDING);
            }
        }
        Ok(())
    }

    /// Has the completions of a socket go to a port.
    fn associate(&mut self, number: SOCKET, queue: usize) -> Result<(), i32> {
        const INVALID_HANDLE: i32 = 6;
        const INVALID_PARAMETER: i32 = 87;
        let socket = self.sockets.get_mut(&number).ok_or(INVALID_HANDLE)?;
        if socket.queue.is_some() {
            return Err(INVALID_PARAMETER);
        }
        socket.queue = Some(queue);
        Ok(())
    }

    /// Has what is done at once on a socket not go to its port.
    fn skip(&mut self, number: SOCKET) -> Result<(), i32> {
        const INVALID_HANDLE: i32 = 6;
        assert!(!self.is_layered, "where a provider is layered above, nobody knows what this does");
        self.sockets.get_mut(&number).ok_or(INVALID_HANDLE)?.skips = true;
        Ok(())
    }

    fn bind(&mut self, number: SOCKET, port: u16) -> Result<(), i32> {
        const ADDRESS_IN_USE: i32 = 10048;
        let in_use = self.sockets.values().any(|it| it.listens && port != 0 && it.local == port);
        if in_use {
            return Err(ADDRESS_IN_USE);
        }
        let port = if port == 0 { 10_000 + number as u16 } else { port };
        self.sockets.entry(number).and_modify(|it| it.local = port);
        Ok(())
    }
}

/// The port of an address that somebody passes in.
fn port_of(address: *const SOCKADDR) -> u16 {
    // SAFETY: in every family the two bytes behind the first two are the port, in network order.
    u16::from_be_bytes(unsafe { *address.cast::<[u8; 2]>().add(1) })
}

/// Writes an address of the loopback interface, and says how long it is.
fn write_address(to: *mut u8, family: u16, port: u16) -> usize {
    let mut bytes = [0; 28];
    bytes[..2].copy_from_slice(&family.to_ne_bytes());
    bytes[2..4].copy_from_slice(&port.to_be_bytes());
    let length = if family == AF_INET {
        bytes[4..8].copy_from_slice(&[127, 0, 0, 1]);
        16
    } else {
        bytes[23] = 1;
        28
    };
    // SAFETY: whoever passes the buffer gives it room for an address of its family.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, length) };
    length
}
