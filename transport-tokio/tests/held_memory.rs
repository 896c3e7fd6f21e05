//! What a server holds for peers that promise much and send little (PW-FRM-013), in a program of its own, since it counts what is allocated.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use pulsewire_transport_tokio::Endpoint;
use pulsewire_transport_tokio::protocol::{
    Class, Clock, Config, Connection, Damage, Event, Message, Role, Seed, Transmit,
};
use support::{bounded, ms, payload, valid};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const CONNECTIONS: usize = 200;

fn config() -> Config {
    Config { damage: Damage::Close, ..Config::default() }
}

/// A peer that has shaken hands, and the bytes of one message of 65,000.
async fn greeted(mut stream: DuplexStream) -> (DuplexStream, Vec<u8>) {
    let (clock, mut out) = (Clock::new(), Transmit::new());
    let mut peer = Connection::client(clock.now(), &valid(config()), Seed::from_bytes([1; 12]));
    let mut drain = |peer: &mut Connection| {
        let mut bytes = Vec::new();
        while peer.poll_transmit(clock.now(), usize::MAX, &mut out) {
            out.slices().for_each(|slice| bytes.extend_from_slice(slice));
            let count = out.len();
            peer.transmitted(clock.now(), &mut out, count);
        }
        bytes
    };
    stream.write_all(&drain(&mut peer)).await.unwrap();
    let mut answer = Vec::new();
    loop {
        stream.read_buf(&mut answer).await.unwrap();
        if let Some(Event::Established(_)) = peer.receive(clock.now(), &mut &answer[..]).unwrap() {
            break;
        }
    }
    peer.send(clock.now(), Message::new(Class::BUSINESS, payload(1, 65_000))).unwrap();
    (stream, drain(&mut peer))
}

/// Each has sent so much of its message. Memory follows that, not the length in the header, and nobody keeps a read buffer beside it.
#[tokio::test]
async fn memory_follows_what_came() {
    bounded(async {
        let endpoint = Endpoint::new(valid(config()));
        let mut peers = Vec::new();
        for _ in 0..CONNECTIONS {
            let (near, far) = tokio::io::duplex(1_000);
            let mut server = endpoint.connection(far, Role::Server).unwrap();
            tokio::spawn(async move { while server.recv().await.is_some() {} });
            peers.push(greeted(near).await);
        }
        tokio::time::sleep(ms(50)).await;
        let before = HELD.load(Ordering::Relaxed);
        let mut sent = 0;
        for (upto, most) in [(12, 5_000), (3_000, 30_000), (40_000, 70_000), (64_000, 70_000)] {
            for (stream, message) in &mut peers {
                stream.write_all(&message[sent..upto]).await.unwrap();
            }
            sent = upto;
            tokio::time::sleep(ms(50)).await;
            let each = HELD.load(Ordering::Relaxed).saturating_sub(before) / CONNECTIONS;
            assert!(each <= most, "{each} bytes are held for {upto}");
        }
    })
    .await;
}

static HELD: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: passes every call on unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
