//! The wire format as the suite understands it: written from the specification alone, and as simple as can be.

mod checksum;
mod close;
mod items;
mod packet;
mod parser;
pub(crate) mod registry;

pub(crate) use checksum::crc32c;
pub(crate) use close::{Close, TEXT_MAX};
pub(crate) use items::{Hello, Item, encode_items, parse_items};
pub(crate) use packet::Header;
pub use packet::Packet;
pub(crate) use parser::Parser;
