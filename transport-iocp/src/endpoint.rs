//! An endpoint: the owner thread, as other threads see it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pulsewire_policy::server::{ShutdownTimes, ValidServerConfig};
use pulsewire_policy::{ShutdownReport, ValidReconnectConfig};
use pulsewire_protocol::{
    CloseFrame, ConnectionId, Message, PreparedMessage, SendError, SendRefused, Statistics, ValidConfig,
};

use crate::client_sender::{ClientOptions, ClientSender};
use crate::clients::ClientId;
use crate::directory::Directories;
use crate::handler::Handler;
use crate::inbox::Command;
use crate::poster::Poster;
use crate::sender::Sender;
use crate::socket_options::SocketOptions;
use crate::statistics::EndpointStatistics;
use crate::threads::Threads;

/// A set of connections with one configuration, and the thread that moves the bytes of all of them and calls the handler; or several
/// such threads ([`start_threads`](Self::start_threads)).
///
/// Any thread may use it, except for those that call a handler: there, methods that need the thread's answer fail
/// with [`io::ErrorKind::Deadlock`].
///
/// [`shutdown`](Self::shutdown) ends it in order. Dropping it cuts all connections, and waits for the thread for a second at most.
pub struct Endpoint {
    directories: Arc<Directories>,
    times: ShutdownTimes,
    threads: Threads,
}

impl Endpoint {
    /// Starts the thread, with the default [`ServerConfig`](crate::ServerConfig): a server behind a load balancer, and a test on one
    /// machine, may want more than its 1,024 connections from one address.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] if an option is out of its range; [`io::ErrorKind::Unsupported`] if connections are to be marked
    /// and the system can't; what the system reports when it gives no completion
    /// port or no thread.
    pub fn start(config: ValidConfig, options: SocketOptions, handler: impl Handler) -> io::Result<Self> {
        Self::start_with(config, options, ValidServerConfig::default(), handler)
    }

    /// Starts the thread, with limits for all connections together and times of your own. A client that a limit keeps out is told
    /// OVERLOADED and when to come again, and the handler does not hear of it; [`connect`](Self::connect) fails with
    /// [`io::ErrorKind::QuotaExceeded`] where those of connections, handshakes or memory are reached.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with(
        config: ValidConfig,
        options: SocketOptions,
        server: ValidServerConfig,
        handler: impl Handler,
    ) -> io::Result<Self> {
        Self::start_threads(config, options, server, vec![handler])
    }

    /// Starts a thread for each of these handlers, for more bytes than one thread moves. Each has connections, timers and groups of its
    /// own. The first one accepts; whoever comes is handed to the thread with the fewest connections and stays there.
    ///
    /// The limits hold for all threads together, with two exceptions. Each thread has its share of the memory and of the checks of
    /// admission; let the one be more than the largest message takes, which it is with the defaults for up to 15 threads. And the
    /// connections that are begun here are limited by what their thread has. [`Sender`]s reach every thread, and ids
    /// name a connection of the whole endpoint. A group has members of one thread: what is for all goes by
    /// [`broadcast`](Self::broadcast), or is posted to every thread ([`posters`](Self::posters)).
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start); [`io::ErrorKind::InvalidInput`] also without a handler, and where the memory is too little for so
    /// many.
    pub fn start_threads<H: Handler>(
        config: ValidConfig,
        options: SocketOptions,
        server: ValidServerConfig,
        handlers: Vec<H>,
    ) -> io::Result<Self> {
        options.validate()?;
        let times = server.shutdown;
        let (threads, directories) = Threads::start(&config, options, &server, handlers)?;
        Ok(Self { directories, times, threads })
    }

    /// Listens on an address, whose port may be 0, and tells the address that it became. Call it again to listen on
    /// several, and [`stop_listening`](Self::stop_listening) to end one. [`SocketOptions::listen`] says whether `[::]` takes IPv4
    /// too.
    ///
    /// # Errors
    ///
    /// What the system reports; [`io::ErrorKind::NotConnected`] if the thread is gone.
    pub fn listen(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        self.threads.ask_first(|answer| Command::Listen { address, answer })
    }

    /// Stops listening on an address that [`listen`](Self::listen) told. Its connections go on. Returns whether somebody listened
    /// there.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotConnected`] if the thread is gone.
    pub fn stop_listening(&self, address: SocketAddr) -> io::Result<bool> {
        self.threads.ask_first(|answer| Command::StopListening { address, answer })
    }

    /// Begins to connect, and names the connection. Whether it succeeds is told by its first event: `Established`, or
    /// `Closed` with the reason. The handshake's time limit covers connecting, too.
    ///
    /// # Errors
    ///
    /// What the system reports when it has no socket to give; [`io::ErrorKind::NotConnected`] if the thread is gone.
    pub fn connect(&self, remote: SocketAddr) -> io::Result<ConnectionId> {
        self.threads.ask_next(|answer| Command::Connect { remote, answer })
    }

    /// Has a client connect to `remote`, and again whenever its connection is lost, as [`ReconnectConfig`](crate::ReconnectConfig)
    /// and the server's advice say. What becomes of it is told by [`Handler::client`]; the events of each of its connections, with an
    /// id of its own, come as those of any other. A connection that is closed otherwise than by
    /// [`close_client`](Self::close_client) is replaced, too. [`Handler::token`] gives each try a token of its own.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotConnected`] if the thread is gone.
    pub fn stay_connected(&self, remote: SocketAddr, config: ValidReconnectConfig) -> io::Result<ClientId> {
        self.threads.ask_next(|answer| Command::StayConnected { remote, config, answer })
    }

    /// The same, with a handle for sending that stays the same however often the client connects, and that keeps messages for the next
    /// connection, if the options say so.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotConnected`] if the thread is gone.
    pub fn client(&self, remote: SocketAddr, options: ClientOptions) -> io::Result<ClientSender> {
        self.threads.ask_next(|answer| Command::AddClient { remote, options, answer })
    }

    /// Ends a client: its connection is closed in order, as by [`Sender::close`], and there is no other one. Returns whether there
    /// was such a client.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotConnected`] if the thread is gone.
    pub fn close_client(&self, client: ClientId, close: impl Into<CloseFrame>) -> io::Result<bool> {
        let close = close.into();
        let asked = self.threads.ask_of(client.domain, |answer| Command::CloseClient { client, close, answer });
        asked.unwrap_or(Ok(false))
    }

    /// A handle to the connection that `id` names, if it lives.
    #[must_use]
    pub fn sender(&self, id: ConnectionId) -> Option<Sender> {
        self.directories.find(id).map(Sender::new)
    }

    /// Queues a message for the connection that `id` names, as [`Sender::try_send`].
    ///
    /// # Errors
    ///
    /// The reason and the message itself; [`SendRefused::Stale`] if that connection is gone, whoever has its slot now.
    pub fn try_send(&self, id: ConnectionId, message: Message<'static>) -> Result<(), SendError<'static>> {
        match self.directories.find(id) {
            Some(mailbox) => mailbox.send(message),
            None => Err(SendError { reason: SendRefused::Stale, message }),
        }
    }

    /// Asks the peer to close, as [`Sender::close`]. Returns whether the connection lives.
    pub fn close(&self, id: ConnectionId, close: impl Into<CloseFrame>) -> bool {
        self.directories.find(id).is_some_and(|mailbox| mailbox.close(close))
    }

    /// Cuts the connection at once, without a word to the peer. Returns whether it lived.
    pub fn abort(&self, id: ConnectionId) -> bool {
        self.directories.find(id).is_some_and(|mailbox| mailbox.abort())
    }

    /// What the connection that `id` names has done so far, in numbers; `None` if it is gone. In the handler there is
    /// [`Context::statistics`](crate::Context::statistics).
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotConnected`] if the thread is gone.
    pub fn statistics(&self, id: ConnectionId) -> io::Result<Option<Statistics>> {
        let asked = self.threads.ask_of(id.domain(), |answer| Command::Statistics { id, answer });
        asked.unwrap_or(Ok(None))
    }

    /// A handle with which any thread hands events to the handler, of several to the first.
    #[must_use]
    pub fn poster(&self) -> Poster {
        self.posters().swap_remove(0)
    }

    /// The same for each handler, in the order in which they were given.
    #[must_use]
    pub fn posters(&self) -> Vec<Poster> {
        self.threads.inboxes().map(Poster::new).collect()
    }

    /// Sends a message to every connection of every thread that is open and has room. It is encoded once. Returns how many took it.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotConnected`] if a thread is gone.
    pub fn broadcast(&self, message: Message<'_>) -> io::Result<usize> {
        let prepared = PreparedMessage::new(message);
        let counts = self.threads.ask_all(|answer| Command::Broadcast { message: prepared.clone(), answer })?;
        Ok(counts.into_iter().sum())
    }

    /// What the endpoint has done so far, in numbers.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotConnected`] if a thread is gone.
    pub fn endpoint_statistics(&self) -> io::Result<EndpointStatistics> {
        let threads = self.thread_statistics()?;
        Ok(threads.iter().fold(EndpointStatistics::default(), EndpointStatistics::and))
    }

    /// The same for each thread, in the order of their handlers.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn thread_statistics(&self) -> io::Result<Vec<EndpointStatistics>> {
        self.threads.ask_all(|answer| Command::EndpointStatistics { answer })
    }

    /// The connections that live.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionId> {
        self.directories.ids()
    }

    /// Stops accepting, asks every peer to close, waits until all are gone and all operations are back, and ends the
    /// thread. What is left after `patience` is cut. Reports how the connections ended.
    ///
    /// It returns at most a second after `patience`, also where the handler is stuck: then the thread ends alone when the handler
    /// returns. The handler is dropped with the thread, after the last `Closed`.
    ///
    /// # Errors
    ///
    /// Nothing is known of how they ended: [`io::ErrorKind::TimedOut`] if the handler does not return,
    /// [`io::ErrorKind::Deadlock`] where the handler calls this itself (the thread ends when it returns),
    /// [`io::ErrorKind::Other`] if the thread had panicked.
    pub fn shutdown(mut self, patience: Duration) -> io::Result<ShutdownReport> {
        self.threads.stop(Duration::ZERO, patience)
    }

    /// Ends a server as [`ShutdownTimes`] says: stops accepting; sends DRAIN, so that peers finish what they had begun and close, and
    /// waits for `drain`; then as [`shutdown`](Self::shutdown) with `close`.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn wind_down(mut self) -> io::Result<ShutdownReport> {
        let ShutdownTimes { drain, close } = self.times;
        self.threads.stop(drain, close)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Endpoint").field("connections", &self.connections()).finish_non_exhaustive()
    }
}
