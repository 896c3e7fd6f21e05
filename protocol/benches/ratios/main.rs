//! How fast the core is beside its peers, and beside the limit: `cargo bench -p pulsewire-protocol --bench ratios`.
//!
//! ```text
//! ratios [--check] [NAME ...]
//! ```
//!
//! Prints each group of contenders whose name contains one of the NAMEs (all of them without a NAME): the median time of
//! each contender, and each goal with the interval in which the true ratio lies with 99 % confidence. With `--check` it
//! fails, and names the goals whose whole interval is on the wrong side: a noisy machine makes an interval wide, not a run red.
//! A neighbour that takes half of a core for seconds moves whole intervals; so a group that misses a goal is measured again,
//! and a goal counts as missed when it is missed [`ATTEMPTS`] times in a row.
//!
//! # Adding a group
//!
//! A module beside this one has a function `groups() -> Vec<Group>`, and a line in [`groups`] below. A [`Group`] is made of
//!
//! - contenders: a name, and a closure that does some work (well under a millisecond of it) and says how many operations
//!   that was; or one that times itself, where something has to be made ready before each pass;
//! - goals: [`Goal::faster`] than a peer by a factor, [`Goal::within`] a factor of a limit, [`Goal::below`] a time.
//!
//! ```ignore
//! Group::new("cookies/10k")
//!     .contender("Slots", move || ours.look_up_all())
//!     .contender("DashMap", move || theirs.look_up_all())
//!     .self_timed("rebuilt", move || { let fresh = build(); time(|| fresh.look_up_all()) })
//!     .goal(Goal::faster("Slots", "DashMap", 8.0))
//! ```
//!
//! The contenders of a group take turns, a millisecond each, so that whatever else the machine does meets them all alike;
//! a ratio is taken within each round, and the median over the rounds.

mod cookies;
mod deadlines;
mod decode;
mod encode;
mod goal;
mod measure;
mod report;
mod socket;
#[path = "../workload/mod.rs"]
mod workload;

use std::process::ExitCode;

use goal::Goal;
use measure::Group;

/// Every group, in the order of the report.
fn groups() -> Vec<Group> {
    [decode::groups(), encode::groups(), socket::groups(), deadlines::groups(), cookies::groups()]
        .into_iter()
        .flatten()
        .collect()
}

/// How often a group that misses a goal is measured.
const ATTEMPTS: usize = 3;

/// Measures a group, once more for as long as it misses a goal that it missed before too, and says which it missed every time.
fn judge(mut group: Group) -> Vec<(Goal, String)> {
    let mut missed = measure(&mut group);
    for _ in 1..ATTEMPTS {
        if missed.is_empty() {
            break;
        }
        let before = missed;
        missed = measure(&mut group);
        missed.retain(|(goal, _)| before.iter().any(|(missed, _)| missed == goal));
    }
    missed
}

/// Measures a group, prints what came out, and says which goals it missed.
fn measure(group: &mut Group) -> Vec<(Goal, String)> {
    let measured = group.measure();
    report::print(&measured);
    measured.missed()
}

fn main() -> ExitCode {
    // Cargo itself adds `--bench`.
    let (options, names): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .partition(|argument| argument.starts_with('-'));
    if let Some(unknown) = options.iter().find(|option| *option != "--check") {
        eprintln!("unknown option {unknown}; usage: ratios [--check] [NAME ...]");
        return ExitCode::from(2);
    }
    let wanted = |group: &Group| names.is_empty() || names.iter().any(|name| group.name().contains(name.as_str()));
    let mut missed = Vec::new();
    for group in groups().into_iter().filter(wanted) {
        missed.extend(judge(group));
    }
    if missed.is_empty() || options.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("goals missed:");
    for (_, sentence) in missed {
        eprintln!("  {sentence}");
    }
    ExitCode::FAILURE
}
