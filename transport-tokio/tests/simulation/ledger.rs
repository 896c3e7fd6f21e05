//! What happened, as all hosts write it down: it outlives their crashes, and judges at once what can be judged at once.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use pulsewire_transport_tokio::Endpoint;
use pulsewire_transport_tokio::protocol::{Class, Closed, ConnectionId, Message, Role, Statistics};
use tokio::runtime::Handle;

/// The classes that are sent. Those of each have an order of their own.
pub(crate) const CLASSES: [Class; 2] = [Class::BUSINESS, Class::SYSTEM];

/// Where a side of a connection stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fate {
    Lives,
    /// Its application got [`Closed`].
    Closed(Box<Closed>),
    /// Its application dropped it.
    Dropped,
    /// Its host crashed.
    Crashed,
}

/// One side of one connection.
#[derive(Debug)]
pub(crate) struct Side {
    /// The client's address, which no other connection of a run has.
    pub(crate) connection: SocketAddr,
    pub(crate) role: Role,
    pub(crate) host: String,
    pub(crate) slot: u32,
    pub(crate) is_established: bool,
    pub(crate) began: Duration,
    pub(crate) ended: Option<Duration>,
    pub(crate) fate: Fate,
    /// Messages of each of [`CLASSES`] that were accepted for sending, and that were received.
    pub(crate) sent: [u64; 2],
    pub(crate) received: [u64; 2],
    /// At the end, where the application saw that.
    pub(crate) statistics: Option<Statistics>,
}

impl Side {
    pub(crate) fn name(&self) -> String {
        format!("{} {:?} {}", self.connection, self.role, self.host)
    }
}

#[derive(Default)]
struct Entries {
    /// Of the simulation, to a step.
    now: Duration,
    sides: Vec<Side>,
    /// Those that crashed and are not noted.
    crashed: Vec<usize>,
    ids: HashSet<ConnectionId>,
    endpoints: Vec<(String, Endpoint)>,
    trace: Vec<String>,
    violations: Vec<String>,
    seen: BTreeMap<String, u64>,
}

#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Entries>>);

/// A side, in the ledger.
#[derive(Clone, Copy)]
pub(crate) struct Key(usize);

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().expect("no panic while it is held")
    }

    pub(crate) fn set_now(&self, now: Duration) {
        self.lock().now = now;
    }

    pub(crate) fn now(&self) -> Duration {
        self.lock().now
    }

    pub(crate) fn note(&self, what: &str) {
        self.lock().note(what);
    }

    pub(crate) fn violation(&self, what: String) {
        let mut entries = self.lock();
        entries.note(&format!("VIOLATION {what}"));
        entries.violations.push(what);
    }

    pub(crate) fn saw(&self, what: &str) {
        *self.lock().seen.entry(what.to_owned()).or_default() += 1;
    }

    pub(crate) fn add_endpoint(&self, host: &str, endpoint: &Endpoint) {
        self.lock().endpoints.push((host.to_owned(), endpoint.clone()));
    }

    pub(crate) fn endpoints(&self) -> Vec<(String, Endpoint)> {
        self.lock().endpoints.clone()
    }

    /// Ids are never used again (PW-CK-001).
    pub(crate) fn begin(&self, connection: SocketAddr, role: Role, host: &str, id: ConnectionId) -> Key {
        let mut entries = self.lock();
        if !entries.ids.insert(id) {
            entries.violations.push(format!("{host}: the id {id:?} was used again"));
        }
        let side = Side {
            connection,
            role,
            host: host.to_owned(),
            slot: id.slot(),
            is_established: false,
            began: entries.now,
            ended: None,
            fate: Fate::Lives,
            sent: [0; 2],
            received: [0; 2],
            statistics: None,
        };
        entries.note(&format!("{} begins in slot {}", side.name(), side.slot));
        entries.sides.push(side);
        Key(entries.sides.len() - 1)
    }

    pub(crate) fn name(&self, Key(key): Key) -> String {
        self.lock().sides[key].name()
    }

    /// Messages of each class that were sent, and received.
    pub(crate) fn counts(&self, Key(key): Key) -> ([u64; 2], [u64; 2]) {
        let side = &self.lock().sides[key];
        (side.sent, side.received)
    }

    pub(crate) fn establish(&self, key: Key) {
        self.lock().sides[key.0].is_established = true;
        self.note_of(key, "established");
    }

    pub(crate) fn note_of(&self, Key(key): Key, what: &str) {
        let mut entries = self.lock();
        let name = entries.sides[key].name();
        entries.note(&format!("{name}: {what}"));
    }

    /// A payload that says between whom it goes, and which of its class it is.
    pub(crate) fn payload(&self, Key(key): Key, class: usize, number: u64, size: usize) -> Vec<u8> {
        let side = &self.lock().sides[key];
        let mut text = String::new();
        write!(text, "{} {:?} {class} {number}|", side.connection, side.role).expect("a string takes all");
        let mut payload = text.into_bytes();
        // No two frames of a message begin at the same place of it.
        let padding: [u8; 251] = std::array::from_fn(|at| (at as u64).wrapping_mul(number + 7) as u8);
        while payload.len() < size {
            let missing = size - payload.len();
            payload.extend_from_slice(&padding[..missing.min(padding.len())]);
        }
        payload
    }

    pub(crate) fn sent(&self, Key(key): Key, class: usize, number: u64) {
        let mut entries = self.lock();
        entries.sides[key].sent[class] = number;
    }

    /// Judges a message: it is the next of its class, of this very connection, and undamaged.
    pub(crate) fn received(&self, key: Key, message: &Message<'_>) {
        let Some(class) = CLASSES.iter().position(|class| *class == message.class) else {
            return self.violation(format!("a message of {:?}, which nobody sends", message.class));
        };
        let (peer, number) = {
            let mut entries = self.lock();
            let (connection, role) = (entries.sides[key.0].connection, entries.sides[key.0].role);
            entries.sides[key.0].received[class] += 1;
            let peer = entries.sides.iter().position(|side| side.connection == connection && side.role != role);
            (peer, entries.sides[key.0].received[class])
        };
        let Some(peer) = peer else {
            return self.violation(format!("a message over a connection whose other side never began: {:?}", message));
        };
        let expected = self.payload(Key(peer), class, number, message.payload.len());
        if *message.payload != expected[..] {
            let head = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
            let (got, expected) = (head(&message.payload), head(&expected));
            self.violation(format!("expected {expected:?}, got {got:?}"));
        }
    }

    /// A side ends with its host. In which order those of a host do is told by nobody, so that is noted later.
    pub(crate) fn crash(&self, Key(key): Key) {
        let mut entries = self.lock();
        let now = entries.now;
        (entries.sides[key].fate, entries.sides[key].ended) = (Fate::Crashed, Some(now));
        entries.crashed.push(key);
    }

    pub(crate) fn note_crashed(&self) {
        let mut entries = self.lock();
        let mut crashed = std::mem::take(&mut entries.crashed);
        crashed.sort_unstable();
        for key in crashed {
            let name = entries.sides[key].name();
            entries.note(&format!("{name} crashes"));
            *entries.seen.entry("crashed".to_owned()).or_default() += 1;
        }
    }

    /// Whether no side lives, and all that was dropped is over.
    pub(crate) fn is_quiet(&self) -> bool {
        let entries = self.lock();
        entries.sides.iter().all(|side| side.fate != Fate::Lives)
            && entries.endpoints.iter().all(|(_, endpoint)| endpoint.connections().is_empty())
    }

    pub(crate) fn end(&self, Key(key): Key, fate: Fate, statistics: Option<Statistics>) {
        let mut entries = self.lock();
        let now = entries.now;
        let side = &mut entries.sides[key];
        let (name, before) = (side.name(), std::mem::replace(&mut side.fate, fate.clone()));
        (side.ended, side.statistics) = (Some(now), statistics);
        let what = match &fate {
            Fate::Lives | Fate::Crashed => unreachable!("no application ends so"),
            Fate::Closed(closed) if closed.orderly => "orderly".to_owned(),
            Fate::Closed(closed) => format!("{:?} {}", closed.origin, closed.reason.name().unwrap_or("?")),
            Fate::Dropped => "dropped".to_owned(),
        };
        entries.note(&format!("{name} ends: {what}"));
        *entries.seen.entry(what).or_default() += 1;
        if let Fate::Closed(closed) = &fate
            && closed.orderly
        {
            let reason = format!("{:?} {}", closed.origin, closed.reason.name().unwrap_or("?"));
            *entries.seen.entry(reason).or_default() += 1;
        }
        if before != Fate::Lives {
            entries.violations.push(format!("{name} ended twice: {before:?}, then {fate:?}"));
        }
    }

    /// Everything, when the run is over.
    pub(crate) fn close(self) -> Ended {
        let entries = std::mem::take(&mut *self.lock());
        Ended { sides: entries.sides, trace: entries.trace, violations: entries.violations, seen: entries.seen }
    }
}

impl Entries {
    fn note(&mut self, what: &str) {
        // To the microsecond where a host runs, else to the step.
        let now = Handle::try_current().ok().and_then(|_| turmoil::sim_elapsed()).unwrap_or(self.now);
        self.trace.push(format!("{:>8} us  {what}", now.as_micros()));
    }
}

pub(crate) struct Ended {
    pub(crate) sides: Vec<Side>,
    pub(crate) trace: Vec<String>,
    pub(crate) violations: Vec<String>,
    pub(crate) seen: BTreeMap<String, u64>,
}
