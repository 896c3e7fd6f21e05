//! In: bytes from the peer.

use bytes::BytesMut;

use super::Connection;
use super::state::{Input, State};
use crate::error::ProtocolError;
use crate::event::Event;
use crate::framer::{Arrival, Beginning, Body, Fate, Look, Step};
use crate::heartbeat::Heartbeat;
use crate::message::{Message, Payload};
use crate::time::{Instant, MaybeInstant};
use crate::wire::{ClosePayload, Flags, HEADER_SIZE, Header, Kind, count, pause};

impl Connection {
    /// Gives the next event: what waits to be told first (`Established`, `Suspect`, `Recovered`, `Closed`), and then what it takes
    /// off the front of `input`, the driver's buffer. It moves `input` past what it consumed. An event that waits is never
    /// overtaken by one that comes later.
    ///
    /// `Ok(None)`: nothing more to be had. What is left in `input` (less than 4 KiB) must lie at the front of the next call's
    /// input, with new bytes behind it, if any came. How many come at a time makes no difference (PW-FRM-001).
    ///
    /// # Errors
    /// The peer broke the protocol. The connection is over, `input` is consumed, CLOSE with the reason waits to be
    /// transmitted, and the next call gives `Closed`, whatever its input.
    // Inlined whatever the compiler thinks of it, and the slow way's result taken apart and put together again: an event that
    // is returned, or moved on, through memory is written field by field and copied as a whole, and the processor waits
    // for each such copy as long as all the rest takes.
    #[inline(always)]
    pub fn receive<'b>(&mut self, now: Instant, input: &mut &'b [u8]) -> Result<Option<Event<'b>>, ProtocolError> {
        let now = self.tick(now);
        if let Some(packet) = self.whole_message(now, input) {
            return Ok(message_in(packet).map(Event::Message));
        }
        let event = self.receive_any(now, input)?;
        Ok(event)
    }

    /// As [`receive`](Self::receive), but takes only a message that is next and lies whole in the input in one frame. For a driver
    /// that takes many before its application handles the first: nothing that comes this way changes what the application may
    /// still do. `None`: ask `receive`.
    #[inline(always)]
    pub fn receive_message<'b>(&mut self, now: Instant, input: &mut &'b [u8]) -> Option<Message<'b>> {
        let now = self.tick(now);
        self.whole_message(now, input).and_then(message_in)
    }

    /// The way of nearly every packet: a message in one frame that lies whole in the input. Gives header and payload; nothing
    /// where a small one is not whole yet. Whatever is unusual is left, unconsumed, to [`receive_any`](Self::receive_any),
    /// which judges everything.
    ///
    /// Without it a packet of 64 bytes takes five times as long: the steps below pass larger values around. It gives a slice,
    /// not a message, since a slice comes back in registers.
    #[inline(never)]
    fn whole_message<'b>(&mut self, now: Instant, input: &mut &'b [u8]) -> Option<&'b [u8]> {
        if !matches!(self.state, State::Open) || self.fragments.is_open() || self.waiting.is_some() {
            return None;
        }
        if self.heartbeat.as_ref().is_some_and(Heartbeat::has_news) {
            return None;
        }
        let (header, packet) = match self.framer.look(now, input, self.config.limits.frame) {
            Look::Message(header, packet) => (header, packet),
            Look::Incomplete { grew } => return self.wait(now, grew, input),
            Look::Unusual => return None,
        };
        let size = HEADER_SIZE + header.body_size();
        *input = &input[size..];
        self.held = waiting(input);
        self.bytes_received += size as u64;
        self.framer.forget_packet();
        if let Some(heartbeat) = &mut self.heartbeat
            && heartbeat.evidence(now)
        {
            self.outgoing.cancel_ping();
        }
        self.received += 1;
        self.received_by_class.add(header.class);
        Some(packet)
    }

    /// A small message is not whole: no bytes.
    #[inline]
    fn wait<'b>(&mut self, now: Instant, grew: bool, input: &'b [u8]) -> Option<&'b [u8]> {
        self.note_offered(now, input.len());
        self.held = waiting(input);
        if let Some(kind) = input.get(KIND_OFFSET).filter(|_| grew) {
            self.evidence(now, Kind(*kind));
        }
        Some(&[])
    }

    /// Bytes lie in the driver's buffer. Those that were left there before did not come now.
    #[inline]
    fn note_offered(&mut self, now: Instant, offered: usize) {
        if offered > usize::from(self.held) {
            self.last_byte_in = MaybeInstant::some(now);
        }
    }

    #[inline(never)]
    fn receive_any<'b>(&mut self, now: Instant, input: &mut &'b [u8]) -> Result<Option<Event<'b>>, ProtocolError> {
        if self.state.is_over() {
            *input = &[];
        }
        if self.state.is_over() || self.has_event() {
            return Ok(self.poll_event());
        }
        let before = input.len();
        self.note_offered(now, before);
        let result = self.next_event(now, input);
        self.bytes_received += (before - input.len()) as u64;
        // What follows the end is not acted on (PW-FRM-016).
        if result.is_err() || self.state.is_over() {
            *input = &[];
        }
        self.held = waiting(input);
        match result {
            Ok(None) => Ok(self.poll_event()),
            Ok(event) => Ok(event),
            Err(error) => {
                self.fail(&error);
                Err(error)
            }
        }
    }

    /// Lends memory of a large packet under way, and says how many bytes are missing. Read at most that many into its spare
    /// capacity (there is some; it is empty), then give it back with [`received_direct`](Self::received_direct).
    ///
    /// Ask when [`receive`](Self::receive) gave `None`: while an event waits, nothing is lent. Nothing is lost where the
    /// memory is dropped instead, unless bytes were read into it. But once other bytes were received it can't be given back.
    #[inline]
    pub fn direct_buffer(&mut self) -> Option<(BytesMut, usize)> {
        if !self.framer.has_partial() {
            return None;
        }
        self.lend()
    }

    fn lend(&mut self) -> Option<(BytesMut, usize)> {
        if self.state.is_over() || self.has_event() {
            return None;
        }
        self.framer.lend()
    }

    /// Gives the lent memory back. What was read into it is its length: none, where nothing was. Gives the next event, as
    /// [`receive`](Self::receive) does; call that until `None` for those behind it.
    ///
    /// Memory that was not lent last, or after which other bytes were received, ends the connection with ABORTED if it holds bytes:
    /// nobody knows where in the stream they belong.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn received_direct(&mut self, now: Instant, lent: BytesMut) -> Result<Option<Event<'static>>, ProtocolError> {
        let now = self.tick(now);
        if self.state.is_over() {
            return Ok(self.poll_event());
        }
        let received = lent.len();
        if received > 0 {
            self.last_byte_in = MaybeInstant::some(now);
            self.bytes_received += received as u64;
        }
        let event = match self.framer.take_back(now, lent) {
            Some(arrival) => {
                let taken = arrival.and_then(|arrival| self.arrival(now, arrival, None));
                taken.inspect_err(|error| self.fail(error))?.event
            }
            None => {
                if received > 0 {
                    self.abort(now);
                }
                None
            }
        };
        if !self.has_event() {
            return Ok(event);
        }
        self.waiting.get_or_insert_default().others.extend(event);
        Ok(self.poll_event())
    }

    fn next_event<'b>(&mut self, now: Instant, input: &mut &'b [u8]) -> Result<Option<Event<'b>>, ProtocolError> {
        while !self.state.is_over() {
            if matches!(self.state, State::Judging { .. }) && !input.is_empty() {
                return Err(ProtocolError::SentBeforeAnswer);
            }
            let mut kind = None;
            let arrival = if self.framer.has_partial() {
                if !input.is_empty() {
                    self.evidence(now, Kind::DATA);
                }
                if self.has_event() {
                    return Ok(None);
                }
                self.framer.continue_partial(now, input)?
            } else {
                match self.framer.header(now, input)? {
                    Step::Header { header, again } => {
                        let fate = self.admit(&header)?;
                        self.evidence(now, header.kind);
                        // It is told first. The header is looked at again.
                        if self.has_event() {
                            return Ok(None);
                        }
                        if let Fate::TooLarge { size } = fate {
                            return self.refuse_open(size);
                        }
                        if fate.goes_on() && !again {
                            self.fragments.add_time(now, &header, self.config.timeouts.assembly_rate);
                        }
                        kind = Some(header.kind);
                        let fragments = &mut self.fragments;
                        self.framer.body(now, header, input, || fate.keeps().then(|| fragments.buffer(fate)))?
                    }
                    Step::Gap(skipped) => return self.skipped(skipped).map(Some),
                    Step::Incomplete { grew } => {
                        if let Some(kind) = input.get(KIND_OFFSET).filter(|_| grew) {
                            self.evidence(now, Kind(*kind));
                        }
                        return Ok(None);
                    }
                }
            };
            let step = self.arrival(now, arrival, kind)?;
            if step.event.is_some() || !step.go_on || self.has_event() {
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
            | Input::CloseAck => Ok(Fate::Whole),
            Input::Nothing => Ok(Fate::Ignore),
        }
    }

    /// `kind` is that of a packet whose header came with these bytes.
    fn arrival<'b>(
        &mut self,
        now: Instant,
        arrival: Arrival<'b>,
        kind: Option<Kind>,
    ) -> Result<Taken<'b>, ProtocolError> {
        match arrival {
            Arrival::Whole(header, body) => {
                self.evidence(now, header.kind);
                let event = if header.kind == Kind::DATA {
                    self.data(now, &header, body)?
                } else {
                    self.control(now, header.kind, body)?
                };
                Ok(Taken { event, go_on: true })
            }
            Arrival::Damaged(header, size) => {
                self.evidence(now, header.kind);
                let event = self.dropped(&header, size)?;
                Ok(Taken { event: Some(event), go_on: true })
            }
            Arrival::Incomplete { grew } => {
                // One that moved into a buffer of its own is larger than any BUSY.
                if grew {
                    self.evidence(now, kind.unwrap_or(Kind::DATA));
                }
                Ok(Taken { event: None, go_on: false })
            }
        }
    }

    fn data<'b>(&mut self, now: Instant, header: &Header, body: Body<'b>) -> Result<Option<Event<'b>>, ProtocolError> {
        // Judged when the header came; nothing has changed since, but a large frame's buffer was taken out.
        let fate = self.fragments.fate(header, self.config.limits.message)?;
        if fate.goes_on() {
            self.fragments.add_time(now, header, self.config.timeouts.assembly_rate);
        }
        let ordinal = match fate {
            Fate::Whole | Fate::Begin => self.begin_message(header.class),
            Fate::Continue | Fate::End | Fate::TooLarge { .. } | Fate::PassOver | Fate::PassOverEnd | Fate::Ignore => {
                None
            }
        };
        let peer_pauses = self.heartbeat.as_ref().and_then(Heartbeat::spared_until);
        let begin = || Beginning { now, config: &self.config, ordinal, peer_pauses };
        let Some(message) = self.fragments.frame(fate, header, body, begin) else { return Ok(None) };
        self.received += 1;
        Ok(Some(Event::Message(message)))
    }

    /// A header that verifies came, or more of its packet: the peer lives (PW-HB-001, PW-HB-002). Parts of a header, skipped bytes and
    /// what this side sends prove nothing (PW-HB-003), and a BUSY only when it is judged with its contents.
    fn evidence(&mut self, now: Instant, kind: Kind) {
        if kind != Kind::BUSY
            && let Some(heartbeat) = &mut self.heartbeat
            && heartbeat.evidence(now)
        {
            self.outgoing.cancel_ping();
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
                self.heartbeat
                    .as_mut()
                    .map_or(Ok(()), |heartbeat| heartbeat.ping(now, number, &self.config.heartbeat))?;
                self.pings_received = self.pings_received.saturating_add(1);
                self.outgoing.pong(number);
                Ok(None)
            }
            Input::Pong => {
                let latest = self.outgoing.pings();
                self.heartbeat.as_mut().map_or(Ok(()), |heartbeat| heartbeat.pong(now, count(payload), latest))?;
                self.pongs_received = self.pongs_received.saturating_add(1);
                Ok(None)
            }
            Input::Busy => {
                if let Some(heartbeat) = &mut self.heartbeat {
                    let paused = heartbeat.spared_until().is_some();
                    if heartbeat.busy(now, pause(payload), &self.config.heartbeat) {
                        self.outgoing.cancel_ping();
                    }
                    // What this side waits for the peer to do, or to take, waits too (PW-HB-020).
                    let until = heartbeat.spared_until();
                    if !paused && until.is_some() {
                        self.rare().peer_pauses += 1;
                    }
                    self.write_clock.peer_pauses(now, until, self.config.heartbeat.busy_max);
                    self.fragments.peer_pauses(now, until);
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
        self.state.input(self.role, self.peer_drained, self.since.is_some(), kind)
    }
}

/// Where in a header the kind stands.
const KIND_OFFSET: usize = 2;

/// One step through the input.
struct Taken<'b> {
    event: Option<Event<'b>>,
    /// There may be more in the input.
    go_on: bool,
}

/// How much lies in the driver's buffer. Where that is more than a field of this size holds, it is looked at on the spot.
#[inline]
fn waiting(input: &[u8]) -> u16 {
    input.len().min(usize::from(u16::MAX)) as u16
}

/// A message, out of its packet. A packet that is not whole has no bytes.
#[inline(always)]
fn message_in(packet: &[u8]) -> Option<Message<'_>> {
    let (header, payload) = packet.split_first_chunk()?;
    let Header { class, flags, .. } = Header::read(header);
    Some(Message { class, encrypted: flags.contains(Flags::ENCRYPTED), payload: Payload::Borrowed(payload) })
}
