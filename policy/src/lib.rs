#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod group;
mod joining;
mod kept;
mod reconnect;
mod report;
pub mod server;
pub mod telemetry;
mod traffic;

pub use group::{Deliver, Delivery, Dissolved, Group, GroupConfig, GroupStatistics, Missed, Resumed, SlowMember};
pub use joining::Joining;
pub use kept::Kept;
pub use reconnect::{Failure, GiveUp, Next, Reconnect, ReconnectConfig, ValidReconnectConfig};
pub use report::ShutdownReport;
pub use traffic::Traffic;
