//! What the transport's bytes go through, beside a TCP socket. The suite speaks TCP; a task carries what it says.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use pulsewire_transport_tokio::protocol::Role;
use pulsewire_transport_tokio::{Connection, Endpoint, Stream, tls};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a stream in memory holds.
const HOLDS: usize = 16 << 10;
/// What the certificate is for.
const NAME: &str = "localhost";

/// What a connection runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// A TCP socket.
    Tcp,
    /// A Unix socket.
    #[cfg(unix)]
    Unix,
    /// A stream in memory.
    Duplex,
    /// TLS over a stream in memory.
    Tls,
}

impl Medium {
    /// What a subject that uses it is called.
    pub(super) fn subject(self) -> &'static str {
        match self {
            Self::Tcp => "tokio",
            #[cfg(unix)]
            Self::Unix => "tokio-unix",
            Self::Duplex => "tokio-duplex",
            Self::Tls => "tokio-tls",
        }
    }

    /// A connection of which `socket` is the far end.
    pub(super) fn connection(
        self,
        endpoint: &Endpoint,
        peer: SocketAddr,
        socket: TcpStream,
        role: Role,
    ) -> io::Result<Connection> {
        socket.set_nodelay(true)?;
        match self {
            Self::Tcp => endpoint.socket(peer, socket, role),
            #[cfg(unix)]
            Self::Unix => {
                let (near, far) = tokio::net::UnixStream::pair()?;
                carry(socket, far);
                endpoint.connection_to(peer, near, role)
            }
            Self::Duplex => {
                let (near, far) = tokio::io::duplex(HOLDS);
                carry(socket, far);
                endpoint.connection_to(peer, near, role)
            }
            Self::Tls => {
                let (near, far) = tokio::io::duplex(HOLDS);
                let name = NAME.try_into().expect("a name");
                match role {
                    Role::Server => {
                        carry(socket, tls::connect(Arc::clone(&TLS.0), name, far));
                        endpoint.connection_to(peer, TLS.1.accept(near), role)
                    }
                    Role::Client => {
                        carry(socket, TLS.1.accept(far));
                        endpoint.connection_to(peer, tls::connect(Arc::clone(&TLS.0), name, near), role)
                    }
                }
            }
        }
    }
}

/// Both sides of TLS, with a certificate that is made when it is first needed.
static TLS: LazyLock<(Arc<ClientConfig>, tls::Server)> = LazyLock::new(|| {
    let certified = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).expect("a certificate");
    let certificate = certified.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()).into();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a certificate");
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let server = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
    (Arc::new(client), tls::Server::new(Arc::new(server.expect("the key is the certificate's"))))
});

/// Carries bytes both ways, and the end of each direction. Where one side is gone, the other goes too.
fn carry(socket: TcpStream, far: impl Stream + 'static) {
    tokio::spawn(async move {
        let (from_socket, to_socket) = socket.into_split();
        let (from_far, to_far) = tokio::io::split(far);
        let _ = tokio::try_join!(carry_one_way(from_socket, to_far), carry_one_way(from_far, to_socket));
    });
}

/// Carries bytes until they end; then says so.
async fn carry_one_way(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    let mut buffer = vec![0; HOLDS];
    loop {
        match from.read(&mut buffer).await? {
            0 => return to.shutdown().await,
            count => to.write_all(&buffer[..count]).await?,
        }
        to.flush().await?;
    }
}
