//! The oracle: a complete and simple implementation of the specification, which can be told to misbehave.
//!
//! Without a bug it must pass every case; with one, the suite must catch it. It owns nothing in common with any real
//! implementation but the text of the specification.

mod bug;
mod connection;
#[cfg(any(test, feature = "driven"))]
mod driven;
mod fault;
mod framing;
mod greeting;
mod heartbeat;
mod limit;
mod link;
mod messages;
mod outgoing;
mod running;
mod table;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub use bug::Bug;
#[cfg(any(test, feature = "driven"))]
pub use driven::{Delivered, Driven};

use crate::profile::Profile;
use crate::random::Random;
use crate::subject::{Running, Subject, SubjectError};

/// The oracle as a subject.
pub struct Oracle {
    name: String,
    bug: Option<Bug>,
    /// Seeds for its servers and clients; without it they are unpredictable, as PW-KEY-004 has it.
    seeds: Option<Mutex<Random>>,
    in_memory: bool,
    /// Whether it pauses often without being asked, as a side may that does not keep up with what comes.
    pauses: bool,
    /// Tells the servers and clients apart.
    next_domain: AtomicU32,
}

impl Oracle {
    /// An oracle that follows the specification.
    #[must_use]
    pub fn clean() -> Self {
        Self::new("oracle:none".into(), None)
    }

    /// An oracle with one bug.
    #[must_use]
    pub fn with_bug(bug: Bug) -> Self {
        Self::new(format!("oracle:{}", bug.name()), Some(bug))
    }

    fn new(name: String, bug: Option<Bug>) -> Self {
        Self { name, bug, seeds: None, in_memory: false, pauses: false, next_domain: AtomicU32::new(1) }
    }

    /// The same oracle with the same sync keys in every run, so that transcripts can be compared.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seeds: Some(Mutex::new(Random::from_seed(seed))), ..self }
    }

    /// The same oracle in memory and virtual time: it takes little time, and its steps have the same times in every run.
    #[must_use]
    pub fn in_memory(self) -> Self {
        Self { name: self.name.replacen("oracle:", "oracle-in-memory:", 1), in_memory: true, ..self }
    }

    /// The same oracle, but one that pauses for a moment behind each large packet of a message: a lawful habit, which no case may hold against it
    /// (PW-HB-019).
    #[must_use]
    pub fn pausing(self) -> Self {
        Self { pauses: true, ..self }
    }

    fn behaviour(&self, profile: &Profile) -> Arc<Behaviour> {
        let random = || match &self.seeds {
            Some(seeds) => Random::from_seed(seeds.lock().unwrap_or_else(PoisonError::into_inner).next_u64()),
            None => Random::from_entropy(),
        };
        let domain = self.next_domain.fetch_add(1, Ordering::Relaxed);
        let behaviour = Behaviour::new(profile.clone(), self.bug, domain, random(), random());
        Arc::new(Behaviour { pauses: self.pauses, ..behaviour })
    }
}

impl Subject for Oracle {
    fn name(&self) -> &str {
        &self.name
    }

    fn serve(&self, profile: &Profile) -> Result<Box<dyn Running>, SubjectError> {
        Ok(Box::new(running::serve(self.behaviour(profile))?))
    }

    fn connect(&self, profile: &Profile, address: SocketAddr) -> Result<Box<dyn Running>, SubjectError> {
        Ok(Box::new(running::connect(self.behaviour(profile), address)?))
    }

    fn seeded(&self, seed: u64) -> Option<Arc<dyn Subject>> {
        let fresh = Self { in_memory: self.in_memory, pauses: self.pauses, ..Self::new(self.name.clone(), self.bug) };
        Some(Arc::new(fresh.with_seed(seed)))
    }

    fn in_memory(&self) -> bool {
        self.in_memory
    }

    fn is_complete(&self) -> bool {
        // Wine hides a reset from whoever does not wait in a read at that moment (PW-TCP-004).
        self.bug.is_none() && (self.in_memory || cfg!(not(windows)))
    }
}

/// The numbers, the bug and the random sources of one server or client.
struct Behaviour {
    profile: Profile,
    bug: Option<Bug>,
    /// Whether it pauses without being asked.
    pauses: bool,
    /// Of all its connections' ids.
    domain: u32,
    /// Apart from the jitter, which is drawn in an order that depends on time.
    keys: Mutex<Random>,
    jitter: Mutex<Random>,
    /// Only a bug looks at it.
    frame_limit_of_last_peer: AtomicU32,
}

impl Behaviour {
    fn new(profile: Profile, bug: Option<Bug>, domain: u32, keys: Random, jitter: Random) -> Self {
        let (keys, jitter) = (Mutex::new(keys), Mutex::new(jitter));
        Self { profile, bug, pauses: false, domain, keys, jitter, frame_limit_of_last_peer: AtomicU32::new(0) }
    }

    /// Whether it has this bug.
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn sync_key(&self) -> u32 {
        if self.has(Bug::FixedSyncKey) {
            return 0x5EED_5EED;
        }
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).sync_key()
    }

    /// A fraction from 0 to 1.
    fn fraction(&self) -> f64 {
        self.jitter.lock().unwrap_or_else(PoisonError::into_inner).fraction()
    }
}
