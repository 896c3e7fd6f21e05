//! One connection, as everybody has it who does something with it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pulsewire_protocol::{Connection, ConnectionId, Shutdown};
use tokio::runtime::Handle;

use crate::clock::Clock;
use crate::driver::{Driver, Receiving};
use crate::farewell::Farewell;
use crate::keeper::Times;
use crate::registry::Registry;
use crate::stream::Below;

/// What the receiving task and the senders of a connection share.
pub(crate) struct Shared {
    pub(crate) id: ConnectionId,
    pub(crate) clock: Clock,
    /// Where the connection goes on when its task does not.
    pub(crate) runtime: Handle,
    registry: Weak<Registry>,
    driver: Mutex<Driver>,
}

impl Shared {
    pub(crate) fn new(
        id: ConnectionId,
        clock: Clock,
        registry: &Arc<Registry>,
        connection: Connection,
        below: Below,
    ) -> Self {
        let driver = Driver::new(connection, below);
        let registry = Arc::downgrade(registry);
        Self { id, clock, runtime: Handle::current(), registry, driver: Mutex::new(driver) }
    }

    /// The keeper looks whether the receiving task is away, and does what that can't. Returns whether it is to look again.
    pub(crate) fn look_after(&self, times: Times, registry: &Arc<Registry>) -> bool {
        let mut driver = self.lock();
        let now = self.clock.now();
        let since = match driver.receiving {
            Receiving::Here => {
                // Until it has nothing to do.
                driver.watched = driver.runs();
                return driver.watched;
            }
            Receiving::Away { since: Some(since) } => since,
            Receiving::Away { since: None } => {
                driver.receiving = Receiving::Away { since: Some(now) };
                return true;
            }
        };
        let away = now - since;
        driver.keep(&self.clock, now, times, away >= times.away);
        let over = driver.connection.is_over();
        if over {
            self.say_farewell(registry, &mut driver);
        }
        !over
    }

    /// The connection is over: its id dies before the socket is closed (PW-CK-005), and its last words are said in the background.
    pub(crate) fn say_farewell(&self, registry: &Arc<Registry>, driver: &mut Driver) {
        let parting = registry.part(self.id);
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
        if let Some(registry) = self.registry.upgrade() {
            // The id dies before the socket is closed (PW-CK-005).
            registry.remove(self.id);
        }
        driver.cut();
    }

    /// The receiving task is not in `recv` any more: the keeper looks after the connection until it is back.
    pub(crate) fn watch(&self, driver: &mut Driver) {
        if driver.begin_watch()
            && let Some(registry) = self.registry.upgrade()
        {
            registry.keeper.watch(self.id, &registry, &self.runtime);
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Driver> {
        // Nothing panics while it is held, and the machine is consistent after each call.
        self.driver.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
