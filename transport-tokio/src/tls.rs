//! TLS below Pulsewire.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll, ready};

use pulsewire_protocol::{Config, ConfigError, Damage, ValidConfig};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::stream::Stream;

/// This configuration as it suits TLS, which lets no damaged byte through: without RESYNC, and so without checksums
/// ([`Damage::Close`]).
///
/// # Errors
/// If the configuration is not valid.
pub fn config(config: Config) -> Result<ValidConfig, ConfigError> {
    Config { damage: Damage::Close, ..config }.validate()
}

/// Encrypts the streams that a server accepts. Cloning it is cheap, and gives the same one.
///
/// ```no_run
/// use std::sync::Arc;
/// use pulsewire_transport_tokio::protocol::{Config, Role};
/// use pulsewire_transport_tokio::{Endpoint, tls};
///
/// async fn serve(config: rustls::ServerConfig) -> Result<(), Box<dyn std::error::Error>> {
///     let endpoint = Endpoint::new(tls::config(Config::default())?);
///     let tls = tls::Server::new(Arc::new(config));
///     let listener = tokio::net::TcpListener::bind("[::]:7700").await?;
///     loop {
///         let (socket, peer) = listener.accept().await?;
///         endpoint.options().apply(&socket)?;
///         let mut connection = endpoint.connection_to(peer, tls.accept(socket), Role::Server)?;
///         tokio::spawn(async move { while connection.recv().await.is_some() {} });
///     }
/// }
/// ```
///
/// Client certificates are asked for, and judged, by what the configuration says
/// ([`WebPkiClientVerifier`](rustls::server::WebPkiClientVerifier)).
#[derive(Clone)]
pub struct Server {
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Server {
    /// Encrypts by this configuration.
    #[must_use]
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self { config: Arc::new(RwLock::new(config)) }
    }

    /// From now on this configuration counts, for new connections: certificates are replaced without a restart.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// The server's side of TLS over a stream. Its handshake runs when the connection above is received from, within
    /// `timeouts.handshake` of that; what it failed with is [`take_io_error`](crate::Connection::take_io_error).
    #[must_use]
    pub fn accept<S: Stream + 'static>(&self, stream: S) -> Tls<S> {
        let config = Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner));
        let accepting = TlsAcceptor::from(config).accept(stream);
        Tls { state: State::Handshake(Box::pin(async move { accepting.await.map(TlsStream::Server) })) }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

/// The client's side of TLS over a stream. Its handshake runs within `timeouts.handshake` of the connection above.
///
/// ```no_run
/// use std::sync::Arc;
/// use pulsewire_transport_tokio::protocol::{Config, Role};
/// use pulsewire_transport_tokio::{Connection, Endpoint, tls};
/// use tokio::net::TcpStream;
///
/// async fn connect(config: Arc<rustls::ClientConfig>) -> Result<Connection, Box<dyn std::error::Error>> {
///     let endpoint = Endpoint::new(tls::config(Config::default())?);
///     let socket = TcpStream::connect("pulse.example:7700").await?;
///     let stream = tls::connect(config, "pulse.example".try_into()?, socket);
///     Ok(endpoint.connection(stream, Role::Client)?)
/// }
/// ```
#[must_use]
pub fn connect<S: Stream + 'static>(config: Arc<ClientConfig>, name: ServerName<'static>, stream: S) -> Tls<S> {
    let connecting = TlsConnector::from(config).connect(name, stream);
    Tls { state: State::Handshake(Box::pin(async move { connecting.await.map(TlsStream::Client) })) }
}

/// A stream that TLS encrypts, whose handshake runs when it is first read from or written to.
pub struct Tls<S> {
    state: State<S>,
}

enum State<S> {
    Handshake(Pin<Box<dyn Future<Output = io::Result<TlsStream<S>>> + Send>>),
    Encrypted(Box<TlsStream<S>>),
    /// The handshake failed, and that was said.
    Failed,
}

impl<S: Stream> Tls<S> {
    /// The encrypted stream, once the handshake is done.
    fn poll_encrypted(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Pin<&mut TlsStream<S>>>> {
        if let State::Handshake(handshake) = &mut self.state {
            self.state = match ready!(handshake.as_mut().poll(context)) {
                Ok(stream) => State::Encrypted(Box::new(stream)),
                Err(error) => {
                    self.state = State::Failed;
                    return Poll::Ready(Err(error));
                }
            };
        }
        match &mut self.state {
            State::Encrypted(stream) => Poll::Ready(Ok(Pin::new(&mut **stream))),
            State::Handshake(_) => Poll::Pending,
            State::Failed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl<S: Stream> AsyncRead for Tls<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_encrypted(context))?.poll_read(context, buffer)
    }
}

impl<S: Stream> AsyncWrite for Tls<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_encrypted(context))?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_encrypted(context))?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_encrypted(context))?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_encrypted(context))?.poll_shutdown(context)
    }
}

impl<S> fmt::Debug for Tls<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Handshake(_) => "Handshake",
            State::Encrypted(_) => "Encrypted",
            State::Failed => "Failed",
        };
        f.debug_tuple("Tls").field(&state).finish()
    }
}
