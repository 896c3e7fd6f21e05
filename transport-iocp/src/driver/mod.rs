//! The driver: one thread that owns the port, all connections and all bookkeeping.
//!
//! Each turn reads once, handles everything and writes once:
//!
//! 1. Wait for completions, and handle all that came. Events go to the handler, and what it sends is only queued.
//! 2. Obey the commands of other threads.
//! 3. Let time pass, but only when everything that can be read was delivered (PW-TCP-001).
//! 4. For each connection that something happened to, post at most one send and one receive.
//!
//! A connection gets no second turn before all others had theirs, since nothing is posted before the end of a turn.

mod accept;
mod buffers;
mod calls;
mod connect;
mod farewell;
mod flush;
mod peer;
mod receive;
mod send;
mod shutdown;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pulsewire_protocol::{ConnectionId, ConnectionTable, Instant, Seed, TableLimits, Transmit, ValidConfig};

use crate::directory::Directory;
use crate::error::SystemError;
use crate::handler::Handler;
use crate::inbox::{Command, Inbox};
use crate::port::{Completion, CompletionPort, GatherBuffer, Token};
use crate::socket_options::SocketOptions;
use accept::Acceptor;
use buffers::Buffers;
use farewell::Farewells;
use peer::{Io, Peer};
use shutdown::Phase;

impl GatherBuffer for Transmit {
    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        Self::slices(self)
    }
}

/// Where the random numbers of a connection come from.
pub(crate) type DrawSeed = Box<dyn FnMut() -> io::Result<Seed> + Send>;

/// What a driver is made of, besides its port and its handler.
pub(crate) struct Parts {
    pub(crate) config: ValidConfig,
    pub(crate) options: SocketOptions,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) directory: Arc<Directory>,
    /// Goes into the ids.
    pub(crate) domain: u32,
    pub(crate) draw_seed: DrawSeed,
}

/// See the documentation of the module.
pub(crate) struct Driver<Port: CompletionPort<Batch = Transmit>, H> {
    config: ValidConfig,
    options: SocketOptions,
    inbox: Arc<Inbox>,
    directory: Arc<Directory>,
    domain: u32,
    draw_seed: DrawSeed,
    handler: H,
    /// Read once per wait.
    now: Instant,
    phase: Phase,
    table: ConnectionTable<Peer<Port::Socket>>,
    acceptors: Vec<Acceptor<Port::Listener>>,
    farewells: Farewells,
    /// Connections to be flushed in this turn, each once, and farewells.
    touched: Vec<ConnectionId>,
    /// Empty between turns; kept for its memory.
    completions: Vec<Completion<Port::Socket, Transmit>>,
    /// Last: what holds sockets is dropped before the port.
    io: Io<Port>,
}

impl<Port: CompletionPort<Batch = Transmit>, H: Handler> Driver<Port, H> {
    pub(crate) fn new(port: Port, handler: H, parts: Parts) -> Self {
        let Parts { config, options, inbox, directory, domain, draw_seed } = parts;
        // What waits to be sent is bounded by each mailbox, which relies on a connection that sends having room again.
        let limits = TableLimits { buffered: usize::MAX, ..TableLimits::default() }.validate().unwrap_or_default();
        Self {
            config,
            options,
            inbox,
            directory,
            domain,
            draw_seed,
            handler,
            now: Instant::ZERO + port.now(),
            phase: Phase::Running,
            table: ConnectionTable::with_limits(domain, limits),
            acceptors: Vec::new(),
            farewells: Farewells::default(),
            touched: Vec::new(),
            completions: Vec::new(),
            io: Io { buffers: Buffers::default(), outstanding: 0, port },
        }
    }

    /// Runs until it was shut down. Returns whether that went in order.
    #[cfg_attr(all(test, not(windows)), expect(dead_code, reason = "tests take the turns one by one"))]
    pub(crate) fn run(mut self) -> bool {
        loop {
            if let Some(orderly) = self.outcome() {
                return orderly;
            }
            if let Err(error) = self.turn(self.timeout()) {
                tracing::error!(%error, "the completion port is unusable");
                self.cut();
                self.flush_touched();
                return false;
            }
        }
    }

    /// How long the next wait may take.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        let now = Instant::ZERO + self.io.port.now();
        let deadlines = [
            self.table.poll_timeout(),
            self.farewells.deadline(),
            self.acceptors.iter().filter_map(Acceptor::deadline).min(),
            self.phase.deadline(),
        ];
        deadlines.into_iter().flatten().min().map(|deadline| deadline - now)
    }

    /// One turn.
    ///
    /// # Errors
    ///
    /// The port is unusable.
    pub(crate) fn turn(&mut self, timeout: Option<Duration>) -> Result<(), SystemError> {
        self.complete(timeout)?;
        let judged_at = self.now;
        self.obey();
        let deadlines = [self.table.poll_timeout(), self.farewells.deadline()];
        if deadlines.into_iter().flatten().any(|deadline| deadline <= judged_at) {
            // What can be read may be what the deadline waits for. This ends, as nothing is posted meanwhile.
            while self.complete(Some(Duration::ZERO))? {}
        }
        self.pass_time(judged_at);
        self.flush_touched();
        self.post_accepts();
        Ok(())
    }

    /// Waits for completions and handles them. Returns whether there were any.
    fn complete(&mut self, timeout: Option<Duration>) -> Result<bool, SystemError> {
        let mut completions = std::mem::take(&mut self.completions);
        let waited = self.io.port.wait(timeout, &mut completions);
        self.now = Instant::ZERO + self.io.port.now();
        let any = !completions.is_empty();
        for completion in completions.drain(..) {
            self.handle(completion);
        }
        self.completions = completions;
        waited.map(|()| any)
    }

    fn handle(&mut self, completion: Completion<Port::Socket, Transmit>) {
        match completion {
            Completion::Woken => {}
            Completion::Accepted { token, outcome } => {
                self.io.outstanding -= 1;
                self.accepted(token.slot, outcome);
            }
            Completion::Connected { token, outcome } => {
                self.io.outstanding -= 1;
                self.connected(self.id(token), outcome.map(drop));
            }
            Completion::Received { token, buffer, outcome } => {
                self.io.outstanding -= 1;
                self.received(self.id(token), buffer, outcome);
            }
            Completion::Sent { token, batch, outcome } => {
                self.io.outstanding -= 1;
                self.sent(self.id(token), batch, outcome);
            }
        }
    }

    fn id(&self, token: Token) -> ConnectionId {
        ConnectionId::new(token.slot, self.domain, token.cookie)
    }

    /// Obeys the commands that wait.
    fn obey(&mut self) {
        for command in self.inbox.take() {
            match command {
                Command::Look(id) => self.touch(id),
                Command::Listen { address, answer } => {
                    let _nobody_waits = answer.send(self.listen(address));
                }
                Command::Connect { remote, answer } => {
                    let _nobody_waits = answer.send(self.connect(remote));
                }
                Command::Statistics { id, answer } => {
                    let statistics = self.table.get_mut(id).map(|connection| connection.statistics());
                    let _nobody_waits = answer.send(Ok(statistics));
                }
                Command::ShutDown { patience } => self.shut_down(patience),
            }
        }
    }

    /// Lets time come to the moment up to which everything was read: a receive that came back since is not posted again
    /// yet, and what may have arrived behind it is not known.
    fn pass_time(&mut self, judged_at: Instant) {
        while let Some(id) = self.table.handle_timeout(judged_at) {
            self.touch(id);
        }
        self.pass_farewell_time(judged_at);
        if self.phase.deadline().is_some_and(|deadline| deadline <= self.now) {
            self.cut();
        }
    }

    /// Has the connection flushed at the end of the turn, or its farewell moved on.
    fn touch(&mut self, id: ConnectionId) {
        if let Some(mut connection) = self.table.get_mut(id)
            && std::mem::replace(&mut connection.data().touched, true)
        {
            return;
        }
        self.touched.push(id);
    }
}

impl<Port: CompletionPort<Batch = Transmit>, H> Drop for Driver<Port, H> {
    /// Also where the handler panicked: nobody may be left waiting for a thread that is gone.
    fn drop(&mut self) {
        self.inbox.close();
        for mailbox in self.directory.clear() {
            mailbox.shut();
        }
    }
}
