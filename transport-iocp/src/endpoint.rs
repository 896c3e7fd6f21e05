//! An endpoint: the owner thread, as other threads see it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pulsewire_protocol::{CloseFrame, ConnectionId, Message, Seed, SendError, SendRefused, Statistics, ValidConfig};

use crate::directory::Directory;
use crate::driver::{Driver, Parts};
use crate::handler::Handler;
use crate::inbox::{Command, Inbox};
use crate::port::CompletionPort;
use crate::sender::Sender;
use crate::socket_options::SocketOptions;
use crate::sys::SystemPort;

/// A set of connections with one configuration, one handler and one thread that moves the bytes of all of them.
///
/// Any thread may use it, except for the one that calls the handler: there, methods that need the thread's answer fail
/// with [`io::ErrorKind::Deadlock`].
///
/// [`shutdown`](Self::shutdown) ends it in order. Dropping it cuts all connections and waits for the thread.
pub struct Endpoint {
    inbox: Arc<Inbox>,
    directory: Arc<Directory>,
    /// `None` once the thread was waited for.
    thread: Option<JoinHandle<bool>>,
}

impl Endpoint {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// What the system reports when it gives no completion port or no thread, and [`io::ErrorKind::InvalidInput`] for a
    /// keepalive time that it cannot express.
    pub fn start(config: ValidConfig, options: SocketOptions, handler: impl Handler) -> io::Result<Self> {
        // Ids of one endpoint mean nothing to another, for the first 2^32 of them.
        static NEXT_DOMAIN: AtomicU32 = AtomicU32::new(1);
        options.check()?;
        let port = SystemPort::new()?;
        let inbox = Arc::new(Inbox::new(port.waker()));
        let directory = Arc::new(Directory::default());
        let parts = Parts {
            config,
            options,
            inbox: Arc::clone(&inbox),
            directory: Arc::clone(&directory),
            domain: NEXT_DOMAIN.fetch_add(1, Ordering::Relaxed),
            draw_seed: Box::new(draw_seed),
        };
        let driver = Driver::new(port, handler, parts);
        let thread = thread::Builder::new().name("pulsewire-iocp".to_owned()).spawn(|| driver.run())?;
        Ok(Self { inbox, directory, thread: Some(thread) })
    }

    /// Listens on an address, whose port may be 0, and tells the address that it became. Call it again to listen on
    /// several. An IPv6 address takes IPv6 connections only.
    ///
    /// # Errors
    ///
    /// What the system reports; [`io::ErrorKind::NotConnected`] if the thread is gone.
    pub fn listen(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        self.ask(|answer| Command::Listen { address, answer })
    }

    /// Begins to connect, and names the connection. Whether it succeeds is told by its first event: `Established`, or
    /// `Closed` with the reason. The handshake's time limit covers connecting, too.
    ///
    /// # Errors
    ///
    /// What the system reports when it has no socket to give; [`io::ErrorKind::NotConnected`] if the thread is gone.
    pub fn connect(&self, remote: SocketAddr) -> io::Result<ConnectionId> {
        self.ask(|answer| Command::Connect { remote, answer })
    }

    fn ask<T>(&self, command: impl FnOnce(SyncSender<io::Result<T>>) -> Command) -> io::Result<T> {
        if self.thread.as_ref().is_some_and(|thread| thread.thread().id() == thread::current().id()) {
            return Err(io::ErrorKind::Deadlock.into());
        }
        let (answer, answered) = sync_channel(1);
        self.inbox.push(command(answer));
        answered.recv().unwrap_or_else(|_| Err(io::ErrorKind::NotConnected.into()))
    }

    /// A handle to the connection that `id` names, if it lives.
    #[must_use]
    pub fn sender(&self, id: ConnectionId) -> Option<Sender> {
        self.directory.find(id).map(Sender::new)
    }

    /// Queues a message for the connection that `id` names, as [`Sender::send`].
    ///
    /// # Errors
    ///
    /// The reason and the message itself; [`SendRefused::Stale`] if that connection is gone, whoever has its slot now.
    pub fn send(&self, id: ConnectionId, message: Message<'static>) -> Result<(), SendError<'static>> {
        match self.directory.find(id) {
            Some(mailbox) => mailbox.send(message),
            None => Err(SendError { reason: SendRefused::Stale, message }),
        }
    }

    /// Asks the peer to close, as [`Sender::close`]. Returns whether the connection lives.
    pub fn close(&self, id: ConnectionId, close: impl Into<CloseFrame>) -> bool {
        self.directory.find(id).is_some_and(|mailbox| mailbox.close(close))
    }

    /// Cuts the connection at once, without a word to the peer. Returns whether it lived.
    pub fn abort(&self, id: ConnectionId) -> bool {
        self.directory.find(id).is_some_and(|mailbox| mailbox.abort())
    }

    /// What the connection that `id` names has done so far, in numbers; `None` if it is gone. In the handler there is
    /// [`Context::statistics`](crate::Context::statistics).
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotConnected`] if the thread is gone.
    pub fn statistics(&self, id: ConnectionId) -> io::Result<Option<Statistics>> {
        self.ask(|answer| Command::Statistics { id, answer })
    }

    /// The connections that live.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionId> {
        self.directory.ids()
    }

    /// Stops accepting, asks every peer to close, waits until all are gone and all operations are back, and ends the
    /// thread. What is left after `patience` is cut. Returns whether all went in order.
    ///
    /// The handler is dropped with the thread, after the last `Closed`.
    ///
    /// # Panics
    ///
    /// If the handler did: its panic goes on here.
    pub fn shutdown(mut self, patience: Duration) -> bool {
        self.stop(patience).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn stop(&mut self, patience: Duration) -> thread::Result<bool> {
        let Some(thread) = self.thread.take() else { return Ok(false) };
        self.inbox.push(Command::ShutDown { patience });
        if thread.thread().id() == thread::current().id() {
            // The handler owned the endpoint. The thread ends by itself when it returns.
            return Ok(false);
        }
        thread.join()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // A panic of the handler has been printed.
        let _ended = self.stop(Duration::ZERO);
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Endpoint").field("connections", &self.connections()).finish_non_exhaustive()
    }
}

/// Random numbers that third parties can't predict (PW-KEY-004).
fn draw_seed() -> io::Result<Seed> {
    let mut random = [0; 12];
    getrandom::fill(&mut random)?;
    Ok(Seed::from_bytes(random))
}
