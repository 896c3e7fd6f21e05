//! Servers and clients of the oracle: one thread for each connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Behaviour;
use super::connection::Connection;
use super::link::Link;
use super::table::Table;
use crate::clock;
use crate::role::Role;
use crate::subject::{Command, Reply, Running, SubjectError};
use crate::world::{self, Joiner, Listener};

/// How long an echo client tries to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A running server or client.
pub(super) struct RunningOracle {
    address: SocketAddr,
    table: Arc<Table>,
    /// Accepts, or drives the one connection of a client.
    thread: Option<Joiner>,
    role: Role,
}

pub(super) fn serve(behaviour: Arc<Behaviour>) -> io::Result<RunningOracle> {
    let listener = world::listen()?;
    let address = listener.address()?;
    let table = Arc::new(Table::new(Arc::clone(&behaviour)));
    let for_thread = Arc::clone(&table);
    let thread = world::spawn("oracle server", move || {
        accept(&listener, &behaviour, &for_thread);
    })?;
    Ok(RunningOracle { address, table, thread: Some(thread), role: Role::Server })
}

pub(super) fn connect(behaviour: Arc<Behaviour>, address: SocketAddr) -> io::Result<RunningOracle> {
    let table = Arc::new(Table::new(Arc::clone(&behaviour)));
    let for_thread = Arc::clone(&table);
    let thread = world::spawn("oracle client", move || {
        if let Ok(stream) = world::dial(address, CONNECT_TIMEOUT) {
            let greeting = behaviour.greeting();
            let link = Box::new(Link(stream));
            Connection::new(link, Role::Client, greeting, behaviour, for_thread, clock::now()).run();
        }
    })?;
    Ok(RunningOracle { address, table, thread: Some(thread), role: Role::Client })
}

fn accept(listener: &Listener, behaviour: &Arc<Behaviour>, table: &Arc<Table>) {
    let mut connections = Vec::new();
    loop {
        let accepted = listener.accept(None);
        if table.is_stopping() {
            break;
        }
        let Ok(stream) = accepted else {
            continue;
        };
        let (link, greeting) = (Box::new(Link(stream)), behaviour.greeting());
        let (behaviour, table) = (Arc::clone(behaviour), Arc::clone(table));
        let connection = Connection::new(link, Role::Server, greeting, behaviour, table, clock::now());
        // Without a thread for it, the connection ends at once.
        connections.extend(world::spawn("oracle connection", move || connection.run()));
    }
    for connection in connections {
        // A connection that panicked has said so on standard error already.
        let _ = connection.join();
    }
}

impl Running for RunningOracle {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn control(&mut self, command: Command) -> Result<Reply, SubjectError> {
        self.table.control(command)
    }

    fn stop(mut self: Box<Self>) {
        self.table.stop();
        if self.role == Role::Server {
            // Wakes the thread that waits in accept; it fails only where that thread is gone.
            let _ = world::dial(self.address, CONNECT_TIMEOUT);
        }
        if let Some(thread) = self.thread.take() {
            // As above: a panic has been printed.
            let _ = thread.join();
        }
    }
}
