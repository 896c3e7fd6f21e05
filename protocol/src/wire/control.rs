//! The payloads of the control packets other than HELLO (sections 8 and 9 of the specification).
//!
//! Their sizes were judged with the header, so the fixed ones can't fail here.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::num::NonZeroU64;
use core::time::Duration;

use nom::combinator::all_consuming;
use nom::number::complete::{be_u8, be_u16, be_u32, be_u64};
use nom::{IResult, Parser};

use super::close::{CloseFrame, CloseReason, Retry};
use super::header::Class;
use super::items;
use super::reject::{RejectReason, Rejected};

/// The number of PING and PONG, the count of DRAIN and CLOSE_ACK: one u64.
pub(crate) fn count(payload: &[u8]) -> u64 {
    let parsed: IResult<&[u8], u64> = be_u64.parse(payload);
    parsed.map_or(0, |(_, number)| number)
}

/// The pause that BUSY announces; zero ends one.
pub(crate) fn pause(payload: &[u8]) -> Duration {
    let parsed: IResult<&[u8], u32> = be_u32.parse(payload);
    Duration::from_millis(parsed.map_or(0, |(_, pause)| pause).into())
}

impl Rejected {
    /// The payload of REJECT.
    pub(crate) fn encode(self) -> [u8; 11] {
        let [a, b, c, d, e, f, g, h] = self.ordinal.map_or(0, NonZeroU64::get).to_be_bytes();
        let [i, j] = self.reason.0.to_be_bytes();
        [a, b, c, d, e, f, g, h, i, j, self.class.0]
    }

    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        let parsed: IResult<&[u8], _> = (be_u64, be_u16, be_u8).parse(payload);
        let (_, (ordinal, reason, class)) = parsed.ok()?;
        Some(Self { class: Class(class), ordinal: NonZeroU64::new(ordinal), reason: RejectReason(reason) })
    }
}

/// The payload of CLOSE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClosePayload {
    /// Reason, advice and TEXT.
    pub(crate) said: CloseFrame,
    /// Messages received whole by the sender of this packet.
    pub(crate) received: u64,
    /// What was exceeded, and by what.
    pub(crate) limit: Option<(u64, u64)>,
}

/// Bytes of CLOSE at most, of what comes before its items, of an item's head, and of LIMIT.
const CLOSE_MAX: usize = 512;
const CLOSE_FIXED: usize = 14;
const ITEM_HEAD: usize = 4;
const LIMIT_SIZE: usize = 16;

impl ClosePayload {
    /// Appends the payload. A TEXT that is too long is cut between two characters (PW-CLS-021).
    pub(crate) fn encode(&self, payload: &mut Vec<u8>) {
        payload.extend_from_slice(&self.said.reason.0.to_be_bytes());
        payload.extend_from_slice(&self.received.to_be_bytes());
        payload.extend_from_slice(&self.said.retry.to_wire().to_be_bytes());
        if !self.said.text.is_empty() {
            let limit = if self.limit.is_some() { ITEM_HEAD + LIMIT_SIZE } else { 0 };
            let end = self.said.text.floor_char_boundary(CLOSE_MAX - CLOSE_FIXED - ITEM_HEAD - limit);
            items::push(payload, items::TEXT, &self.said.text.as_bytes()[..end]);
        }
        if let Some((limit, size)) = self.limit {
            items::push(payload, items::LIMIT, &[limit.to_be_bytes(), size.to_be_bytes()].concat());
        }
    }

    /// Reads CLOSE. Unknown items are passed over, and a malformed one with all that follows it: the connection ends anyway
    /// (PW-CLS-008, PW-CLS-014).
    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        let parsed: IResult<&[u8], _> = (be_u16, be_u64, be_u32).parse(payload);
        let (mut row, (reason, received, retry)) = parsed.ok()?;
        let said = CloseFrame { reason: CloseReason(reason), retry: Retry::from_wire(retry), text: String::new() };
        let mut close = Self { said, received, limit: None };
        while let Ok((rest, item)) = items::first(row) {
            row = rest;
            match item.id {
                items::TEXT => {
                    let Ok(text) = core::str::from_utf8(item.value) else { break };
                    close.said.text = String::from(text);
                }
                items::LIMIT => {
                    let fields: IResult<&[u8], (u64, u64)> = all_consuming((be_u64, be_u64)).parse(item.value);
                    let Ok((_, limit)) = fields else { break };
                    close.limit = Some(limit);
                }
                _ => {}
            }
        }
        Some(close)
    }

    /// TEXT and LIMIT, for a person.
    pub(crate) fn into_detail(self) -> String {
        match self.limit {
            None => self.said.text,
            Some((limit, size)) if self.said.text.is_empty() => format!("(limit {limit}, size {size})"),
            Some((limit, size)) => format!("{} (limit {limit}, size {size})", self.said.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn retry() -> impl Strategy<Value = Retry> {
        prop_oneof![
            Just(Retry::Never),
            (0..u32::MAX).prop_map(|millis| Retry::After(Duration::from_millis(millis.into())))
        ]
    }

    proptest! {
        #[test]
        fn encoding_and_decoding_a_reject_changes_nothing(ordinal: u64, reason: u16, class: u8) {
            let (class, ordinal) = (Class(class), NonZeroU64::new(ordinal));
            let rejected = Rejected { class, ordinal, reason: RejectReason(reason) };
            prop_assert_eq!(Rejected::decode(&rejected.encode()), Some(rejected));
        }

        #[test]
        fn counts_and_pauses_are_read_as_they_were_written(number: u64, millis: u32) {
            prop_assert_eq!(count(&number.to_be_bytes()), number);
            prop_assert_eq!(pause(&millis.to_be_bytes()), Duration::from_millis(millis.into()));
        }

        /// Also that TEXT is cut between characters, where CLOSE has no more room.
        #[test]
        fn encoding_and_decoding_a_close_changes_nothing(
            reason: u16, retry in retry(), received: u64, text in "\\PC{0,300}", limit: Option<(u64, u64)>,
        ) {
            let said = CloseFrame { reason: CloseReason(reason), retry, text };
            let close = ClosePayload { said, received, limit };
            let mut payload = Vec::new();
            close.encode(&mut payload);
            prop_assert!((CLOSE_FIXED..=CLOSE_MAX).contains(&payload.len()));
            let mut read = ClosePayload::decode(&payload).unwrap();
            prop_assert!(close.said.text.starts_with(&read.said.text));
            if read.said.text.len() < close.said.text.len() {
                prop_assert!(payload.len() > CLOSE_MAX - 4);
                read.said.text.clone_from(&close.said.text);
            }
            prop_assert_eq!(read, close);
        }

        #[test]
        fn any_close_is_read_without_panic(payload: Vec<u8>) {
            prop_assert_eq!(ClosePayload::decode(&payload).is_some(), payload.len() >= CLOSE_FIXED);
        }
    }
}
