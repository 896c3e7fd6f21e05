//! One area in the ordinary harness.

mod adapter;

pulsewire_conformance::tests!(crate::adapter::External, HDR);
