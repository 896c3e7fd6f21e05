//! Where connections come from: listening and connecting.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pulsewire_policy::{Traffic, telemetry};
use pulsewire_protocol::{CloseReason, ConnectionId, Message, Role, Seed, SendError, SendRefused, ValidConfig};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::time::timeout;

use crate::clock::Clock;
use crate::connecting;
use crate::connection::Connection;
use crate::error::ConnectError;
use crate::keeper::Times;
use crate::registry::Registry;
use crate::report::ShutdownReport;
use crate::sender::Sender;
use crate::shared::Shared;
use crate::socket_options::SocketOptions;
use crate::statistics::EndpointStatistics;
use crate::stream::{Below, Stream};

/// How long a runtime that is busy may take to let go of what was cut.
const CUT_WITHIN: Duration = Duration::from_secs(1);

/// A set of connections with one configuration, and with ids that are checked at every use. Cloning it is cheap.
#[derive(Clone)]
pub struct Endpoint {
    inner: Arc<Inner>,
}

struct Inner {
    config: ValidConfig,
    options: SocketOptions,
    seeds: Seeds,
    clock: Clock,
    registry: Arc<Registry>,
}

/// Where the random numbers of connections come from.
enum Seeds {
    /// The operating system.
    System,
    Given(Mutex<Box<dyn FnMut() -> Seed + Send>>),
}

impl Seeds {
    fn next(&self) -> io::Result<Seed> {
        match self {
            Self::System => {
                let mut random = [0; 12];
                getrandom::fill(&mut random)?;
                Ok(Seed::from_bytes(random))
            }
            Self::Given(next) => Ok(next.lock().unwrap_or_else(PoisonError::into_inner)()),
        }
    }
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
        Self::build(config, options, Seeds::System)
    }

    /// An endpoint whose connections get their random numbers from `seeds`, one [`Seed`] each, in the order in which they begin. For
    /// simulations and tests, which are to go the same way each time. A network that others can reach needs seeds that they can't
    /// predict (PW-KEY-004), and the other constructors draw such from the operating system.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use pulsewire_transport_tokio::protocol::{Config, Seed};
    /// use pulsewire_transport_tokio::{Endpoint, SocketOptions};
    ///
    /// let mut count = 0_u64;
    /// let seeds = move || {
    ///     count += 1;
    ///     let mut bytes = [0; 12];
    ///     bytes[..8].copy_from_slice(&count.to_be_bytes());
    ///     Seed::from_bytes(bytes)
    /// };
    /// let endpoint = Endpoint::with_seeds(Config::default().validate()?, SocketOptions::default(), seeds);
    /// # let _ = endpoint;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// As [`new`](Self::new). If `seeds` panics, so does whoever begins a connection.
    #[must_use]
    pub fn with_seeds(
        config: ValidConfig,
        options: SocketOptions,
        seeds: impl FnMut() -> Seed + Send + 'static,
    ) -> Self {
        Self::build(config, options, Seeds::Given(Mutex::new(Box::new(seeds))))
    }

    fn build(config: ValidConfig, options: SocketOptions, seeds: Seeds) -> Self {
        // Ids of one endpoint mean nothing to another, for the first 2^32 of them.
        static NEXT_DOMAIN: AtomicU32 = AtomicU32::new(1);
        let (clock, domain) = (Clock::new(), NEXT_DOMAIN.fetch_add(1, Ordering::Relaxed));
        let registry = Registry::new(domain, clock, Times::new(&config), options.joining);
        Self { inner: Arc::new(Inner { config, options, seeds, clock, registry }) }
    }

    /// Listens on the first of the addresses that is free, as [`SocketOptions::listen`] says. Call it again to listen on several.
    ///
    /// # Errors
    /// What the operating system says; options that don't [pass](SocketOptions::validate).
    pub async fn listen(&self, address: impl ToSocketAddrs) -> io::Result<Listener> {
        self.listen_with(self.bind(address).await?)
    }

    pub(crate) async fn bind(&self, address: impl ToSocketAddrs) -> io::Result<std::net::TcpListener> {
        self.inner.options.check()?;
        let mut failed = io::ErrorKind::NotFound.into();
        for address in tokio::net::lookup_host(address).await? {
            match self.inner.options.listen.listen(address) {
                Ok(listener) => return Ok(listener),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Accepts from a listener that exists already: one that systemd or an earlier process handed over, say.
    ///
    /// # Errors
    /// What the operating system says.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn listen_with(&self, listener: std::net::TcpListener) -> io::Result<Listener> {
        self.inner.options.check()?;
        listener.set_nonblocking(true)?;
        Ok(Listener { listener: TcpListener::from_std(listener)?, endpoint: self.clone() })
    }

    /// Connects to whichever of the addresses answers first, and waits until the handshake is complete. The first event of the
    /// connection is then a later one.
    ///
    /// An address gets a head start of a quarter of a second before the next one is tried beside it; IPv4 and IPv6 take turns (RFC
    /// 8305). All of them together have [`SocketOptions::connect_timeout`].
    ///
    /// # Errors
    /// [`ConnectError`] says whether the name, TCP or the handshake failed, and whether another try may help.
    pub async fn connect(&self, address: impl ToSocketAddrs) -> Result<Connection, ConnectError> {
        let (stream, address) = self.open(address).await?;
        let connection = self.begin(Below::socket(stream), Role::Client, Some(address));
        let mut connection = connection.map_err(|source| ConnectError::Tcp { address, source })?;
        match connection.greet().await {
            Ok(_) => Ok(connection),
            Err(closed) => Err(ConnectError::Handshake { address, closed, source: connection.take_io_error() }),
        }
    }

    /// Opens a TCP connection to whichever of the addresses answers first, with the options of this endpoint.
    pub(crate) async fn open(&self, address: impl ToSocketAddrs) -> Result<(TcpStream, SocketAddr), ConnectError> {
        let options = &self.inner.options;
        let limit = options.connect_timeout;
        let opening = async {
            let addresses = tokio::net::lookup_host(address).await;
            connecting::connect(addresses.map_err(|source| ConnectError::Address { source })?, limit).await
        };
        // The name has no time of its own.
        let opened = timeout(limit, opening).await;
        let (stream, address) = opened.unwrap_or(Err(ConnectError::Timeout { limit }))?;
        options
            .check()
            .and_then(|()| options.apply(&stream))
            .map_err(|source| ConnectError::Tcp { address, source })?;
        Ok((stream, address))
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
        self.begin(Below::given(stream), role, None)
    }

    /// As [`connection`](Self::connection), with the peer's address, where you know it.
    ///
    /// # Errors
    /// If the operating system gives no random numbers.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn connection_to(&self, peer: SocketAddr, stream: impl Stream + 'static, role: Role) -> io::Result<Connection> {
        self.begin(Below::given(stream), role, Some(peer))
    }

    /// Runs the protocol over a TCP connection that you opened or accepted, and sets the options of this endpoint on it. Unlike one in
    /// another stream, it is asked what the peer's host acknowledged (PW-TCP-005). `peer` is its other end, or who that speaks for.
    ///
    /// # Errors
    /// What the operating system says.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn socket(&self, peer: SocketAddr, socket: TcpStream, role: Role) -> io::Result<Connection> {
        self.inner.options.apply(&socket)?;
        self.begin(Below::socket(socket), role, Some(peer))
    }

    fn begin(&self, below: Below, role: Role, peer: Option<SocketAddr>) -> io::Result<Connection> {
        self.begin_with(&self.inner.config, below, role, peer)
    }

    /// Runs one connection with a configuration of its own.
    pub(crate) fn begin_with(
        &self,
        config: &ValidConfig,
        below: Below,
        role: Role,
        peer: Option<SocketAddr>,
    ) -> io::Result<Connection> {
        let Inner { seeds, clock, registry, .. } = &*self.inner;
        let (now, seed) = (clock.now(), seeds.next()?);
        let mut machine = match role {
            Role::Client => pulsewire_protocol::Connection::client(now, config, seed),
            Role::Server => pulsewire_protocol::Connection::server(now, config, seed),
        };
        below.introduce(&mut machine, now);
        let shared = registry.insert_with(|id| Shared::new(id, peer, registry, machine, below));
        registry.keeper.start(&shared.runtime);
        telemetry::opened(role);
        // Until its task is in `recv`.
        shared.watch(&mut shared.lock());
        Ok(Connection::new(shared, Arc::clone(registry)))
    }

    pub(crate) fn config(&self) -> &ValidConfig {
        &self.inner.config
    }

    pub(crate) fn clock(&self) -> Clock {
        self.inner.clock
    }

    /// The options of its sockets.
    #[must_use]
    pub fn options(&self) -> &SocketOptions {
        &self.inner.options
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

    /// What it has done so far, in numbers. It looks at each connection that lives.
    #[must_use]
    pub fn statistics(&self) -> EndpointStatistics {
        let (mut statistics, others) = self.inner.registry.statistics();
        for shared in others {
            statistics.traffic += Traffic::of(&shared.lock().connection);
        }
        statistics
    }

    /// The connections that live.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionId> {
        self.inner.registry.all().iter().map(|shared| shared.id).collect()
    }

    /// Asks every peer to close, waits until all are gone, and cuts what is left after `patience`, last words included. Reports how
    /// those ended that were there or came meanwhile. Stop accepting first; the tasks of the connections must go on receiving.
    ///
    /// [`ServerHandle::shutdown`](crate::ServerHandle::shutdown) does it for a server, and drains before.
    pub async fn shutdown(&self, patience: Duration) -> ShutdownReport {
        self.wind_down(Duration::ZERO, patience).await
    }

    /// The same; before, peers that are told to drain have time to close themselves.
    pub(crate) async fn wind_down(&self, drain: Duration, patience: Duration) -> ShutdownReport {
        let registry = &self.inner.registry;
        let before = registry.gone();
        if !drain.is_zero() {
            registry.all().into_iter().for_each(|shared| Sender::new(shared).drain());
            let _all_gone = timeout(drain, registry.empty()).await;
        }
        for shared in registry.all() {
            Sender::new(shared).close(CloseReason::GOING_AWAY);
        }
        if timeout(patience, registry.empty()).await.is_err() {
            for shared in registry.all().into_iter().chain(registry.parting()) {
                shared.cut();
            }
            // Farewells are tasks, and end as soon as they run.
            let _busy = timeout(CUT_WITHIN, registry.empty()).await;
        }
        let mut report = registry.gone() - before;
        report.cut += registry.parting().len() as u64;
        report
    }

    /// Closes the connection that `id` names, if it lives, because it holds most of what all hold together.
    pub(crate) fn overload(&self, id: ConnectionId, limit: usize) {
        if let Some(shared) = self.inner.registry.get(id) {
            shared.command(|driver, clock| driver.overload(clock, limit));
        }
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
        self.endpoint.socket(peer, stream, Role::Server)
    }

    /// Where it listens: with the port that the system chose, where 0 was asked for.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
