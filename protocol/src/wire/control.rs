//! The payloads of the control packets other than HELLO (sections 8 and 9 of the specification).
//!
//! Their sizes were judged with the header, so the fixed ones can't fail here.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use nom::combinator::all_consuming;
use nom::number::complete::{be_u16, be_u32, be_u64};
use nom::{IResult, Parser};

use super::items;
use crate::close::{CloseReason, Retry};

/// The number of PING and PONG, the count of CLOSE_ACK: one u64.
pub(crate) fn count(payload: &[u8]) -> u64 {
    let parsed: IResult<&[u8], u64> = be_u64.parse(payload);
    parsed.map_or(0, |(_, number)| number)
}

/// The payload of CLOSE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CloseFrame {
    pub(crate) reason: CloseReason,
    /// Messages received whole by the sender of this packet.
    pub(crate) received: u64,
    pub(crate) retry: Retry,
    pub(crate) text: String,
    /// What was exceeded, and by what.
    pub(crate) limit: Option<(u64, u64)>,
}

/// Bytes of TEXT at most: CLOSE has 512 in all.
const TEXT_MAX: usize = 400;

impl CloseFrame {
    pub(crate) fn encode(&self, payload: &mut Vec<u8>) {
        payload.extend_from_slice(&self.reason.0.to_be_bytes());
        payload.extend_from_slice(&self.received.to_be_bytes());
        payload.extend_from_slice(&self.retry.to_wire().to_be_bytes());
        if !self.text.is_empty() {
            let end = self.text.floor_char_boundary(TEXT_MAX);
            items::push(payload, items::TEXT, &self.text.as_bytes()[..end]);
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
        let mut close = Self {
            reason: CloseReason(reason),
            received,
            retry: Retry::from_wire(retry),
            text: String::new(),
            limit: None,
        };
        while let Ok((rest, item)) = items::first(row) {
            row = rest;
            match item.id {
                items::TEXT => {
                    let Ok(text) = core::str::from_utf8(item.value) else { break };
                    close.text = String::from(text);
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
            None => self.text,
            Some((limit, size)) if self.text.is_empty() => format!("(limit {limit}, size {size})"),
            Some((limit, size)) => format!("{} (limit {limit}, size {size})", self.text),
        }
    }
}
