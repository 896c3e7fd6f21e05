//! From messages to a TCP connection over loopback.

use std::io::{IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};

use pulsewire_protocol::{Connection, Damage, Instant, Transmit};

use crate::goal::Goal;
use crate::measure::{Group, time};
use crate::workload::encoders::{ConnectionEncoder, PreEncoded, Sink};
use crate::workload::{BATCH, SIZES};

const LIMIT: &str = "encoded before";
const CONNECTION: &str = "Connection";

pub(crate) fn groups() -> Vec<Group> {
    SIZES.into_iter().filter(|size| *size > 0).map(group).collect()
}

fn group(size: usize) -> Group {
    let mut limit = PreEncoded::new(size, Loopback::new());
    let mut connection = ConnectionEncoder::new(size, Damage::Close, Loopback::new());
    // Reading the batch at the other end is not what is measured.
    let group = Group::new(format!("socket/{size}"))
        .self_timed(LIMIT, move || {
            let timed = time(|| limit.pass());
            limit.sink.read();
            timed
        })
        .self_timed(CONNECTION, move || {
            let timed = time(|| connection.pass_owned());
            connection.sink.read();
            timed
        });
    match size {
        4_096 => group.goal(Goal::within(CONNECTION, LIMIT, 1.35)),
        65_536 => group.goal(Goal::within(CONNECTION, LIMIT, 2.0)),
        _ => group,
    }
}

/// Both ends of a TCP connection. The system's buffers hold a batch.
struct Loopback {
    near: TcpStream,
    far: TcpStream,
    /// Bytes written and not yet read.
    unread: usize,
    buffer: Vec<u8>,
}

impl Loopback {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let near = TcpStream::connect(listener.local_addr().expect("a bound listener")).expect("a listener");
        let (far, _) = listener.accept().expect("a connection");
        Self { near, far, unread: 0, buffer: vec![0; 2 * BATCH] }
    }

    /// Reads what was written.
    fn read(&mut self) {
        self.far.read_exact(&mut self.buffer[..self.unread]).expect("an open connection");
        self.unread = 0;
    }
}

impl Sink for Loopback {
    fn write(&mut self, connection: &mut Connection, batch: &mut Transmit) {
        self.unread += batch.len();
        while !batch.is_empty() {
            let mut slices = [IoSlice::new(&[]); 64];
            let count = batch.fill(&mut slices);
            let written = self.near.write_vectored(&slices[..count]).expect("an open connection");
            connection.transmitted(Instant::ZERO, batch, written);
        }
    }

    fn write_bytes(&mut self, bytes: &[u8]) {
        self.unread += bytes.len();
        self.near.write_all(bytes).expect("an open connection");
    }
}
