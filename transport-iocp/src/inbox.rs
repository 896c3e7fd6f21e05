//! What other threads ask of the owner thread.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use pulsewire_protocol::{ConnectionId, Statistics};

/// A request to the owner thread. An answer that nobody waits for any more is dropped.
#[derive(Debug)]
pub(crate) enum Command {
    /// The connection's mailbox is no longer empty.
    Look(ConnectionId),
    /// Listen, and tell the address that it became.
    Listen { address: SocketAddr, answer: SyncSender<io::Result<SocketAddr>> },
    /// Begin to connect, and tell the id.
    Connect { remote: SocketAddr, answer: SyncSender<io::Result<ConnectionId>> },
    /// Tell what a connection has done so far, if it lives.
    Statistics { id: ConnectionId, answer: SyncSender<io::Result<Option<Statistics>>> },
    /// Stop in order, and cut what is left after `patience`.
    ShutDown { patience: Duration },
}

/// The queue of commands, and the means to wake the thread that takes them out.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// `None` when the owner thread is gone.
    commands: Mutex<Option<Vec<Command>>>,
    waker: Waker,
}

impl Inbox {
    pub(crate) fn new(waker: Waker) -> Self {
        Self { commands: Mutex::new(Some(Vec::new())), waker }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Command>>> {
        // A push or a take is done or not done, also where the thread panicked.
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a command and wakes the owner thread. Without one the command is dropped, with its answer.
    pub(crate) fn push(&self, command: Command) {
        if let Some(commands) = &mut *self.lock() {
            commands.push(command);
        }
        self.waker.wake_by_ref();
    }

    /// Takes out what was queued, in order.
    pub(crate) fn take(&self) -> Vec<Command> {
        self.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Accepts nothing more, and drops what is queued: whoever waits for an answer learns that there is none.
    pub(crate) fn close(&self) {
        *self.lock() = None;
    }
}
