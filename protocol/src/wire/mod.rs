//! The wire format (sections 3, 7 and 9 of the specification): pure functions between bytes and meaning.

mod checksum;
mod close;
mod control;
mod error;
mod header;
mod hello;
mod items;
pub(crate) mod printing;
mod reject;

pub(crate) use checksum::{Checksum, payload_checksum};
pub use close::{CloseFrame, CloseReason, Retry};
pub(crate) use control::{ClosePayload, count, pause};
pub use error::WireError;
pub use header::{Class, Flags, HEADER_SIZE, Header, Kind, MAGIC};
pub(crate) use header::{MessageHeaders, TRAILER_SIZE};
pub use hello::Hello;
pub use reject::{RejectReason, Rejected};
