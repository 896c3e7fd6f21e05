//! Messages for a server, and their answers, counted in bytes. Framing costs the load generator nothing: it writes the same bytes
//! again and again.

use std::io::stdin;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use clap::Args;
use pulsewire_transport_tokio::protocol::{Class, Clock, Connection, Event, Message, Seed, Transmit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::task::LocalSet;
use tokio::time::Instant;

use crate::processor;
use crate::servers::Contender;

/// What is asked of a server.
#[derive(Debug, Clone, Args)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    /// Messages under way on each.
    pub(crate) depth: usize,
    /// Bytes in each.
    pub(crate) payload: usize,
}

/// How long a turn lasts.
const TURN: Duration = Duration::from_millis(200);

/// Before what is measured, so that all windows and buffers are as they stay.
const WARM_UP: Duration = Duration::from_millis(50);

/// Runs on processor 1: says when the connections stand, waits for a line, and says how many messages were answered.
pub(crate) fn run(contender: Contender, address: SocketAddr, shape: &Shape) {
    processor::bind(1);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().event_interval(8).build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        // Never sleeps: else a server that is slow would also pay for waking it, which is dear between processors.
        tokio::spawn(async {
            loop {
                tokio::task::yield_now().await;
            }
        });
        let mut peers = Vec::new();
        for _ in 0..shape.connections {
            peers.push(Peer::connect(contender, address, shape).await);
        }
        turn(&mut peers, WARM_UP).await;
        println!("ready");
        stdin().read_line(&mut String::new()).expect("the bench says when");
        let answered = turn(&mut peers, TURN).await;
        println!("{}", answered * shape.depth as u64);
    });
}

/// Batches that were answered in this time.
async fn turn(peers: &mut Vec<Peer>, duration: Duration) -> u64 {
    let barrier = Rc::new(Barrier::new(peers.len()));
    let until = Instant::now() + duration;
    let tasks: Vec<_> = peers
        .drain(..)
        .map(|mut peer| {
            let barrier = Rc::clone(&barrier);
            tokio::task::spawn_local(async move {
                barrier.wait().await;
                let mut batches = 0;
                while Instant::now() < until {
                    peer.exchange().await;
                    batches += 1;
                }
                (peer, batches)
            })
        })
        .collect();
    let mut answered = 0;
    for task in tasks {
        let (peer, batches) = task.await.expect("nothing panics");
        peers.push(peer);
        answered += batches;
    }
    answered
}

/// One connection.
struct Peer {
    stream: TcpStream,
    batch: Rc<Vec<u8>>,
    /// How many bytes the answers are.
    answers: usize,
    buffer: Vec<u8>,
}

impl Peer {
    async fn connect(contender: Contender, address: SocketAddr, shape: &Shape) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("it is a TCP socket");
        let payload = vec![7; shape.payload];
        let batch = match contender {
            Contender::Raw => payload.repeat(shape.depth),
            Contender::Codec => {
                let length = u32::try_from(shape.payload).expect("a short payload").to_be_bytes();
                [&length[..], &payload].concat().repeat(shape.depth)
            }
            Contender::Pulsewire | Contender::PulsewireResync => {
                greet(contender, &mut stream, &payload, shape.depth).await
            }
        };
        let answers = batch.len();
        Self { stream, batch: Rc::new(batch), answers, buffer: vec![0; 256 << 10] }
    }

    /// Writes while it reads: large batches don't fit into the sockets' buffers.
    async fn exchange(&mut self) {
        let (mut reading, mut writing) = self.stream.split();
        let read = async {
            let mut missing = self.answers;
            while missing > 0 {
                let read = reading.read(&mut self.buffer).await.expect("the server answers");
                assert!(read > 0, "the server closed");
                missing -= read;
            }
        };
        let (written, ()) = tokio::join!(writing.write_all(&self.batch), read);
        written.expect("the server reads");
    }
}

/// The handshake, and a batch of messages in the bytes of the protocol. The heartbeat begins after seconds of silence, which a turn
/// does not last.
async fn greet(contender: Contender, stream: &mut TcpStream, payload: &[u8], depth: usize) -> Vec<u8> {
    let clock = Clock::new();
    let config = contender.config().validate().expect("valid");
    let mut connection = Connection::client(clock.now(), &config, Seed::from_bytes([1; 12]));
    let mut out = Transmit::new();
    let mut input = Vec::new();
    loop {
        if connection.poll_transmit(clock.now(), usize::MAX, &mut out) {
            write_all(&mut connection, &clock, &mut out, stream).await;
        }
        let mut rest = &input[..];
        let event = connection.receive(clock.now(), &mut rest).expect("the server keeps the protocol");
        let established = matches!(event, Some(Event::Established(_)));
        let handled = input.len() - rest.len();
        input.drain(..handled);
        if established {
            break;
        }
        assert!(stream.read_buf(&mut input).await.expect("the server answers") > 0, "the server closed");
    }
    let mut batch = Vec::new();
    for _ in 0..depth {
        connection.send(clock.now(), Message::new(Class::BUSINESS, payload)).expect("there is room");
        while connection.poll_transmit(clock.now(), usize::MAX, &mut out) {
            out.slices().for_each(|slice| batch.extend_from_slice(slice));
            let length = out.len();
            connection.transmitted(clock.now(), &mut out, length);
        }
    }
    batch
}

async fn write_all(connection: &mut Connection, clock: &Clock, out: &mut Transmit, stream: &mut TcpStream) {
    let bytes: Vec<u8> = out.slices().flatten().copied().collect();
    stream.write_all(&bytes).await.expect("the server reads");
    connection.transmitted(clock.now(), out, bytes.len());
}
