//! Who answers HELLO: the connection itself, or the application of a server (PW-HS-020).

use alloc::boxed::Box;

use super::state::{Judged, Role, State};
use super::{Connection, VERSION};
use crate::config::{Admission, Damage, Seed};
use crate::error::ProtocolError;
use crate::event::{Established, Event, Request};
use crate::heartbeat::Heartbeat;
use crate::time::{Instant, millis};
use crate::wire::{CloseFrame, CloseReason, Hello, Kind};

impl Connection {
    /// Admits the client that [`Event::Admission`] told of: HELLO_ACK goes out, and `Established` follows. Without such a
    /// client this does nothing.
    pub fn accept(&mut self, now: Instant) {
        let now = self.tick(now);
        match core::mem::replace(&mut self.state, State::Open) {
            State::Judging { judged } => {
                let Judged { seed, hello } = *judged;
                let established = self.establish(now, seed, hello);
                self.waiting.get_or_insert_default().established = Some(established);
            }
            state @ (State::Handshake { .. }
            | State::Open
            | State::Closing { .. }
            | State::PeerClosing { .. }
            | State::BothClosing { .. }
            | State::Over) => self.state = state,
        }
    }

    /// Whether a client waits to be [admitted](Self::accept), of which [`Event::Admission`] told.
    #[must_use]
    pub fn is_judging(&self) -> bool {
        matches!(self.state, State::Judging { .. })
    }

    /// Refuses the client that [`Event::Admission`] told of: CLOSE goes out in place of HELLO_ACK, with the reason
    /// (`REFUSED`, `OVERLOADED`, or one of the application's own), the advice and the text. `Closed` follows. Without such a
    /// client this does nothing.
    ///
    /// A reason that [must not be on the wire](CloseReason::is_on_wire) is taken for `REFUSED`.
    pub fn refuse(&mut self, now: Instant, close: impl Into<CloseFrame>) {
        self.tick(now);
        match &self.state {
            State::Judging { .. } => self.fault(close.into().on_wire_or(CloseReason::REFUSED), None, None),
            State::Handshake { .. }
            | State::Open
            | State::Closing { .. }
            | State::PeerClosing { .. }
            | State::BothClosing { .. }
            | State::Over => {}
        }
    }

    /// The peer's first packet: HELLO or HELLO_ACK (section 7).
    pub(super) fn greeting(
        &mut self,
        now: Instant,
        kind: Kind,
        payload: &[u8],
    ) -> Result<Option<Event<'static>>, ProtocolError> {
        let Some(seed) = self.state.seed() else { return Ok(None) };
        let hello = Hello::decode(kind, payload)?;
        if self.role == Role::Client {
            self.outgoing.encoding.key = hello.sync_key.get();
        }
        self.judge_versions(&hello)?;
        self.judge_timers(now, seed, &hello)?;
        match (self.role, self.config.admission) {
            (Role::Server, Admission::Ask) => {
                let request = request(&hello);
                self.state = State::Judging { judged: Box::new(Judged { seed, hello }) };
                Ok(Some(Event::Admission(Box::new(request))))
            }
            (Role::Server, Admission::Automatic) | (Role::Client, Admission::Ask | Admission::Automatic) => {
                self.state = State::Open;
                Ok(Some(Event::Established(self.establish(now, seed, hello))))
            }
        }
    }

    /// A server answers with the one version that this crate speaks, so the client must know it (PW-HS-003, PW-HS-004); a
    /// client must be given it (PW-HS-015).
    fn judge_versions(&self, hello: &Hello) -> Result<(), ProtocolError> {
        let Hello { version_lowest: lowest, version_highest: highest, .. } = *hello;
        let agreed = match self.role {
            Role::Server => lowest == VERSION,
            Role::Client => lowest == VERSION && highest == VERSION,
        };
        if agreed { Ok(()) } else { Err(ProtocolError::UnsupportedVersion { lowest, highest }) }
    }

    fn judge_timers(&self, now: Instant, seed: Seed, hello: &Hello) -> Result<(), ProtocolError> {
        let bound = Heartbeat::new(now, hello.ping_floor, seed.jitter).bound(&self.config.heartbeat);
        let limit = self.config.heartbeat.detection_limit();
        if bound > limit {
            return Err(ProtocolError::IncompatibleTimers { bound_ms: millis(bound), limit_ms: millis(limit) });
        }
        Ok(())
    }

    /// Takes over what the peer's HELLO says, and answers it with the version chosen where that is this side's turn
    /// (PW-HS-003).
    fn establish(&mut self, now: Instant, seed: Seed, hello: Hello) -> Box<Established> {
        if self.role == Role::Server {
            let answer = self.hello(seed, VERSION, VERSION, None);
            self.outgoing.greet(Kind::HELLO_ACK, answer);
            self.outgoing.encoding.key = hello.sync_key.get();
        }
        self.outgoing.establish(&hello, self.config.limits.frame_sent);
        let resync = self.config.damage == Damage::Resynchronise;
        self.framer.establish(seed.sync_key.get(), resync, self.config.limits.frame);
        let heartbeat = Heartbeat::new(now, hello.ping_floor, seed.jitter);
        let established = Established {
            version: VERSION,
            frame_limit: hello.frame_limit,
            message_limit: hello.message_limit,
            idle: heartbeat.idle(&self.config.heartbeat),
            interval: heartbeat.interval(&self.config.heartbeat),
            token: hello.token,
        };
        self.heartbeat = Some(heartbeat);
        Box::new(established)
    }

    pub(super) fn hello(
        &self,
        seed: Seed,
        version_lowest: u8,
        version_highest: u8,
        token: Option<bytes::Bytes>,
    ) -> Hello {
        Hello {
            version_lowest,
            version_highest,
            sync_key: seed.sync_key,
            frame_limit: self.config.limits.frame,
            message_limit: self.config.limits.message,
            ping_floor: self.config.heartbeat.ping_floor,
            resync: self.config.damage == Damage::Resynchronise,
            token,
        }
    }
}

fn request(hello: &Hello) -> Request {
    Request {
        token: hello.token.clone(),
        version_lowest: hello.version_lowest,
        version_highest: hello.version_highest,
        frame_limit: hello.frame_limit,
        message_limit: hello.message_limit,
        ping_floor: hello.ping_floor,
        resync: hello.resync,
    }
}
