//! The limits on those who come in, which hold for all threads of an endpoint together.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pulsewire_policy::server::{Gate, Occupancy, Pass, Refused, ServerLimits};
use pulsewire_protocol::Instant;

/// A gate that several threads have. It is asked at the begin and end of a connection, not for a message.
#[derive(Clone, Debug)]
pub(crate) struct SharedGate(Arc<Mutex<Gate>>);

impl SharedGate {
    pub(crate) fn new(limits: ServerLimits) -> Self {
        Self(Arc::new(Mutex::new(Gate::new(limits))))
    }

    fn lock(&self) -> MutexGuard<'_, Gate> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn admit(&self, now: Instant, address: IpAddr) -> Result<Pass, Refused> {
        self.lock().admit(now, Some(address))
    }

    pub(crate) fn refuse(&self) -> Option<Pass> {
        self.lock().refuse()
    }

    pub(crate) fn established(&self, pass: &mut Pass) {
        self.lock().established(pass);
    }

    pub(crate) fn leave(&self, pass: Pass) {
        self.lock().leave(pass);
    }

    pub(crate) fn occupancy(&self) -> Occupancy {
        self.lock().occupancy()
    }
}
