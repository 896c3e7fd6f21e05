//! What lies between the sockets: byte queues, listeners, faults and virtual time.

use super::random::Random;
use super::stream::{Inbound, Outbound, Stream};
use super::{Stuck, Troubles};
use crate::error::SystemError;
use crate::port::{Addresses, GatherBuffer, MAX_SLICES_PER_SEND};
use crate::socket_options::SocketOptions;
use bytes::BytesMut;
use pulsewire_socket::Keepalive;
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// How many bytes fit into one direction of a connection before sends have to wait, unless a test says otherwise.
const CAPACITY: usize = 4096;

/// The number of a socket, never used again.
pub(super) type SocketNumber = usize;

/// Everything that the ports of one network share.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) random: Random,
    pub(super) now: Duration,
    sockets: Vec<Socket>,
    unreachable: BTreeSet<SocketAddr>,
    /// Receives are short and sends are partial.
    pub(super) cuts_short: bool,
    /// How many bytes fit into one direction of a connection.
    pub(super) capacity: usize,
    /// What every accept fails with.
    pub(super) accept_failure: Option<SystemError>,
    /// What the next accepts fail with, each with a connection that it takes along.
    pub(super) broken_accepts: VecDeque<SystemError>,
    pub(super) troubles: Option<Troubles>,
    /// Waits that failed, found a wake, or moved a part of a send.
    pub(super) interruptions: usize,
    /// When operations come back that were cancelled.
    pub(super) stuck: Stuck,
    /// Sockets can skip the queue of their port.
    pub(super) can_skip: bool,
    /// Wakers post nothing.
    pub(super) wakes_fail: Arc<AtomicBool>,
}

/// A socket of any kind.
#[derive(Debug)]
enum Socket {
    /// Made, and not connected yet or no more.
    Idle,
    Listening {
        address: SocketAddr,
        backlog: VecDeque<SocketNumber>,
    },
    Connected(Stream),
    /// Closed by its owner.
    Closed,
}

impl Network {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            now: Duration::ZERO,
            sockets: Vec::new(),
            unreachable: BTreeSet::new(),
            cuts_short: true,
            capacity: CAPACITY,
            accept_failure: None,
            broken_accepts: VecDeque::new(),
            troubles: None,
            interruptions: 0,
            stuck: Stuck::Never,
            can_skip: true,
            wakes_fail: Arc::default(),
        }
    }

    /// As many bytes as `most`, which must not be 0, or fewer: each about every other time.
    fn some_of(&mut self, most: usize) -> usize {
        if self.cuts_short && self.random.flip() { self.random.up_to(most) } else { most }
    }

    /// One of the errors, if it is time for one.
    fn trouble(&mut self, errors: impl FnOnce(&Troubles) -> &[SystemError]) -> Result<(), SystemError> {
        let Some(troubles) = &self.troubles else { return Ok(()) };
        let errors = errors(troubles);
        if errors.is_empty() || self.random.up_to(troubles.one_in) > 1 {
            return Ok(());
        }
        Err(errors[self.random.up_to(errors.len()) - 1])
    }

    /// Whether a call fails that is about to be made.
    pub(super) fn call_fails(&mut self) -> Result<(), SystemError> {
        self.trouble(|troubles| &troubles.calls)
    }

    pub(super) fn wait_fails(&mut self) -> Result<(), SystemError> {
        let waited = self.trouble(|troubles| &troubles.waits);
        self.interruptions += usize::from(waited.is_err());
        waited
    }

    /// Whether an operation fails that was started. Then so does the connection.
    pub(super) fn operation_fails(&mut self, socket: SocketNumber) -> Result<(), SystemError> {
        let failed = self.trouble(|troubles| &troubles.operations);
        failed.inspect_err(|error| self.fail(socket, *error))
    }

    fn add(&mut self, socket: Socket) -> SocketNumber {
        self.sockets.push(socket);
        self.sockets.len() - 1
    }

    pub(super) fn open(&mut self) -> SocketNumber {
        self.add(Socket::Idle)
    }

    /// An address that nobody has, for a port of 0; else the address itself.
    fn bindable(&self, mut address: SocketAddr) -> SocketAddr {
        if address.port() == 0 {
            address.set_port(u16::try_from(1024 + self.sockets.len()).expect("a test opens fewer sockets"));
        }
        address
    }

    fn listener_at(&self, wanted: SocketAddr) -> Option<SocketNumber> {
        self.sockets.iter().position(|socket| match socket {
            Socket::Listening { address, .. } => *address == wanted,
            Socket::Idle | Socket::Connected(_) | Socket::Closed => false,
        })
    }

    pub(super) fn listen(&mut self, address: SocketAddr) -> Result<(SocketNumber, SocketAddr), SystemError> {
        let address = self.bindable(address);
        if self.listener_at(address).is_some() {
            return Err(SystemError::ADDRESS_IN_USE);
        }
        Ok((self.add(Socket::Listening { address, backlog: VecDeque::new() }), address))
    }

    pub(super) fn has_backlog(&self, listener: SocketNumber) -> bool {
        match &self.sockets[listener] {
            Socket::Listening { backlog, .. } => !backlog.is_empty(),
            Socket::Idle | Socket::Connected(_) | Socket::Closed => false,
        }
    }

    /// Accepts the oldest connection that waits at the listener.
    pub(super) fn accept(&mut self, listener: SocketNumber) -> Result<(SocketNumber, Addresses), SystemError> {
        if let Some(error) = self.accept_failure {
            return Err(error);
        }
        let Socket::Listening { backlog, .. } = &mut self.sockets[listener] else { return Err(SystemError::INVALID) };
        let accepted = backlog.pop_front().ok_or(SystemError::INVALID)?;
        if let Some(error) = self.broken_accepts.pop_front() {
            self.reset(accepted);
            return Err(error);
        }
        match &self.sockets[accepted] {
            Socket::Connected(stream) => Ok((accepted, stream.addresses)),
            Socket::Idle | Socket::Listening { .. } | Socket::Closed => Err(SystemError::NETNAME_DELETED),
        }
    }

    /// Makes an address swallow every attempt to connect.
    pub(super) fn make_unreachable(&mut self, address: SocketAddr) {
        self.unreachable.insert(address);
    }

    pub(super) fn is_unreachable(&self, address: SocketAddr) -> bool {
        self.unreachable.contains(&address)
    }

    pub(super) fn connect(&mut self, client: SocketNumber, remote: SocketAddr) -> Result<Addresses, SystemError> {
        let listener = self.listener_at(remote).ok_or(SystemError::CONNECTION_REFUSED)?;
        let local = self.bindable(SocketAddr::new(remote.ip(), 0));
        let client_side = Addresses { local, remote };
        let server = self.add(Socket::Connected(Stream::new(Addresses { local: remote, remote: local }, client)));
        self.sockets[client] = Socket::Connected(Stream::new(client_side, server));
        if let Socket::Listening { backlog, .. } = &mut self.sockets[listener] {
            backlog.push_back(server);
        }
        Ok(client_side)
    }

    fn stream(&mut self, socket: SocketNumber) -> Option<&mut Stream> {
        match &mut self.sockets[socket] {
            Socket::Connected(stream) => Some(stream),
            Socket::Idle | Socket::Listening { .. } | Socket::Closed => None,
        }
    }

    pub(super) fn inbound(&mut self, socket: SocketNumber) -> Inbound {
        let Some(stream) = self.stream(socket) else { return Inbound::Failed(SystemError::INVALID) };
        match (stream.inbound.len(), stream.failure) {
            (0, Some(error)) => Inbound::Failed(error),
            (0, None) if stream.inbound_ended => Inbound::Ended,
            (0, None) => Inbound::Nothing,
            (waiting, _) => Inbound::Bytes(waiting),
        }
    }

    /// Receives some of what is there, which must not be [`Inbound::Nothing`].
    pub(super) fn receive(
        &mut self,
        socket: SocketNumber,
        buffer: &mut BytesMut,
        limit: usize,
    ) -> Result<usize, SystemError> {
        match self.inbound(socket) {
            Inbound::Bytes(waiting) => {
                let count = self.some_of(waiting.min(limit).min(buffer.capacity() - buffer.len()));
                if let Some(stream) = self.stream(socket) {
                    buffer.extend(stream.inbound.drain(..count));
                }
                Ok(count)
            }
            Inbound::Ended => Ok(0),
            Inbound::Failed(error) => Err(error),
            Inbound::Nothing => unreachable!("a receive finishes only if there is something"),
        }
    }

    pub(super) fn outbound(&mut self, socket: SocketNumber) -> Outbound {
        let Some(stream) = self.stream(socket) else { return Outbound::Failed(SystemError::INVALID) };
        if let Some(error) = stream.failure.or(stream.send_failure) {
            return Outbound::Failed(error);
        }
        if stream.outbound_ended {
            return Outbound::Failed(SystemError::SHUT_DOWN);
        }
        let (lost, peer) = (stream.lost, stream.peer);
        let used = lost.unwrap_or_else(|| self.stream(peer).map_or(0, |peer| peer.inbound.len()));
        if used < self.capacity { Outbound::Room(self.capacity - used) } else { Outbound::Full }
    }

    /// Sends some of a batch, for which there must not be [`Outbound::Full`].
    pub(super) fn send(
        &mut self,
        socket: SocketNumber,
        batch: &impl GatherBuffer,
        skip: usize,
    ) -> Result<usize, SystemError> {
        let left = batch.slices().take(MAX_SLICES_PER_SEND).map(<[u8]>::len).sum::<usize>() - skip;
        let most = match self.outbound(socket) {
            Outbound::Room(room) if left > 0 => self.some_of(left.min(room)),
            Outbound::Room(_) | Outbound::Full | Outbound::Failed(_) => 0,
        };
        self.send_up_to(socket, batch, skip, most)
    }

    /// Sends so many bytes of a batch behind those that are skipped, or as many as there is room for.
    pub(super) fn send_up_to(
        &mut self,
        socket: SocketNumber,
        batch: &impl GatherBuffer,
        skip: usize,
        most: usize,
    ) -> Result<usize, SystemError> {
        let room = match self.outbound(socket) {
            Outbound::Room(room) => room,
            Outbound::Failed(error) => return Err(error),
            Outbound::Full => unreachable!("a send finishes only if there is room"),
        };
        let bytes = batch.slices().take(MAX_SLICES_PER_SEND).flatten().copied();
        let bytes: Vec<u8> = bytes.skip(skip).take(room.min(most)).collect();
        self.put(socket, &bytes);
        Ok(bytes.len())
    }

    /// Puts bytes on the line. If the peer is gone, it answers with a reset.
    fn put(&mut self, socket: SocketNumber, bytes: &[u8]) {
        let Some(stream) = self.stream(socket) else { return };
        if let Some(lost) = &mut stream.lost {
            *lost += bytes.len();
            return;
        }
        let peer = stream.peer;
        match self.stream(peer) {
            Some(peer) => peer.inbound.extend(bytes),
            None => self.fail(socket, SystemError::NETNAME_DELETED),
        }
    }

    /// Whether the peer of this end has closed or reset the connection.
    pub(super) fn has_ended(&mut self, socket: SocketNumber) -> bool {
        self.stream(socket).is_none_or(|stream| stream.inbound_ended || stream.failure.is_some())
    }

    pub(super) fn set_no_delay(&mut self, socket: SocketNumber, no_delay: bool) -> Result<(), SystemError> {
        self.stream(socket).map(|stream| stream.no_delay = no_delay).ok_or(SystemError::INVALID)
    }

    pub(super) fn set_send_buffer(&mut self, socket: SocketNumber, bytes: u32) -> Result<(), SystemError> {
        self.stream(socket).map(|stream| stream.send_buffer = Some(bytes)).ok_or(SystemError::INVALID)
    }

    pub(super) fn set_keepalive(&mut self, socket: SocketNumber, keepalive: Keepalive) -> Result<(), SystemError> {
        self.stream(socket).map(|stream| stream.keepalive = Some(keepalive)).ok_or(SystemError::INVALID)
    }

    /// What was set on every connected socket.
    pub(super) fn options_set(&self) -> Vec<SocketOptions> {
        let streams = self.sockets.iter().filter_map(|socket| match socket {
            Socket::Connected(Stream { no_delay, keepalive, send_buffer, .. }) => Some(SocketOptions {
                no_delay: *no_delay,
                keepalive: *keepalive,
                send_buffer: *send_buffer,
                ..SocketOptions::default()
            }),
            Socket::Idle | Socket::Listening { .. } | Socket::Closed => None,
        });
        streams.collect()
    }

    pub(super) fn shut_down_send(&mut self, socket: SocketNumber) -> Result<(), SystemError> {
        let stream = self.stream(socket).ok_or(SystemError::INVALID)?;
        stream.outbound_ended = true;
        let (cut, peer) = (stream.lost.is_some(), stream.peer);
        if let Some(peer) = self.stream(peer).filter(|_| !cut) {
            peer.inbound_ended = true;
        }
        Ok(())
    }

    /// Ends one end of a connection with an error. What it had not received yet is gone.
    pub(super) fn fail(&mut self, socket: SocketNumber, error: SystemError) {
        if let Some(stream) = self.stream(socket) {
            stream.inbound.clear();
            stream.failure = Some(error);
        }
    }

    pub(super) fn fail_sends(&mut self, socket: SocketNumber, error: SystemError) {
        if let Some(stream) = self.stream(socket) {
            stream.send_failure = Some(error);
        }
    }

    /// Resets a connection, at both ends.
    pub(super) fn reset(&mut self, socket: SocketNumber) {
        let Some(peer) = self.stream(socket).map(|stream| stream.peer) else { return };
        self.fail(socket, SystemError::NETNAME_DELETED);
        self.fail(peer, SystemError::NETNAME_DELETED);
    }

    /// Cuts the cable: from now on nothing passes, and nobody is told.
    pub(super) fn cut(&mut self, socket: SocketNumber) {
        let Some(peer) = self.stream(socket).map(|stream| stream.peer) else { return };
        for end in [socket, peer] {
            if let Some(stream) = self.stream(end) {
                stream.lost.get_or_insert(0);
            }
        }
    }

    /// Closes a socket. The peer reads the end of the stream, or a reset if something was left unread here.
    pub(super) fn close(&mut self, socket: SocketNumber) {
        match std::mem::replace(&mut self.sockets[socket], Socket::Closed) {
            Socket::Idle | Socket::Closed => {}
            Socket::Listening { backlog, .. } => backlog.into_iter().for_each(|waiting| self.abandon(waiting)),
            Socket::Connected(stream) if stream.lost.is_some() => {}
            Socket::Connected(stream) if !stream.inbound.is_empty() => {
                self.fail(stream.peer, SystemError::NETNAME_DELETED);
            }
            Socket::Connected(stream) => {
                if let Some(peer) = self.stream(stream.peer) {
                    peer.inbound_ended = true;
                }
            }
        }
    }

    /// Resets a connection that nobody accepted.
    fn abandon(&mut self, waiting: SocketNumber) {
        self.reset(waiting);
        self.sockets[waiting] = Socket::Closed;
    }
}
