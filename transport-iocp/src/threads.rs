//! The I/O threads of an endpoint, each with its port, its connections and its handler.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use pulsewire_policy::ShutdownReport;
use pulsewire_policy::server::{ServerConfig, ValidServerConfig};
use pulsewire_protocol::{Seed, ValidConfig};

use crate::crew::Crew;
use crate::directory::{Directories, Directory};
use crate::driver::{Driver, Parts};
use crate::handler::Handler;
use crate::inbox::{Command, Inbox};
use crate::owner::OwnerThread;
use crate::port::CompletionPort;
use crate::shared_gate::SharedGate;
use crate::socket_options::SocketOptions;
use crate::sys::{Marks, SystemPort};

/// How long a thread has to cut what is left when patience is over.
const GRACE: Duration = Duration::from_secs(1);

/// One of them.
struct IoThread {
    /// Part of the ids of its connections.
    domain: u32,
    inbox: Arc<Inbox>,
    thread: OwnerThread<ShutdownReport>,
}

/// All of them. Dropping this cuts all connections, and waits for a second at most.
pub(crate) struct Threads {
    /// Empty once they were waited for.
    threads: Vec<IoThread>,
    /// Whose turn it is to begin a connection.
    turn: AtomicUsize,
}

impl Threads {
    /// Starts one for each handler. The first one accepts for all.
    pub(crate) fn start<H: Handler>(
        config: &ValidConfig,
        options: SocketOptions,
        server: &ValidServerConfig,
        handlers: Vec<H>,
    ) -> io::Result<(Self, Arc<Directories>)> {
        // Ids of one thread mean nothing to another, for the first 2^32 of them.
        static NEXT_DOMAIN: AtomicU32 = AtomicU32::new(1);
        let server = share(server, handlers.len())?;
        let gate = SharedGate::new(ServerConfig::from(server.clone()).limits);
        let marks = options.traffic_type.map(Marks::open).transpose()?;
        // One clock, by which the gate counts how many come in a second.
        let began = Instant::now();
        let ports =
            handlers.iter().map(|_| SystemPort::with_clock(began, marks.clone())).collect::<Result<Vec<_>, _>>()?;
        let inboxes: Vec<_> =
            ports.iter().map(|port| Arc::new(Inbox::new(port.waker(), server.limits.buffered))).collect();
        let directories = Arc::new(Directories(handlers.iter().map(|_| Arc::new(Directory::default())).collect()));
        let mut threads = Self { threads: Vec::new(), turn: AtomicUsize::new(0) };
        let crews = Crew::of(inboxes.iter().cloned());
        let places = crews.into_iter().zip(inboxes).zip(&directories.0);
        for ((port, handler), ((crew, inbox), directory)) in ports.into_iter().zip(handlers).zip(places) {
            let domain = NEXT_DOMAIN.fetch_add(1, Ordering::Relaxed);
            let parts = Parts {
                config: config.clone(),
                options,
                server: server.clone(),
                gate: gate.clone(),
                crew,
                inbox: Arc::clone(&inbox),
                directory: Arc::clone(directory),
                directories: Arc::clone(&directories),
                domain,
                draw_seed: Box::new(draw_seed),
                // It spreads load, and nothing depends on it: without random numbers all get the same.
                draw_random: Box::new(|| getrandom::u64().unwrap_or(0)),
            };
            let driver = Driver::new(port, handler, parts);
            let thread = OwnerThread::start(|| driver.run())?;
            threads.threads.push(IoThread { domain, inbox, thread });
        }
        Ok((threads, directories))
    }

    /// The inboxes, that of the thread first that accepts.
    pub(crate) fn inboxes(&self) -> impl Iterator<Item = &Arc<Inbox>> {
        self.threads.iter().map(|thread| &thread.inbox)
    }

    /// Asks the thread that accepts.
    pub(crate) fn ask_first<T>(&self, command: impl FnOnce(SyncSender<io::Result<T>>) -> Command) -> io::Result<T> {
        self.ask(self.threads.first(), command)
    }

    /// Asks the thread whose turn it is.
    pub(crate) fn ask_next<T>(&self, command: impl FnOnce(SyncSender<io::Result<T>>) -> Command) -> io::Result<T> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.ask(self.threads.get(turn % self.threads.len().max(1)), command)
    }

    /// Asks the thread of this domain. `None`: there is none.
    pub(crate) fn ask_of<T>(
        &self,
        domain: u32,
        command: impl FnOnce(SyncSender<io::Result<T>>) -> Command,
    ) -> Option<io::Result<T>> {
        let thread = self.threads.iter().find(|thread| thread.domain == domain)?;
        Some(self.ask(Some(thread), command))
    }

    /// Asks all of them.
    pub(crate) fn ask_all<T>(&self, command: impl Fn(SyncSender<io::Result<T>>) -> Command) -> io::Result<Vec<T>> {
        self.threads.iter().map(|thread| self.ask(Some(thread), &command)).collect()
    }

    fn ask<T>(
        &self,
        thread: Option<&IoThread>,
        command: impl FnOnce(SyncSender<io::Result<T>>) -> Command,
    ) -> io::Result<T> {
        if self.is_current() {
            return Err(io::ErrorKind::Deadlock.into());
        }
        let Some(thread) = thread else { return Err(io::ErrorKind::NotConnected.into()) };
        let (answer, answered) = sync_channel(1);
        thread.inbox.push(command(answer));
        answered.recv().unwrap_or_else(|_| Err(io::ErrorKind::NotConnected.into()))
    }

    /// Whether the caller is one of them.
    fn is_current(&self) -> bool {
        self.threads.iter().any(|thread| thread.thread.is_current())
    }

    /// Ends them, and sums up what they report.
    pub(crate) fn stop(&mut self, drain: Duration, patience: Duration) -> io::Result<ShutdownReport> {
        let is_current = self.is_current();
        let threads = std::mem::take(&mut self.threads);
        if threads.is_empty() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        for thread in &threads {
            thread.inbox.push(Command::ShutDown { drain, patience });
        }
        if is_current {
            // The handler owned the endpoint. The threads end by themselves when it returns.
            return Err(io::ErrorKind::Deadlock.into());
        }
        let (began, most) = (Instant::now(), drain.saturating_add(patience).saturating_add(GRACE));
        let mut sum = Ok(ShutdownReport::default());
        for thread in threads {
            let ended = match thread.thread.join(most.saturating_sub(began.elapsed())) {
                Some(Ok(report)) => Ok(report),
                // A fault of the driver, which has been printed.
                Some(Err(_)) => Err(io::Error::other("the thread of the endpoint panicked")),
                None => {
                    tracing::warn!("the handler does not return; its thread is left to end alone");
                    Err(io::Error::new(io::ErrorKind::TimedOut, "the handler does not return"))
                }
            };
            match (&mut sum, ended) {
                (Ok(sum), Ok(report)) => *sum += report,
                (Ok(_), Err(error)) => sum = Err(error),
                (Err(_), _) => {}
            }
        }
        sum
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let _nobody_asks = self.stop(Duration::ZERO, Duration::ZERO);
    }
}

/// What each of so many threads goes by: memory and checks of admission are its own, and the rest is counted for all together.
fn share(server: &ValidServerConfig, threads: usize) -> io::Result<ValidServerConfig> {
    if threads == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an endpoint needs a handler"));
    }
    let mut share = ServerConfig::from(server.clone());
    share.limits.buffered /= threads;
    share.admission.at_once = share.admission.at_once.div_ceil(u32::try_from(threads).unwrap_or(u32::MAX));
    share.validate().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

/// Random numbers that third parties can't predict (PW-KEY-004).
fn draw_seed() -> io::Result<Seed> {
    let mut random = [0; 12];
    getrandom::fill(&mut random)?;
    Ok(Seed::from_bytes(random))
}
