//! Runs the Pulsewire conformance suite.
fn main() {}
