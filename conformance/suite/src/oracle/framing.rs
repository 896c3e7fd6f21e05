//! From received bytes to packets (spec sections 3 to 5).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fault::Fault;
use super::limit::Limit;
use super::{Behaviour, Bug};
use crate::codec::registry::{flag, kind, reason};
use crate::codec::{Header, Packet, crc32c};

/// What the framer found next.
pub(super) enum Found {
    /// A header that verifies, not judged yet.
    Verified(Header),
    /// The same header, judged. Its packet is found when it is whole, or dropped.
    Header(Header),
    /// A valid packet.
    Packet(Packet),
    /// Bytes that belong to no valid packet were passed over.
    Skipped,
    /// A packet with this header was dropped for its trailer.
    Dropped(Header),
}

/// The receiving side of the packet layer.
pub(super) struct Framer {
    behaviour: Arc<Behaviour>,
    buffer: Vec<u8>,
    /// Since when the packet at the front is on its way: its first byte came, or was reached by skipping.
    under_way: Option<Limit>,
    /// The key in force: 0 until the first packet, then the one that this side announced.
    key: u32,
    /// The first packet is still to come.
    at_first_packet: bool,
    /// The header at the front was told to verify, and was judged.
    verified: bool,
    judged: bool,
    /// The last bytes were skipped, so that more of them are the same gap.
    skipping: bool,
    budget: Budget,
}

impl Framer {
    pub(super) fn new(behaviour: Arc<Behaviour>) -> Self {
        let budget = Budget { window_began: None, bytes: 0, gaps: 0 };
        Self {
            behaviour,
            buffer: Vec::new(),
            under_way: None,
            key: 0,
            at_first_packet: true,
            verified: false,
            judged: false,
            skipping: false,
            budget,
        }
    }

    /// The first packet has been received: from now on `key` is in force.
    pub(super) fn first_packet_received(&mut self, key: u32) {
        self.at_first_packet = false;
        self.key = key;
    }

    pub(super) fn push(&mut self, bytes: &[u8], now: Instant) {
        if self.behaviour.has(Bug::RejectsSplitHeader) {
            self.buffer.clear();
        }
        if self.behaviour.has(Bug::GapPerRead) {
            self.skipping = false;
        }
        if self.buffer.is_empty() {
            self.under_way = Some(Limit::new(now));
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether every byte belonged to a packet that was found.
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The time to complete the packet that is being received starts anew (PW-HB-023).
    pub(super) fn restart_clock(&mut self, now: Instant) {
        if let Some(limit) = &mut self.under_way {
            limit.progress(now);
        }
    }

    /// The header, which was verified, of the packet to which the newest bytes belong (PW-HB-001). The bug takes any bytes for
    /// those of a packet.
    pub(super) fn header_under_way(&self) -> Option<Header> {
        let waiting = self.buffer.len() > Header::SIZE && self.verifies(0);
        let garbage = Header { kind: kind::DATA, flags: 0, class: 0, length: 0 };
        let garbage = self.behaviour.has(Bug::GarbageIsEvidence).then_some(garbage);
        if waiting { Some(Header::decode(&self.buffer)) } else { garbage }
    }

    /// Whether the packet that is being received should be complete by now (PW-FRM-015).
    pub(super) fn is_stalled(&mut self, interval: Duration, now: Instant) -> bool {
        if self.at_first_packet || self.behaviour.has(Bug::NeverStalls) {
            return false;
        }
        let verified = self.buffer.len() >= Header::SIZE && self.verifies(0);
        let counts = verified && !self.behaviour.has(Bug::StallIgnoresLength);
        let length = if counts { Header::decode(&self.buffer).length } else { 0 };
        let time = self.behaviour.profile.assembly_time(length);
        self.under_way.as_mut().is_some_and(|limit| limit.is_up(time, interval, now))
    }

    /// What is at the front now; all but a header is taken off. `judge_in_state` has the rules that depend on what came before.
    pub(super) fn next(
        &mut self,
        judge_in_state: &dyn Fn(&Header) -> Result<(), Fault>,
        now: Instant,
    ) -> Result<Option<Found>, Fault> {
        if self.buffer.len() < Header::SIZE {
            let strange = self.at_first_packet && self.buffer.first().is_some_and(|byte| *byte != Header::MAGIC[0]);
            let hasty = strange && self.behaviour.has(Bug::JudgesShortGarbage);
            return if hasty { Err(Fault::new(reason::NOT_PULSEWIRE)) } else { Ok(None) };
        }
        let header = Header::decode(&self.buffer);
        if self.behaviour.has(Bug::JudgesBeforeCheck) && Header::has_magic(&self.buffer) {
            self.judge(&header)?;
        }
        if !self.verifies(0) {
            return self.skip(now);
        }
        self.skipping = false;
        if !self.verified {
            self.verified = true;
            return Ok(Some(Found::Verified(header)));
        }
        if !self.judged {
            self.judge(&header)?;
            judge_in_state(&header)?;
            self.judged = true;
            return Ok(Some(Found::Header(header)));
        }
        let size = header.packet_size();
        if self.buffer.len() < size {
            return Ok(None);
        }
        let payload = &self.buffer[Header::SIZE..Header::SIZE + header.length as usize];
        let trailer = &self.buffer[Header::SIZE + payload.len()..size];
        let wrong = header.flags & flag::CHECKSUM != 0 && trailer != crc32c(payload).to_be_bytes();
        if wrong && self.verifies_trailer(&header) {
            return self.drop_packet(&header, now);
        }
        let mut payload = payload.to_vec();
        if self.behaviour.has(Bug::CountsTrailerInLength) {
            payload.extend_from_slice(trailer);
        }
        let packet = Packet { kind: header.kind, flags: header.flags, class: header.class, payload };
        self.consume(size, now);
        Ok(Some(Found::Packet(packet)))
    }

    /// Goes behind the packet at the front, if it is whole: only a bug goes on after a fault.
    pub(super) fn pass_over(&mut self, now: Instant) -> bool {
        let size =
            if self.buffer.len() < Header::SIZE { usize::MAX } else { Header::decode(&self.buffer).packet_size() };
        let whole = size <= self.buffer.len();
        if whole {
            self.consume(size, now);
        }
        whole
    }

    fn verifies(&self, offset: usize) -> bool {
        let bytes = &self.buffer[offset..];
        let magic = Header::has_magic(bytes) || self.behaviour.has(Bug::IgnoresMagic);
        let check = Header::has_check(bytes, self.key)
            || self.behaviour.has(Bug::ReadsMagicOnly)
            || self.behaviour.has(Bug::AcceptsKeyZero) && Header::has_check(bytes, 0);
        magic && check
    }

    /// Whether a wrong trailer is noticed: only a bug lets one pass.
    fn verifies_trailer(&self, header: &Header) -> bool {
        let bug = |bug| self.behaviour.has(bug);
        let is_control = kind::control_lengths(header.kind).is_some();
        let passes = bug(Bug::IgnoresTrailer)
            || bug(Bug::IgnoresEmptyTrailer) && header.length == 0
            || bug(Bug::IgnoresControlTrailer) && is_control;
        !passes
    }

    /// The rules that depend on the header alone, in the order of PW-HDR-017.
    fn judge(&self, header: &Header) -> Result<(), Fault> {
        let Header { kind, flags, class, .. } = *header;
        let bug = |bug| self.behaviour.has(bug);
        let judges_flags = !bug(Bug::AcceptsUnknownFlag) && (kind == kind::DATA || !bug(Bug::ChecksFlagsOfDataOnly));
        if flags & flag::UNDEFINED != 0 && judges_flags {
            return Err(Fault::new(reason::UNKNOWN_FLAG));
        }
        let lengths = kind::control_lengths(kind);
        let known = kind == kind::DATA || lengths.is_some();
        let passed_over = kind >= kind::FIRST_IGNORABLE && !bug(Bug::ClosesOnIgnorableKind);
        if !known && !passed_over && !bug(Bug::PassesOverUnknownKind) {
            return Err(Fault::new(reason::UNKNOWN_KIND));
        }
        if bug(Bug::JudgesLengthFirst) {
            self.judge_length(header)?;
        }
        let data_flags = flag::FIRST | flag::MORE | flag::ENCRYPTED;
        let tolerant = if known { Bug::AcceptsFlagsOnControl } else { Bug::AcceptsFlagsOnIgnorable };
        if kind != kind::DATA && flags & data_flags != 0 && !bug(tolerant) {
            return Err(Fault::new(reason::BAD_PACKET));
        }
        let first = matches!(kind, kind::HELLO | kind::HELLO_ACK);
        let ignored = bug(Bug::AcceptsClassOnControl) || first && bug(Bug::AcceptsClassOnFirst);
        if kind != kind::DATA && class != 0 && !ignored {
            return Err(Fault::new(reason::BAD_PACKET));
        }
        if kind == kind::DATA && (5..=127).contains(&class) && !bug(Bug::AcceptsReservedClass) {
            return Err(Fault::new(reason::BAD_PACKET));
        }
        self.judge_length(header)
    }

    fn judge_length(&self, header: &Header) -> Result<(), Fault> {
        let (length, limit) = (header.length, self.behaviour.profile.frame_limit);
        let bug = |bug| self.behaviour.has(bug);
        let continues = header.kind == kind::DATA && header.flags & flag::FIRST == 0;
        let unlimited = bug(Bug::IgnoresFrameLimit)
            || bug(Bug::IgnorableUnlimited) && header.kind != kind::DATA
            || bug(Bug::LimitsFirstFrames) && continues;
        match kind::control_lengths(header.kind) {
            Some(lengths) if !lengths.contains(&length) && !self.behaviour.has(Bug::WaitsForLongControl) => {
                Err(Fault::new(reason::BAD_LENGTH))
            }
            Some(lengths)
                if length == *lengths.end() && header.kind == kind::CLOSE && bug(Bug::RefusesLongestClose) =>
            {
                Err(Fault::new(reason::BAD_LENGTH))
            }
            None if length > limit && !unlimited => Err(Fault::frame_too_large(limit, length)),
            Some(_) | None => Ok(()),
        }
    }

    /// The header at the front does not verify: goes to the next offset where one does, or might.
    fn skip(&mut self, now: Instant) -> Result<Option<Found>, Fault> {
        if self.at_first_packet && !self.behaviour.has(Bug::SkipsBeforeHello) {
            return Err(Fault::new(reason::NOT_PULSEWIRE));
        }
        let may_skip = self.behaviour.profile.resync || self.behaviour.has(Bug::SkipsWithoutResync);
        if !may_skip && !self.at_first_packet {
            return Err(Fault::new(reason::BAD_HEADER));
        }
        let last = self.buffer.len() - Header::SIZE;
        let mut count = (1..=last).find(|offset| self.verifies(*offset)).unwrap_or(last + 1);
        if self.behaviour.has(Bug::DropsReadBuffer) {
            count = self.buffer.len();
        }
        self.consume(count, now);
        let is_new = !self.skipping;
        self.skipping = true;
        self.spend(count, is_new, now)?;
        Ok(Some(Found::Skipped))
    }

    /// The trailer is wrong: drops the packet, or closes without RESYNC.
    fn drop_packet(&mut self, header: &Header, now: Instant) -> Result<Option<Found>, Fault> {
        let too_early = self.at_first_packet && !self.behaviour.has(Bug::DropsDamagedHello);
        if too_early || !self.behaviour.profile.resync {
            return Err(Fault::new(reason::PAYLOAD_CHECKSUM));
        }
        let size = if self.behaviour.has(Bug::RescansDroppedPacket) { Header::SIZE } else { header.packet_size() };
        self.consume(size, now);
        let counted = if self.behaviour.has(Bug::DroppedBytesAreFree) { 0 } else { size };
        self.spend(counted, true, now)?;
        Ok(Some(Found::Dropped(*header)))
    }

    fn spend(&mut self, bytes: usize, is_new_gap: bool, now: Instant) -> Result<(), Fault> {
        let limit =
            if self.behaviour.has(Bug::BudgetIgnoresFrameLimit) { 0 } else { self.behaviour.profile.frame_limit };
        // So that damage to any packet can be survived, as often as gaps are allowed.
        let most = (GAPS_MAX as usize * (limit as usize + PACKET_OVERHEAD)).max(BYTES_MIN);
        if self.budget.spend(bytes, is_new_gap, most, now) || self.behaviour.has(Bug::SkipsForEver) {
            return Ok(());
        }
        Err(Fault::new(reason::RESYNC_BUDGET))
    }

    fn consume(&mut self, count: usize, now: Instant) {
        self.buffer.drain(..count);
        (self.verified, self.judged) = (false, false);
        // What is left came with the newest bytes.
        self.under_way = (!self.buffer.is_empty()).then(|| Limit::new(now));
    }
}

/// How long a window lasts.
const WINDOW: Duration = Duration::from_secs(60);
/// Gaps that one permits.
const GAPS_MAX: u32 = 16;
/// Bytes that one permits at the least.
const BYTES_MIN: usize = 65_536;
/// Bytes of a packet besides its payload.
const PACKET_OVERHEAD: usize = Header::SIZE + Header::TRAILER_SIZE;

/// What was skipped and dropped within one window (PW-FRM-011).
struct Budget {
    window_began: Option<Instant>,
    bytes: usize,
    gaps: u32,
}

impl Budget {
    /// Counts a gap, or more bytes of the last one; `false` if that is too much, or more than `most` bytes.
    fn spend(&mut self, bytes: usize, is_new_gap: bool, most: usize, now: Instant) -> bool {
        if self.window_began.is_none_or(|began| now >= began + WINDOW) {
            *self = Self { window_began: Some(now), bytes: 0, gaps: 0 };
        }
        self.bytes += bytes;
        self.gaps += u32::from(is_new_gap);
        self.bytes <= most && self.gaps <= GAPS_MAX
    }
}
