//! Servers and clients of the oracle: one thread for each connection.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Behaviour;
use super::connection::Connection;
use super::link::Link;
use super::table::Table;
use crate::clock;
use crate::role::Role;
use crate::subject::{Command, Reply, Running, Unsupported};

/// How long an echo client tries to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A running server or client.
pub(super) struct RunningOracle {
    address: SocketAddr,
    table: Arc<Table>,
    /// Accepts, or drives the one connection of a client.
    thread: Option<JoinHandle<()>>,
    role: Role,
}

pub(super) fn serve(behaviour: Arc<Behaviour>) -> io::Result<RunningOracle> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let table = Arc::new(Table::new(Arc::clone(&behaviour)));
    let for_thread = Arc::clone(&table);
    let thread = thread::Builder::new().name("oracle server".into()).spawn(move || {
        accept(&listener, &behaviour, &for_thread);
    })?;
    Ok(RunningOracle { address, table, thread: Some(thread), role: Role::Server })
}

pub(super) fn connect(behaviour: Arc<Behaviour>, address: SocketAddr) -> io::Result<RunningOracle> {
    let table = Arc::new(Table::new(Arc::clone(&behaviour)));
    let for_thread = Arc::clone(&table);
    let thread = thread::Builder::new().name("oracle client".into()).spawn(move || {
        if let Ok(link) = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).and_then(Link::new) {
            let greeting = behaviour.greeting();
            let link = Box::new(link);
            Connection::new(link, Role::Client, greeting, behaviour, for_thread, clock::now()).run();
        }
    })?;
    Ok(RunningOracle { address, table, thread: Some(thread), role: Role::Client })
}

fn accept(listener: &TcpListener, behaviour: &Arc<Behaviour>, table: &Arc<Table>) {
    let mut connections = Vec::new();
    for stream in listener.incoming() {
        if table.is_stopping() {
            break;
        }
        let Ok(link) = stream.and_then(Link::new) else {
            continue;
        };
        let (link, greeting) = (Box::new(link), behaviour.greeting());
        let (behaviour, table) = (Arc::clone(behaviour), Arc::clone(table));
        let connection = Connection::new(link, Role::Server, greeting, behaviour, table, clock::now());
        connections.push(thread::spawn(move || connection.run()));
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

    fn control(&mut self, command: Command) -> Result<Reply, Unsupported> {
        self.table.control(command)
    }

    fn stop(mut self: Box<Self>) {
        self.table.stop();
        if self.role == Role::Server {
            // Wakes the thread that waits in accept; it fails only where that thread is gone.
            let _ = TcpStream::connect_timeout(&self.address, CONNECT_TIMEOUT);
        }
        if let Some(thread) = self.thread.take() {
            // As above: a panic has been printed.
            let _ = thread.join();
        }
    }
}
