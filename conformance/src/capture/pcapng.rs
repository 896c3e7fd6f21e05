//! The format pcapng, as far as a capture of a run needs it: a section, an interface and packets, each with a comment perhaps.
//!
//! Written here since that is less than what a crate for it takes, of which none has had a release for long.

use std::time::Duration;

use super::microseconds;

const SECTION: u32 = 0x0A0D_0D0A;
const BYTE_ORDER: u32 = 0x1A2B_3C4D;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
/// Packets begin with the IP header.
const LINK_RAW: u16 = 101;
const OPTION_COMMENT: u16 = 1;
/// Longer options cannot be written.
const COMMENT_MAX: usize = 60_000;

/// A capture that grows.
pub(super) struct Pcapng(Vec<u8>);

impl Pcapng {
    pub(super) fn new(comment: &str) -> Self {
        let mut file = Self(Vec::new());
        let mut section = BYTE_ORDER.to_le_bytes().to_vec();
        section.extend([1, 0, 0, 0]);
        // The length of the section is not given.
        section.extend(u64::MAX.to_le_bytes());
        section.extend(option(comment));
        file.block(SECTION, &section);
        let mut interface = LINK_RAW.to_le_bytes().to_vec();
        // No limit for the size of packets. Times are microseconds, without an option that says otherwise.
        interface.extend([0; 6]);
        file.block(INTERFACE, &interface);
        file
    }

    pub(super) fn packet(&mut self, at: Duration, bytes: &[u8], comment: &str) {
        let time = microseconds(at);
        let length = u32::try_from(bytes.len()).expect("packets are small");
        let mut block = 0_u32.to_le_bytes().to_vec();
        block.extend(((time >> 32) as u32).to_le_bytes());
        block.extend((time as u32).to_le_bytes());
        block.extend(length.to_le_bytes());
        block.extend(length.to_le_bytes());
        block.extend(padded(bytes));
        block.extend(option(comment));
        self.block(PACKET, &block);
    }

    fn block(&mut self, kind: u32, body: &[u8]) {
        let length = u32::try_from(body.len() + 12).expect("blocks are small").to_le_bytes();
        self.0.extend(kind.to_le_bytes());
        self.0.extend(length);
        self.0.extend(body);
        self.0.extend(length);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// The comment and the end of the options; nothing without a comment.
fn option(comment: &str) -> Vec<u8> {
    if comment.is_empty() {
        return Vec::new();
    }
    let text = &comment[..comment.floor_char_boundary(COMMENT_MAX)];
    let length = u16::try_from(text.len()).expect("it was cut to that");
    let mut bytes = OPTION_COMMENT.to_le_bytes().to_vec();
    bytes.extend(length.to_le_bytes());
    bytes.extend(padded(text.as_bytes()));
    bytes.extend([0; 4]);
    bytes
}

/// Blocks and options end at multiples of four bytes.
fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().next_multiple_of(4), 0);
    padded
}
