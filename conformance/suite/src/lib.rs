//! The Pulsewire conformance suite as a library.
//!
//! It proves an implementation of the protocol against the numbered requirements of the specification. It shares no code
//! with any implementation: codec, peer and [oracle] are written a second time, from the text alone, with blocking sockets and
//! threads.
//!
//! An implementation is made a [`Subject`](subject::Subject) by an adapter: an echo server, an echo client, and a few
//! commands. A transport of your own then runs the whole suite as one test:
//!
//! ```
//! use std::sync::Arc;
//! use pulsewire_conformance::{Options, oracle::Oracle, run, subject::Subject};
//!
//! // In place of the oracle stands your own adapter.
//! let subject: Arc<dyn Subject> = Arc::new(Oracle::clean());
//! # let options = Options { filter: Some("PW-HDR-001".into()), ..Options::default() };
//! # /*
//! let options = Options::default();
//! # */
//! let report = run(&[subject], &options);
//! assert_eq!(report.exit_code(), 0, "{report}");
//! ```
//!
//! To have one test for each case instead, go through [`cases`] with [`run_case`] in a test file that has its own `main`.
//!
//! What a verdict means:
//!
//! - A rejection counts only with the close reason that the requirement names.
//! - Nothing is proved by waiting for it not to happen: a message sent afterwards comes back, and comes back first.
//! - A timer may fire up to 5 ms early, because clocks have ticks, and up to one second late, because machines are busy.
//! - What a subject cannot be asked to do makes a case not applicable, with the reason.
#![forbid(unsafe_code)]

mod case;
mod cases;
mod codec;
mod context;
pub mod oracle;
mod peer;
mod profile;
mod random;
mod remote;
mod report;
mod role;
mod run;
mod sockets;
pub mod subject;
mod transcript;
mod verdict;

pub use case::Case;
pub use cases::cases;
pub use profile::Profile;
pub use remote::Remote;
pub use report::{CaseReport, Report, Totals};
pub use role::Role;
pub use run::{Options, run, run_case};
pub use transcript::Observation;
pub use verdict::Verdict;
