//! The PROXY protocol: a load balancer in front says on whose behalf it connects.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use proxy_header::{ParseConfig, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// What is read before it is known which version it is: no header is shorter.
const SHORTEST: usize = 15;
/// The longest header of version 1, with its end of line.
const LONGEST_LINE: usize = 107;
/// What version 2 begins with, and its whole fixed part.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const FIXED: usize = 16;
/// Addresses and extensions. The protocol allows 64 KiB; nobody needs them.
const LONGEST_REST: usize = 2_048;

/// On whose behalf a proxy has connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxiedFor {
    /// The client.
    pub source: SocketAddr,
    /// What the client connected to.
    pub destination: SocketAddr,
}

/// Reads the header that a proxy sends ahead of everything else, of version 1 or 2 of the PROXY protocol, within `limit`. `None`: it
/// names nobody, since the proxy connected on its own behalf, or for a client whose address it does not know or that has none. Go on
/// with the address of the proxy. Not a byte behind the header is read.
///
/// Do this only where nobody but your proxies can connect: whoever sends this header chooses the address.
///
/// ```no_run
/// use std::time::Duration;
/// use pulsewire_transport_tokio::protocol::Role;
/// use pulsewire_transport_tokio::{Connection, Endpoint, read_proxy_header};
/// use tokio::net::TcpListener;
///
/// async fn accept(listener: &TcpListener, endpoint: &Endpoint) -> std::io::Result<Connection> {
///     let (mut socket, proxy) = listener.accept().await?;
///     let client = read_proxy_header(&mut socket, Duration::from_secs(2)).await?;
///     endpoint.socket(client.map_or(proxy, |client| client.source), socket, Role::Server)
/// }
/// ```
///
/// # Errors
/// What the stream says; [`ErrorKind::NotConnected`] if the peer left without a byte, [`ErrorKind::InvalidData`] if this is no such
/// header, and [`ErrorKind::TimedOut`].
pub async fn read_proxy_header(
    stream: &mut (impl AsyncRead + Unpin),
    limit: Duration,
) -> io::Result<Option<ProxiedFor>> {
    let header = timeout(limit, read(stream)).await??;
    let (header, _) = ProxyHeader::parse(&header, ParseConfig::default()).map_err(|_| invalid())?;
    let addresses = header.proxied_address();
    Ok(addresses.map(|of| ProxiedFor { source: of.source, destination: of.destination }))
}

/// The bytes of a header, and no more.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut header = vec![0; SHORTEST];
    // What is certainly something else is refused without waiting for more.
    if stream.read(&mut header[..1]).await? == 0 {
        return Err(io::Error::new(ErrorKind::NotConnected, "the peer left without a byte"));
    }
    match header[0] {
        b'P' | b'\r' => stream.read_exact(&mut header[1..]).await?,
        _ => return Err(invalid()),
    };
    if header.starts_with(SIGNATURE) {
        header.push(stream.read_u8().await?);
        let rest = usize::from(u16::from_be_bytes([header[FIXED - 2], header[FIXED - 1]]));
        if rest > LONGEST_REST {
            return Err(invalid());
        }
        header.resize(FIXED + rest, 0);
        stream.read_exact(&mut header[FIXED..]).await?;
        return Ok(header);
    }
    while !header.ends_with(b"\r\n") {
        if header.len() == LONGEST_LINE {
            return Err(invalid());
        }
        header.push(stream.read_u8().await?);
    }
    Ok(header)
}

fn invalid() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "no header of the PROXY protocol: does this peer come through your proxy?")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proxy_header::{Protocol, ProxiedAddress};
    use tokio::io::AsyncWriteExt;

    const LIMIT: Duration = Duration::from_secs(1);

    async fn parse(bytes: &[u8]) -> (io::Result<Option<ProxiedFor>>, Vec<u8>) {
        let mut stream = bytes;
        let found = read_proxy_header(&mut stream, LIMIT).await;
        (found, stream.to_vec())
    }

    fn addresses() -> ProxiedFor {
        let of = |text: &str| text.parse().unwrap();
        ProxiedFor { source: of("[2001:db8::1]:4711"), destination: of("[2001:db8::2]:7700") }
    }

    fn header() -> ProxyHeader<'static> {
        let ProxiedFor { source, destination } = addresses();
        ProxyHeader::with_address(ProxiedAddress { protocol: Protocol::Stream, source, destination })
    }

    #[tokio::test]
    async fn both_versions_are_read_to_their_end_and_no_further() {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        header().encode_v1(&mut first).unwrap();
        header().encode_v2(&mut second).unwrap();
        for mut bytes in [first, second] {
            bytes.extend_from_slice(b"HELLO");
            let (found, rest) = parse(&bytes).await;
            assert_eq!((found.unwrap(), &rest[..]), (Some(addresses()), &b"HELLO"[..]));
        }
        let (found, rest) = parse(b"PROXY UNKNOWN\r\nHELLO").await;
        assert_eq!((found.unwrap(), &rest[..]), (None, &b"HELLO"[..]));
        let mut local = Vec::new();
        ProxyHeader::with_local().encode_v2(&mut local).unwrap();
        assert_eq!(parse(&local).await.0.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let endless = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        let long = [SIGNATURE, &[0x21, 0x11, 0xFF, 0xFF], &[0; 100]].concat();
        for bytes in [b"\xf7\x9a\x01\0".as_slice(), b"GET / HTTP/1.1\r\n", b"PROXY TCP4 a b c d\r\n", &endless, &long] {
            assert_eq!(parse(bytes).await.0.unwrap_err().kind(), ErrorKind::InvalidData, "{bytes:?}");
        }
        assert_eq!(parse(b"PROXY TC").await.0.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[tokio::test(start_paused = true)]
    async fn a_proxy_that_says_nothing_is_not_waited_for() {
        let (mut near, mut far) = tokio::io::duplex(100);
        far.write_all(b"PROXY TCP4 ").await.unwrap();
        let late = read_proxy_header(&mut near, LIMIT).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::TimedOut);
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..100), begins in 0..3_u8) {
            let begin: &[u8] = match begins { 0 => b"PROXY ", 1 => SIGNATURE, _ => b"" };
            let bytes = [begin, &bytes].concat();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let _ = runtime.block_on(parse(&bytes));
        }
    }
}
