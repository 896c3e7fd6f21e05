//! The whole suite, one test for each case and role.

mod adapter;

use std::sync::Arc;

use adapter::External;

pulsewire_conformance::main!(vec![Arc::new(External)]);
