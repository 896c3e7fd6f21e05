//! What other threads ask of the owner thread.

use std::any::Any;
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::sync::PoisonError;
use std::sync::mpsc::SyncSender;
use std::task::Waker;
use std::time::Duration;

use pulsewire_policy::ValidReconnectConfig;
use pulsewire_protocol::{CloseFrame, ConnectionId, PreparedMessage, Statistics};

use crate::budget::Budget;
use crate::client_sender::{ClientOptions, ClientSender};
use crate::clients::ClientId;
use crate::statistics::EndpointStatistics;
use crate::sync::{Mutex, MutexGuard};

/// A request to the owner thread. An answer that nobody waits for any more is dropped.
#[derive(Debug)]
pub(crate) enum Command {
    /// The connection's mailbox is no longer empty.
    Look(ConnectionId),
    /// Listen, and tell the address that it became.
    Listen { address: SocketAddr, answer: SyncSender<io::Result<SocketAddr>> },
    /// Stop listening there, and tell whether somebody did.
    StopListening { address: SocketAddr, answer: SyncSender<io::Result<bool>> },
    /// Begin to connect, and tell the id.
    Connect { remote: SocketAddr, answer: SyncSender<io::Result<ConnectionId>> },
    /// Tell what a connection has done so far, if it lives.
    Statistics { id: ConnectionId, answer: SyncSender<io::Result<Option<Statistics>>> },
    /// Connect, and again whenever the connection is lost; tell the client's id.
    StayConnected { remote: SocketAddr, config: ValidReconnectConfig, answer: SyncSender<io::Result<ClientId>> },
    /// The same, with a handle for sending.
    AddClient { remote: SocketAddr, options: ClientOptions, answer: SyncSender<io::Result<ClientSender>> },
    /// Close a client, and tell whether there was one.
    CloseClient { client: ClientId, close: CloseFrame, answer: SyncSender<io::Result<bool>> },
    /// Send a message to every connection, and tell how many took it.
    #[cfg_attr(not(any(windows, test)), expect(dead_code, reason = "only the endpoint asks"))]
    Broadcast { message: PreparedMessage, answer: SyncSender<io::Result<usize>> },
    /// Hand the handler what somebody posted.
    Posted(Box<dyn Any + Send>),
    /// Tell what the endpoint has done so far.
    #[cfg_attr(not(windows), expect(dead_code, reason = "only the endpoint asks, and tests ask the driver"))]
    EndpointStatistics { answer: SyncSender<io::Result<EndpointStatistics>> },
    /// Stop in order: let peers finish for a while, close, and cut what is left after `patience`.
    ShutDown { drain: Duration, patience: Duration },
}

thread_local! {
    static RUNS_A_DRIVER: Cell<bool> = const { Cell::new(false) };
}

/// How many posted events may wait.
const MOST_EVENTS: usize = 65_536;

#[derive(Debug, Default)]
struct Commands {
    waiting: Vec<Command>,
    /// Those among them that hold posted events.
    events: usize,
}

/// The queue of commands, and the means to wake the thread that takes them out.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// `None` when the owner thread is gone.
    commands: Mutex<Option<Commands>>,
    waker: Waker,
    /// What may wait in the mailboxes.
    pub(crate) budget: Budget,
}

impl Inbox {
    /// `memory` bytes may wait in mailboxes and connections together.
    pub(crate) fn new(waker: Waker, memory: usize) -> Self {
        Self { commands: Mutex::new(Some(Commands::default())), waker, budget: Budget::new(memory) }
    }

    /// The calling thread runs a driver from now on.
    pub(crate) fn own() {
        RUNS_A_DRIVER.set(true);
    }

    /// Whether the calling thread runs a driver, of this endpoint or another: whoever waits there holds up connections.
    pub(crate) fn is_owner() -> bool {
        RUNS_A_DRIVER.get()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Commands>> {
        // A push or a take is done or not done, also where the thread panicked.
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a command and wakes the owner thread. Without one the command is dropped, with its answer.
    pub(crate) fn push(&self, command: Command) {
        if let Some(commands) = &mut *self.lock() {
            commands.waiting.push(command);
        }
        self.waker.wake_by_ref();
    }

    /// Has the owner thread look.
    pub(crate) fn wake(&self) {
        self.waker.wake_by_ref();
    }

    /// Queues an event for the handler, or gives it back: too many wait, or there is no owner thread any more.
    pub(crate) fn post(&self, event: Box<dyn Any + Send>) -> Result<(), Box<dyn Any + Send>> {
        let mut commands = self.lock();
        match &mut *commands {
            Some(Commands { waiting, events }) if *events < MOST_EVENTS => {
                *events += 1;
                waiting.push(Command::Posted(event));
            }
            Some(_) | None => return Err(event),
        }
        drop(commands);
        self.waker.wake_by_ref();
        Ok(())
    }

    /// Takes out what was queued, in order.
    pub(crate) fn take(&self) -> Vec<Command> {
        self.lock().as_mut().map(std::mem::take).unwrap_or_default().waiting
    }

    /// Accepts nothing more, and drops what is queued: whoever waits for an answer learns that there is none.
    pub(crate) fn close(&self) {
        let closed = self.lock().take();
        // Behind the lock: an event that is dropped may post another one.
        drop(closed);
    }
}
