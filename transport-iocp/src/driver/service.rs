//! What the driver decides by the policies of a server, and what it counts.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use pulsewire_policy::server::{Overload, Pass, Refused, ValidServerConfig};
use pulsewire_policy::{ShutdownReport, Traffic, telemetry};
use pulsewire_protocol::{CloseFrame, CloseReason, Connection, ConnectionId, Instant, Retry};

use crate::clients::Clients;
use crate::handler::Desk;
use crate::shared_gate::SharedGate;
use crate::statistics::EndpointStatistics;

use super::DrawRandom;
use super::peer::Peer;

/// What a connection is told that has come to its longest age.
const AGED: &str = "the connection has come to its longest age; connect again";

/// What becomes of a connection that came in.
pub(super) enum Entrance {
    Open(Pass),
    /// It is to be told so.
    Refused(CloseFrame, Pass),
    /// It is closed without a word.
    Shut,
}

/// Why a connection is not let in.
pub(super) enum Shut {
    Overload(Overload),
    /// All connections together hold as much as they may.
    Memory,
    /// [`Handler::has_room`](crate::Handler::has_room) says no.
    Handler,
}

impl fmt::Display for Shut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overload(why) => why.fmt(formatter),
            Self::Memory => formatter.write_str("the connections of the server hold as much memory as they may"),
            Self::Handler => formatter.write_str("the application has no room for another connection"),
        }
    }
}

/// What is next in the life of a connection that has a longest age.
#[derive(Clone, Copy, Debug)]
pub(super) enum Aging {
    Drain { at: Instant },
    Close { at: Instant },
}

impl Aging {
    pub(super) fn at(self) -> Instant {
        match self {
            Self::Drain { at } | Self::Close { at } => at,
        }
    }
}

/// The policies, and the counts.
pub(super) struct Service {
    pub(super) config: ValidServerConfig,
    pub(super) gate: SharedGate,
    pub(super) statistics: EndpointStatistics,
    /// Clients that do.
    checks: u32,
    random: DrawRandom,
    pub(super) desk: Desk,
    pub(super) clients: Clients,
    /// The endpoint ends: whoever is established from now on is drained at once.
    pub(super) draining: bool,
}

impl Service {
    pub(super) fn new(config: ValidServerConfig, gate: SharedGate, clients: Clients, random: DrawRandom) -> Self {
        Self {
            gate,
            statistics: EndpointStatistics::default(),
            checks: 0,
            random,
            desk: Desk::default(),
            clients,
            draining: false,
            config,
        }
    }

    /// A connection came in. `shut`: why the transport itself does not take it.
    pub(super) fn enter(&mut self, now: Instant, peer: SocketAddr, shut: Option<Shut>) -> Entrance {
        let refused = match shut {
            Some(why) => (why, self.gate.refuse()),
            None => match self.gate.admit(now, peer.ip()) {
                Ok(pass) => return Entrance::Open(pass),
                Err(Refused { why, pass }) => (Shut::Overload(why), pass),
            },
        };
        let (why, pass) = refused;
        match why {
            Shut::Overload(why) => self.statistics.refused.note(why),
            Shut::Memory => self.statistics.refused_memory += 1,
            Shut::Handler => self.statistics.refused_by_handler += 1,
        }
        match pass {
            Some(pass) => Entrance::Refused(self.overloaded(why), pass),
            None => {
                self.statistics.dropped += 1;
                Entrance::Shut
            }
        }
    }

    /// Any number.
    pub(super) fn draw(&mut self) -> u64 {
        (self.random)()
    }

    fn overloaded(&mut self, why: impl fmt::Display) -> CloseFrame {
        let random = (self.random)();
        self.config.limits.overloaded(why, random)
    }

    /// The handshake of a connection is complete. `pass`: of one that came in. Says what its age brings.
    pub(super) fn established(
        &mut self,
        connection: &mut Connection,
        id: ConnectionId,
        pass: Option<&mut Pass>,
        now: Instant,
    ) -> Option<Aging> {
        self.clients.established(id, now);
        self.statistics.established += 1;
        if self.draining {
            connection.drain(now);
        }
        self.gate.established(pass?);
        let lifetime = self.config.lifetime?;
        Some(Aging::Drain { at: now + lifetime.drain_after((self.random)()) })
    }

    /// A connection has come to its age, or to the end of the grace. Says what is next.
    pub(super) fn age(&mut self, connection: &mut Connection, aging: Aging, now: Instant) -> Option<Aging> {
        match aging {
            Aging::Drain { .. } => {
                self.statistics.aged += 1;
                connection.drain(now);
                Some(Aging::Close { at: now + self.config.lifetime?.grace })
            }
            Aging::Close { .. } => {
                let close = CloseFrame::from(CloseReason::GOING_AWAY).with_retry(Retry::After(Duration::ZERO));
                connection.close(now, close.with_text(AGED));
                // Behind its CLOSE a side must read (PW-HB-024).
                connection.resume(now);
                None
            }
        }
    }

    /// The socket of a connection that is over is closed.
    pub(super) fn gone<Socket>(&mut self, connection: &Connection, peer: &Peer<Socket>, now: Instant) {
        let traffic = Traffic::of(connection);
        self.statistics.traffic += traffic;
        let how = ShutdownReport::of(connection);
        let how = if peer.was_cut { how.but_cut() } else { how };
        telemetry::ended(connection.role(), Some(now - peer.began), &how, &traffic);
    }

    /// A client asks to be admitted. Gives the time by which it has to be judged; none, where it was refused, since as many wait as
    /// may.
    pub(super) fn begin_check(&mut self, connection: &mut Connection, now: Instant) -> Option<Instant> {
        if self.checks >= self.config.admission.at_once {
            self.statistics.refused_by_check += 1;
            let close = self.overloaded("the server is checking as many clients as it can");
            connection.refuse(now, close);
            return None;
        }
        self.checks += 1;
        // Where the handshake has less time, it ends by itself (PW-HS-020).
        Some(now + self.config.admission.timeout)
    }

    /// Looks after a client that waits to be judged by a time. Returns whether it goes on to wait.
    pub(super) fn goes_on_to_wait(&mut self, connection: &mut Connection, until: Instant, now: Instant) -> bool {
        if !connection.is_judging() {
            self.end_check();
            return false;
        }
        if until <= now {
            self.statistics.refused_by_check += 1;
            let close = self.overloaded("the server could not check the client in time");
            connection.refuse(now, close);
            self.end_check();
            return false;
        }
        true
    }

    pub(super) fn end_check(&mut self) {
        self.checks -= 1;
    }
}
