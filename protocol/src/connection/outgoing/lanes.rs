//! All classes: which one is handed out next (PW-DAT-014, PW-DAT-015).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::num::NonZeroU64;

use bytes::Bytes;

use super::encoding::Encoding;
use super::lane::{Entry, Lane, Next, Rejects};
use crate::connection::batch::Batch;
use crate::connection::prepared::PreparedMessage;
use crate::connection::transmit::Transmit;
use crate::message::Message;
use crate::wire::{Class, Flags, HEADER_SIZE, TRAILER_SIZE, payload_checksum};

/// The smallest batch that frames are cut to fit in: with the smallest limit that a peer may announce.
const BATCH_LEAST: usize = 512 + HEADER_SIZE + TRAILER_SIZE;

/// The smallest room at the end of a batch that a frame is cut to fit in. Below, it waits for the next batch.
const REST_LEAST: usize = 4 << 10;

/// Messages handed out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::connection) struct Messages {
    /// Their first frame was.
    pub(in crate::connection) begun: u64,
    /// Their last frame was.
    pub(in crate::connection) completed: u64,
}

/// A message of which some frames, but not the last, were handed out. There is at most one (PW-DAT-005).
#[derive(Debug, Clone, Copy)]
struct Open {
    lane: u16,
    /// Bytes of other classes that may go before its next frame: as many as its frame before had, less what went.
    others: u32,
}

/// What a batch has room for.
#[derive(Debug, Clone, Copy)]
struct Room {
    bytes: usize,
    /// The batch is empty: a packet has to go, whatever its size.
    must: bool,
}

impl Room {
    /// What a frame may take, header and trailer included. A batch that is asked for with less room than any frame may need
    /// takes one packet, uncut.
    fn least(self) -> usize {
        if self.must && self.bytes < BATCH_LEAST { usize::MAX } else { self.bytes }
    }

    /// The largest payload of a frame.
    fn frame(self, encoding: &Encoding) -> usize {
        let trailer = if encoding.checksums { TRAILER_SIZE } else { 0 };
        (self.least() - HEADER_SIZE - trailer).min(encoding.frame_max as usize)
    }

    /// Whether something of this lane goes out now. What does not fit waits for the next batch.
    fn holds(self, lane: &Lane, encoding: &Encoding) -> bool {
        match lane.next(encoding) {
            None => false,
            Some(Next::Packets { first }) => self.must || first <= self.bytes,
            Some(Next::Message { size }) => self.must || size <= self.bytes,
            Some(Next::Part { size }) => self.must || size <= self.bytes || self.bytes >= REST_LEAST,
        }
    }
}

/// A large message, `sent` bytes of which went out.
struct Part {
    encrypted: bool,
    payload: Bytes,
    sent: usize,
}

/// The classes that were used, each with its queue.
#[derive(Default)]
pub(super) struct Lanes {
    lanes: Box<[Lane]>,
    /// The lane that was used last: most messages are of the class of the one before. There are at most 256.
    current: u16,
    /// The lane whose turn it is.
    turn: u16,
    open: Option<Open>,
}

impl Lanes {
    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(Lane::is_empty)
    }

    /// Bytes that wait.
    pub(super) fn waiting(&self) -> usize {
        self.lanes.iter().map(Lane::waiting).sum()
    }

    /// Bytes of this class that wait.
    pub(super) fn waiting_of(&self, class: Class) -> usize {
        self.lane(class).map_or(0, Lane::waiting)
    }

    /// Bytes of memory that they hold.
    pub(super) fn buffered(&self) -> usize {
        self.lanes.iter().map(Lane::buffered).sum()
    }

    fn lane(&self, class: Class) -> Option<&Lane> {
        self.lanes.iter().find(|lane| lane.class == class)
    }

    /// The lane of a class, made if there was none.
    fn lane_mut(&mut self, class: Class) -> &mut Lane {
        let index = self.lanes.iter().position(|lane| lane.class == class).unwrap_or_else(|| {
            // Seldom enough, and a list that has room to grow is larger.
            let mut lanes = core::mem::take(&mut self.lanes).into_vec();
            lanes.reserve_exact(1);
            lanes.push(Lane::new(class));
            self.lanes = lanes.into_boxed_slice();
            self.lanes.len() - 1
        });
        self.current = index as u16;
        &mut self.lanes[index]
    }

    /// A message of this class found no room.
    pub(super) fn note_full(&mut self, class: Class) {
        self.lane_mut(class).note_full();
    }

    /// A class of which a message found no room, and of which so little waits now.
    pub(super) fn drained(&mut self, low: usize) -> Option<Class> {
        self.lanes.iter_mut().find_map(|lane| lane.drained(low).then_some(lane.class))
    }

    /// Messages of this class that were handed out whole.
    pub(super) fn completed_of(&self, class: Class) -> u64 {
        let Some(index) = self.lanes.iter().position(|lane| lane.class == class) else { return 0 };
        let open = self.open.is_some_and(|open| usize::from(open.lane) == index);
        self.lanes[index].begun() - u64::from(open)
    }

    /// Messages accepted.
    pub(super) fn accepted(&self) -> u64 {
        self.lanes.iter().map(Lane::accepted).sum()
    }

    /// Messages handed out.
    pub(super) fn messages(&self) -> Messages {
        let begun = self.lanes.iter().map(Lane::begun).sum();
        Messages { begun, completed: begun - u64::from(self.open.is_some()) }
    }

    /// Appends a small message to the batch of its class that is being filled, if that has room, and gives its number.
    #[inline(never)]
    pub(super) fn append(
        &mut self,
        encoding: &Encoding,
        class: Class,
        encrypted: bool,
        payload: &[u8],
    ) -> Option<NonZeroU64> {
        match self.lanes.get_mut(usize::from(self.current)) {
            Some(lane) if lane.class == class => lane.append(encoding, encrypted, payload),
            Some(_) => self.lane_mut(class).append(encoding, encrypted, payload),
            None => None,
        }
    }

    pub(super) fn push(&mut self, encoding: &Encoding, message: Message<'_>, ceiling: usize) -> Option<NonZeroU64> {
        self.lane_mut(message.class).push(encoding, message, ceiling)
    }

    pub(super) fn push_prepared(
        &mut self,
        encoding: &Encoding,
        prepared: &PreparedMessage,
        ceiling: usize,
    ) -> Option<NonZeroU64> {
        self.lane_mut(prepared.message().class).push_prepared(encoding, prepared, ceiling)
    }

    pub(super) fn limit_room(&mut self, room: usize) {
        self.lanes.iter_mut().for_each(|lane| lane.limit_room(room));
    }

    /// Takes back what was not handed out whole; in order within each class.
    pub(super) fn take_unsent(&mut self, key: u32) -> Vec<Message<'static>> {
        let mut unsent = Vec::new();
        self.lanes.iter_mut().for_each(|lane| lane.take_unsent(key, &mut unsent));
        unsent
    }

    /// A REJECT came for a message of this class: how many were begun, and which REJECTs came before.
    pub(super) fn rejected(&self, class: Class) -> (u64, Rejects) {
        self.lane(class).map_or_else(Default::default, |lane| (lane.begun(), lane.rejects()))
    }

    /// Notes a REJECT that was judged.
    pub(super) fn note_rejected(&mut self, class: Class, ordinal: Option<NonZeroU64>) {
        self.lane_mut(class).note_rejected(ordinal);
    }

    /// Hands out whole packets, and at least one of what waits if the batch is empty, until nothing more fits in `max` bytes.
    pub(super) fn poll(&mut self, encoding: &Encoding, max: usize, out: &mut Transmit) {
        while out.is_empty() || out.len() < max {
            let room = Room { bytes: max.saturating_sub(out.len()), must: out.is_empty() };
            let Some(index) = self.choose(encoding, room) else { break };
            self.hand_out(encoding, index, room, out);
        }
    }

    /// The lane that is next: the others in turn as long as the open message lets them, then that.
    fn choose(&mut self, encoding: &Encoding, room: Room) -> Option<usize> {
        let count = self.lanes.len();
        let turn = usize::from(self.turn);
        let mut turns = (turn..turn + count).map(|turn| turn % count);
        let Some(open) = self.open else {
            return turns
                .find(|index| !self.lanes[*index].is_empty())
                .filter(|index| room.holds(&self.lanes[*index], encoding));
        };
        let between = Room { bytes: (open.others as usize).min(room.least()), must: false };
        let open_lane = usize::from(open.lane);
        turns
            .find(|index| {
                let lane = &self.lanes[*index];
                *index != open_lane && !lane.begins_fragments(encoding) && between.holds(lane, encoding)
            })
            .or_else(|| room.holds(&self.lanes[open_lane], encoding).then_some(open_lane))
    }

    fn hand_out(&mut self, encoding: &Encoding, index: usize, room: Room, out: &mut Transmit) {
        self.turn = index as u16 + 1;
        let between = self.open.filter(|open| usize::from(open.lane) != index).map(|open| open.others as usize);
        let before = out.len();
        let lane = &mut self.lanes[index];
        match lane.pop() {
            Some(Entry::Batch(batch)) => {
                let most = between.map_or(room.bytes, |others| others.min(room.bytes));
                self.hand_out_batch(index, batch, most, out);
            }
            Some(Entry::Frame { message, header, trailer }) => {
                let size = HEADER_SIZE + message.payload.len() + TRAILER_SIZE;
                if between.is_none() && size > room.least() {
                    // Too large for any batch that is asked for: it goes in several frames.
                    let part = Part { encrypted: message.encrypted, payload: message.payload.into_bytes(), sent: 0 };
                    self.hand_out_frame(encoding, index, part, room, out);
                } else {
                    lane.begin(1);
                    out.inline(|inline| inline.extend_from_slice(&header));
                    out.shared(message.payload.into_bytes());
                    if let Some(trailer) = trailer {
                        out.inline(|inline| inline.extend_from_slice(&trailer));
                    }
                }
            }
            Some(Entry::Large { encrypted, payload, sent }) => {
                let room = between.map_or(room, |others| Room { bytes: others, must: false });
                self.hand_out_frame(encoding, index, Part { encrypted, payload, sent }, room, out);
            }
            None => {}
        }
        if between.is_some()
            && let Some(open) = &mut self.open
        {
            open.others = open.others.saturating_sub((out.len() - before) as u32);
        }
    }

    /// Hands out a batch, or as many of its packets as fit in `most` bytes, and at least one.
    fn hand_out_batch(&mut self, index: usize, mut batch: Batch, most: usize, out: &mut Transmit) {
        let lane = &mut self.lanes[index];
        if let Some(rest) = batch.split(most) {
            lane.push_front(Entry::Batch(rest));
        }
        let Batch { packets, messages } = batch;
        lane.begin(messages);
        out.batch(packets);
    }

    /// Hands out the next frame of a large message, and puts back what is left.
    fn hand_out_frame(
        &mut self,
        encoding: &Encoding,
        index: usize,
        Part { encrypted, payload, sent }: Part,
        room: Room,
        out: &mut Transmit,
    ) {
        let lane = &mut self.lanes[index];
        let end = payload.len().min(sent + room.frame(encoding));
        let more = end < payload.len();
        let first = if sent == 0 { Flags::FIRST } else { Flags::NONE };
        let flags = if more { first | Flags::MORE } else { first };
        let header = encoding.data_header(lane.class, encrypted, flags, end - sent);
        let checksum = encoding.checksums.then(|| payload_checksum(&payload[sent..end]).to_be_bytes());
        lane.begin(u32::from(sent == 0));
        let before = out.len();
        out.inline(|inline| inline.extend_from_slice(&header.encode(encoding.key)));
        if more {
            out.shared(payload.slice(sent..end));
            lane.push_front(Entry::Large { encrypted, payload, sent: end });
        } else {
            // Most are one frame; a part of it would be counted as another reference.
            out.shared(if sent == 0 { payload } else { payload.slice(sent..) });
        }
        if let Some(checksum) = checksum {
            out.inline(|inline| inline.extend_from_slice(&checksum));
        }
        if more || self.open.is_some_and(|open| usize::from(open.lane) == index) {
            // A frame and what is around it fit.
            self.open = more.then_some(Open { lane: index as u16, others: (out.len() - before) as u32 });
        }
    }
}
