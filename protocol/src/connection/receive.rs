//! In: bytes from the peer.

use alloc::boxed::Box;

use bytes::BytesMut;

use super::Connection;
use super::state::{Input, Role, State};
use crate::config::{Damage, Seed};
use crate::error::ProtocolError;
use crate::event::{Established, Event, Gap};
use crate::framer::{Arrival, Body, Fate, Step};
use crate::heartbeat::Heartbeat;
use crate::message::{Message, Payload};
use crate::time::Instant;
use crate::wire::{CloseFrame, Flags, HEADER_SIZE, Header, Hello, Kind, count};

impl Connection {
    /// Takes one event off the front of `input`, the driver's buffer, and moves `input` past what it consumed.
    ///
    /// `Ok(None)`: nothing more to be had. What is left in `input` (less than 4 KiB) must lie at the front of the next call's
    /// input, with new bytes behind it.
    ///
    /// # Errors
    /// The peer broke the protocol. The connection is over, `input` is consumed, CLOSE with the reason waits to be
    /// transmitted, and [`poll_event`](Self::poll_event) gives `Closed`.
    #[inline]
    pub fn receive<'b>(&mut self, now: Instant, input: &mut &'b [u8]) -> Result<Option<Event<'b>>, ProtocolError> {
        if let Some((header, payload)) = self.whole_message(now, input).and_then(<[u8]>::split_first_chunk) {
            let Header { class, flags, .. } = Header::read(header);
            let (encrypted, payload) = (flags.contains(Flags::ENCRYPTED), Payload::Borrowed(payload));
            return Ok(Some(Event::Message(Message { class, encrypted, payload })));
        }
        self.receive_any(now, input)
    }

    /// The way of nearly every packet: a message in one frame that lies whole in the input. Gives header and payload.
    /// Whatever is unusual is left, unconsumed, to [`receive_any`](Self::receive_any), which judges everything.
    ///
    /// Without it a packet of 64 bytes takes five times as long: the steps below pass larger values around. It gives a slice,
    /// not a message, for the same reason: a slice comes back in registers, a message through memory, which it is written
    /// to in pieces and copied from as a whole; the processor waits for that longer than all the rest takes.
    #[inline]
    fn whole_message<'b>(&mut self, now: Instant, input: &mut &'b [u8]) -> Option<&'b [u8]> {
        if !matches!(self.state, State::Open) || self.fragments.is_open() {
            return None;
        }
        let (header, packet) = self.framer.whole_packet(input)?;
        if header.kind != Kind::DATA
            || header.flags.without(Flags::CHECKSUM | Flags::ENCRYPTED) != Flags::FIRST
            || header.class.is_reserved()
            || header.length > self.config.limits.frame
        {
            return None;
        }
        *input = &input[HEADER_SIZE + header.body_size()..];
        self.framer.forget_packet();
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.evidence(now);
        }
        self.received += 1;
        Some(packet)
    }

    #[inline(never)]
    fn receive_any<'b>(&mut self, now: Instant, input: &mut &'b [u8]) -> Result<Option<Event<'b>>, ProtocolError> {
        if self.state.is_over() {
            *input = &[];
            return Ok(None);
        }
        let result = self.next_event(now, input);
        if result.is_err() || self.state.is_over() {
            *input = &[];
        }
        result.inspect_err(|error| self.fail(error))
    }

    /// Lends the buffer of a large packet under way, and says how many bytes are missing. Read at most that many into its
    /// spare capacity (there is some), then give it back with [`received_direct`](Self::received_direct).
    ///
    /// Ask when [`receive`](Self::receive) gave `None`. While the buffer is lent, no other bytes may be received.
    pub fn direct_buffer(&mut self) -> Option<(BytesMut, usize)> {
        if self.state.is_over() {
            return None;
        }
        self.framer.lend()
    }

    /// Gives the lent buffer back, with `received` new bytes at its end.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn received_direct(
        &mut self,
        now: Instant,
        buffer: BytesMut,
        received: usize,
    ) -> Result<Option<Event<'static>>, ProtocolError> {
        if self.state.is_over() {
            return Ok(None);
        }
        self.framer
            .take_back(now, buffer, received)
            .and_then(|arrival| self.arrival(now, arrival))
            .map(|step| step.event)
            .inspect_err(|error| self.fail(error))
    }

    fn next_event<'b>(&mut self, now: Instant, input: &mut &'b [u8]) -> Result<Option<Event<'b>>, ProtocolError> {
        while !self.state.is_over() {
            let arrival = if self.framer.has_partial() {
                self.framer.continue_partial(now, input)?
            } else {
                match self.framer.header(now, input)? {
                    Step::Header(header) => {
                        let fate = self.admit(&header)?;
                        let fragments = &mut self.fragments;
                        self.framer.body(now, header, input, || fragments.buffer(fate))?
                    }
                    Step::Gap(skipped) => return Ok(Some(self.gap(skipped))),
                    Step::Incomplete { payload_grew } => {
                        self.evidence_of_payload(now, payload_grew);
                        return Ok(None);
                    }
                }
            };
            let step = self.arrival(now, arrival)?;
            if step.event.is_some() || !step.go_on {
                return Ok(step.event);
            }
        }
        Ok(None)
    }

    /// Judges a verified header, before its payload has come.
    fn admit(&self, header: &Header) -> Result<Fate, ProtocolError> {
        header.judge(self.config.limits.frame)?;
        if header.kind == Kind::DATA && matches!(self.state, State::Open | State::Closing { peer_asked: false, .. }) {
            if self.framer.resynchronises() && !header.flags.contains(Flags::CHECKSUM) {
                return Err(ProtocolError::ChecksumRequired);
            }
            return self.fragments.fate(header, self.config.limits.message);
        }
        match self.state.input(self.role, header.kind) {
            Input::Unexpected(when) => Err(ProtocolError::UnexpectedPacket { kind: header.kind, when }),
            _ => Ok(Fate::Whole),
        }
    }

    fn arrival<'b>(&mut self, now: Instant, arrival: Arrival<'b>) -> Result<Progress<'b>, ProtocolError> {
        match arrival {
            Arrival::Whole(header, body) => {
                if let Some(heartbeat) = &mut self.heartbeat {
                    heartbeat.evidence(now);
                }
                let event = if header.kind == Kind::DATA {
                    self.data(&header, body)?
                } else {
                    self.control(now, header.kind, body)?
                };
                Ok(Progress { event, go_on: true })
            }
            Arrival::Damaged(header, size) if header.kind == Kind::DATA => {
                Ok(Progress { event: Some(self.gap(size)), go_on: true })
            }
            Arrival::Damaged(_, skipped) => {
                Ok(Progress { event: Some(Event::Gap(Gap { skipped, message_lost: false })), go_on: true })
            }
            Arrival::Incomplete { payload_grew } => {
                self.evidence_of_payload(now, payload_grew);
                Ok(Progress { event: None, go_on: false })
            }
        }
    }

    fn data<'b>(&mut self, header: &Header, body: Body<'b>) -> Result<Option<Event<'b>>, ProtocolError> {
        // Judged when the header came; nothing has changed since, but a large frame's buffer was taken out.
        let fate = self.fragments.fate(header, self.config.limits.message)?;
        let message = self.fragments.frame(fate, header, body);
        self.received += u64::from(message.is_some());
        Ok(message.map(Event::Message))
    }

    fn gap<'b>(&mut self, skipped: u64) -> Event<'b> {
        Event::Gap(Gap { skipped, message_lost: self.fragments.gap() })
    }

    /// If bytes of a payload came whose header was verified, the peer lives, until their time is up (PW-HB-002).
    fn evidence_of_payload(&mut self, now: Instant, payload_grew: bool) {
        if payload_grew
            && let Some(heartbeat) = &mut self.heartbeat
            && self.framer.deadline(&self.config.timeouts).is_none_or(|deadline| now < deadline)
        {
            heartbeat.evidence(now);
        }
    }

    fn control<'b>(&mut self, now: Instant, kind: Kind, body: Body<'b>) -> Result<Option<Event<'b>>, ProtocolError> {
        let payload = body.bytes();
        match self.state.input(self.role, kind) {
            Input::Greeting => match self.state {
                State::Handshake { seed, .. } => self.greeting(now, seed, kind, payload).map(Some),
                State::Open | State::Closing { .. } | State::PeerClosing(_) | State::Over => Ok(None),
            },
            Input::Refusal => {
                // CLOSE in place of HELLO_ACK (PW-HS-019).
                if let Some(close) = CloseFrame::decode(payload) {
                    self.end_by_peer(close, false);
                }
                Ok(None)
            }
            Input::Ping => {
                let number = count(payload);
                self.heartbeat.as_mut().map_or(Ok(()), |heartbeat| heartbeat.ping(now, number))?;
                self.outgoing.pong(number);
                Ok(None)
            }
            Input::Pong => {
                let latest = self.outgoing.pings();
                self.heartbeat.as_mut().map_or(Ok(()), |heartbeat| heartbeat.pong(now, count(payload), latest))?;
                Ok(None)
            }
            Input::Close => Ok(CloseFrame::decode(payload).and_then(|close| self.peer_asks_to_close(close))),
            Input::CloseAck => {
                self.finish_close(count(payload));
                Ok(None)
            }
            Input::Unexpected(when) => Err(ProtocolError::UnexpectedPacket { kind, when }),
            Input::Data | Input::Nothing => Ok(None),
        }
    }

    /// The peer's first packet: HELLO or HELLO_ACK (section 7).
    fn greeting<'b>(
        &mut self,
        now: Instant,
        seed: Seed,
        kind: Kind,
        payload: &[u8],
    ) -> Result<Event<'b>, ProtocolError> {
        let hello = Hello::decode(kind, payload)?;
        let agreed = match self.role {
            Role::Server => hello.version_lowest == VERSION,
            Role::Client => hello.version_lowest == VERSION && hello.version_highest == VERSION,
        };
        if self.role == Role::Client {
            self.outgoing.key = hello.sync_key.get();
        }
        if !agreed {
            let Hello { version_lowest: lowest, version_highest: highest, .. } = hello;
            return Err(ProtocolError::UnsupportedVersion { lowest, highest });
        }
        let heartbeat = Heartbeat::new(now, &self.config.heartbeat, hello.ping_floor, seed.jitter);
        if let Some(limit) = self.config.heartbeat.detect_within
            && heartbeat.bound() > limit
        {
            return Err(ProtocolError::IncompatibleTimers {
                bound_ms: crate::config::millis(heartbeat.bound()),
                limit_ms: crate::config::millis(limit),
            });
        }
        if self.role == Role::Server {
            let answer = self.hello(seed, VERSION, VERSION, None);
            self.outgoing.greet(Kind::HELLO_ACK, answer);
            self.outgoing.key = hello.sync_key.get();
        }
        self.outgoing.frame_limit = hello.frame_limit;
        self.outgoing.message_limit = hello.message_limit;
        self.outgoing.checksums = hello.resync;
        self.framer.establish(seed.sync_key.get(), self.config.damage == Damage::Resynchronise);
        let established = Established {
            version: VERSION,
            frame_limit: hello.frame_limit,
            message_limit: hello.message_limit,
            idle: heartbeat.idle(),
            interval: heartbeat.interval(),
            // TOKEN in HELLO_ACK means nothing.
            token: hello.token.filter(|_| self.role == Role::Server),
        };
        self.heartbeat = Some(heartbeat);
        self.state = State::Open;
        Ok(Event::Established(Box::new(established)))
    }
}

/// The version that this crate speaks.
const VERSION: u8 = 1;

/// One step through the input.
struct Progress<'b> {
    event: Option<Event<'b>>,
    /// There may be more in the input.
    go_on: bool,
}
