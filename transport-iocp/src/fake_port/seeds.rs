//! Over how many seeds a test runs, and which of them failed.

use std::env::{self, VarError};
use std::thread;

/// How many seeds each test runs over, unless the environment variable `PULSEWIRE_SEEDS` holds another number.
const DEFAULT_COUNT: u64 = 10;

/// Runs a check with one seed after the other, from 0 on, and names the one with which it fails.
pub(crate) fn for_each_seed(check: impl Fn(u64)) {
    let count = match env::var("PULSEWIRE_SEEDS") {
        Ok(count) => count.parse().expect("PULSEWIRE_SEEDS is a number"),
        Err(VarError::NotPresent) => DEFAULT_COUNT,
        Err(error @ VarError::NotUnicode(_)) => panic!("PULSEWIRE_SEEDS: {error}"),
    };
    for seed in 0..count {
        let _named = NamedInFailure(seed);
        check(seed);
    }
}

struct NamedInFailure(u64);

impl Drop for NamedInFailure {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("it failed with seed {}", self.0);
        }
    }
}
