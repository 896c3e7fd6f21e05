//! Ways from messages to bytes. A pass makes one batch of 64 KiB, and gives the number of messages in it.

use std::hint::black_box;

use bytes::{Buf, Bytes, BytesMut};
use pulsewire_protocol::{Class, Connection, Damage, Instant, Message, Transmit};
use tokio_util::codec::{Encoder, LengthDelimitedCodec};

use super::connections::connect;
use super::{BATCH, payload, per_batch};

/// Where a batch goes: nowhere, or into a socket.
pub(crate) trait Sink {
    /// Writes what is in the batch, all of it, and tells the connection.
    fn write(&mut self, connection: &mut Connection, batch: &mut Transmit);

    /// The same for bytes that lie together.
    fn write_bytes(&mut self, bytes: &[u8]);
}

/// Takes everything, and looks at nothing.
pub(crate) struct Nowhere;

impl Sink for Nowhere {
    fn write(&mut self, connection: &mut Connection, batch: &mut Transmit) {
        batch.slices().for_each(|slice| _ = black_box(slice));
        let size = batch.len();
        connection.transmitted(Instant::ZERO, batch, size);
    }

    fn write_bytes(&mut self, bytes: &[u8]) {
        black_box(bytes);
    }
}

/// The whole protocol: `send`, `poll_transmit`, `transmitted`.
pub(crate) struct ConnectionEncoder<S> {
    connection: Connection,
    batch: Transmit,
    payload: Bytes,
    pub(crate) sink: S,
}

impl<S: Sink> ConnectionEncoder<S> {
    pub(crate) fn new(size: usize, damage: Damage, sink: S) -> Self {
        Self { connection: connect(damage).client, batch: Transmit::new(), payload: payload(size).into(), sink }
    }

    /// Lends each payload, as an application does that has its messages in a buffer of its own.
    pub(crate) fn pass_borrowed(&mut self) -> u64 {
        let count = per_batch(self.payload.len());
        for _ in 0..count {
            let message = Message::new(Class::BUSINESS, black_box(&self.payload[..]));
            self.connection.send(Instant::ZERO, message).expect("accepted");
        }
        self.flush();
        count as u64
    }

    /// Hands each payload over, as an application does that passes on what it got.
    pub(crate) fn pass_owned(&mut self) -> u64 {
        let count = per_batch(self.payload.len());
        for _ in 0..count {
            let message = Message::new(Class::BUSINESS, black_box(&self.payload).clone());
            self.connection.send(Instant::ZERO, message).expect("accepted");
        }
        self.flush();
        count as u64
    }

    fn flush(&mut self) {
        while self.connection.poll_transmit(Instant::ZERO, BATCH, &mut self.batch) {
            self.sink.write(&mut self.connection, &mut self.batch);
        }
    }
}

/// Small messages of one class, and between them the frames of a large one of another, or nothing.
pub(crate) struct Interleaved {
    connection: Connection,
    batch: Transmit,
    small: Vec<u8>,
    large: Option<Bytes>,
}

impl Interleaved {
    /// Small messages in a batch. There is more room in it.
    const COUNT: u64 = 100;

    /// `large` is the size of the large message, of which there always is one.
    pub(crate) fn new(small: usize, large: Option<usize>) -> Self {
        let large = large.map(|size| payload(size).into());
        Self { connection: connect(Damage::Close).client, batch: Transmit::new(), small: payload(small), large }
    }

    /// One batch: all small messages, and a frame of the large one in what room is left.
    pub(crate) fn pass(&mut self) -> u64 {
        if let Some(large) = &self.large
            && self.connection.queued() == 0
        {
            // Its first frame opens it.
            self.connection.send(Instant::ZERO, Message::new(Class::ROOM, large.clone())).expect("accepted");
            self.write();
        }
        for _ in 0..Self::COUNT {
            let message = Message::new(Class::BUSINESS, black_box(&self.small[..]));
            self.connection.send(Instant::ZERO, message).expect("accepted");
        }
        self.write();
        Self::COUNT
    }

    fn write(&mut self) {
        assert!(self.connection.poll_transmit(Instant::ZERO, BATCH, &mut self.batch), "nothing to write");
        Nowhere.write(&mut self.connection, &mut self.batch);
    }

    /// Messages that were not handed out whole.
    pub(crate) fn waiting(&self) -> u64 {
        let statistics = self.connection.statistics();
        statistics.messages_sent - statistics.messages_handed_out
    }
}

/// Tokio's framing by a length of four bytes, fed and flushed in batches.
pub(crate) struct LengthDelimitedEncoder {
    codec: LengthDelimitedCodec,
    buffer: BytesMut,
    payload: Bytes,
}

impl LengthDelimitedEncoder {
    pub(crate) fn new(size: usize) -> Self {
        Self {
            codec: LengthDelimitedCodec::new(),
            buffer: BytesMut::with_capacity(2 * BATCH),
            payload: payload(size).into(),
        }
    }

    pub(crate) fn pass(&mut self) -> u64 {
        let count = per_batch(self.payload.len());
        for _ in 0..count {
            let payload = black_box(&self.payload).clone();
            self.codec.encode(payload, &mut self.buffer).expect("below the limit of 8 MiB");
        }
        black_box(&self.buffer[..]);
        // What `Framed` does after each write.
        self.buffer.advance(self.buffer.len());
        count as u64
    }
}

/// The limit: a batch that was encoded before.
pub(crate) struct PreEncoded<S> {
    bytes: Vec<u8>,
    packets: u64,
    pub(crate) sink: S,
}

impl<S: Sink> PreEncoded<S> {
    pub(crate) fn new(size: usize, sink: S) -> Self {
        let count = per_batch(size);
        let bytes = super::streams::pulsewire(size, count, Damage::Close);
        Self { bytes, packets: count as u64, sink }
    }

    pub(crate) fn pass(&mut self) -> u64 {
        self.sink.write_bytes(&self.bytes);
        self.packets
    }
}
