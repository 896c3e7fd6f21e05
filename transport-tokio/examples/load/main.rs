//! What a server holds out, beside an honest client: `cargo run --release -p pulsewire-transport-tokio --example load -- PROFILE`.
//!
//! ```text
//! load [--scale FACTOR] PROFILE ...      one after the other
//! load [--minutes N] all                 all at the same time
//! ```
//!
//! The server is a process of its own, an echo server with the default configuration but for shorter time limits. Another process is
//! the honest client: it sends a message each 5 ms, waits for the answer, and its latencies are printed. At the end of each profile
//! all its connections must be gone from the server, and so must what they held: memory and descriptors, or this fails. Needs Linux.

#[cfg(target_os = "linux")]
#[path = "../../benches/ratios/child.rs"]
#[expect(dead_code, reason = "the bench has servers of other kinds")]
mod child;
#[cfg(target_os = "linux")]
mod churn;
#[cfg(target_os = "linux")]
mod descriptors;
#[cfg(target_os = "linux")]
mod hold;
#[cfg(target_os = "linux")]
mod honest;
#[cfg(target_os = "linux")]
#[path = "../../benches/ratios/memory.rs"]
mod memory;
#[cfg(target_os = "linux")]
mod profile;
#[cfg(target_os = "linux")]
mod raw;
#[cfg(target_os = "linux")]
mod server;

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("this asks Linux what a process holds; elsewhere it measures nothing");
    std::process::exit(1);
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use clap::Parser;
    descriptors::raise_limit();
    let arguments = Arguments::parse();
    match arguments.child {
        Some(Child::Serve) => server::serve(),
        Some(Child::Honest { address }) => honest::run(address),
        None => return run(&arguments),
    }
    std::process::ExitCode::SUCCESS
}

#[cfg(target_os = "linux")]
#[derive(clap::Parser)]
struct Arguments {
    /// Of `all`: how long.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// Multiplies the numbers of connections.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// What is done to the server; `all` is everything at the same time.
    profiles: Vec<profile::Profile>,
    #[command(subcommand)]
    child: Option<Child>,
}

/// What a process does that this program itself started.
#[cfg(target_os = "linux")]
#[derive(clap::Subcommand)]
enum Child {
    #[command(hide = true, name = "child-serve")]
    Serve,
    #[command(hide = true, name = "child-honest")]
    Honest { address: std::net::SocketAddr },
}

#[cfg(target_os = "linux")]
fn run(arguments: &Arguments) -> std::process::ExitCode {
    use std::process::ExitCode;
    use std::time::Duration;

    if arguments.profiles.is_empty() {
        eprintln!("name a profile; --help lists them");
        return ExitCode::FAILURE;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let local = tokio::task::LocalSet::new();
    let mut returned = true;
    for profile in &arguments.profiles {
        let time = match profile {
            profile::Profile::All => Duration::from_secs_f64(arguments.minutes * 60.0),
            _ => profile::TIME,
        };
        let shape = profile::Shape { scale: arguments.scale, time };
        returned &= local.block_on(&runtime, profile::measure(*profile, shape));
    }
    if returned { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
