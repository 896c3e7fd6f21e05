//! From DATA packets to messages, and which of them are refused (spec section 6).

mod time;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::fault::Fault;
use super::limit::Moment;
use super::{Behaviour, Bug};
use crate::codec::registry::{flag, reason, reject};
use crate::codec::{Header, Packet};
use crate::peer::Message;
use time::MessageTime;

/// A message that this side refuses (spec section 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) class: u8,
    /// The number among the messages of that class, or 0.
    pub(super) ordinal: u64,
    pub(super) reason: u16,
}

/// A message of which the last frame is still to come.
struct Open {
    ordinal: u64,
    message: Message,
    /// It was too large: its frames are passed over (PW-REJ-004).
    refused: bool,
    time: MessageTime,
}

/// The receiving side of the message layer.
pub(super) struct Assembler {
    behaviour: Arc<Behaviour>,
    open: Option<Open>,
    /// After a gap: continuations of a message that is lost may still come (PW-FRM-010).
    lost_message: bool,
    /// Verified headers with FIRST, by class.
    begun: BTreeMap<u8, u64>,
    /// Bytes were skipped, so that `begun` may lack some.
    skipped: bool,
    /// Messages received whole.
    pub(super) received: u64,
}

impl Assembler {
    pub(super) fn new(behaviour: Arc<Behaviour>) -> Self {
        Self { behaviour, open: None, lost_message: false, begun: BTreeMap::new(), skipped: false, received: 0 }
    }

    /// Whether more frames of a message are to come.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The rules for DATA that are judged at the header: CHECKSUM, then section 6.
    pub(super) fn judge(&self, header: &Header) -> Result<(), Fault> {
        let bug = |bug| self.behaviour.has(bug);
        let has = |wanted| header.flags & wanted != 0;
        if bug(Bug::JudgesFragmentsFirst) {
            self.judge_fragment(header)?;
        }
        let excused = bug(Bug::AcceptsMissingChecksum) || bug(Bug::AsksForFirstChecksum) && !has(flag::FIRST);
        if !has(flag::CHECKSUM) && self.behaviour.profile.resync && !excused {
            return Err(Fault::new(reason::CHECKSUM_REQUIRED));
        }
        self.judge_fragment(header)
    }

    /// The rules of section 6, which do not go for what is passed over (PW-FRM-010).
    fn judge_fragment(&self, header: &Header) -> Result<(), Fault> {
        let bug = |bug| self.behaviour.has(bug);
        let has = |wanted| header.flags & wanted != 0;
        let bad_fragment = Err(Fault::new(reason::BAD_FRAGMENT));
        let (first, more) = (has(flag::FIRST), has(flag::MORE));
        let open = self.open.as_ref().filter(|open| !open.refused || !bug(Bug::ForgetsRefused));
        // What is left of a lost message is passed over, and not judged by the rules of section 6 (PW-FRM-010).
        let passed_over = open.is_none() && self.lost_message && !first && !bug(Bug::ClosesOnOrphanAfterGap);
        if passed_over && !bug(Bug::JudgesPassedOver) {
            return Ok(());
        }
        if more && header.length == 0 && !bug(Bug::AcceptsEmptyFragment) {
            return bad_fragment;
        }
        match (open.map(|open| &open.message), first) {
            (None, true) => Ok(()),
            (None, false) if passed_over => Ok(()),
            (None, false) if bug(Bug::AcceptsOrphanFragment) || bug(Bug::DeliversFragments) => Ok(()),
            (None, false) => bad_fragment,
            (Some(_), true) if more && !bug(Bug::RestartsMessage) => bad_fragment,
            (Some(open), true) if !more && (open.class == header.class || bug(Bug::HoldsOtherClasses)) => bad_fragment,
            (Some(_), true) => Ok(()),
            (Some(open), false) => {
                let same = open.class == header.class && open.encrypted == has(flag::ENCRYPTED);
                if !same && !bug(Bug::AcceptsMixedClasses) && !bug(Bug::LosesEncryptedMark) {
                    return bad_fragment;
                }
                if self.is_too_large(header) && bug(Bug::CutsForLargeMessage) {
                    return Err(Fault::new(reason::MESSAGE_TOO_LARGE));
                }
                Ok(())
            }
        }
    }

    /// Whether the open message grows above the limit with this frame (PW-DAT-008).
    fn is_too_large(&self, header: &Header) -> bool {
        let size = self.open.as_ref().map_or(0, |open| open.message.payload.len()) + header.length as usize;
        size > self.behaviour.profile.message_limit as usize && !self.behaviour.has(Bug::IgnoresMessageLimit)
    }

    /// A header that passed [`judge`](Self::judge), before its payload; gives the message that it makes too large.
    pub(super) fn begin(&mut self, header: &Header, moment: Moment) -> Option<Refusal> {
        if header.flags & flag::FIRST != 0 {
            *self.begun.entry(header.class).or_default() += 1;
            return None;
        }
        self.add_time(header.length, moment);
        let too_large = self.is_too_large(header);
        let again = self.behaviour.has(Bug::RejectsTwice);
        let open = self.open.as_mut().filter(|open| too_large && !open.refused || open.refused && again)?;
        open.refused = true;
        open.message.payload.clear();
        self.received += u64::from(self.behaviour.has(Bug::CountsRefused));
        Some(Refusal { class: header.class, ordinal: open.ordinal, reason: reject::TOO_LARGE })
    }

    /// CLOSE ends the message that its sender has open, which is lost (PW-DAT-013).
    pub(super) fn peer_closes(&mut self) {
        if !self.behaviour.has(Bug::CloseKeepsMessageOpen) {
            self.open = None;
        }
    }

    /// A packet other than DATA came: only a bug cares.
    pub(super) fn control_came(&mut self) {
        if self.behaviour.has(Bug::ControlEndsMessage) {
            self.open = None;
        }
    }

    /// Bytes were skipped.
    pub(super) fn skipped(&mut self) -> Option<Refusal> {
        self.skipped = true;
        self.lose_open()
    }

    /// A DATA packet with this header was dropped.
    pub(super) fn dropped(&mut self, header: &Header) -> Vec<Refusal> {
        let mut refusals: Vec<Refusal> = self.lose_open().into_iter().collect();
        if header.flags & flag::FIRST != 0 {
            refusals.push(self.damaged(header.class, self.ordinal(header.class)));
            if self.behaviour.has(Bug::OrdinalLacksDropped) {
                *self.begun.entry(header.class).or_default() -= 1;
            }
        }
        if self.behaviour.has(Bug::RejectsWholeFirst) {
            refusals.reverse();
        }
        refusals
    }

    fn lose_open(&mut self) -> Option<Refusal> {
        if self.behaviour.has(Bug::DeliversSplicedMessage) {
            return None;
        }
        self.lost_message = true;
        let again = self.behaviour.has(Bug::RejectsDamageAgain);
        let open = self.open.take().filter(|open| !open.refused || again)?;
        Some(self.damaged(open.message.class, open.ordinal))
    }

    fn damaged(&self, class: u8, ordinal: u64) -> Refusal {
        let wrong = self.behaviour.has(Bug::NamesWrongRejectReason);
        Refusal { class, ordinal, reason: if wrong { reject::TOO_LARGE } else { reject::DAMAGED } }
    }

    /// The number of the message of this class that began last; 0 where that is not known (PW-REJ-002).
    fn ordinal(&self, class: u8) -> u64 {
        if self.skipped && !self.behaviour.has(Bug::OrdinalAfterSkip) {
            return 0;
        }
        let begun = if self.behaviour.has(Bug::CountsOverClasses) {
            self.begun.values().sum()
        } else {
            self.begun.get(&class).copied().unwrap_or_default()
        };
        begun - u64::from(self.behaviour.has(Bug::OrdinalFromZero))
    }

    /// Takes a frame that passed [`judge`](Self::judge); gives the message that it completes.
    pub(super) fn receive(&mut self, packet: Packet, moment: Moment) -> Option<Message> {
        let delivered = self.join(packet, moment);
        let counts_frames = self.behaviour.has(Bug::WrongReceivedCount);
        self.received += u64::from(delivered.is_some() || counts_frames);
        delivered.filter(|message| !message.payload.is_empty() || !self.behaviour.has(Bug::DropsEmptyMessage))
    }

    fn join(&mut self, packet: Packet, moment: Moment) -> Option<Message> {
        let (first, more) = (packet.has(flag::FIRST), packet.has(flag::MORE));
        let encrypted = packet.has(flag::ENCRYPTED) && !self.behaviour.has(Bug::LosesEncryptedMark);
        let frame = Message { class: packet.class, encrypted, payload: packet.payload };
        if (first && !more) || self.behaviour.has(Bug::DeliversFragments) {
            return Some(frame);
        }
        if first {
            self.lost_message = false;
            let (ordinal, time) = (self.ordinal(frame.class), MessageTime::new(&self.behaviour, moment));
            self.open = Some(Open { ordinal, message: frame, refused: false, time });
            return None;
        }
        self.add_time(u32::try_from(frame.payload.len()).expect("less than 16 MiB"), moment);
        // Without an open message this is what is left of a lost one.
        let mut open = self.open.take()?;
        if !open.refused {
            open.message.payload.extend_from_slice(&frame.payload);
        }
        if more {
            self.open = Some(open);
            return None;
        }
        Some(open.message).filter(|_| !open.refused)
    }

    /// A later frame of the open message was verified, or is complete (PW-DAT-013).
    fn add_time(&mut self, length: u32, moment: Moment) {
        if let Some(open) = &mut self.open {
            open.time.add(length, &self.behaviour, moment);
        }
    }

    /// This side reads again: the open message has its whole time (PW-HB-023).
    pub(super) fn restart_clock(&mut self, moment: Moment) {
        if let Some(open) = self.open.as_mut().filter(|_| !self.behaviour.has(Bug::OwnPauseRunsMessageTime)) {
            open.time.restart(&self.behaviour, moment);
        }
    }

    /// Whether the open message has no time left (PW-DAT-013).
    pub(super) fn is_stalled(&mut self, interval: Duration, moment: Moment) -> bool {
        let bug = |bug| self.behaviour.has(bug);
        let judged = |open: &&mut Open| !open.refused || !bug(Bug::RefusedNeverStalls);
        let open = self.open.as_mut().filter(judged).filter(|_| !bug(Bug::MessagesNeverStall));
        open.is_some_and(|open| open.time.is_up(interval, &self.behaviour, moment))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Assembler;
    use crate::codec::Header;
    use crate::codec::registry::{flag, kind};
    use crate::oracle::Behaviour;
    use crate::profile::Profile;
    use crate::random::Random;

    /// PW-FRM-010, and PW-DAT-004 where that does not apply.
    #[test]
    fn an_empty_frame_that_goes_on_is_passed_over_with_a_lost_message() {
        let behaviour = Behaviour::new(Profile::calm(), None, 1, Random::from_seed(1), Random::from_seed(1));
        let mut assembler = Assembler::new(Arc::new(behaviour));
        let header = Header { kind: kind::DATA, flags: flag::MORE | flag::CHECKSUM, class: 0, length: 0 };
        assembler.judge(&header).expect_err("no message was lost");
        assembler.skipped();
        assembler.judge(&header).expect("it may belong to what was skipped");
    }
}
