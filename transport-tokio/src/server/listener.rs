//! What a server accepts from, and that it never stops for an error.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pulsewire_policy::server::{AcceptBackoff, Reaction};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::attend::Attendant;
use crate::proxy::{ProxiedFor, read_proxy_header};
use crate::stream::Stream;
#[cfg(feature = "tls")]
use crate::tls;

/// A socket that listens, and how to end that.
pub(super) struct Listening {
    pub(super) source: Source,
    pub(super) stop: CancellationToken,
    /// What comes in comes through a proxy, which has so long to say for whom.
    pub(super) proxied: Option<Duration>,
}

pub(super) enum Source {
    Tcp(TcpListener),
    #[cfg(feature = "tls")]
    Tls(TcpListener, tls::Server),
    #[cfg(unix)]
    Unix(UnixListener),
    Given(mpsc::Receiver<(Box<dyn Stream>, Option<SocketAddr>)>),
}

/// What was accepted.
pub(super) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    #[cfg(feature = "tls")]
    Tls(TcpStream, SocketAddr, tls::Server),
    /// With the peer, where a proxy has named one.
    #[cfg(unix)]
    Unix(UnixStream, Option<SocketAddr>),
    Given(Box<dyn Stream>, Option<SocketAddr>),
}

impl Accepted {
    pub(super) fn socket(&mut self) -> Option<&mut TcpStream> {
        match self {
            Self::Tcp(socket, _) => Some(socket),
            #[cfg(feature = "tls")]
            Self::Tls(socket, ..) => Some(socket),
            #[cfg(unix)]
            Self::Unix(..) => None,
            Self::Given(..) => None,
        }
    }

    /// What a proxy says ahead of everything else. Streams of the application's own have the address that it gave.
    pub(super) async fn read_proxy_header(&mut self, limit: Duration) -> io::Result<Option<ProxiedFor>> {
        match self {
            Self::Tcp(socket, _) => read_proxy_header(socket, limit).await,
            #[cfg(feature = "tls")]
            Self::Tls(socket, ..) => read_proxy_header(socket, limit).await,
            #[cfg(unix)]
            Self::Unix(stream, _) => read_proxy_header(stream, limit).await,
            Self::Given(..) => Ok(None),
        }
    }

    /// A proxy says that this is the peer.
    pub(super) fn on_behalf_of(mut self, client: SocketAddr) -> Self {
        match &mut self {
            Self::Tcp(_, peer) => *peer = client,
            #[cfg(feature = "tls")]
            Self::Tls(_, peer, _) => *peer = client,
            #[cfg(unix)]
            Self::Unix(_, peer) => *peer = Some(client),
            Self::Given(_, peer) => *peer = Some(client),
        }
        self
    }
}

impl Source {
    /// `None`: there will be none any more.
    async fn accept(&mut self) -> io::Result<Option<Accepted>> {
        Ok(match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, peer)| Some(Accepted::Tcp(stream, peer)))?,
            #[cfg(feature = "tls")]
            Self::Tls(listener, tls) => {
                let (stream, peer) = listener.accept().await?;
                Some(Accepted::Tls(stream, peer, tls.clone()))
            }
            #[cfg(unix)]
            Self::Unix(listener) => listener.accept().await.map(|(stream, _)| Some(Accepted::Unix(stream, None)))?,
            Self::Given(streams) => streams.recv().await.map(|(stream, peer)| Accepted::Given(stream, peer)),
        })
    }
}

impl Listening {
    /// Accepts until it is stopped, whatever fails.
    pub(super) async fn accept_all(mut self, attendant: Arc<dyn Attendant>) {
        let mut backoff = AcceptBackoff::default();
        while let Some(accepted) = self.stop.run_until_cancelled(self.source.accept()).await {
            match accepted {
                Ok(None) => return,
                Ok(Some(accepted)) => {
                    backoff.succeeded();
                    let attendant = Arc::clone(&attendant);
                    match self.proxied {
                        None => attendant.receive(accepted),
                        Some(limit) => attendant.receive_proxied(accepted, limit),
                    }
                }
                Err(error) => self.wait(&mut backoff, &error, &*attendant).await,
            }
        }
    }

    async fn wait(&self, backoff: &mut AcceptBackoff, error: &io::Error, attendant: &dyn Attendant) {
        let door = attendant.door();
        door.count(|counts| counts.accept_failures += 1);
        let Reaction { wait, log } = backoff.failed(door.clock.now(), error);
        if let Some(count) = log {
            tracing::error!(%error, count, "cannot accept, and goes on trying");
        }
        if !wait.is_zero() {
            let _stopped = self.stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        }
    }
}
