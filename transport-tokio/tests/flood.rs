//! A peer that sends without end holds up neither other tasks nor any time limit.

mod support;

use std::io::Result;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use pulsewire_transport_tokio::Endpoint;
use pulsewire_transport_tokio::protocol::{
    self, Class, CloseReason, Config, Event, Instant, Message, Role, Seed, Transmit,
};
use support::{bounded, valid};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose other end is a client that sends messages without end: there always is something to read, and everything that is
/// written is taken.
struct Flood {
    client: protocol::Connection,
    /// What the client says first.
    greeting: Vec<u8>,
    /// What it says then, again and again.
    messages: Vec<u8>,
    read: Arc<AtomicU64>,
}

impl Flood {
    fn new() -> (Self, Arc<AtomicU64>) {
        let config = valid(Config::default());
        let mut client = protocol::Connection::client(Instant::ZERO, &config, Seed::from_bytes([7; 12]));
        let greeting = transmit(&mut client);
        let read = Arc::new(AtomicU64::new(0));
        (Self { client, greeting, messages: Vec::new(), read: Arc::clone(&read) }, read)
    }
}

fn transmit(client: &mut protocol::Connection) -> Vec<u8> {
    let (mut bytes, mut batch) = (Vec::new(), Transmit::new());
    while client.poll_transmit(Instant::ZERO, 64 << 10, &mut batch) {
        batch.slices().for_each(|slice| bytes.extend_from_slice(slice));
        let size = batch.len();
        client.transmitted(Instant::ZERO, &mut batch, size);
    }
    bytes
}

impl AsyncRead for Flood {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let greeting = std::mem::take(&mut self.greeting);
        if !greeting.is_empty() {
            buffer.put_slice(&greeting);
            return Poll::Ready(Ok(()));
        }
        if self.messages.is_empty() {
            return Poll::Pending;
        }
        let position = self.read.load(Ordering::Relaxed) as usize % self.messages.len();
        let size = buffer.remaining().min(self.messages.len() - position);
        buffer.put_slice(&self.messages[position..position + size]);
        self.read.fetch_add(size as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        if self.messages.is_empty() {
            let mut input = bytes;
            while self.client.receive(Instant::ZERO, &mut input).unwrap().is_some() {}
            for _ in 0..4096 {
                self.client.send(Instant::ZERO, Message::new(Class::BUSINESS, b"1234")).unwrap();
            }
            self.messages = transmit(&mut self.client);
            context.waker().wake_by_ref();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Each time that others run, a flooded task has read at most so much: what it reads in a tenth of a millisecond, on a machine that
/// is faster than any.
const MOST_IN_A_TURN: u64 = 1 << 20;

#[tokio::test]
async fn others_run_while_messages_flood_in() {
    bounded(async {
        const TURNS: u64 = 200;
        let (flood, read) = Flood::new();
        let mut connection = Endpoint::new(valid(Config::default())).connection(flood, Role::Server).unwrap();
        let flooded = tokio::spawn(async move { while connection.recv().await.is_some() {} });
        while read.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        let before = read.load(Ordering::Relaxed);
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        let each = (read.load(Ordering::Relaxed) - before) / TURNS;
        assert!(each > 0 && each < MOST_IN_A_TURN, "{each} bytes were read in each turn");
        flooded.abort();
    })
    .await;
}

/// PW-CLS-007: CLOSE_ACK never comes, and the flood goes on.
#[tokio::test(flavor = "multi_thread")]
async fn time_passes_while_messages_flood_in() {
    bounded(async {
        let mut config = Config::default();
        config.timeouts.close = Duration::from_millis(100);
        let (flood, _) = Flood::new();
        let mut connection = Endpoint::new(valid(config)).connection(flood, Role::Server).unwrap();
        let flooded = tokio::spawn(async move {
            loop {
                match connection.recv().await.expect("Closed comes first") {
                    Event::Established(_) => connection.close(CloseReason::NORMAL),
                    Event::Closed(closed) => return closed.reason,
                    _ => {}
                }
            }
        });
        assert_eq!(flooded.await.unwrap(), CloseReason::CLOSE_TIMEOUT);
    })
    .await;
}
