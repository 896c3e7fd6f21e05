//! One test for each case, subject, and role, over TCP.

mod judged;

pulsewire_conformance::main!(judged::judged(), judged::options());
