//! What a message costs a server on this transport, beside its peers: `cargo bench -p pulsewire-transport-tokio --bench ratios`.
//!
//! ```text
//! ratios [--check] [--rounds N] [NAME ...]
//! ```
//!
//! Each contender is an echo server in a process of its own, on one processor; a load generator in another process, on another
//! processor, is the same for all: it writes a batch of messages on each connection, waits until as many bytes have come back as
//! the answers have, and begins again. What is measured is the processor time of the server, from the system, by the messages that
//! it answered. The contenders take turns, and a ratio is taken within each round, as the core's bench of the same name does it.
//!
//! Prints each group whose name contains one of the NAMEs (all without a NAME): the median time of each contender, and each goal
//! with the interval in which the true ratio lies with 99 % confidence. With `--check` it fails, and names the goals whose whole
//! interval is on the wrong side, as often as they were measured. Needs Linux, and two processors.

#[cfg(target_os = "linux")]
mod broadcast;
#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
#[path = "../../../protocol/benches/ratios/goal.rs"]
#[expect(dead_code, reason = "the core has goals of another kind too")]
mod goal;
#[cfg(target_os = "linux")]
mod groups;
#[cfg(target_os = "linux")]
mod idle;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod processor;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod servers;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    run::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("this bench asks Linux what a process took; elsewhere it measures nothing");
    std::process::exit(1);
}
