//! The driver: one thread that owns the port, all connections and all bookkeeping.
//!
//! Each turn reads once, handles everything and writes once:
//!
//! 1. Wait for completions, and handle all that came. Events go to the handler, and what it sends is only queued.
//! 2. Where a deadline is due, handle everything that can be read before (PW-TCP-001).
//! 3. Obey the commands of other threads, let time pass.
//! 4. For each connection that something happened to, post at most one send and one receive. Where that is asked for, what is done at
//!    once is handled and followed by the next ones, a bounded number of times.
//!
//! A connection gets no second turn before all others had theirs, since nothing is posted before the end of a turn. A command
//! that comes before the last wait of a turn is obeyed in that turn; one that comes later ends the first wait of the next.

mod accept;
mod alarms;
mod buffers;
mod calls;
mod commands;
mod connect;
mod desk;
mod farewell;
mod flush;
mod peer;
mod receive;
mod send;
mod service;
mod shortage;
mod shutdown;
mod staying;

#[cfg(test)]
mod tests;

use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use pulsewire_policy::ShutdownReport;
use pulsewire_policy::server::{LogLimit, ValidServerConfig};
use pulsewire_protocol::{ConnectionId, ConnectionTable, Instant, Seed, TableLimits, Transmit, ValidConfig};

use crate::clients::Clients;
use crate::crew::Crew;
use crate::directory::{Directories, Directory};
use crate::error::SystemError;
use crate::handler::Handler;
use crate::inbox::Inbox;
use crate::port::{Completion, CompletionPort, Token};
use crate::shared_gate::SharedGate;
use crate::socket_options::SocketOptions;
use accept::Acceptor;
use alarms::Alarms;
use buffers::Buffers;
use farewell::Farewells;
use peer::{Io, Peer};
use service::Service;
use shortage::back_off;
use shutdown::Phase;

/// After this time the driver looks for commands though nobody woke it.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Where the random numbers of a connection come from.
pub(crate) type DrawSeed = Box<dyn FnMut() -> io::Result<Seed> + Send>;

/// Where numbers come from that spread load, and that nothing else depends on.
pub(crate) type DrawRandom = Box<dyn FnMut() -> u64 + Send>;

/// What a driver is made of, besides its port and its handler.
pub(crate) struct Parts<Socket> {
    pub(crate) config: ValidConfig,
    pub(crate) options: SocketOptions,
    pub(crate) server: ValidServerConfig,
    pub(crate) gate: SharedGate,
    pub(crate) crew: Crew<Socket>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) directory: Arc<Directory>,
    /// That and those of the other threads.
    pub(crate) directories: Arc<Directories>,
    /// Goes into the ids.
    pub(crate) domain: u32,
    pub(crate) draw_seed: DrawSeed,
    pub(crate) draw_random: DrawRandom,
}

/// See the documentation of the module.
pub(crate) struct Driver<Port: CompletionPort<Batch = Transmit>, H> {
    config: ValidConfig,
    options: SocketOptions,
    crew: Crew<Port::Socket>,
    inbox: Arc<Inbox>,
    directory: Arc<Directory>,
    directories: Arc<Directories>,
    domain: u32,
    draw_seed: DrawSeed,
    handler: H,
    service: Service,
    /// Read once per wait.
    now: Instant,
    phase: Phase,
    /// How connections had ended when it began to stop.
    ended_before: ShutdownReport,
    table: ConnectionTable<Peer<Port::Socket>>,
    acceptors: Vec<Acceptor<Port::Listener>>,
    farewells: Farewells,
    warnings: LogLimit,
    /// Connections to be flushed in this turn, each once, and farewells.
    touched: Vec<ConnectionId>,
    /// Empty between turns; kept for its memory.
    completions: Vec<Completion<Port::Socket, Transmit>>,
    /// Last: what holds sockets is dropped before the port.
    io: Io<Port>,
}

impl<Port: CompletionPort<Batch = Transmit>, H: Handler> Driver<Port, H> {
    pub(crate) fn new(port: Port, handler: H, parts: Parts<Port::Socket>) -> Self {
        let Parts { config, options, server, gate, crew, inbox, directory, directories, domain, .. } = parts;
        let Parts { draw_seed, draw_random, .. } = parts;
        // The gate counts connections. Beyond what they may hold together there is room for those who are told that there is none.
        let reserve = server.limits.refusals as usize * 4096;
        let buffered = server.limits.buffered.saturating_add(reserve);
        let limits = TableLimits { connections: u32::MAX, handshakes: u32::MAX, buffered };
        let limits = limits.validate().expect("no less than what is valid");
        let service = Service::new(server, gate, Clients::new(domain), draw_random);
        Self {
            config,
            options,
            crew,
            inbox,
            directory,
            directories,
            domain,
            draw_seed,
            handler,
            service,
            now: Instant::ZERO + port.now(),
            phase: Phase::Running,
            ended_before: ShutdownReport::default(),
            table: ConnectionTable::with_limits(domain, limits),
            warnings: LogLimit::default(),
            acceptors: Vec::new(),
            farewells: Farewells::default(),
            touched: Vec::new(),
            completions: Vec::new(),
            io: Io {
                buffers: Buffers::default(),
                outstanding: 0,
                waits: 0,
                alarms: Alarms::default(),
                largest_send: options.largest_send as usize,
                send_ahead: options.send_ahead as usize,
                port,
            },
        }
    }

    /// Runs until it was shut down. Says how the connections ended since then.
    pub(crate) fn run(mut self) -> ShutdownReport {
        Inbox::own();
        loop {
            if let Some(report) = self.outcome() {
                return report;
            }
            if let Err(error) = self.turn(Some(self.timeout())) {
                tracing::error!(%error, "the completion port is unusable");
                self.cut();
                self.flush_touched();
                return self.report();
            }
        }
    }

    /// How long the next wait may take. There is always an end: a thread whose wake found no memory is waiting for it.
    pub(crate) fn timeout(&self) -> Duration {
        let now = Instant::ZERO + self.io.port.now();
        if self.service.desk.groups.is_busy() {
            return Duration::ZERO;
        }
        let deadlines = [
            self.table.poll_timeout(),
            self.farewells.deadline(),
            self.io.alarms.deadline(),
            self.service.desk.timers.deadline(),
            self.service.clients.deadline(),
            self.acceptors.iter().filter_map(Acceptor::deadline).min(),
            self.phase.deadline(),
        ];
        deadlines.into_iter().flatten().min().map_or(LONGEST_WAIT, |deadline| (deadline - now).min(LONGEST_WAIT))
    }

    /// One turn.
    ///
    /// # Errors
    ///
    /// The port is unusable.
    pub(crate) fn turn(&mut self, timeout: Option<Duration>) -> Result<(), SystemError> {
        self.complete(timeout)?;
        let judged_at = self.now;
        let deadlines = [self.table.poll_timeout(), self.farewells.deadline()];
        if deadlines.into_iter().flatten().any(|deadline| deadline <= judged_at) {
            // What can be read may be what the deadline waits for. This ends: nothing is posted meanwhile but one receive where
            // there is something to receive.
            while self.complete(Some(Duration::ZERO))? {}
        }
        // Behind the last wait, which may have taken the message of the waker out of the port.
        self.take_arrivals();
        self.obey();
        self.pass_time(judged_at);
        self.deliver_to_groups();
        self.flush_touched();
        self.finish_at_once();
        self.crew.note(self.table.len());
        self.inbox.budget.note(self.table.buffered());
        self.post_accepts();
        Ok(())
    }

    /// Waits for completions and handles them. Returns whether operations were among them: threads that keep waking this one
    /// would else keep it waiting.
    fn complete(&mut self, timeout: Option<Duration>) -> Result<bool, SystemError> {
        let mut completions = std::mem::take(&mut self.completions);
        let waited = match self.io.port.wait(timeout, &mut completions) {
            Err(error) if error.is_shortage() => {
                self.io.port.rest(back_off(0));
                Ok(())
            }
            other => {
                self.io.waits += 1;
                other
            }
        };
        self.now = Instant::ZERO + self.io.port.now();
        let any = completions.iter().any(|completion| !matches!(completion, Completion::Woken));
        for completion in completions.drain(..) {
            self.handle(completion);
        }
        self.completions = completions;
        waited.map(|()| any)
    }

    /// Handles what was done at once, and what follows from that, as often as the budget says.
    fn finish_at_once(&mut self) {
        for _ in 0..self.options.skip_on_success.map_or(0, NonZeroU32::get) {
            let mut completions = std::mem::take(&mut self.completions);
            self.io.port.take_done(&mut completions);
            let is_over = completions.is_empty();
            for completion in completions.drain(..) {
                self.handle(completion);
            }
            self.completions = completions;
            if is_over {
                break;
            }
            // Each posts at most one send and one receive.
            self.flush_touched();
        }
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
            Completion::Readable { token, outcome } => {
                self.io.outstanding -= 1;
                self.readable(self.id(token), outcome);
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

    /// Lets time come to the moment up to which everything was read: a receive that came back since is not posted again
    /// yet, and what may have arrived behind it is not known.
    fn pass_time(&mut self, judged_at: Instant) {
        while let Some(id) = self.table.handle_timeout(judged_at) {
            if let Some(mut connection) = self.table.get_mut(id) {
                // What has become due does not wait to be joined with anything.
                connection.data().joins_until = None;
            }
            self.touch(id);
        }
        self.pass_farewell_time(judged_at);
        while let Some(token) = self.io.alarms.expire(self.now) {
            self.touch(self.id(token));
        }
        self.pass_timers();
        self.pass_tries();
        if self.phase.deadline().is_some_and(|deadline| deadline <= self.now) {
            self.end_phase();
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
        self.crew.leave();
        self.inbox.close();
        for mailbox in self.directory.clear() {
            mailbox.shut();
        }
        let Self { service, table, farewells, now, .. } = self;
        for id in table.ids().collect::<Vec<_>>() {
            if let Some(mut entry) = table.get_mut(id) {
                let (connection, peer) = entry.parts();
                connection.abort(*now);
                service.gone(connection, peer, *now);
                // The other threads take as many more.
                peer.pass.take().into_iter().for_each(|pass| service.gate.leave(pass));
            }
        }
        // Those whose operations never came back.
        for id in farewells.ids() {
            if let Some((connection, peer)) = table.retired_parts_mut(id) {
                service.gone(connection, peer, *now);
                peer.pass.take().into_iter().for_each(|pass| service.gate.leave(pass));
            }
        }
    }
}
