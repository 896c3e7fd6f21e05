//! One connection of the oracle without sockets, threads and clocks: bytes and time come in, bytes and happenings come out.
//!
//! Behind the feature `driven`, which is for tools of this project that compare an implementation with the oracle, such as the
//! fuzz target `differential`. It is no part of the API that is kept stable.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Behaviour;
use super::connection::{Connection, Pipe};
use super::table::Table;
use crate::clock;
use crate::peer::Message;
use crate::profile::Profile;
use crate::random::Random;
use crate::role::Role;
use crate::subject::{Command, Happening, Id, Reply, SubjectError};

/// A message that the application of the connection got. It is not returned, as the oracle under test does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The class.
    pub class: u8,
    /// The mark ENCRYPTED.
    pub encrypted: bool,
    /// The payload.
    pub payload: Vec<u8>,
}

/// The connection. Times are since it began, and never go back.
pub struct Driven {
    connection: Connection,
    table: Arc<Table>,
    pipe: Pipe,
    begun: Instant,
    /// Happenings that were taken.
    told: usize,
}

impl Driven {
    /// A connection that begins now; a client has HELLO to send.
    ///
    /// Jitter is drawn from a fixed seed: there is none if the peer's PING_FLOOR is `idle` or more (PW-HB-005).
    #[must_use]
    pub fn new(role: Role, profile: Profile, sync_key: u32) -> Self {
        let behaviour = Arc::new(Behaviour::new(profile, None, 1, Random::from_seed(1), Random::from_seed(1)));
        let table = Arc::new(Table::new(Arc::clone(&behaviour)));
        let (pipe, begun) = (Pipe::default(), clock::now());
        let mut greeting = behaviour.greeting();
        greeting.sync_key = sync_key;
        let mut connection =
            Connection::new(Box::new(pipe.clone()), role, greeting, behaviour, Arc::clone(&table), begun);
        connection.keep_messages();
        Self { connection, table, pipe, begun, told: 0 }
    }

    /// Bytes came, one at least. [`settle`](Self::settle) has to follow at the same time.
    pub fn receive(&mut self, bytes: &[u8], now: Duration) {
        self.connection.receive(bytes, self.begun + now);
    }

    /// The peer ended its direction of the stream.
    pub fn stream_ended(&mut self) {
        self.connection.stream_ended();
    }

    /// The application wants something of the connection with this id.
    ///
    /// # Errors
    ///
    /// As [`Running::control`](crate::subject::Running::control).
    pub fn control(&mut self, command: impl FnOnce(Id) -> Command) -> Result<Reply, SubjectError> {
        self.table.control(command(self.connection.id()))
    }

    /// Does all that is due, and gives the bytes to write: the transport takes everything.
    pub fn settle(&mut self, now: Duration) -> Vec<u8> {
        let now = self.begun + now;
        let mut written = Vec::new();
        // As the oracle with sockets: behind its end nothing is done.
        while !self.connection.is_gone() {
            self.connection.obey_application(now);
            self.connection.send(now);
            self.connection.check_deadlines(now);
            self.connection.send(now);
            let more = self.pipe.with(|taken| std::mem::take(&mut taken.bytes));
            if more.is_empty() {
                break;
            }
            written.extend(more);
        }
        written
    }

    /// The messages that came since this was asked last.
    pub fn take_messages(&mut self) -> Vec<Delivered> {
        let kept = self.connection.take_kept().into_iter();
        kept.map(|Message { class, encrypted, payload }| Delivered { class, encrypted, payload }).collect()
    }

    /// What else the application was told since this was asked last.
    pub fn take_happenings(&mut self) -> Vec<Happening> {
        let Ok(Reply::Events(events)) = self.table.control(Command::Events) else { return Vec::new() };
        let new: Vec<Happening> = events.into_iter().skip(self.told).map(|event| event.what).collect();
        self.told += new.len();
        new
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Driven;
    use crate::codec::registry::{kind, reason};
    use crate::codec::{Close, Hello, Packet, encode_items};
    use crate::peer::Message;
    use crate::profile::Profile;
    use crate::role::Role;
    use crate::subject::{CloseFrame, Command, Happening, Reply};

    const KEY: u32 = 7;

    /// HELLO of a client whose floor takes the jitter away.
    fn hello(profile: &Profile) -> Vec<u8> {
        let ping_floor = u32::try_from(profile.idle.as_millis()).expect("less than a second");
        let peer = Hello {
            lowest_version: 1,
            highest_version: 1,
            sync_key: 9,
            frame_limit: 512,
            message_limit: 512,
            ping_floor,
            resync: false,
        };
        Packet::control(kind::HELLO, encode_items(&peer.to_items())).encode(0)
    }

    /// A server whose handshake is complete, and that draws no jitter.
    fn greeted() -> (Driven, Profile) {
        let profile = Profile::brisk();
        let mut driven = Driven::new(Role::Server, profile.clone(), KEY);
        driven.receive(&hello(&profile), Duration::ZERO);
        assert!(!driven.settle(Duration::ZERO).is_empty(), "HELLO_ACK");
        (driven, profile)
    }

    #[test]
    fn behind_a_fault_of_the_peer_hello_ack_goes_out_no_more() {
        let profile = Profile::brisk();
        let mut driven = Driven::new(Role::Server, profile.clone(), KEY);
        let close = Close::from_frame(&CloseFrame::from(reason::BAD_PACKET), 0).to_packet().encode(KEY);
        driven.receive(&[hello(&profile), close].concat(), Duration::ZERO);
        assert!(driven.settle(Duration::ZERO).is_empty(), "PW-CLS-009");
    }

    /// Suspect, because a PING stayed unanswered; and when.
    fn suspect() -> (Driven, Duration) {
        let (mut driven, profile) = greeted();
        let now = profile.idle + profile.idle.max(profile.interval);
        driven.settle(profile.idle);
        driven.settle(now);
        assert_eq!(driven.take_happenings(), [Happening::Suspect]);
        (driven, now)
    }

    #[test]
    fn the_end_is_told_last_although_the_peer_was_suspect() {
        let (mut driven, now) = suspect();
        driven.receive(&Close::from_frame(&CloseFrame::from(1), 0).to_packet().encode(KEY), now);
        driven.settle(now);
        let told = driven.take_happenings();
        assert!(
            matches!(told[..], [Happening::Closing(_), Happening::Recovered, Happening::Closed { .. }]),
            "{told:?}"
        );
    }

    #[test]
    fn a_packet_that_is_a_fault_is_evidence() {
        let (mut driven, now) = suspect();
        driven.receive(&Packet::pong(99).encode(KEY), now);
        driven.settle(now);
        let told = driven.take_happenings();
        assert!(matches!(told[..], [Happening::Recovered, Happening::Closed { .. }]), "{told:?}");
    }

    #[test]
    fn a_pause_of_its_own_is_no_evidence_of_its_peer() {
        let (mut driven, now) = suspect();
        for command in [Command::Pause, Command::Resume] {
            assert_eq!(driven.control(command), Ok(Reply::Done));
            driven.settle(now);
        }
        assert_eq!(driven.take_happenings(), []);
        driven.receive(&Packet::ping(1).encode(KEY), now);
        driven.settle(now);
        assert_eq!(driven.take_happenings(), [Happening::Recovered]);
    }

    #[test]
    fn idle_starts_anew_after_its_own_pause_although_the_pause_of_the_peer_ended_before() {
        let (mut driven, profile) = greeted();
        let (pause, later) = (profile.idle, profile.idle * 4);
        let milliseconds = u32::try_from(pause.as_millis()).expect("less than a second");
        driven.receive(&Packet::busy(milliseconds).encode(KEY), Duration::ZERO);
        assert_eq!(driven.control(Command::Pause), Ok(Reply::Done));
        driven.settle(Duration::ZERO);
        driven.settle(later);
        assert_eq!(driven.control(Command::Resume), Ok(Reply::Done));
        assert_eq!(driven.settle(later), Packet::busy(0).encode(9), "no PING");
        let ping = Packet::ping(1).encode(9);
        assert_eq!(driven.settle(later + profile.idle), ping);
    }

    #[test]
    fn an_answer_is_measured_although_a_message_came_first() {
        let (mut driven, profile) = greeted();
        let [wait, late] = [profile.idle.max(profile.interval), Duration::from_millis(150)];
        driven.settle(profile.idle);
        let now = profile.idle + late;
        let message = Message::new(0, Vec::new()).frames(512).remove(0);
        driven.receive(&[message.encode(KEY), Packet::pong(1).encode(KEY)].concat(), now);
        driven.settle(now);
        // The next PING has `srtt + 4 * rttvar`: three times the first measurement.
        driven.settle(now + profile.idle);
        driven.settle(now + profile.idle + wait);
        assert_eq!(driven.take_happenings(), []);
        driven.settle(now + profile.idle + late * 3);
        assert_eq!(driven.take_happenings(), [Happening::Suspect]);
    }
}
