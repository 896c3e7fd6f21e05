//! What a server decides: whom it lets in ([`Gate`]), who holds too much memory ([`Memory`]), how long a connection may last
//! ([`Lifetime`]), and what it does when accepting fails ([`AcceptBackoff`]); and its configuration ([`ServerConfig`]).

mod accepting;
mod address;
mod config;
mod gate;
mod lifetime;
mod memory;
mod rate;

pub use accepting::{AcceptBackoff, LogLimit, Reaction};
pub use address::address_group;
pub use config::{AdmissionLimits, ServerConfig, ServerLimits, ShutdownTimes, ValidServerConfig};
pub use gate::{Gate, Occupancy, Overload, Pass, Refusals, Refused};
pub use lifetime::Lifetime;
pub use memory::Memory;
pub use rate::RateLimit;
