//! One test for each case, subject, and role.

mod judged;

pulsewire_conformance::main!(judged::judged(), judged::options());
