//! A server: listeners, a handler for each connection, limits, and an end in order.

mod admission;
mod attend;
mod door;
mod handle;
mod listener;
mod race;
mod statistics;

use std::fmt;
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use pulsewire_policy::server::{
    AdmissionLimits, Lifetime, ServerConfig, ServerLimits, ShutdownTimes, ValidServerConfig,
};
use pulsewire_protocol::{Admission, CloseFrame, Config, Request};
use tokio::net::{TcpListener, ToSocketAddrs};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use self::admission::Check;
use self::attend::{Attendant, Attending};
use self::door::Door;
pub(crate) use self::door::Ticket;
pub use self::handle::{ListenerHandle, ServerHandle};
use self::listener::{Listening, Source};
pub use self::statistics::ServerStatistics;
use crate::connection::Connection;
use crate::endpoint::Endpoint;
use crate::stream::Stream;

/// Accepts connections at any number of addresses, and runs a handler for each.
///
/// ```no_run
/// use pulsewire_transport_tokio::protocol::{Config, Event};
/// use pulsewire_transport_tokio::{Connection, Endpoint, Server};
///
/// #[tokio::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let mut server = Server::new(Endpoint::new(Config::default().validate()?));
///     server.listen("0.0.0.0:7700").await?;
///     server.listen("[::]:7700").await?;
///     let handle = server.handle();
///     tokio::spawn(server.serve(echo));
///     tokio::signal::ctrl_c().await?;
///     println!("{}", handle.shutdown().await);
///     Ok(())
/// }
///
/// async fn echo(mut connection: Connection) {
///     let sender = connection.sender();
///     while let Some(event) = connection.recv().await {
///         if let Event::Message(message) = event {
///             let _ = sender.busy_while(sender.send(message)).await;
///         }
///     }
/// }
/// ```
///
/// - Accepting goes on whatever fails. Where descriptors or memory run out it waits a little, and says so once a second.
/// - A client reaches the handler when its handshake is complete; the first event is then
///   [`Established`](pulsewire_protocol::Event::Established). Whoever connects and leaves, as health checks of load balancers do, is
///   counted apart.
/// - Limits hold ([`ServerLimits`]). Who is refused is told OVERLOADED, and when to come again.
/// - A handler that panics costs its connection, which is cut. (Not where panics abort the process.)
/// - A connection may have a longest age ([`Lifetime`]). The handler needs to do nothing for it; it applies while the handler runs.
pub struct Server {
    endpoint: Endpoint,
    door: Arc<Door>,
    check: Option<Check>,
    listening: Vec<Listening>,
    proxied: Option<Duration>,
}

impl Server {
    /// A server with the default limits.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self::with_config(endpoint, ValidServerConfig::default())
    }

    /// A server with limits and times of your own.
    #[must_use]
    pub fn with_config(endpoint: Endpoint, config: ValidServerConfig) -> Self {
        let door = Arc::new(Door::new(config, endpoint.clock()));
        Self { endpoint, door, check: None, listening: Vec::new(), proxied: None }
    }

    /// Asks about each client before it is answered: by its token, its address, or whatever else its HELLO says. A client that is
    /// refused gets the [`CloseFrame`], with its reason and advice on connecting again.
    ///
    /// [`AdmissionLimits`] bound how long that takes, and how many are asked about at the same time; the others are told OVERLOADED.
    /// Where the client leaves meanwhile, the future is dropped. Where it panics, the client is told OVERLOADED.
    ///
    /// Without this, the endpoint's [`Admission`] decides: with [`Admission::Ask`] the handler is called while the client waits, and
    /// gets [`Event::Admission`](pulsewire_protocol::Event::Admission) first.
    ///
    /// ```
    /// use pulsewire_transport_tokio::Server;
    /// use pulsewire_transport_tokio::protocol::{CloseFrame, CloseReason};
    ///
    /// # async fn is_known(token: &[u8]) -> bool { token == b"friend" }
    /// fn friends_only(server: Server) -> Server {
    ///     server.admit(|request, _address| async move {
    ///         match request.token {
    ///             Some(token) if is_known(&token).await => Ok(()),
    ///             _ => Err(CloseFrame::from(CloseReason::REFUSED).with_text("friends only")),
    ///         }
    ///     })
    /// }
    /// ```
    #[must_use]
    pub fn admit<A, F>(mut self, ask: A) -> Self
    where
        A: Fn(Request, Option<SocketAddr>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), CloseFrame>> + Send + 'static,
    {
        let handshake = self.endpoint.config().timeouts.handshake;
        self.check = Some(Check::new(ask, self.door.config.admission.timeout, handshake));
        self
    }

    /// What listens from now on is behind a load balancer that speaks the PROXY protocol, version 1 or 2: it has `limit` to say for whom
    /// a connection is, which then counts as the peer's address, for limits too. Only your proxies may reach such a listener: see
    /// [`read_proxy_header`](crate::read_proxy_header).
    #[must_use]
    pub fn behind_proxy(mut self, limit: Duration) -> Self {
        self.proxied = Some(limit);
        self
    }

    /// As [`listen`](Self::listen), with TLS: the handshakes have `timeouts.handshake` together, and RESYNC is off, since no damage gets
    /// through TLS.
    ///
    /// # Errors
    /// What the operating system says.
    #[cfg(feature = "tls")]
    pub async fn listen_tls(
        &mut self,
        address: impl ToSocketAddrs,
        tls: crate::tls::Server,
    ) -> io::Result<ListenerHandle> {
        let listener = self.endpoint.bind(address).await?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(self.add(Source::Tls(TcpListener::from_std(listener)?, tls), Some(address)))
    }

    /// Listens on the first of the addresses that is free, as [`SocketOptions::listen`](crate::SocketOptions::listen) says. Call it
    /// again to listen on several.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn listen(&mut self, address: impl ToSocketAddrs) -> io::Result<ListenerHandle> {
        let listener = self.endpoint.bind(address).await?;
        self.listen_with(listener)
    }

    /// Accepts from a listener that exists already: one that an earlier process handed over, say. For those that systemd holds there
    /// is [`listen_inherited`](Self::listen_inherited).
    ///
    /// # Errors
    /// What the operating system says.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn listen_with(&mut self, listener: std::net::TcpListener) -> io::Result<ListenerHandle> {
        self.endpoint.options().check()?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(self.add(Source::Tcp(TcpListener::from_std(listener)?), Some(address)))
    }

    /// Listens on a Unix socket. A socket file that nobody listens on any more, of a process that died, is replaced; any other file is
    /// left alone. The file stays when the server ends, since another may have taken the path over.
    ///
    /// # Errors
    /// What the operating system says; that the address is in use, where another process listens there or the path is that of another
    /// file.
    #[cfg(unix)]
    pub async fn listen_unix(&mut self, path: impl AsRef<Path>) -> io::Result<ListenerHandle> {
        let path = path.as_ref();
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_abandoned(path).await => {
                std::fs::remove_file(path)?;
                UnixListener::bind(path)?
            }
            bound => bound?,
        };
        Ok(self.add(Source::Unix(listener), None))
    }

    /// Accepts from a Unix socket that listens already.
    ///
    /// # Errors
    /// What the operating system says.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[cfg(unix)]
    pub fn listen_unix_with(&mut self, listener: std::os::unix::net::UnixListener) -> io::Result<ListenerHandle> {
        listener.set_nonblocking(true)?;
        Ok(self.add(Source::Unix(UnixListener::from_std(listener)?), None))
    }

    /// Accepts from all listeners, TCP and Unix ones, that were handed over as systemd does (`LISTEN_FDS`, `LISTEN_PID`): where its
    /// socket unit listens, a restart refuses nobody. Gives one handle each, in their order, and none where nothing was handed over.
    /// Call it once, at the beginning: the descriptors are taken.
    ///
    /// # Errors
    /// A descriptor that is no such listener, or what the operating system says.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[cfg(unix)]
    pub fn listen_inherited(&mut self) -> io::Result<Vec<ListenerHandle>> {
        let mut inherited = listenfd::ListenFd::from_env();
        let mut handles = Vec::with_capacity(inherited.len());
        for index in 0..inherited.len() {
            // One of another kind is refused, and left for the other call.
            if let Ok(Some(listener)) = inherited.take_tcp_listener(index) {
                handles.push(self.listen_with(listener)?);
            } else if let Some(listener) = inherited.take_unix_listener(index)? {
                handles.push(self.listen_unix_with(listener)?);
            }
        }
        Ok(handles)
    }

    /// Serves streams of yours beside what listeners accept, such as TLS ones, whose handshake is done: with the same handler, limits
    /// and end. Up to `waiting` of them wait until they are taken.
    ///
    /// ```
    /// # use std::net::SocketAddr;
    /// use pulsewire_transport_tokio::{Server, Stream, StreamQueue};
    ///
    /// async fn after_tls(queue: StreamQueue, stream: impl Stream + 'static, peer: SocketAddr) {
    ///     if queue.push(stream, Some(peer)).await.is_err() {
    ///         eprintln!("the server ends");
    ///     }
    /// }
    /// ```
    ///
    /// # Panics
    /// If `waiting` is 0.
    pub fn streams(&mut self, waiting: usize) -> StreamQueue {
        let (queue, streams) = mpsc::channel(waiting);
        let _handle = self.add(Source::Given(streams), None);
        StreamQueue(queue)
    }

    fn add(&mut self, source: Source, address: Option<SocketAddr>) -> ListenerHandle {
        let stop = self.door.stop.child_token();
        self.listening.push(Listening { source, stop: stop.clone(), proxied: self.proxied });
        ListenerHandle { address, stop }
    }

    /// A handle to steer it with, while it serves.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle { endpoint: self.endpoint.clone(), door: Arc::clone(&self.door) }
    }

    /// Serves until accepting was stopped at every listener, and every handler has ended: with
    /// [`ServerHandle::shutdown`], or with [`ServerHandle::stop_accepting`] when the last client has gone. Without a listener it ends
    /// at once.
    ///
    /// A handler is called as often as there are connections, each in a task of its own. Dropping the future stops accepting; the
    /// connections go on with their handlers, but the limit on memory is not watched any more.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn serve<H, F>(self, handler: H)
    where
        H: Fn(Connection) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let Self { endpoint, door, check, listening, .. } = self;
        let _stop = door.stop.clone().drop_guard();
        let served = tokio_util::sync::CancellationToken::new();
        let _served = served.clone().drop_guard();
        let watched = watch_memory(endpoint.clone(), Arc::clone(&door));
        tokio::spawn(async move { served.run_until_cancelled(watched).await });

        let config = match check {
            Some(_) => asking(endpoint.config()),
            None => endpoint.config().clone(),
        };
        let attendant: Arc<dyn Attendant> = Arc::new(Attending {
            endpoint,
            door: Arc::clone(&door),
            #[cfg(feature = "tls")]
            encrypted: crate::tls::config(Config::clone(&config))
                .expect("it was valid, and what is done with damage is no number"),
            config,
            check,
            handler,
        });
        for listening in listening {
            door.listeners.spawn(listening.accept_all(Arc::clone(&attendant)));
        }
        door.listeners.close();
        door.listeners.wait().await;
        door.handlers.close();
        door.handlers.wait().await;
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("endpoint", &self.endpoint)
            .field("config", &self.door.config)
            .finish_non_exhaustive()
    }
}

fn asking(config: &Config) -> pulsewire_protocol::ValidConfig {
    let config = Config { admission: Admission::Ask, ..config.clone() };
    config.validate().expect("it was valid, and who answers HELLO is no number")
}

/// Closes those that hold most, where all together hold too much.
async fn watch_memory(endpoint: Endpoint, door: Arc<Door>) {
    loop {
        let (id, limit) = door.exceeded().await;
        door.count(|counts| counts.overloaded += 1);
        endpoint.overload(id, limit);
        door.forget(id);
        tracing::warn!(connection = ?id, limit, "closed, because all connections hold more than the limit, and it held most");
        // Where many have to go, others run in between.
        tokio::task::yield_now().await;
    }
}

/// Hands streams to a [`Server`]. When all clones are dropped the server waits for no more of them.
#[derive(Clone)]
pub struct StreamQueue(mpsc::Sender<(Box<dyn Stream>, Option<SocketAddr>)>);

impl StreamQueue {
    /// Hands over a stream, and waits while as many wait as fit. `peer`: whom limits per address count it for.
    ///
    /// # Errors
    /// The server accepts nothing any more; the stream is closed.
    pub async fn push(&self, stream: impl Stream + 'static, peer: Option<SocketAddr>) -> io::Result<()> {
        let stopped = |_| io::Error::new(io::ErrorKind::NotConnected, "the server accepts nothing any more");
        self.0.send((Box::new(stream), peer)).await.map_err(stopped)
    }
}

impl fmt::Debug for StreamQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamQueue").finish_non_exhaustive()
    }
}

/// Whether this is a socket file, and nobody listens there.
#[cfg(unix)]
async fn is_abandoned(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    // Connecting to any other file is refused too.
    std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
        && matches!(UnixStream::connect(path).await, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
}
