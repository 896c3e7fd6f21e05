//! The Pulsewire conformance suite as a library.
#![forbid(unsafe_code)]
mod case;
mod codec;
mod context;
pub mod oracle;
mod peer;
mod profile;
mod random;
pub mod subject;
mod transcript;
mod verdict;
pub use case::{Case, Role};
pub use profile::Profile;
pub use transcript::Observation;
pub use verdict::Verdict;
