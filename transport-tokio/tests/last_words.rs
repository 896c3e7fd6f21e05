//! What a peer said before it left is heard, even where writing has failed by then.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use crate::support::{bounded, message, until_closed, valid};
use pulsewire_transport_tokio::protocol::{CloseReason, Config, Event, Origin, Role};
use pulsewire_transport_tokio::{Connection, Endpoint};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// A client whose writes can be made to fail, and its server, over a stream that holds this many bytes each way.
async fn connected(stream_holds: usize) -> (Connection, Connection, Arc<AtomicBool>) {
    let (near, far) = tokio::io::duplex(stream_holds);
    let broken = Arc::default();
    let endpoint = Endpoint::new(valid(Config::default()));
    let stream = Broken { said: near, broken: Arc::clone(&broken) };
    let mut client = endpoint.connection(stream, Role::Client).unwrap();
    let mut server = endpoint.connection(far, Role::Server).unwrap();
    let (first, second) = tokio::join!(client.recv(), server.recv());
    assert!(matches!((first, second), (Some(Event::Established(_)), Some(Event::Established(_)))));
    (client, server, broken)
}

/// A peer that says why it closes, and leaves at once, while this side is writing: the reason counts, not the reset.
#[tokio::test]
async fn the_last_words_of_a_peer_are_heard_though_writing_fails() {
    bounded(async {
        let (mut client, mut server, broken) = connected(1 << 20).await;

        // A fault closes without waiting, and the server is gone before the client looks.
        server.close(CloseReason::PING_FLOOD);
        until_closed(&mut server).await;
        broken.store(true, Ordering::SeqCst);
        client.sender().send(message(1, 100)).await.unwrap();
        let (_, closed) = until_closed(&mut client).await;
        assert_eq!((closed.reason, closed.origin), (CloseReason::PING_FLOOD, Origin::Peer), "{closed}");
    })
    .await;
}

/// A task may not read for ever without a pause; what it has not read by then counts as well.
#[tokio::test]
async fn all_that_a_peer_said_is_heard_though_writing_fails() {
    bounded(async {
        let (mut client, mut server, broken) = connected(64 << 20).await;

        for number in 0..300 {
            server.sender().send(message(number, 60_000)).await.unwrap();
            tokio::task::yield_now().await;
        }
        server.close(CloseReason::PING_FLOOD);
        until_closed(&mut server).await;
        broken.store(true, Ordering::SeqCst);
        client.sender().send(message(1, 100)).await.unwrap();
        let (messages, closed) = until_closed(&mut client).await;
        assert_eq!((closed.reason, closed.origin), (CloseReason::PING_FLOOD, Origin::Peer), "{closed}");
        assert_eq!(messages.len(), 300);
    })
    .await;
}

/// Reads what the peer said; every write fails once that has begun.
struct Broken {
    said: DuplexStream,
    broken: Arc<AtomicBool>,
}

impl AsyncRead for Broken {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.said).poll_read(context, buffer)
    }
}

impl AsyncWrite for Broken {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.broken.load(Ordering::SeqCst) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.said).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.said).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.said).poll_shutdown(context)
    }
}
