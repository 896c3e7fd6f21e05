//! The core and the oracle of the conformance suite do the same with the same bytes, cut the same way, in the same time.
#![no_main]

use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use pulsewire_fuzz::run_differential;

fuzz_target!(|input: &[u8]| {
    // An input that ends too early is a shorter run.
    let _ = run_differential(&mut Unstructured::new(input));
});
