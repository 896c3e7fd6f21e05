//! The command line, and what it runs.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::groups::Group;
use crate::load::Shape;
use crate::servers::Contender;
use crate::{broadcast, groups, idle, load, servers};

#[derive(Parser)]
struct Arguments {
    /// Fail if a goal is missed.
    #[arg(long)]
    check: bool,
    /// How often each contender has its turn.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Measure those whose name contains one of these.
    names: Vec<String>,
    #[command(subcommand)]
    child: Option<Child>,
}

/// What a process of the bench does that the bench itself started.
#[derive(Subcommand)]
enum Child {
    #[command(hide = true, name = "child-serve")]
    Serve { contender: Contender },
    #[command(hide = true, name = "child-load")]
    Load {
        contender: Contender,
        address: std::net::SocketAddr,
        #[command(flatten)]
        shape: Shape,
    },
    #[command(hide = true, name = "child-idle")]
    Idle { address: std::net::SocketAddr, connections: usize },
    #[command(hide = true, name = "child-broadcast")]
    Broadcast { contender: Contender },
    #[command(hide = true, name = "child-listen")]
    Listen { contender: Contender, address: std::net::SocketAddr },
}

/// How often a group that misses a goal is measured.
const ATTEMPTS: usize = 3;

pub(crate) fn main() -> ExitCode {
    // Cargo itself adds `--bench`.
    let arguments = Arguments::parse_from(std::env::args().filter(|argument| argument != "--bench"));
    match arguments.child {
        Some(Child::Serve { contender }) => servers::serve(contender),
        Some(Child::Load { contender, address, shape }) => load::run(contender, address, &shape),
        Some(Child::Idle { address, connections }) => idle::hold(address, connections),
        Some(Child::Broadcast { contender }) => broadcast::serve(contender),
        Some(Child::Listen { contender, address }) => broadcast::listen(contender, address),
        None => return measure(&arguments),
    }
    ExitCode::SUCCESS
}

fn measure(arguments: &Arguments) -> ExitCode {
    let wanted = |name: &str| arguments.names.is_empty() || arguments.names.iter().any(|wanted| name.contains(wanted));
    let mut missed = Vec::new();
    for group in groups::all().into_iter().filter(|group| wanted(group.name)) {
        missed.extend(judge(&group, arguments));
    }
    if wanted(idle::NAME) {
        missed.extend(idle::measure());
    }
    if wanted(broadcast::NAME) {
        missed.extend(broadcast::measure(arguments.rounds));
    }
    if missed.is_empty() || !arguments.check {
        return ExitCode::SUCCESS;
    }
    eprintln!("goals missed:");
    for sentence in missed {
        eprintln!("  {sentence}");
    }
    ExitCode::FAILURE
}

/// Measures a group, again for as long as it misses a goal, and says which it missed every time.
fn judge(group: &Group, arguments: &Arguments) -> Vec<String> {
    let mut missed = group.measure(arguments.rounds);
    for _ in 1..ATTEMPTS {
        if missed.is_empty() || !arguments.check {
            break;
        }
        let before = missed;
        missed = group.measure(arguments.rounds);
        missed.retain(|(goal, _)| before.iter().any(|(missed, _)| missed == goal));
    }
    missed.into_iter().map(|(_, sentence)| sentence).collect()
}
