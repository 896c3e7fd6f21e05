//! From DATA packets to messages (spec section 6).

use std::sync::Arc;

use super::fault::Fault;
use super::{Behaviour, Bug};
use crate::codec::Packet;
use crate::codec::registry::{flag, reason};
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

    pub(super) fn open_length(&self) -> Option<u64> {
        self.open.as_ref().map(|message| message.payload.len() as u64)
    }

    /// Bytes were skipped or a DATA packet was dropped.
    pub(super) fn gap(&mut self) {
        if self.behaviour.has(Bug::DeliversSplicedMessage) {
            return;
        }
        self.open = None;
        self.lost_message = true;
    }

    /// Takes a frame; gives the message that it completes.
    pub(super) fn receive(&mut self, packet: Packet) -> Result<Option<Message>, Fault> {
        let delivered = self.join(packet)?;
        let counts_frames = self.behaviour.has(Bug::WrongReceivedCount);
        self.received += u64::from(delivered.is_some() || counts_frames);
        Ok(delivered.filter(|message| !message.payload.is_empty() || !self.behaviour.has(Bug::DropsEmptyMessage)))
    }

    fn join(&mut self, packet: Packet) -> Result<Option<Message>, Fault> {
        let bug = |bug| self.behaviour.has(bug);
        let bad_fragment = Err(Fault::new(reason::BAD_FRAGMENT));
        let (first, more) = (packet.has(flag::FIRST), packet.has(flag::MORE));
        let encrypted = packet.has(flag::ENCRYPTED) && !bug(Bug::LosesEncryptedMark);
        let frame = Message { class: packet.class, encrypted, payload: packet.payload };
        if more && frame.payload.is_empty() && !bug(Bug::AcceptsEmptyFragment) {
            return bad_fragment;
        }
        if bug(Bug::DeliversFragments) {
            return Ok(Some(frame));
        }
        match (self.open.take(), first, more) {
            (None, true, false) => Ok(Some(frame)),
            (None, true, true) => {
                self.lost_message = false;
                self.open = Some(frame);
                Ok(None)
            }
            (None, false, _) if self.lost_message && !bug(Bug::ClosesOnOrphanAfterGap) => Ok(None),
            (None, false, _) if bug(Bug::AcceptsOrphanFragment) => Ok(None),
            (None, false, _) => bad_fragment,
            (Some(_), true, true) if bug(Bug::RestartsMessage) => {
                self.open = Some(frame);
                Ok(None)
            }
            (Some(_), true, true) => bad_fragment,
            (Some(open), true, false) if open.class == frame.class || bug(Bug::HoldsOtherClasses) => bad_fragment,
            (Some(open), true, false) => {
                self.open = Some(open);
                Ok(Some(frame))
            }
            (Some(mut open), false, more) => {
                let same = open.class == frame.class && open.encrypted == frame.encrypted;
                if !same && !bug(Bug::AcceptsMixedClasses) {
                    return bad_fragment;
                }
                open.payload.extend_from_slice(&frame.payload);
                if more {
                    self.open = Some(open);
                    return Ok(None);
                }
                Ok(Some(open))
            }
        }
    }
}
