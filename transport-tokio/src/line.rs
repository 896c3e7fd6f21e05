//! Senders that wait for room, one line for each class: who came first goes first, however large its message is.

use std::sync::Arc;

use pulsewire_protocol::Class;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::shared::Shared;

/// The classes for which somebody waits.
#[derive(Default)]
pub(crate) struct Lines {
    lines: Vec<Line>,
}

struct Line {
    class: Class,
    /// Those that wait, and the one whose turn it is.
    length: usize,
    /// Held by that one; the others wait for it in their order.
    turn: Arc<Mutex<()>>,
}

impl Lines {
    /// Whether a message of this class has to wait behind others.
    pub(crate) fn is_empty(&self, class: Class) -> bool {
        self.lines.iter().all(|line| line.class != class)
    }

    fn join(&mut self, class: Class) -> Arc<Mutex<()>> {
        let index = self.lines.iter().position(|line| line.class == class).unwrap_or_else(|| {
            self.lines.push(Line { class, length: 0, turn: Arc::default() });
            self.lines.len() - 1
        });
        let line = &mut self.lines[index];
        line.length += 1;
        Arc::clone(&line.turn)
    }

    fn leave(&mut self, class: Class) {
        self.lines.retain_mut(|line| {
            line.length -= usize::from(line.class == class);
            line.length > 0
        });
    }
}

/// A place in a line. Dropping it leaves the line.
pub(crate) struct Place<'s> {
    shared: &'s Shared,
    class: Class,
    turn: Arc<Mutex<()>>,
}

impl<'s> Place<'s> {
    pub(crate) fn new(shared: &'s Shared, class: Class) -> Self {
        let turn = shared.lock().lines.join(class);
        Self { shared, class, turn }
    }

    /// Waits until everybody in front has gone.
    pub(crate) async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.lock().lines.leave(self.class);
    }
}
