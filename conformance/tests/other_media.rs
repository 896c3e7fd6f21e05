//! One test for each case and role on the tokio transport over a Unix socket, over a stream in memory, and over TLS.

mod judged;

use std::sync::Arc;

use conformance::{named, subjects};
use pulsewire_conformance::subject::Subject;
use pulsewire_conformance::{Manifest, Options};

fn options() -> Options {
    let manifest = Manifest::parse(include_str!("other_media.toml")).expect("a manifest");
    Options { manifest, ..judged::options() }
}

/// None where another implementation is to be judged.
fn judged() -> Vec<Arc<dyn Subject>> {
    if named::is_in_environment() { Vec::new() } else { subjects::over_other_media() }
}

pulsewire_conformance::main!(judged(), options());
