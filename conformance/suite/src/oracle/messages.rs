//! From DATA packets to messages (spec section 6).

use std::sync::Arc;

use super::fault::Fault;
use super::{Behaviour, Bug};
use crate::codec::registry::{flag, reason};
use crate::codec::{Header, Packet};
use crate::peer::Message;

/// The receiving side of the message layer.
pub(super) struct Assembler {
    behaviour: Arc<Behaviour>,
    open: Option<Message>,
    /// After a gap: continuations of a message that is lost may still come (PW-FRM-010).
    lost_message: bool,
    /// Messages received whole.
    pub(super) received: u64,
}

impl Assembler {
    pub(super) fn new(behaviour: Arc<Behaviour>) -> Self {
        Self { behaviour, open: None, lost_message: false, received: 0 }
    }

    /// The rules for DATA that are judged at the header: CHECKSUM, then section 6.
    pub(super) fn judge(&self, header: &Header) -> Result<(), Fault> {
        let bug = |bug| self.behaviour.has(bug);
        let has = |wanted| header.flags & wanted != 0;
        let bad_fragment = Err(Fault::new(reason::BAD_FRAGMENT));
        if !has(flag::CHECKSUM) && self.behaviour.profile.resync && !bug(Bug::AcceptsMissingChecksum) {
            return Err(Fault::new(reason::CHECKSUM_REQUIRED));
        }
        let (first, more) = (has(flag::FIRST), has(flag::MORE));
        if more && header.length == 0 && !bug(Bug::AcceptsEmptyFragment) {
            return bad_fragment;
        }
        match (&self.open, first) {
            (None, true) => Ok(()),
            (None, false) if self.lost_message && !bug(Bug::ClosesOnOrphanAfterGap) => Ok(()),
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
                let size = open.payload.len() as u64 + u64::from(header.length);
                let limit = self.behaviour.profile.message_limit;
                if size > u64::from(limit) && !bug(Bug::IgnoresMessageLimit) {
                    return Err(Fault::message_too_large(limit, size));
                }
                Ok(())
            }
        }
    }

    /// Bytes were skipped or a DATA packet was dropped.
    pub(super) fn gap(&mut self) {
        if self.behaviour.has(Bug::DeliversSplicedMessage) {
            return;
        }
        self.open = None;
        self.lost_message = true;
    }

    /// Takes a frame that passed [`judge`](Self::judge); gives the message that it completes.
    pub(super) fn receive(&mut self, packet: Packet) -> Option<Message> {
        let delivered = self.join(packet);
        let counts_frames = self.behaviour.has(Bug::WrongReceivedCount);
        self.received += u64::from(delivered.is_some() || counts_frames);
        delivered.filter(|message| !message.payload.is_empty() || !self.behaviour.has(Bug::DropsEmptyMessage))
    }

    fn join(&mut self, packet: Packet) -> Option<Message> {
        let (first, more) = (packet.has(flag::FIRST), packet.has(flag::MORE));
        let encrypted = packet.has(flag::ENCRYPTED) && !self.behaviour.has(Bug::LosesEncryptedMark);
        let frame = Message { class: packet.class, encrypted, payload: packet.payload };
        if (first && !more) || self.behaviour.has(Bug::DeliversFragments) {
            return Some(frame);
        }
        if first {
            self.lost_message = false;
            self.open = Some(frame);
            return None;
        }
        // Without an open message this is what is left of a lost one.
        let mut open = self.open.take()?;
        open.payload.extend_from_slice(&frame.payload);
        if more {
            self.open = Some(open);
            return None;
        }
        Some(open)
    }
}
