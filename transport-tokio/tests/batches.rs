//! What came together is handled together, and answered with one write.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::support::{bounded, message, next_message, until_closed, valid};
use pulsewire_transport_tokio::protocol::{CloseReason, Config, Event, Role};
use pulsewire_transport_tokio::{Connection, Endpoint, Joining, SocketOptions};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::time::{Instant, sleep, timeout};

/// A connected pair, and how often the second has written, and flushed.
async fn counted() -> (Connection, Connection, Arc<Counts>) {
    counted_with(SocketOptions::default()).await
}

async fn counted_with(options: SocketOptions) -> (Connection, Connection, Arc<Counts>) {
    let (near, far) = tokio::io::duplex(1 << 20);
    let counts = Arc::<Counts>::default();
    let endpoint = Endpoint::with_options(valid(Config::default()), options);
    let mut client = endpoint.connection(near, Role::Client).unwrap();
    let stream = Counted { below: far, counts: Arc::clone(&counts), flushes: true };
    let mut server = endpoint.connection(stream, Role::Server).unwrap();
    tokio::join!(client.recv(), server.recv());
    (client, server, counts)
}

fn echo(mut connection: Connection) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let sender = connection.sender();
        while let Some(event) = connection.recv().await {
            if let Event::Message(message) = event {
                drop(sender.send(message).await);
            }
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_answered_with_one_write() {
    bounded(async {
        let (mut client, server, counts) = counted().await;
        let _echoing = echo(server);
        for count in [1, 2, 64, 100] {
            sleep(Duration::from_millis(200)).await;
            let before = counts.writes.load(Ordering::Relaxed);
            for number in 0..count {
                client.sender().try_send(message(number, 60)).unwrap();
            }
            for number in 0..count {
                assert_eq!(next_message(&mut client).await, message(number, 60));
            }
            assert_eq!(counts.writes.load(Ordering::Relaxed) - before, 1, "for {count} messages");
        }
    })
    .await;
}

/// A pause, and a cut, count from the next `recv` on, also for messages that came with the one that is being handled.
#[tokio::test(start_paused = true)]
async fn a_command_counts_for_the_rest_of_a_batch() {
    bounded(async {
        let (client, mut server, _) = counted().await;
        for number in 0..5 {
            client.sender().try_send(message(number, 60)).unwrap();
        }
        let _client = echo(client);
        assert_eq!(next_message(&mut server).await, message(0, 60));
        server.pause();
        assert!(timeout(Duration::from_secs(5), server.recv()).await.is_err());
        server.resume();
        assert_eq!(next_message(&mut server).await, message(1, 60));
        let busy = server.sender();
        tokio::spawn(async move { busy.busy_while(sleep(Duration::from_secs(5))).await });
        tokio::task::yield_now().await;
        let began = Instant::now();
        assert_eq!(next_message(&mut server).await, message(2, 60));
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        assert!(server.sender().abort());
        let (messages, closed) = until_closed(&mut server).await;
        assert_eq!((messages.len(), closed.reason), (0, CloseReason::ABORTED));
    })
    .await;
}

/// What tasks send one after the other leaves in one write, when the first has waited for long enough or enough waits.
#[tokio::test(start_paused = true)]
async fn messages_of_several_tasks_are_joined() {
    bounded(async {
        let within = Duration::from_millis(20);
        let joining = Joining::Coalesce { within, up_to: 1_000 };
        let options = SocketOptions { joining, ..SocketOptions::default() };
        let (mut client, mut server, counts) = counted_with(options).await;
        let sender = server.sender();
        tokio::spawn(async move { while server.recv().await.is_some() {} });
        sleep(Duration::from_millis(200)).await;
        let (writes, began) = (counts.writes.load(Ordering::Relaxed), Instant::now());
        for number in 0..3 {
            sender.try_send(message(number, 60)).unwrap();
            sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(counts.writes.load(Ordering::Relaxed), writes);
        for number in 0..3 {
            assert_eq!(next_message(&mut client).await, message(number, 60));
        }
        assert!((within..within * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
        assert_eq!(counts.writes.load(Ordering::Relaxed) - writes, 1);

        sender.try_send(message(3, 60)).unwrap();
        sender.try_send(message(4, 1_000)).unwrap();
        sender.try_send(message(5, 60)).unwrap();
        sender.flush();
        assert_eq!(counts.writes.load(Ordering::Relaxed) - writes, 3);
    })
    .await;
}

/// CLOSE behind requests is not looked at before they are answered.
#[tokio::test(start_paused = true)]
async fn requests_before_a_close_are_answered() {
    bounded(async {
        let (mut client, server, _) = counted().await;
        let _echoing = echo(server);
        for number in 0..3 {
            client.sender().try_send(message(number, 60)).unwrap();
        }
        client.close(CloseReason::NORMAL);
        let (messages, closed) = until_closed(&mut client).await;
        assert_eq!((messages.len(), closed.orderly), (3, true));
    })
    .await;
}

/// A stream that takes bytes and never says that they are flushed: nobody spins, bytes go on, and the connection can end.
#[tokio::test(start_paused = true)]
async fn a_stream_that_does_not_flush_keeps_nobody_busy() {
    bounded(async {
        let (near, far) = tokio::io::duplex(1 << 20);
        let counts = Arc::<Counts>::default();
        let endpoint = Endpoint::new(valid(Config::default()));
        let mut client = endpoint.connection(near, Role::Client).unwrap();
        let stream = Counted { below: far, counts: Arc::clone(&counts), flushes: false };
        let mut server = endpoint.connection(stream, Role::Server).unwrap();
        tokio::join!(client.recv(), server.recv());
        let serving = echo(server);
        for number in 0..3 {
            sleep(Duration::from_secs(10)).await;
            client.sender().try_send(message(number, 60)).unwrap();
            assert_eq!(next_message(&mut client).await, message(number, 60));
        }
        assert!(counts.flushes.load(Ordering::Relaxed) < 200, "{counts:?}");
        client.close(CloseReason::NORMAL);
        assert!(until_closed(&mut client).await.1.orderly);
        serving.await.unwrap();
    })
    .await;
}

#[derive(Debug, Default)]
struct Counts {
    writes: AtomicUsize,
    flushes: AtomicUsize,
}

struct Counted {
    below: DuplexStream,
    counts: Arc<Counts>,
    /// Else it never ends to flush.
    flushes: bool,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.below).poll_read(context, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.counts.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.below).poll_write(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.counts.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.below).poll_write_vectored(context, slices)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        self.counts.flushes.fetch_add(1, Ordering::Relaxed);
        if self.flushes { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.below).poll_shutdown(context)
    }
}
