//! What a million idle connections cost: `cargo bench -p pulsewire-protocol --bench million`.
//!
//! ```text
//! million [--check]
//! ```
//!
//! A [`ConnectionTable`](pulsewire_protocol::ConnectionTable) holds a million established connections with the default
//! configuration, and nobody says anything: each sends a PING every 4 to 5 s, and its peer answers. Before that a hundred
//! thousand, so that the growth is seen. Time is virtual, and the driver is the one that the documentation of the table
//! describes, without sockets: it wakes every millisecond, calls `handle_timeout` until that names nobody, hands out the PING of
//! each connection that is named, and receives the PONG, which comes at once. One thread does all of it.
//!
//! - *Memory per connection*: all that the table holds, divided by the count: connections, slots, timing wheel, and whatever a
//!   connection holds beside itself. The most at any one time, as it was asked of the allocator.
//! - *Processor time per simulated second*: everything that the driver does, with its looks at the clock, two for each PING. The
//!   median of ten seconds, and the longest of them.
//! - *Longest call of `handle_timeout`*: for so long a driver waits that has anything else to do. *Longest turn of one
//!   connection*: from its loan until it is given back. Wherever the timing wheel moves deadlines, it is in one of these two. In
//!   the middle of what is measured is a boundary at which a wheel that is aligned to powers of two has to move every deadline.
//! - *Longest millisecond*: all that falls due within one, together.
//! - *Longest call of `insert`*: that is when the table grows. There is no goal for it.
//!
//! All of it is done several times, and the shortest time counts for each piece of work: what other processes take is not seen,
//! unless they take it from the same piece every time. With `--check` it fails, and names the goals that are missed.

mod clock;
mod life;
mod memory;
mod report;
mod server;

use std::process::ExitCode;

use clock::Progress;
use life::Life;

/// How many connections, one after the other.
const COUNTS: [u32; 2] = [100_000, 1_000_000];

fn main() -> ExitCode {
    // Cargo itself adds `--bench`.
    let options: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let Some(unknown) = options.iter().find(|option| *option != "--check") {
        eprintln!("unknown argument {unknown}; usage: million [--check]");
        return ExitCode::from(2);
    }
    let mut progress = Progress::begin();
    let mut missed = Vec::new();
    for count in COUNTS {
        missed.extend(report::print(&Life::measure(count, &mut progress)));
    }
    if missed.is_empty() || options.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("goals missed:");
    for sentence in missed {
        eprintln!("  {sentence}");
    }
    ExitCode::FAILURE
}
