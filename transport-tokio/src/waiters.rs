//! Tasks that wait for a connection: senders in line for room, one line for each class, where who came first goes first, however
//! large its message is; and whoever wants to know when the connection has written.

use std::sync::Arc;
use std::task::{Context, Waker};

use pulsewire_protocol::Class;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::shared::Shared;

/// Nearly every connection has them and hardly one needs them: nothing, in one word.
#[derive(Default)]
pub(crate) struct Waiters {
    present: Option<Box<Present>>,
}

#[derive(Default)]
struct Present {
    /// The classes for which somebody waits.
    lines: Vec<Line>,
    /// They have to look again when whoever writes has made progress, or leaves. They write themselves.
    wakers: Vec<Waker>,
    /// The same for those that may stop looking without a word.
    aside: Vec<Waker>,
}

impl Present {
    fn is_empty(&self) -> bool {
        let Self { lines, wakers, aside } = self;
        lines.is_empty() && wakers.is_empty() && aside.is_empty()
    }
}

struct Line {
    class: Class,
    /// Those that wait, and the one whose turn it is.
    length: usize,
    /// Held by that one; the others wait for it in their order.
    turn: Arc<Semaphore>,
}

impl Waiters {
    /// Whether a message of this class has to wait behind others.
    pub(crate) fn has_line(&self, class: Class) -> bool {
        self.present.as_ref().is_some_and(|present| present.lines.iter().any(|line| line.class == class))
    }

    fn join(&mut self, class: Class) -> Arc<Semaphore> {
        let Present { lines, .. } = &mut **self.present.get_or_insert_default();
        let index = lines.iter().position(|line| line.class == class).unwrap_or_else(|| {
            lines.push(Line { class, length: 0, turn: Arc::new(Semaphore::new(1)) });
            lines.len() - 1
        });
        lines[index].length += 1;
        Arc::clone(&lines[index].turn)
    }

    fn leave(&mut self, class: Class) {
        if let Some(present) = &mut self.present {
            present.lines.retain_mut(|line| {
                line.length -= usize::from(line.class == class);
                line.length > 0
            });
        }
        self.present.take_if(|present| present.is_empty());
    }

    /// Whether a task waits that writes.
    pub(crate) fn has_tasks(&self) -> bool {
        self.present.as_ref().is_some_and(|present| !present.wakers.is_empty())
    }

    /// Notes a task that is to be woken.
    pub(crate) fn note(&mut self, context: &Context<'_>) {
        note(&mut self.present.get_or_insert_default().wakers, context);
    }

    /// Notes one that may stop looking without a word.
    pub(crate) fn note_aside(&mut self, context: &Context<'_>) {
        note(&mut self.present.get_or_insert_default().aside, context);
    }

    pub(crate) fn wake(&mut self) {
        if let Some(present) = &mut self.present {
            present.wakers.drain(..).for_each(Waker::wake);
        }
        self.wake_aside();
    }

    pub(crate) fn wake_aside(&mut self) {
        if let Some(present) = &mut self.present {
            present.aside.drain(..).for_each(Waker::wake);
        }
    }

    /// Nothing is accepted any more: nobody waits for a turn, whoever has it.
    pub(crate) fn end_lines(&self) {
        if let Some(present) = &self.present {
            present.lines.iter().for_each(|line| line.turn.close());
        }
    }
}

fn note(wakers: &mut Vec<Waker>, context: &Context<'_>) {
    if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
        wakers.push(context.waker().clone());
    }
}

/// A place in a line. Dropping it leaves the line.
pub(crate) struct Place<'s> {
    pub(crate) shared: &'s Shared,
    pub(crate) class: Class,
    turn: Arc<Semaphore>,
}

impl<'s> Place<'s> {
    pub(crate) fn new(shared: &'s Shared, class: Class) -> Self {
        let turn = shared.lock().waiters.join(class);
        Self { shared, class, turn }
    }

    /// Waits until everybody in front has gone. `None`: nothing is accepted any more.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.turn).acquire_owned().await.ok()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.lock().waiters.leave(self.class);
    }
}
