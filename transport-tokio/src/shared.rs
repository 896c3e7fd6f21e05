//! One connection, as everybody has it who does something with it.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pulsewire_policy::Traffic;
use pulsewire_protocol::{
    Connection, ConnectionId, Instant, Message, PreparedMessage, Role, SendError, SendRefused, Shutdown,
};
use tokio::runtime::Handle;

use crate::clock::Clock;
use crate::driver::{Driver, Receiving};
use crate::farewell::Farewell;
use crate::keeper::{Keeper, Times};
use crate::registry::Registry;
use crate::stream::Below;

/// What the receiving task and the senders of a connection share.
pub(crate) struct Shared {
    pub(crate) id: ConnectionId,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) role: Role,
    /// When it began. The system's time: tokio may have none any more when a connection ends.
    #[cfg(feature = "metrics")]
    began: std::time::Instant,
    /// Where the connection goes on when its task does not.
    pub(crate) runtime: Handle,
    keeper: Arc<Keeper>,
    /// See [`interrupt`](Self::interrupt).
    interrupted: AtomicBool,
    /// Nobody waits for its last words.
    was_cut: AtomicBool,
    driver: Mutex<Driver>,
}

impl Shared {
    pub(crate) fn new(
        id: ConnectionId,
        peer: Option<SocketAddr>,
        registry: &Arc<Registry>,
        connection: Connection,
        below: Below,
    ) -> Self {
        let keeper = Arc::clone(&registry.keeper);
        let role = connection.role();
        let driver = Driver::new(connection, below);
        let (interrupted, was_cut) = (AtomicBool::new(false), AtomicBool::new(false));
        Self {
            id,
            peer,
            role,
            #[cfg(feature = "metrics")]
            began: std::time::Instant::now(),
            runtime: Handle::current(),
            keeper,
            interrupted,
            was_cut,
            driver: Mutex::new(driver),
        }
    }

    /// Where somebody counts it: an idle connection has no room for what nobody asks for.
    pub(crate) fn lasted(&self) -> Option<Duration> {
        #[cfg(feature = "metrics")]
        return Some(self.began.elapsed());
        #[cfg(not(feature = "metrics"))]
        None
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.keeper.clock
    }

    /// The keeper is to look at this connection at `time`, or sooner.
    pub(crate) fn plan_look(&self, driver: &mut Driver, time: Instant) {
        if time < driver.planned {
            driver.planned = time;
            self.keeper.look_at(self.id.slot(), time);
        }
    }

    /// The keeper looks: whether a deadline has passed, and after a connection whose task is away.
    pub(crate) fn look_after(&self, times: Times, registry: &Arc<Registry>) {
        let mut driver = self.lock();
        let now = self.clock().now();
        driver.planned = Instant::MAX;
        if driver.joins_until <= now {
            driver.joins_until = Instant::MAX;
            driver.flush_aside(self.clock());
        }
        // A `recv` that lives but is not polled, since its task is in another branch: the task was woken, and did not look.
        if driver.receiving == Receiving::Here && driver.is_reminded() {
            driver.receiving = Receiving::Away { since: Some(now) };
        }
        // A task that is away may come back soon, and then it is the one to judge.
        let deadline = driver.remind(now);
        let next = match driver.receiving {
            Receiving::Here => Some(deadline.unwrap_or(now + times.away)),
            Receiving::Away { since: None } => {
                driver.receiving = Receiving::Away { since: Some(now) };
                Some(now + times.look)
            }
            Receiving::Away { since: Some(since) } => driver.keep(self.clock(), now, times, now - since >= times.away),
        };
        // Where it was away for so long that it pauses, the peer knows.
        if driver.receiving != Receiving::Here {
            driver.reassure_if_behind(self.clock(), now, times);
        }
        if driver.connection.is_over() {
            self.say_farewell(registry, &mut driver);
        } else {
            let next = next.map_or(driver.joins_until, |next| next.min(driver.joins_until));
            self.plan_look(&mut driver, next);
        }
    }

    /// Writes what a handler left to be joined, before it began to wait.
    pub(crate) fn flush_left(&self) {
        let mut driver = self.lock();
        if std::mem::take(&mut driver.left) {
            driver.flush_aside(self.clock());
        }
    }

    /// Something waits to be joined with what follows. What does not follow in time is written by the keeper.
    pub(crate) fn leave_to_join(&self, driver: &mut Driver) {
        if driver.can_write() && !std::mem::replace(&mut driver.left, true) {
            self.keeper.look_soon(self.id.slot());
        }
    }

    /// Queues a message; writes it unless it is to be joined with others.
    #[inline]
    pub(crate) fn send<'p>(&self, driver: &mut Driver, message: Message<'p>) -> Result<NonZeroU64, SendError<'p>> {
        let result = driver.send(self.clock(), self.keeper.joining, message);
        self.join(driver);
        result
    }

    /// As [`send`](Self::send), for a message that goes to many.
    pub(crate) fn send_prepared(
        &self,
        driver: &mut Driver,
        message: &PreparedMessage,
    ) -> Result<NonZeroU64, SendRefused> {
        let result = driver.send_prepared(self.clock(), self.keeper.joining, message);
        self.join(driver);
        result
    }

    #[inline]
    fn join(&self, driver: &mut Driver) {
        if driver.more_input && !driver.left {
            self.leave_to_join(driver);
        }
        if driver.joins_until < Instant::MAX {
            self.plan_look(driver, driver.joins_until);
        }
    }

    /// The application pauses the connection: messages that were taken out of the input already wait too.
    pub(crate) fn pause(&self) {
        self.command(|driver, clock| {
            driver.pause(clock);
            self.interrupt(driver);
        });
    }

    /// Does what the application wants. That may bring a deadline which is earlier than all before, and the receiving task may be away.
    pub(crate) fn command(&self, command: impl FnOnce(&mut Driver, &Clock)) {
        let mut driver = self.lock();
        command(&mut driver, self.clock());
        if let Some(deadline) = driver.connection.poll_timeout() {
            self.plan_look(&mut driver, deadline);
        }
    }

    /// The receiving task has to take the lock before it hands out what was taken out of the input. Said under that lock, so that it
    /// can't find nothing there yet, and go on.
    pub(crate) fn interrupt(&self, _locked: &Driver) {
        self.interrupted.store(true, Ordering::Release);
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }

    /// The receiving task has looked, and may go on.
    pub(crate) fn end_interruption(&self) {
        self.interrupted.store(false, Ordering::Release);
    }

    /// The connection is over: its id dies before the socket is closed (PW-CK-005), and its last words are said in the background.
    pub(crate) fn say_farewell(&self, registry: &Arc<Registry>, driver: &mut Driver) {
        let parting = registry.part(self.id).map(|mut parting| {
            parting.note(driver.report(self.clock().now()), Traffic::of(&driver.connection));
            parting
        });
        if let (Some(parting), Some((below, batch))) = (parting, driver.take_remains())
            && driver.connection.shutdown() != Shutdown::Close
        {
            Farewell::new(below, batch).spawn(parting, &self.runtime);
        }
    }

    /// Cuts the connection if it lives. Returns whether it did.
    pub(crate) fn abort(&self) -> bool {
        let mut driver = self.lock();
        let lives = !driver.connection.is_over();
        if lives {
            self.end(&mut driver);
        }
        lives
    }

    /// Cuts the connection, or what is still being said where it is over, and closes the stream at once, whoever may be waiting for
    /// it.
    pub(crate) fn cut(&self) {
        self.end(&mut self.lock());
    }

    fn end(&self, driver: &mut Driver) {
        // The id dies before the socket is closed (PW-CK-005).
        let parting = self.keeper.registry.upgrade().and_then(|registry| registry.part(self.id));
        self.was_cut.store(true, Ordering::Release);
        self.interrupt(driver);
        let traffic = Traffic::of(&driver.connection);
        let report = driver.cut(self.clock().now());
        if let Some(mut parting) = parting {
            parting.note(report, traffic);
        }
    }

    /// Whether it was cut, be it while its last words were said.
    pub(crate) fn was_cut(&self) -> bool {
        self.was_cut.load(Ordering::Acquire)
    }

    /// The receiving task is not in `recv` any more: the keeper looks after the connection until it is back.
    pub(crate) fn watch(&self, driver: &mut Driver) {
        driver.receiving = Receiving::Away { since: None };
        self.have_kept(driver);
    }

    /// The keeper is to look at this connection as it does at one whose task is away.
    pub(crate) fn have_kept(&self, driver: &mut Driver) {
        self.plan_look(driver, driver.connection.latest() + self.keeper.times.look);
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, Driver> {
        // Nothing panics while it is held, and the machine is consistent after each call.
        self.driver.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
