//! Echo servers as one would write them for Windows, to be compared: a loop around a completion port by hand, compio, tokio, and this
//! transport.
//!
//! ```text
//! speed raw|compio|tokio|pulsewire|pulsewire-skip
//! ```
//!
//! Prints the address on which it listens, and serves until its standard input ends. The first three echo bytes; the last one has
//! operations that are done at once skip the queue of the completion port. `.ci/windows-speed`
//! starts them under Wine in turns, loads them from Linux, and prints what a message cost each.

#[cfg(windows)]
mod peers;
#[cfg(windows)]
mod raw;

#[cfg(windows)]
fn main() {
    // Cargo itself adds `--bench`.
    let contender = std::env::args().skip(1).find(|argument| argument != "--bench").unwrap_or_default();
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_line(&mut String::new());
        std::process::exit(0);
    });
    match contender.as_str() {
        "raw" => raw::serve().expect("a completion port"),
        "compio" => peers::compio(),
        "tokio" => peers::tokio(),
        "pulsewire" => peers::pulsewire(None),
        "pulsewire-skip" => peers::pulsewire(std::num::NonZeroU32::new(8)),
        _ => eprintln!("speed raw|compio|tokio|pulsewire|pulsewire-skip; .ci/windows-speed compares them"),
    }
}

#[cfg(not(windows))]
fn main() {
    eprintln!("these servers need Windows; .ci/windows-speed runs them under Wine");
}
