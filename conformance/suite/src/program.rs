//! The programs that the suite has started, of which none is to outlive it.

use std::io;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

static STARTED: Mutex<Vec<Arc<Mutex<Child>>>> = Mutex::new(Vec::new());

/// A program that was started. Dropping it ends nothing.
pub(crate) struct Program(Arc<Mutex<Child>>);

impl Program {
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let mut started = lock(&STARTED);
        // Whoever dropped one has ended it.
        started.retain(|child| Arc::strong_count(child) > 1);
        let child = Arc::new(Mutex::new(command.spawn()?));
        started.push(Arc::clone(&child));
        Ok(Self(child))
    }

    pub(crate) fn child(&self) -> MutexGuard<'_, Child> {
        lock(&self.0)
    }
}

/// Ends every program that the suite has started and that runs still: those of cases that are given up, for one. Call it before the
/// process ends.
pub fn end_programs() {
    for child in lock(&STARTED).drain(..) {
        // Either fails only where it has ended by now.
        let mut child = lock(&child);
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
