//! What the peers of the decoders send.

use bytes::{Bytes, BytesMut};
use pulsewire_protocol::{Class, Damage, Instant, Message};
use tokio_util::codec::{Encoder, LengthDelimitedCodec};
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};

use super::connections::{Ends, connect, drain};
use super::payload;

/// Messages of one size, each in one packet; with a checksum where damage is resynchronised.
pub(crate) fn pulsewire(size: usize, count: usize, damage: Damage) -> Vec<u8> {
    let Ends { mut client, .. } = connect(damage);
    let payload = payload(size);
    (0..count)
        .flat_map(|_| {
            client.send(Instant::ZERO, Message::new(Class::BUSINESS, &payload[..])).expect("accepted");
            drain(&mut client)
        })
        .collect()
}

/// The same with a length of four bytes before each payload.
pub(crate) fn length_delimited(size: usize, count: usize) -> Vec<u8> {
    let payload = Bytes::from(payload(size));
    let (mut codec, mut bytes) = (LengthDelimitedCodec::new(), BytesMut::new());
    for _ in 0..count {
        codec.encode(payload.clone(), &mut bytes).expect("below the limit of 8 MiB");
    }
    bytes.to_vec()
}

/// The same as a WebSocket server's binary messages.
pub(crate) fn websocket(size: usize, count: usize) -> Vec<u8> {
    let payload = Bytes::from(payload(size));
    let mut bytes = Vec::new();
    for _ in 0..count {
        let frame = Frame::message(payload.clone(), OpCode::Data(Data::Binary), true);
        frame.format(&mut bytes).expect("memory takes everything");
    }
    bytes
}

/// Bytes that nobody sent, and one empty message behind them.
pub(crate) fn garbage(size: usize) -> Vec<u8> {
    let Ends { mut client, .. } = connect(Damage::Resynchronise);
    client.send(Instant::ZERO, Message::new(Class::BUSINESS, b"")).expect("accepted");
    [payload(size), drain(&mut client)].concat()
}
