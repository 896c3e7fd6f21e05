//! Ways from bytes to packets. A pass reads a whole stream, and gives the number of packets that it cut.

use std::hint::black_box;
use std::io::{Read, Result, Write};
use std::time::Duration;

use bytes::BytesMut;
use nom::bytes::streaming::{tag, take};
use nom::number::streaming::{be_u8, be_u24, be_u32};
use nom::{IResult, Parser};
use pulsewire_protocol::{Connection, Damage, Event, HEADER_SIZE, Header, Instant, MAGIC};
use tokio_util::codec::{Decoder, LengthDelimitedCodec};
use tungstenite::WebSocket;
use tungstenite::protocol::{Role, WebSocketConfig};

use super::connections::{KEY, connect};
use super::{BATCH, Source};

/// The limit: every byte is copied into the reader's buffer, and nobody looks at it.
pub(crate) struct Memcpy {
    source: Source,
    buffer: Vec<u8>,
    packets: u64,
}

impl Memcpy {
    pub(crate) fn new(source: Source, packets: u64) -> Self {
        Self { source, buffer: vec![0; BATCH], packets }
    }

    pub(crate) fn pass(&mut self) -> u64 {
        while self.source.read_into(&mut self.buffer) > 0 {
            black_box(&mut self.buffer);
        }
        self.packets
    }

    /// The limit where packets carry checksums: each byte is also checked, by the library that the core calls for payloads of this
    /// size.
    pub(crate) fn pass_checked(&mut self) -> u64 {
        loop {
            let count = self.source.read_into(&mut self.buffer);
            if count == 0 {
                return self.packets;
            }
            black_box(crc_fast::crc32_iscsi(&self.buffer[..count]));
        }
    }
}

/// A contiguous buffer: what was read and not yet cut into packets.
struct Window {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes that it must hold before another look is worth while.
    wanted: usize,
}

impl Window {
    fn new() -> Self {
        Self { buffer: vec![0; 16 * BATCH], start: 0, end: 0, wanted: 0 }
    }

    /// Reads all of `source`. `cut` takes packets off the front of its argument, and gives their number, and the number of
    /// bytes that it needs to go on.
    fn pass(&mut self, source: &mut Source, mut cut: impl FnMut(&mut &[u8]) -> (u64, usize)) -> u64 {
        let mut packets = 0;
        loop {
            // A little is moved at once, so that the buffer stays in the cache; much only when there is no room left.
            if self.start > 0 && (self.end - self.start < 4 << 10 || self.end + BATCH > self.buffer.len()) {
                self.buffer.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            }
            let room = self.end + BATCH;
            let count = source.read_into(&mut self.buffer[self.end..room]);
            if count == 0 {
                return packets;
            }
            self.end += count;
            let mut input = &self.buffer[self.start..self.end];
            if input.len() >= self.wanted {
                let (more, wanted) = cut(&mut input);
                packets += more;
                self.wanted = wanted;
                self.start = self.end - input.len();
            }
        }
    }
}

/// Framing alone: [`Header::verify`] in a loop.
pub(crate) struct HeaderLoop {
    source: Source,
    window: Window,
}

impl HeaderLoop {
    pub(crate) fn new(source: Source) -> Self {
        Self { source, window: Window::new() }
    }

    pub(crate) fn pass(&mut self) -> u64 {
        self.window.pass(&mut self.source, |input| {
            let mut packets = 0;
            while let Some((bytes, rest)) = input.split_first_chunk::<HEADER_SIZE>() {
                let header = Header::verify(bytes, KEY).expect("a valid header");
                let Some((body, rest)) = rest.split_at_checked(header.body_size()) else {
                    return (packets, HEADER_SIZE + header.body_size());
                };
                black_box((header.class, body));
                *input = rest;
                packets += 1;
            }
            (packets, HEADER_SIZE)
        })
    }
}

/// The same header, read by parser combinators; the check is not verified.
pub(crate) struct Nom {
    source: Source,
    window: Window,
}

impl Nom {
    pub(crate) fn new(source: Source) -> Self {
        Self { source, window: Window::new() }
    }

    pub(crate) fn pass(&mut self) -> u64 {
        fn packet(input: &[u8]) -> IResult<&[u8], (u8, &[u8])> {
            let (input, (_, _, _, class, length, _)) =
                (tag(&MAGIC[..]), be_u8, be_u8, be_u8, be_u24, be_u32).parse(input)?;
            let (input, payload) = take(length).parse(input)?;
            Ok((input, (class, payload)))
        }
        self.window.pass(&mut self.source, |input| {
            let mut packets = 0;
            while let Ok((rest, packet)) = packet(input) {
                black_box(packet);
                *input = rest;
                packets += 1;
            }
            (packets, HEADER_SIZE)
        })
    }
}

/// A connection, and the buffer that is read into.
struct Reader {
    connection: Connection,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    now: Instant,
}

impl Reader {
    fn new(damage: Damage, size: usize) -> Self {
        Self { connection: connect(damage).server, buffer: vec![0; size], start: 0, end: 0, now: Instant::ZERO }
    }

    /// Where the next bytes belong: at least half of the buffer. What is left of a packet (less than 4 KiB) is moved to the front
    /// only where it must be.
    fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end > self.buffer.len() / 2 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        &mut self.buffer[self.end..]
    }

    /// So many bytes were read. Gives the number of packets that are whole now.
    // Part of the loop around it, as in a driver.
    #[inline(always)]
    fn handle(&mut self, count: usize) -> u64 {
        self.end += count;
        let (mut input, mut packets) = (&self.buffer[self.start..self.end], 0);
        while let Some(event) = self.connection.receive(self.now, &mut input).expect("a valid stream") {
            consume(event);
            packets += 1;
        }
        self.start = self.end - input.len();
        packets
    }

    /// Memory that was lent is full, or part of it. Gives the number of packets that are whole now.
    fn give_back(&mut self, memory: BytesMut) -> u64 {
        let event = self.connection.received_direct(self.now, memory).expect("a valid stream");
        u64::from(black_box(event).is_some())
    }
}

/// The whole protocol, as the run loop of the crate's documentation drives it.
pub(crate) struct ConnectionDecoder {
    source: Source,
    reader: Reader,
}

impl ConnectionDecoder {
    pub(crate) fn new(source: Source, damage: Damage) -> Self {
        Self { source, reader: Reader::new(damage, BATCH) }
    }

    /// Also goes over damaged streams; gaps count as packets.
    pub(crate) fn pass(&mut self) -> u64 {
        // Later than the end of the window in which damage is metered.
        self.reader.now = self.reader.now + Duration::from_secs(61);
        let mut packets = 0;
        loop {
            if let Some((mut buffer, missing)) = self.reader.connection.direct_buffer() {
                let room = missing.min(buffer.capacity());
                if self.source.read_behind(&mut buffer, room) == 0 {
                    return packets;
                }
                packets += self.reader.give_back(buffer);
                continue;
            }
            let count = self.source.read_into(self.reader.room());
            if count == 0 {
                return packets;
            }
            packets += self.reader.handle(count);
        }
    }
}

/// The whole protocol, driven as by one `readv` after the other: the memory that the connection lends comes first, and what comes
/// behind goes into a small buffer. So of a large packet only the front passes through that.
pub(crate) struct DirectDecoder {
    source: Source,
    reader: Reader,
}

impl DirectDecoder {
    /// Bytes of the buffer.
    const BUFFER: usize = 8 << 10;

    pub(crate) fn new(source: Source, damage: Damage) -> Self {
        Self { source, reader: Reader::new(damage, Self::BUFFER) }
    }

    pub(crate) fn pass(&mut self) -> u64 {
        let mut packets = 0;
        loop {
            let (count, behind) = match self.reader.connection.direct_buffer() {
                // Then nothing waits in the buffer: the connection has taken all of it.
                Some((mut memory, missing)) => {
                    let room = missing.min(memory.capacity());
                    let (direct, behind) = self.source.read_both(&mut memory, room, self.reader.room());
                    packets += self.reader.give_back(memory);
                    (direct, behind)
                }
                None => {
                    let count = self.source.read_into(self.reader.room());
                    (count, count)
                }
            };
            if count == 0 {
                return packets;
            }
            packets += self.reader.handle(behind);
        }
    }
}

/// Looks at an event as an application does.
fn consume(event: Event<'_>) {
    match event {
        Event::Message(message) => {
            black_box((message.class, &*message.payload));
        }
        Event::Gap(gap) => {
            black_box(gap.skipped);
        }
        other => unreachable!("a connection that stays open, and {other:?}"),
    }
}

/// Tokio's framing by a length of four bytes.
pub(crate) struct LengthDelimited {
    source: Source,
    codec: LengthDelimitedCodec,
    buffer: BytesMut,
}

impl LengthDelimited {
    pub(crate) fn new(source: Source) -> Self {
        Self { source, codec: LengthDelimitedCodec::new(), buffer: BytesMut::with_capacity(BATCH) }
    }

    pub(crate) fn pass(&mut self) -> u64 {
        let mut packets = 0;
        loop {
            self.buffer.reserve(BATCH);
            if self.source.read_behind(&mut self.buffer, BATCH) == 0 {
                return packets;
            }
            while let Some(frame) = self.codec.decode(&mut self.buffer).expect("a valid stream") {
                black_box(frame);
                packets += 1;
            }
        }
    }
}

/// A source that begins anew at its end, with room for the answers that nobody sends here.
struct Endless(Source);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self.0.read_into(buffer) {
            0 => Ok(self.0.read_into(buffer)),
            count => Ok(count),
        }
    }
}

impl Write for Endless {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A WebSocket client.
pub(crate) struct WebSocketClient {
    socket: WebSocket<Endless>,
    packets: u64,
}

impl WebSocketClient {
    /// `packets` is how many the source holds.
    pub(crate) fn new(source: Source, packets: u64) -> Self {
        let config = WebSocketConfig::default().read_buffer_size(BATCH);
        Self { socket: WebSocket::from_raw_socket(Endless(source), Role::Client, Some(config)), packets }
    }

    pub(crate) fn pass(&mut self) -> u64 {
        for _ in 0..self.packets {
            black_box(self.socket.read().expect("a valid stream"));
        }
        self.packets
    }
}
