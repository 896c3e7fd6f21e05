//! The Pulsewire specification, its numbered requirements and its test vectors, as data.
//!
//! There is one source for each: the requirements and the close reasons are read from [`TEXT`], the vectors from the JSON
//! files that ship with the specification. Nothing here encodes or decodes a packet.
//!
//! ```
//! use pulsewire_spec::{Level, requirement, vectors};
//!
//! let rule = requirement("PW-HDR-004").expect("section 3 has it");
//! assert_eq!(rule.level, Level::Must);
//! assert_eq!(rule.section, "3. Packets");
//!
//! for vector in vectors::header() {
//!     assert_eq!(vector.header.bytes().len(), 12);
//! }
//! ```
#![forbid(unsafe_code)]

mod close_reason;
mod requirement;
pub mod vectors;

pub use close_reason::{CloseReason, UnknownCloseReason, close_reason, close_reasons};
pub use requirement::{Level, Requirement, requirement, requirements};

/// The normative text, in Markdown.
pub const TEXT: &str = include_str!("../protocol.md");
