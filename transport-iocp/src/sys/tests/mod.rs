//! The real port. Under Miri it meets a kernel that is simulated.

mod adopting;
#[cfg(miri)]
mod kernel;
#[cfg(not(miri))]
mod loopback;
mod ownership;
mod skipping;

use super::SystemPort;
use super::socket::{SystemListener, SystemSocket};
use crate::error::SystemError;
use crate::port::{Completion, CompletionPort, GatherBuffer, Token};
use bytes::BytesMut;
use pulsewire_socket::ListenOptions;
use socket2::Socket;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// What a test waits for at most, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(20);

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// More bytes than the system takes while nobody reads them.
const PENDS: usize = if cfg!(miri) { 16 << 10 } else { 16 << 20 };

/// A batch of which the first slice lies inside the value itself, as the hardest case for stable addresses.
#[derive(Debug)]
struct Batch {
    inline: [u8; 4],
    rest: Vec<Vec<u8>>,
}

impl Batch {
    fn new(inline: [u8; 4]) -> Self {
        Self { inline, rest: Vec::new() }
    }

    fn large(bytes: usize) -> Self {
        Self { inline: *b"long", rest: vec![vec![7; bytes]] }
    }
}

// SAFETY: the bytes lie in the value and on the heap, and never change.
unsafe impl GatherBuffer for Batch {
    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.inline[..]).chain(self.rest.iter().map(Vec::as_slice))
    }
}

type Port = SystemPort<Batch>;
type Finished = Completion<SystemSocket, Batch>;

fn token(slot: u32) -> Token {
    Token { slot, cookie: NonZeroU64::new(u64::MAX - u64::from(slot)).unwrap() }
}

/// Waits for `count` completions, and fails the test if they don't come.
fn collect(port: &mut Port, count: usize) -> Vec<Finished> {
    let deadline = Instant::now() + PATIENCE;
    let mut completions = Vec::new();
    while completions.len() < count {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "{} of {count} came: {completions:?}", completions.len());
        port.wait(Some(left), &mut completions).unwrap();
    }
    completions
}

fn collect_one(port: &mut Port) -> Finished {
    let mut completions = collect(port, 1);
    assert_eq!(completions.len(), 1, "{completions:?}");
    completions.remove(0)
}

/// A connection within one port: listener, connected end, accepted end.
fn pair(port: &mut Port, address: SocketAddr) -> (SystemListener, SystemSocket, SystemSocket) {
    let (listener, address) = port.listen(address, ListenOptions::default()).unwrap();
    port.accept(&listener, token(1));
    let client = port.connect(address, token(2)).unwrap();
    let (mut server, mut ends) = (None, [None; 2]);
    for completion in collect(port, 2) {
        match completion {
            Completion::Accepted { token: got, outcome } => {
                assert_eq!(got, token(1));
                let (socket, addresses) = outcome.unwrap();
                (server, ends[0]) = (Some(socket), Some(addresses));
            }
            Completion::Connected { token: got, outcome } => {
                assert_eq!(got, token(2));
                ends[1] = Some(outcome.unwrap());
            }
            other => panic!("unexpected: {other:?}"),
        }
    }
    let [Some(accepted), Some(connected)] = ends else { panic!("one end is missing") };
    assert_eq!((accepted.local, accepted.remote), (address, connected.local));
    assert_eq!(connected.remote, address);
    let server = server.unwrap();
    port.adopt(&server).unwrap();
    (listener, client, server)
}
