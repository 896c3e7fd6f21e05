//! Where connections come from: listening and connecting.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use pulsewire_protocol::{CloseReason, ConnectionId, Event, Message, Role, Seed, SendError, SendRefused, ValidConfig};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};

use crate::clock::Clock;
use crate::connection::Connection;
use crate::error::ConnectError;
use crate::keeper::Times;
use crate::registry::Registry;
use crate::sender::Sender;
use crate::shared::Shared;
use crate::socket_options::SocketOptions;
use crate::stream::{Below, Stream};

/// A set of connections with one configuration, and with ids that are checked at every use. Cloning it is cheap.
#[derive(Clone)]
pub struct Endpoint {
    inner: Arc<Inner>,
}

struct Inner {
    config: ValidConfig,
    options: SocketOptions,
    clock: Clock,
    registry: Arc<Registry>,
}

impl Endpoint {
    /// An endpoint whose sockets have the default options.
    ///
    /// # Panics
    /// Outside a tokio runtime, which it takes its time from.
    #[must_use]
    pub fn new(config: ValidConfig) -> Self {
        Self::with_options(config, SocketOptions::default())
    }

    /// An endpoint whose sockets have these options.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    #[must_use]
    pub fn with_options(config: ValidConfig, options: SocketOptions) -> Self {
        // Ids of one endpoint mean nothing to another, for the first 2^32 of them.
        static NEXT_DOMAIN: AtomicU32 = AtomicU32::new(1);
        let registry = Arc::new(Registry::new(NEXT_DOMAIN.fetch_add(1, Ordering::Relaxed), Times::new(&config)));
        Self { inner: Arc::new(Inner { config, options, clock: Clock::new(), registry }) }
    }

    /// Listens on an address. Call it again to listen on several.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn listen(&self, address: impl ToSocketAddrs) -> io::Result<Listener> {
        Ok(Listener { listener: TcpListener::bind(address).await?, endpoint: self.clone() })
    }

    /// Connects to the first of the addresses that accepts, and waits until the handshake is complete. The first event of the
    /// connection is then a later one.
    ///
    /// # Errors
    /// [`ConnectError`] says whether TCP or the handshake failed, and whether another try may help.
    pub async fn connect(&self, address: impl ToSocketAddrs) -> Result<Connection, ConnectError> {
        let addresses = tokio::net::lookup_host(address).await.map_err(|source| ConnectError::Address { source })?;
        let mut failed = ConnectError::Address { source: io::ErrorKind::NotFound.into() };
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => return self.greet(stream, address).await,
                Err(source) => failed = ConnectError::Tcp { address, source },
            }
        }
        Err(failed)
    }

    async fn greet(&self, stream: TcpStream, address: SocketAddr) -> Result<Connection, ConnectError> {
        let tcp = |source| ConnectError::Tcp { address, source };
        self.inner.options.apply(&stream).map_err(tcp)?;
        let mut connection = self.run(Below::Socket(stream), Role::Client, Some(address)).map_err(tcp)?;
        match connection.recv().await {
            Some(Event::Closed(closed)) => Err(ConnectError::Handshake { address, closed }),
            // The first event is one of the two.
            _ => Ok(connection),
        }
    }

    /// Runs the protocol over a stream of yours, such as a TLS one. The first event is
    /// [`Established`](pulsewire_protocol::Event::Established), for both roles. What the stream took counts as acknowledged: what
    /// lies below it is not asked.
    ///
    /// # Errors
    /// If the operating system gives no random numbers.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn connection(&self, stream: impl Stream + 'static, role: Role) -> io::Result<Connection> {
        self.run(Below::Given(Box::new(stream)), role, None)
    }

    fn run(&self, below: Below, role: Role, peer: Option<SocketAddr>) -> io::Result<Connection> {
        let Inner { config, clock, registry, .. } = &*self.inner;
        let mut random = [0; 12];
        getrandom::fill(&mut random)?;
        let (now, seed) = (clock.now(), Seed::from_bytes(random));
        let mut machine = match role {
            Role::Client => pulsewire_protocol::Connection::client(now, config, seed),
            Role::Server => pulsewire_protocol::Connection::server(now, config, seed),
        };
        below.introduce(&mut machine, now);
        let shared = registry.insert_with(|id| Shared::new(id, *clock, registry, machine, below));
        Ok(Connection::new(shared, Arc::clone(registry), peer))
    }

    /// A handle to the connection that `id` names, if it lives.
    #[must_use]
    pub fn sender(&self, id: ConnectionId) -> Option<Sender> {
        self.inner.registry.get(id).map(Sender::new)
    }

    /// Sends to the connection that `id` names, without waiting for room in its queue. Gives the number of the message, as
    /// [`Sender::send`].
    ///
    /// # Errors
    /// The reason and the message itself; [`SendRefused::Stale`] if that connection is gone, whoever has its slot now.
    pub fn try_send<'p>(&self, id: ConnectionId, message: Message<'p>) -> Result<NonZeroU64, SendError<'p>> {
        match self.sender(id) {
            Some(sender) => sender.try_send(message),
            None => Err(SendError { reason: SendRefused::Stale, message }),
        }
    }

    /// Cuts the connection that `id` names, as [`Sender::abort`]. Returns whether it lived.
    pub fn abort(&self, id: ConnectionId) -> bool {
        self.inner.registry.get(id).is_some_and(|shared| shared.abort())
    }

    /// The connections that live.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionId> {
        self.inner.registry.all().iter().map(|shared| shared.id).collect()
    }

    /// Asks every peer to close, waits until all are gone, and cuts what is left after `patience`, last words included. Returns
    /// whether all went in order. Stop accepting first; the tasks of the connections must go on receiving.
    pub async fn shutdown(&self, patience: Duration) -> bool {
        let registry = &self.inner.registry;
        for shared in registry.all() {
            Sender::new(shared).close(CloseReason::GOING_AWAY);
        }
        if tokio::time::timeout(patience, registry.empty()).await.is_ok() {
            return true;
        }
        for shared in registry.all().into_iter().chain(registry.parting()) {
            shared.cut();
        }
        false
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("options", &self.inner.options).finish_non_exhaustive()
    }
}

/// Accepts connections.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    endpoint: Endpoint,
}

impl Listener {
    /// The next connection, whose handshake runs when it is received from: a slow client holds nobody up.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// What the operating system says. A connection that broke before it was accepted, or too many open files, are no
    /// reason to stop accepting; wait a little and go on.
    pub async fn accept(&self) -> io::Result<Connection> {
        let (stream, peer) = self.listener.accept().await?;
        self.endpoint.inner.options.apply(&stream)?;
        self.endpoint.run(Below::Socket(stream), Role::Server, Some(peer))
    }

    /// Where it listens: with the port that the system chose, where 0 was asked for.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
