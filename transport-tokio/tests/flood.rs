//! A peer that sends without end holds up neither other tasks nor any time limit.

use std::io::Result;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::support::{bounded, valid};
use pulsewire_transport_tokio::Endpoint;
use pulsewire_transport_tokio::protocol::{
    self, Class, CloseReason, Config, Event, Flags, Header, Hello, Instant, Kind, Message, Role, Seed, Transmit,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a client sends without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Messages,
    /// Packets of a kind that is passed over: the application hears nothing of them.
    Ignorable,
}

/// A stream whose other end is such a client: there always is something to read, and everything that is written is taken.
struct Flood {
    of: Of,
    client: protocol::Connection,
    /// What the client says first.
    greeting: Vec<u8>,
    /// What it says then, again and again.
    messages: Vec<u8>,
    read: Arc<AtomicU64>,
}

impl Flood {
    fn new(of: Of) -> (Self, Arc<AtomicU64>) {
        let config = valid(Config::default());
        let mut client = protocol::Connection::client(Instant::ZERO, &config, Seed::from_bytes([7; 12]));
        let greeting = transmit(&mut client);
        let read = Arc::new(AtomicU64::new(0));
        (Self { of, client, greeting, messages: Vec::new(), read: Arc::clone(&read) }, read)
    }
}

/// The payload of the first packet: CLOSE may lie behind it.
fn hello_of(bytes: &[u8]) -> &[u8] {
    let (header, rest) = bytes.split_first_chunk().expect("a header");
    &rest[..Header::verify(header, 0).expect("the first packet has no key").length as usize]
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
            // What comes behind HELLO_ACK, it does not look at.
            let event = self.client.receive(Instant::ZERO, &mut input).unwrap();
            assert!(matches!(event, Some(Event::Established(_))));
            self.messages = match self.of {
                Of::Messages => {
                    for _ in 0..4096 {
                        self.client.send(Instant::ZERO, Message::new(Class::BUSINESS, b"1234")).unwrap();
                    }
                    transmit(&mut self.client)
                }
                Of::Ignorable => {
                    let hello = Hello::decode(Kind::HELLO_ACK, hello_of(bytes)).unwrap();
                    let header = Header { kind: Kind(0xF0), flags: Flags(0), class: Class::UNCLASSIFIED, length: 0 };
                    header.encode(hello.sync_key.get()).repeat(4096)
                }
            };
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
        let (flood, read) = Flood::new(Of::Messages);
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
async fn time_passes_in_a_flood() {
    for of in [Of::Messages, Of::Ignorable] {
        bounded(time_passes_in_a_flood_of(of)).await;
    }
}

async fn time_passes_in_a_flood_of(of: Of) {
    let mut config = Config::default();
    config.timeouts.close = Duration::from_millis(100);
    let (flood, _) = Flood::new(of);
    let mut connection = Endpoint::new(valid(config)).connection(flood, Role::Server).unwrap();
    let sender = connection.sender();
    let flooded = tokio::spawn(async move {
        loop {
            if let Event::Closed(closed) = connection.recv().await.expect("Closed comes first") {
                return closed.reason;
            }
        }
    });
    // In the middle of it, when no limit but that of silence is near.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let began = std::time::Instant::now();
    sender.close(CloseReason::NORMAL);
    assert_eq!(flooded.await.unwrap(), CloseReason::CLOSE_TIMEOUT, "in a flood of {of:?}");
    // The silence would be looked at after six seconds.
    assert!(began.elapsed() < Duration::from_secs(3), "{:?} in a flood of {of:?}", began.elapsed());
}
