//! One connection, any operations in any order, with hostile bytes between: what must hold always does.
#![no_main]

use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use pulsewire_fuzz::run_operations;

fuzz_target!(|input: &[u8]| {
    // An input that ends too early is a shorter run.
    let _ = run_operations(&mut Unstructured::new(input));
});
