//! Two connections over a link that does damage: what arrives was sent, once, whole and in order.
#![no_main]

use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use pulsewire_fuzz::run_pair;

fuzz_target!(|input: &[u8]| {
    // An input that ends too early is a shorter run.
    let _ = run_pair(&mut Unstructured::new(input));
});
