//! What the fuzz targets share: a connection that is watched, and packets to feed it.

mod case;
mod packets;
mod watched;

pub use case::Case;
pub use packets::repair;
pub use watched::{PEER_KEY, Watched, config};
