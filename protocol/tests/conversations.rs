//! The conversations of the specification, with the core as the side that is tested. Each names the requirements that it
//! tests.

use proptest::prelude::*;
use pulsewire_spec::vectors;

use crate::conversation::Runner;

#[test]
fn as_they_are_written() {
    for conversation in vectors::conversations() {
        Runner::new(conversation, usize::MAX).run();
    }
}

/// PW-FRM-001: how bytes were cut changes nothing.
#[test]
fn byte_by_byte() {
    for conversation in vectors::conversations() {
        Runner::new(conversation, 1).run();
    }
}

proptest! {
    /// PW-FRM-001: how bytes were cut changes nothing.
    #[test]
    fn in_pieces(index in any::<prop::sample::Index>(), piece in 2..600usize) {
        Runner::new(index.get(vectors::conversations()), piece).run();
    }
}
