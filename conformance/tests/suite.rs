//! One test for each case, subject, and role, over TCP.
//!
//! On Windows without the oracle: under Wine the buffers of its blocking sockets behave otherwise, and elsewhere it is tried in full.

mod judged;

pulsewire_conformance::main!(
    judged::judged()
        .into_iter()
        .filter(|subject| cfg!(not(windows)) || !subject.name().starts_with("oracle"))
        .collect(),
    judged::options()
);
