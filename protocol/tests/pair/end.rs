//! One end of a connection, what it holds, and what it told.

use std::collections::VecDeque;
use std::time::Duration;

use pulsewire_protocol::{
    Closed, Config, Connection, Disconnect, Event, HEADER_SIZE, Header, Hello, Instant, Kind, Message, ProtocolError,
    Transmit,
};

use super::{PEER_KEY, SERVER_KEY, hello, hello_packet, parse, seed, take, valid};

pub struct End {
    pub connection: Connection,
    pub now: Instant,
    /// Received bytes that wait for more.
    pub held: Vec<u8>,
    /// All events but `Closed`.
    pub events: Vec<Event<'static>>,
    pub closed: Option<(Instant, Closed)>,
    /// What was handed out, and when.
    pub sent: Vec<(Instant, Header, Vec<u8>)>,
    /// Handed out and not taken by the transport.
    pub handed: Vec<u8>,
    batches: VecDeque<Transmit>,
    /// The transport takes nothing of its own accord.
    pub stalled: bool,
    peer_key: u32,
    begins: bool,
}

impl End {
    pub fn new(connection: Connection, peer_key: u32) -> Self {
        Self {
            connection,
            now: Instant::ZERO,
            held: Vec::new(),
            events: Vec::new(),
            closed: None,
            sent: Vec::new(),
            handed: Vec::new(),
            batches: VecDeque::new(),
            stalled: false,
            peer_key,
            begins: true,
        }
    }

    /// A server that has answered the HELLO of a scripted peer, with nothing noted yet. Its key is `SERVER_KEY`.
    pub fn server(config: Config) -> Self {
        Self::greeted(config, &hello(PEER_KEY), SERVER_KEY)
    }

    pub fn greeted(config: Config, hello: &Hello, own_key: u32) -> Self {
        let connection = Connection::server(Instant::ZERO, &valid(config), seed(own_key));
        let mut end = Self::new(connection, hello.sync_key.get());
        end.receive(&hello_packet(Kind::HELLO, hello)).expect("a good HELLO");
        end.transmit();
        assert!(end.connection.is_open());
        end.events.clear();
        end.sent.clear();
        end
    }

    fn note(&mut self, event: Event<'_>) {
        assert!(self.closed.is_none(), "{event:?} after Closed");
        let event = match event {
            Event::Closed(closed) => {
                assert!(self.connection.is_over() && self.connection.queued() == 0);
                self.closed = Some((self.now, *closed));
                return;
            }
            other => other.into_owned(),
        };
        self.events.push(event);
    }

    /// Bytes came. Fails as the connection does.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        let mut input = &held[..];
        let result = loop {
            match self.connection.receive(self.now, &mut input) {
                Ok(Some(event)) => self.note(event),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        assert!(input.len() < 4_096, "more held back than was promised");
        assert!(result.is_ok() || (input.is_empty() && self.connection.is_over()));
        self.held = input.to_vec();
        self.poll_events();
        result
    }

    /// Bytes came, and the driver reads into the lent buffer wherever there is one.
    pub fn receive_direct(&mut self, mut bytes: &[u8]) -> Result<(), ProtocolError> {
        while !bytes.is_empty() {
            let Some((mut buffer, missing)) = self.connection.direct_buffer() else { return self.receive(bytes) };
            let (now, rest) = bytes.split_at(missing.min(bytes.len()).min(buffer.capacity() - buffer.len()));
            buffer.extend_from_slice(now);
            bytes = rest;
            let result = self.connection.received_direct(self.now, buffer);
            if let Ok(Some(event)) = &result {
                self.note(event.clone());
            }
            self.poll_events();
            result?;
        }
        Ok(())
    }

    pub fn poll_events(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            self.note(event);
        }
    }

    /// Hands out all that waits; the transport has taken none of it yet.
    pub fn hand_out(&mut self) {
        while self.hand_out_up_to(64 << 10) {}
    }

    /// Hands out a batch of at most so many bytes. Returns whether there was anything.
    pub fn hand_out_up_to(&mut self, max: usize) -> bool {
        let mut batch = Transmit::new();
        let any = self.connection.poll_transmit(self.now, max, &mut batch);
        let mut bytes = Vec::new();
        batch.slices().for_each(|slice| bytes.extend_from_slice(slice));
        assert_eq!(bytes.len(), batch.len());
        assert_eq!(any, !bytes.is_empty());
        let packets = parse(&bytes, self.peer_key, any && std::mem::take(&mut self.begins));
        let data = packets.iter().filter(|(header, _)| header.kind == Kind::DATA);
        let data: usize = data.map(|(header, _)| HEADER_SIZE + header.body_size()).sum();
        assert!(data <= max || max < 528, "{data} bytes of messages in a batch of {max}");
        self.sent.extend(packets.into_iter().map(|(header, payload)| (self.now, header, payload)));
        self.handed.extend_from_slice(&bytes);
        if any {
            self.batches.push_back(batch);
        }
        any
    }

    /// The transport takes this many bytes of what was handed out.
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        let bytes: Vec<u8> = self.handed.drain(..count).collect();
        take(&mut self.connection, self.now, &mut self.batches, count);
        self.poll_events();
        bytes
    }

    /// Hands out all that waits, and the transport takes it, unless it is stalled.
    pub fn transmit(&mut self) -> Vec<u8> {
        self.hand_out();
        self.poll_events();
        if self.stalled || self.handed.is_empty() {
            return Vec::new();
        }
        self.take(self.handed.len())
    }

    /// Calls `handle_timeout` if it is due.
    pub fn pass_time(&mut self) {
        if self.connection.poll_timeout().is_some_and(|deadline| deadline <= self.now) {
            self.connection.handle_timeout(self.now);
            let next = self.connection.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "a deadline in the past after handle_timeout");
        }
        self.poll_events();
    }

    /// Lets time pass, from deadline to deadline.
    pub fn run_for(&mut self, duration: Duration) {
        self.run_until(self.now + duration);
    }

    pub fn run_until(&mut self, end: Instant) {
        self.transmit();
        while let Some(deadline) = self.connection.poll_timeout().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.pass_time();
            self.transmit();
        }
        self.now = end;
    }

    pub fn disconnect(&mut self, how: Disconnect) {
        self.connection.disconnected(self.now, how);
        self.poll_events();
    }

    pub fn closed(&self) -> &Closed {
        &self.closed.as_ref().expect("closed").1
    }

    /// When it closed.
    pub fn closed_at(&self) -> Instant {
        self.closed.as_ref().expect("closed").0
    }

    pub fn messages(&self) -> Vec<&Message<'static>> {
        self.events
            .iter()
            .filter_map(|event| if let Event::Message(message) = event { Some(message) } else { None })
            .collect()
    }

    /// Kinds of the packets that were handed out.
    pub fn sent_kinds(&self) -> Vec<Kind> {
        self.sent.iter().map(|(_, header, _)| header.kind).collect()
    }

    /// When packets of a kind were handed out, and their payloads.
    pub fn sent_of(&self, kind: Kind) -> Vec<(Instant, &[u8])> {
        let of_kind = self.sent.iter().filter(|(_, header, _)| header.kind == kind);
        of_kind.map(|(when, _, payload)| (*when, &payload[..])).collect()
    }
}
