//! The implementations that the tool can name.

use std::sync::Arc;

use pulsewire_conformance::oracle::{Bug, Oracle};
use pulsewire_conformance::subject::Subject;

/// The implementations of this workspace that run on this system.
///
/// A transport is added here, with its adapter in a file of its own beside this one.
#[must_use]
pub fn of_this_system() -> Vec<Arc<dyn Subject>> {
    vec![Arc::new(Oracle::clean())]
}

/// The subject with this name: one of this system, `oracle:none`, or `oracle:` and the name of a bug.
#[must_use]
pub fn by_name(name: &str) -> Option<Arc<dyn Subject>> {
    let bug = name.strip_prefix("oracle:").and_then(Bug::from_name);
    if let Some(bug) = bug {
        return Some(Arc::new(Oracle::with_bug(bug)));
    }
    let oracle: Arc<dyn Subject> = Arc::new(Oracle::clean());
    of_this_system().into_iter().chain([oracle]).find(|subject| subject.name() == name)
}
