//! A handler for applications that have a thread of their own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::mpsc::{self, RecvError, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pulsewire_protocol::{ConnectionId, Event, SendError};

use crate::handler::{Context, Handler};
use crate::sender::Sender;

/// What a [`ChannelHandler`] forwards: owned, so that it can be handled whenever and wherever.
#[derive(Debug)]
pub struct Notice {
    /// The connection that it is about. Keep a clone to send later.
    pub sender: Sender,
    /// The peer's address.
    pub peer_address: SocketAddr,
    /// What happened.
    pub kind: NoticeKind,
}

impl Notice {
    /// The event, if it is one.
    #[must_use]
    pub fn event(&self) -> Option<&Event<'static>> {
        match &self.kind {
            NoticeKind::Event(event) => Some(event),
            NoticeKind::Unsent(_) | NoticeKind::Writable => None,
        }
    }
}

/// What happened on a connection.
#[derive(Debug)]
pub enum NoticeKind {
    /// See [`Handler::event`].
    Event(Event<'static>),
    /// See [`Handler::unsent`].
    Unsent(SendError<'static>),
    /// See [`Handler::writable`].
    Writable,
}

impl NoticeKind {
    /// Bytes of memory that it takes in the channel.
    fn size(&self) -> usize {
        let payload = match self {
            Self::Event(Event::Message(message)) => message.payload.len(),
            Self::Event(Event::Closed(closed)) => closed.unsent.iter().map(|message| message.payload.len()).sum(),
            Self::Unsent(refused) => refused.message.payload.len(),
            Self::Event(_) | Self::Writable => 0,
        };
        size_of::<Notice>() + payload
    }
}

/// How much may wait in the channel, in bytes: payloads, and a fixed size for each notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelLimits {
    /// Of one connection, at least 1. Default: 256 KiB.
    pub connection: usize,
    /// Of all connections, at least 1. Default: 256 MiB.
    pub total: usize,
}

impl Default for ChannelLimits {
    fn default() -> Self {
        Self { connection: 256 << 10, total: 256 << 20 }
    }
}

/// Forwards everything over a channel to a thread that may take its time.
///
/// Each message is copied once. A connection of which too much waits in the channel pauses until the thread has taken half of it:
/// its peer is told, and waits (BUSY, PW-HB-019). So a slow thread slows the peers that it is slow with, and needs to do nothing
/// for it. Where all connections together have reached their limit, each that has something to tell pauses, and a client that
/// comes then is told OVERLOADED; the thread does not hear of it. Each limit is exceeded by one notice of each connection at most.
///
/// A side that closes can't pause: then the peer is not told, but what there is no room for is not read either. If that lasts, the
/// connection ends with CLOSE_TIMEOUT, or PEER_TIMEOUT where that comes first. Once the receiver was dropped, everything is thrown away,
/// and nobody waits for it.
///
/// It forwards what happens on connections. What becomes of clients that stay connected, messages that were kept for them and come
/// back, timers, groups and posted events is for a handler of your own, which may own this one and call it.
///
/// When the endpoint is shut down the channel ends behind the last `Closed`, so the receiver sees everything that came.
#[derive(Debug)]
pub struct ChannelHandler {
    notices: mpsc::Sender<(Notice, usize)>,
    filling: Arc<Filling>,
}

impl ChannelHandler {
    /// The handler, and the receiver for the application's thread.
    #[must_use]
    pub fn new() -> (Self, Notices) {
        Self::with_limits(ChannelLimits::default())
    }

    /// The same with other limits.
    ///
    /// # Panics
    ///
    /// If a limit is 0: nobody would ever get in.
    #[must_use]
    pub fn with_limits(limits: ChannelLimits) -> (Self, Notices) {
        assert!(limits.connection > 0 && limits.total > 0, "a channel without room");
        let (notices, receiver) = mpsc::channel();
        let filling = Arc::new(Filling { limits, state: Mutex::default() });
        let handler = Self { notices, filling: Arc::clone(&filling) };
        (handler, Notices { receiver, filling })
    }

    fn forward(&self, connection: &mut Context<'_>, kind: NoticeKind) {
        let id = connection.id();
        let size = kind.size();
        let pauses = self.filling.add(id, size);
        if pauses {
            connection.pause_for_queue();
        }
        let notice = Notice { sender: connection.sender(), peer_address: connection.peer_address(), kind };
        let is_lost = self.notices.send((notice, size)).is_err();
        if pauses && (is_lost || self.filling.is_abandoned()) {
            // An application that dropped the receiver does not want to know.
            connection.resume_for_queue();
        }
    }
}

impl Handler for ChannelHandler {
    fn event(&mut self, connection: &mut Context<'_>, event: Event<'_>) {
        self.forward(connection, NoticeKind::Event(event.into_owned()));
    }

    fn unsent(&mut self, connection: &mut Context<'_>, refused: SendError<'static>) {
        self.forward(connection, NoticeKind::Unsent(refused));
    }

    fn writable(&mut self, connection: &mut Context<'_>) {
        self.forward(connection, NoticeKind::Writable);
    }

    fn has_room(&self) -> bool {
        let filled = self.filling.lock();
        filled.is_abandoned || filled.total < self.filling.limits.total
    }
}

/// The receiving end of a [`ChannelHandler`]. Taking a notice makes room for the next ones.
#[derive(Debug)]
pub struct Notices {
    receiver: mpsc::Receiver<(Notice, usize)>,
    filling: Arc<Filling>,
}

impl Notices {
    /// Waits for the next notice.
    ///
    /// # Errors
    ///
    /// The endpoint has ended, and everything was taken.
    pub fn recv(&self) -> Result<Notice, RecvError> {
        self.receiver.recv().map(|taken| self.taken(taken))
    }

    /// Waits for the next notice, but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// There was none in time, or the endpoint has ended.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Notice, RecvTimeoutError> {
        self.receiver.recv_timeout(timeout).map(|taken| self.taken(taken))
    }

    /// The next notice, if there is one.
    ///
    /// # Errors
    ///
    /// There is none, or the endpoint has ended.
    pub fn try_recv(&self) -> Result<Notice, TryRecvError> {
        self.receiver.try_recv().map(|taken| self.taken(taken))
    }

    /// Waits for one notice after the other, until the endpoint has ended.
    pub fn iter(&self) -> impl Iterator<Item = Notice> {
        std::iter::from_fn(|| self.recv().ok())
    }

    /// Bytes that wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.filling.lock().total
    }

    fn taken(&self, (notice, size): (Notice, usize)) -> Notice {
        if self.filling.take(notice.sender.id(), size) {
            notice.sender.resume_for_queue();
        }
        notice
    }
}

impl Drop for Notices {
    /// Whoever waits for room goes on.
    fn drop(&mut self) {
        self.filling.lock().is_abandoned = true;
        while let Ok((notice, _)) = self.receiver.try_recv() {
            notice.sender.resume_for_queue();
        }
    }
}

/// How much waits in the channel.
#[derive(Debug)]
struct Filling {
    limits: ChannelLimits,
    state: Mutex<Filled>,
}

#[derive(Debug, Default)]
struct Filled {
    /// The receiver was dropped: nothing counts any more.
    is_abandoned: bool,
    total: usize,
    /// Of each connection of which anything waits.
    connections: HashMap<ConnectionId, Share>,
}

#[derive(Debug, Default)]
struct Share {
    bytes: usize,
    pauses: bool,
}

impl Filling {
    fn lock(&self) -> MutexGuard<'_, Filled> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_abandoned(&self) -> bool {
        self.lock().is_abandoned
    }

    /// Counts what is put in. Returns whether the connection has to pause.
    fn add(&self, id: ConnectionId, size: usize) -> bool {
        let Filled { is_abandoned, total, connections } = &mut *self.lock();
        if *is_abandoned {
            return false;
        }
        let share = connections.entry(id).or_default();
        *total += size;
        share.bytes += size;
        share.pauses |= share.bytes >= self.limits.connection || *total >= self.limits.total;
        share.pauses
    }

    /// Counts what is taken out. Returns whether the connection pauses and may go on. It may when nothing of it waits, at the latest.
    fn take(&self, id: ConnectionId, size: usize) -> bool {
        let Filled { total, connections, .. } = &mut *self.lock();
        *total -= size;
        let Some(share) = connections.get_mut(&id) else { return false };
        share.bytes -= size;
        let has_room = share.bytes <= self.limits.connection / 2 && *total <= self.limits.total / 2;
        let goes_on = share.pauses && (has_room || share.bytes == 0);
        share.pauses &= !goes_on;
        if share.bytes == 0 {
            connections.remove(&id);
        }
        goes_on
    }
}
