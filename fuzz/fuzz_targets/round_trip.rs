//! Whatever one side encodes, the other one decodes to the same, and encodes to the same bytes again.
#![no_main]

use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use pulsewire_fuzz::run_round_trip;

fuzz_target!(|input: &[u8]| {
    // An input that ends too early is a shorter run.
    let _ = run_round_trip(&mut Unstructured::new(input));
});
