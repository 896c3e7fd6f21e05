//! In: bytes from the peer.

use bytes::BytesMut;

use super::Connection;
use super::state::{Input, State};
use crate::error::ProtocolError;
use crate::event::Event;
use crate::framer::{Arrival, Body, Fate, Step};
use crate::message::{Message, Payload};
use crate::time::Instant;
use crate::wire::{ClosePayload, Flags, HEADER_SIZE, Header, Kind, count, pause};

impl Connection {
    /// Takes one event off the front of `input`, the driver's buffer, and moves `input` past what it consumed.
    ///
    /// `Ok(None)`: nothing more to be had. What is left in `input` (less than 4 KiB) must lie at the front of the next call's
    /// input, with new bytes behind it. How many come at a time makes no difference (PW-FRM-001).
    ///
    /// # Errors
    /// The peer broke the protocol. The connection is over, `input` is consumed, CLOSE with the reason waits to be
    /// transmitted, and [`poll_event`](Self::poll_event) gives `Closed`.
    // Inlined whatever the compiler thinks of it, and the slow way's result taken apart and put together again: an event that
    // is returned, or moved on, through memory is written field by field and copied as a whole, and the processor waits
    // for each such copy as long as all the rest takes.
    #[inline(always)]
    pub fn receive<'b>(&mut self, now: Instant, input: &mut &'b [u8]) -> Result<Option<Event<'b>>, ProtocolError> {
        if let Some((header, payload)) = self.whole_message(now, input).and_then(<[u8]>::split_first_chunk) {
            let Header { class, flags, .. } = Header::read(header);
            let (encrypted, payload) = (flags.contains(Flags::ENCRYPTED), Payload::Borrowed(payload));
            return Ok(Some(Event::Message(Message { class, encrypted, payload })));
        }
        let event = self.receive_any(now, input)?;
        Ok(event)
    }

    /// The way of nearly every packet: a message in one frame that lies whole in the input. Gives header and payload.
    /// Whatever is unusual is left, unconsumed, to [`receive_any`](Self::receive_any), which judges everything.
    ///
    /// Without it a packet of 64 bytes takes five times as long: the steps below pass larger values around. It gives a slice,
    /// not a message, since a slice comes back in registers.
    #[inline(never)]
    fn whole_message<'b>(&mut self, now: Instant, input: &mut &'b [u8]) -> Option<&'b [u8]> {
        if !matches!(self.state, State::Open) || self.fragments.is_open() {
            return None;
        }
        let (header, packet) = self.framer.whole_message(input)?;
        if header.class.is_reserved() || header.length > self.config.limits.frame {
            return None;
        }
        let size = HEADER_SIZE + header.body_size();
        *input = &input[size..];
        self.counters.bytes_received += size as u64;
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
        let before = input.len();
        let result = self.next_event(now, input);
        if before > 0 {
            self.last_byte_in = now;
            self.counters.bytes_received += (before - input.len()) as u64;
        }
        // What follows the end is not acted on (PW-FRM-016).
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
        if received > 0 {
            self.last_byte_in = now;
            // A driver that says more than there is must do no harm.
            self.counters.bytes_received += received.min(buffer.len()) as u64;
        }
        self.framer
            .take_back(now, buffer, received)
            .and_then(|arrival| self.arrival(now, arrival, None))
            .map(|step| step.event)
            .inspect_err(|error| self.fail(error))
    }

    fn next_event<'b>(&mut self, now: Instant, input: &mut &'b [u8]) -> Result<Option<Event<'b>>, ProtocolError> {
        while !self.state.is_over() {
            if matches!(self.state, State::Judging { .. }) && !input.is_empty() {
                return Err(ProtocolError::SentBeforeAnswer);
            }
            let mut kind = None;
            let arrival = if self.framer.has_partial() {
                self.framer.continue_partial(now, input)?
            } else {
                match self.framer.header(now, input)? {
                    Step::Header(header) => {
                        let fate = self.admit(&header)?;
                        if let Fate::TooLarge { size } = fate {
                            return self.refuse_open(header.class, size).map(Some);
                        }
                        kind = Some(header.kind);
                        let fragments = &mut self.fragments;
                        self.framer.body(now, header, input, || fragments.buffer(fate))?
                    }
                    Step::Gap(skipped) => return self.skipped(skipped).map(Some),
                    Step::Incomplete { payload_grew } => {
                        let kind = input.get(KIND_OFFSET).map(|kind| Kind(*kind));
                        self.evidence_of_payload(now, payload_grew, kind);
                        return Ok(None);
                    }
                }
            };
            let step = self.arrival(now, arrival, kind)?;
            if step.event.is_some() || !step.go_on {
                return Ok(step.event);
            }
        }
        Ok(None)
    }

    /// Judges a verified header, before its payload has come, in the order of PW-HDR-017.
    fn admit(&self, header: &Header) -> Result<Fate, ProtocolError> {
        header.judge(self.config.limits.frame)?;
        match self.input(header.kind) {
            Input::Data if self.framer.resynchronises() && !header.flags.contains(Flags::CHECKSUM) => {
                Err(ProtocolError::ChecksumRequired)
            }
            Input::Data => self.fragments.fate(header, self.config.limits.message),
            Input::Unexpected(when) => Err(ProtocolError::UnexpectedPacket { kind: header.kind, when }),
            Input::Hello
            | Input::HelloAck
            | Input::Refusal
            | Input::Ping
            | Input::Pong
            | Input::Busy
            | Input::Reject
            | Input::Drain
            | Input::CloseAsked
            | Input::CloseCrossed
            | Input::CloseAck
            | Input::Nothing => Ok(Fate::Whole),
        }
    }

    /// `kind` is that of a packet whose header came with these bytes.
    fn arrival<'b>(
        &mut self,
        now: Instant,
        arrival: Arrival<'b>,
        kind: Option<Kind>,
    ) -> Result<Progress<'b>, ProtocolError> {
        match arrival {
            Arrival::Whole(header, body) => {
                // BUSY is not always evidence: it is judged with its contents.
                if header.kind != Kind::BUSY
                    && let Some(heartbeat) = &mut self.heartbeat
                {
                    heartbeat.evidence(now);
                }
                let event = if header.kind == Kind::DATA {
                    self.data(&header, body)?
                } else {
                    self.control(now, header.kind, body)?
                };
                Ok(Progress { event, go_on: true })
            }
            // The end of a dropped packet is no evidence (PW-HB-003).
            Arrival::Damaged(header, size) => {
                let event = self.dropped(&header, size)?;
                Ok(Progress { event: Some(event), go_on: true })
            }
            Arrival::Incomplete { payload_grew } => {
                self.evidence_of_payload(now, payload_grew, kind);
                Ok(Progress { event: None, go_on: false })
            }
        }
    }

    fn data<'b>(&mut self, header: &Header, body: Body<'b>) -> Result<Option<Event<'b>>, ProtocolError> {
        // Judged when the header came; nothing has changed since, but a large frame's buffer was taken out.
        let fate = self.fragments.fate(header, self.config.limits.message)?;
        let ordinal = || self.ordinals.begin(self.received);
        let Some(message) = self.fragments.frame(fate, header, body, ordinal) else { return Ok(None) };
        if fate == Fate::End {
            self.ordinals.complete();
        }
        self.received += 1;
        Ok(Some(Event::Message(message)))
    }

    /// If bytes of a payload came whose header was verified, the peer lives, until their time is up (PW-HB-002). Parts of a
    /// header and skipped bytes prove nothing (PW-HB-003).
    fn evidence_of_payload(&mut self, now: Instant, payload_grew: bool, kind: Option<Kind>) {
        if payload_grew
            && let Some(heartbeat) = &mut self.heartbeat
            && self.framer.deadline(&self.config.timeouts).is_none_or(|deadline| now < deadline)
            && !(kind == Some(Kind::BUSY) && heartbeat.ignores_busy(now))
        {
            heartbeat.evidence_of_payload(now);
        }
    }

    /// Acts on a control packet, also between the frames of an open message (PW-DAT-010).
    fn control<'b>(&mut self, now: Instant, kind: Kind, body: Body<'b>) -> Result<Option<Event<'b>>, ProtocolError> {
        let payload = body.bytes();
        match self.input(kind) {
            Input::Hello | Input::HelloAck => self.greeting(now, kind, payload),
            Input::Refusal => {
                // CLOSE in place of HELLO_ACK (PW-HS-019).
                if let Some(close) = ClosePayload::decode(payload) {
                    self.judge_close(&close)?;
                    self.end_by_peer(close, false);
                }
                Ok(None)
            }
            Input::Ping => {
                let number = count(payload);
                self.heartbeat.as_mut().map_or(Ok(()), |heartbeat| heartbeat.ping(now, number))?;
                self.counters.pings_received += 1;
                self.outgoing.pong(number);
                Ok(None)
            }
            Input::Pong => {
                let latest = self.outgoing.pings();
                self.heartbeat.as_mut().map_or(Ok(()), |heartbeat| heartbeat.pong(now, count(payload), latest))?;
                self.counters.pongs_received += 1;
                Ok(None)
            }
            Input::Busy => {
                if let Some(heartbeat) = &mut self.heartbeat
                    && heartbeat.busy(now, pause(payload))
                {
                    self.outgoing.cancel_ping();
                }
                Ok(None)
            }
            Input::Reject => self.rejected(payload),
            Input::Drain => self.peer_drains(payload),
            Input::CloseAsked | Input::CloseCrossed => match ClosePayload::decode(payload) {
                Some(close) => self.peer_asks_to_close(close),
                None => Ok(None),
            },
            Input::CloseAck => self.finish_close(count(payload)).map(|()| None),
            Input::Unexpected(when) => Err(ProtocolError::UnexpectedPacket { kind, when }),
            Input::Data | Input::Nothing => Ok(None),
        }
    }

    fn input(&self, kind: Kind) -> Input {
        self.state.input(self.role, self.peer_drained, kind)
    }
}

/// Where in a header the kind stands.
const KIND_OFFSET: usize = 2;

/// One step through the input.
struct Progress<'b> {
    event: Option<Event<'b>>,
    /// There may be more in the input.
    go_on: bool,
}
