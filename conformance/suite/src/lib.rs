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
//! # use pulsewire_conformance::Selection;
//!
//! // In place of the oracle stands your own adapter.
//! let subject: Arc<dyn Subject> = Arc::new(Oracle::clean());
//! # let options = Options { selection: Selection::requirement("PW-HDR-001").expect("it has cases"), ..Options::default() };
//! # /*
//! let options = Options::default();
//! # */
//! let report = run(&[subject], &options);
//! assert_eq!(report.exit_code(), 0, "{report}");
//! ```
//!
//! One test for each case instead is one line: [`main!`] in a test file without a harness, or [`tests!`] in any module.
//!
//! What a verdict means:
//!
//! - A rejection counts only with the close reason that the requirement names.
//! - Nothing is proved by waiting for it not to happen: a message sent afterwards comes back, and comes back first.
//! - A timer may fire up to 5 ms early, because clocks have ticks, and up to one second late, because machines are busy.
//! - A time limit that is missed by little on a busy machine is tried again, alone, and so is whatever fails while the machine
//!   stalls; if that happens again, it is inconclusive.
//! - What a subject cannot be asked to do makes a case not applicable, with the reason.
#![forbid(unsafe_code)]

mod absence;
mod adapter;
mod area;
pub mod async_subject;
mod attempt;
mod case;
mod cases;
mod chunking;
mod client;
mod clock;
mod codec;
mod context;
mod covering;
mod dissect;
mod edits;
mod ending;
mod expectations;
pub mod harness;
mod manifest;
mod narrow;
mod options;
pub mod oracle;
mod packet_text;
mod peer;
mod profile;
mod program;
mod random;
mod remote;
mod report;
mod role;
mod run;
mod selection;
mod setting;
mod shrink;
mod sockets;
mod stop;
pub mod subject;
mod trace;
mod transcript;
mod variant;
mod verdict;
pub mod wire;
pub mod world;

pub use adapter::Adapter;
pub use area::Area;
pub use case::Case;
pub use cases::cases;
pub use chunking::Chunking;
pub use client::ClientProgram;
pub use dissect::{Dissector, Field, Part};
pub use edits::{Edits, Place};
pub use ending::ConnectionEnd;
pub use expectations::{BadFile, Expectations};
pub use manifest::Manifest;
pub use options::Options;
pub use profile::Profile;
pub use program::end_programs;
pub use remote::RemoteServer;
pub use report::{BadLine, CaseReport, Cause, Detail, Group, Look, Plan, Report, Totals};
pub use role::Role;
pub use run::{run, run_case};
pub use selection::{Selection, UselessPattern};
pub use setting::{Deviation, Parameter, Setting};
pub use shrink::{Effort, Shrunk, Size, shrink};
pub use stop::Stop;
pub use trace::{Difference, Trace, TraceHead};
pub use transcript::{Action, Sample, Step};
pub use variant::Variant;
pub use verdict::Verdict;
