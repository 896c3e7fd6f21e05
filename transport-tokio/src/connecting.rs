//! Opening a TCP connection to whichever address of a name answers first.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::error::ConnectError;

/// How long an address is tried alone before the next one is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Connects to the first of `addresses` that answers within `limit`. Each gets a head start before the next one.
pub(crate) async fn connect(
    addresses: impl IntoIterator<Item = SocketAddr>,
    limit: Duration,
) -> Result<(TcpStream, SocketAddr), ConnectError> {
    let mut failed = None;
    match timeout(limit, race(in_turns(addresses), &mut failed)).await {
        Ok(Some(connected)) => Ok(connected),
        Ok(None) => Err(failed.unwrap_or(ConnectError::Address { source: io::ErrorKind::NotFound.into() })),
        Err(_) => Err(ConnectError::Timeout { limit }),
    }
}

/// `None` when all have failed. Attempts that are not needed any more end with this.
async fn race(addresses: Vec<SocketAddr>, failed: &mut Option<ConnectError>) -> Option<(TcpStream, SocketAddr)> {
    let mut addresses = addresses.into_iter();
    let mut attempts = JoinSet::new();
    loop {
        if let Some(address) = addresses.next() {
            attempts.spawn(async move { (address, open(address).await) });
        }
        let ended = match addresses.len() {
            0 => attempts.join_next().await?,
            // The next one is tried when this one has failed, or has had its head start.
            _ => match timeout(HEAD_START, attempts.join_next()).await {
                Ok(ended) => ended?,
                Err(_) => continue,
            },
        };
        match ended {
            Ok((address, Ok(stream))) => return Some((stream, address)),
            Ok((address, Err(source))) => *failed = Some(ConnectError::Tcp { address, source }),
            // The runtime ends.
            Err(_) => return None,
        }
    }
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    another_end(TcpStream::connect(address).await?)
}

/// Refuses a socket that is connected to itself: to a port of this machine that nobody listens on, the system may connect it from that
/// very port.
fn another_end(stream: TcpStream) -> io::Result<TcpStream> {
    if stream.local_addr()? == stream.peer_addr()? {
        let error = "nobody listens there: the socket was connected to itself";
        return Err(io::Error::new(io::ErrorKind::ConnectionRefused, error));
    }
    Ok(stream)
}

/// The families take turns, the first one's first, and each keeps its order (RFC 8305, section 4).
fn in_turns(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut addresses = addresses.into_iter().peekable();
    let first_is_v6 = addresses.peek().is_some_and(SocketAddr::is_ipv6);
    let (preferred, others): (Vec<_>, Vec<_>) = addresses.partition(|address| address.is_ipv6() == first_is_v6);
    let (mut preferred, mut others) = (preferred.into_iter(), others.into_iter());
    let mut turns = Vec::with_capacity(preferred.len() + others.len());
    while preferred.len() + others.len() > 0 {
        turns.extend(preferred.next());
        turns.extend(others.next());
    }
    turns
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[test]
    fn families_take_turns() {
        let [a, b, c] = ["[::1]:1", "[::1]:2", "[::1]:3"].map(address);
        let [x, y] = ["127.0.0.1:1", "127.0.0.1:2"].map(address);
        assert_eq!(in_turns([a, b, c, x, y]), [a, x, b, y, c]);
        assert_eq!(in_turns([x, y, a]), [x, a, y]);
        assert_eq!(in_turns([]), []);
    }

    #[tokio::test]
    async fn the_next_address_is_tried_at_once_where_one_refuses() {
        let (closed, refuses) = listener();
        drop(closed);
        let (_listener, alive) = listener();
        assert_eq!(connect([refuses, alive], LIMIT).await.unwrap().1, alive);
        let refused = connect([refuses], LIMIT).await;
        assert!(matches!(refused, Err(ConnectError::Tcp { address, .. }) if address == refuses));
        assert!(matches!(connect([], LIMIT).await, Err(ConnectError::Address { .. })));
    }

    /// Where a full backlog does not answer, and a socket can be connected to itself. Other systems refuse both.
    #[cfg(target_os = "linux")]
    mod linux {
        use socket2::{Domain, Socket, Type};
        use tokio::time::Instant;

        use super::*;

        /// An address where connecting gets no answer, for as long as what is returned lives: a backlog that is full.
        fn black_hole() -> (Vec<Socket>, SocketAddr) {
            let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            listener.bind(&address("127.0.0.1:0").into()).unwrap();
            listener.listen(0).unwrap();
            let address = listener.local_addr().unwrap().as_socket().unwrap();
            let mut held = vec![listener];
            for _ in 0..3 {
                let filler = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                filler.set_nonblocking(true).unwrap();
                let _ = filler.connect(&address.into());
                held.push(filler);
            }
            (held, address)
        }

        #[tokio::test]
        async fn an_address_that_does_not_answer_holds_up_no_other() {
            let (_held, dead) = black_hole();
            let (_listener, alive) = listener();
            let began = Instant::now();
            let (_, connected) = connect([dead, alive], LIMIT).await.unwrap();
            assert_eq!(connected, alive);
            assert!(began.elapsed() >= HEAD_START && began.elapsed() < LIMIT);

            let limit = Duration::from_millis(300);
            assert!(
                matches!(connect([dead], limit).await, Err(ConnectError::Timeout { limit: after }) if after == limit)
            );
        }

        #[tokio::test]
        async fn a_socket_that_is_connected_to_itself_is_refused() {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.bind(&address("127.0.0.1:0").into()).unwrap();
            socket.connect(&socket.local_addr().unwrap()).unwrap();
            socket.set_nonblocking(true).unwrap();
            let refused = another_end(TcpStream::from_std(socket.into()).unwrap()).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        }
    }
}
