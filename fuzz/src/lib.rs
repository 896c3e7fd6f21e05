//! What the fuzz targets share: connections that are watched, and what to do to them.

mod case;
mod differential;
mod link_case;
mod memory;
mod operations;
mod packets;
#[path = "../../protocol/tests/pair/mod.rs"]
mod pair;
mod pieces;
mod player;
mod round_trip;
mod sent;
mod watched;

pub use case::Case;
pub use differential::run_differential;
pub use link_case::run_pair;
pub use operations::run_operations;
pub use packets::repair;
pub use round_trip::run_round_trip;
pub use watched::{PEER_KEY, Watched, config};
