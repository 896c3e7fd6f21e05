//! How connections ended, in numbers: the same for every transport.

pub use pulsewire_policy::ShutdownReport;
