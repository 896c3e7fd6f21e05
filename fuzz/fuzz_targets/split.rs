//! PW-FRM-001: a stream gives the same events however it is cut, and whichever way its bytes are read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pulsewire_fuzz::{Case, Watched, config};
use pulsewire_protocol::{CloseReason, Role};

fn run(case: &Case, cuts: &[(usize, bool)]) -> Watched {
    let mut watched = Watched::greeted(config(case.resync), Role::Server, case.key, false);
    let mut from = 0;
    for &(cut, direct) in cuts.iter().chain([&(case.stream.len(), false)]) {
        let bytes = &case.stream[from..cut];
        if direct {
            watched.receive_direct(bytes)
        } else {
            watched.receive(bytes)
        }
        from = cut;
    }
    watched.transmit();
    if let Some(closed) = watched.closed.as_mut().filter(|closed| closed.reason == CloseReason::RESYNC_BUDGET) {
        // How far beyond the budget it was when that was noticed depends on how much came at once.
        closed.detail.clear();
    }
    watched
}

fuzz_target!(|case: Case| {
    let (whole, cut) = (run(&case, &[]), run(&case, &case.cuts));
    assert_eq!(cut.events, whole.events);
    assert_eq!((&cut.closed, cut.fault, cut.pong()), (&whole.closed, whole.fault, whole.pong()));
});
