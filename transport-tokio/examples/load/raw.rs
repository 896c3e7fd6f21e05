//! Peers that do as they like: a socket, and the bytes of the protocol.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;

use pulsewire_transport_tokio::protocol::{
    Class, Clock, Connection, Event, Flags, HEADER_SIZE, Header, Kind, Message, Seed, Transmit,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::server::config;

/// Connects. The addresses of this host take turns, as one has ports for no more than some 28,000 connections at a time.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    thread_local! {
        static NEXT: Cell<u8> = const { Cell::new(0) };
    }
    let host = 2 + NEXT.replace(NEXT.get().wrapping_add(1)) % 64;
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, host], 0)))?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// HELLO, as any client sends it.
pub(crate) fn hello() -> Vec<u8> {
    let clock = Clock::new();
    taken(&mut Connection::client(clock.now(), &config(), Seed::from_bytes([1; 12])), &clock)
}

/// What the machine wants to send.
fn taken(connection: &mut Connection, clock: &Clock) -> Vec<u8> {
    let (mut bytes, mut out) = (Vec::new(), Transmit::new());
    while connection.poll_transmit(clock.now(), usize::MAX, &mut out) {
        out.slices().for_each(|slice| bytes.extend_from_slice(slice));
        let length = out.len();
        connection.transmitted(clock.now(), &mut out, length);
    }
    bytes
}

/// A connection with the handshake complete, and what its peer wants to see in headers.
pub(crate) struct Greeted {
    pub(crate) stream: TcpStream,
    key: u32,
}

impl Greeted {
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let mut stream = connect(address).await?;
        let clock = Clock::new();
        let mut connection = Connection::client(clock.now(), &config(), Seed::from_bytes([1; 12]));
        stream.write_all(&taken(&mut connection, &clock)).await?;
        let mut input = Vec::new();
        loop {
            if stream.read_buf(&mut input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut rest = &input[..];
            let event = connection.receive(clock.now(), &mut rest).map_err(io::Error::other)?;
            if matches!(event, Some(Event::Established(_))) {
                break;
            }
            let handled = input.len() - rest.len();
            input.drain(..handled);
        }
        // The check of a header is that of one without a key, changed by the key.
        connection.send(clock.now(), Message::new(Class::BUSINESS, b"?")).map_err(io::Error::other)?;
        let sent = taken(&mut connection, &clock);
        let plain = Header { kind: Kind::DATA, flags: Flags::FIRST, class: Class::BUSINESS, length: 1 }.encode(0);
        let check = |bytes: &[u8]| u32::from_be_bytes(bytes[8..HEADER_SIZE].try_into().expect("four bytes"));
        Ok(Self { stream, key: check(&sent) ^ check(&plain) })
    }

    /// A packet of this kind.
    pub(crate) fn packet(&self, kind: Kind, flags: Flags, payload: &[u8]) -> Vec<u8> {
        let class = if kind == Kind::DATA { Class::BUSINESS } else { Class::UNCLASSIFIED };
        let length = u32::try_from(payload.len()).expect("a short payload");
        let mut packet = Header { kind, flags, class, length }.encode(self.key).to_vec();
        packet.extend_from_slice(payload);
        packet
    }
}
