//! A connection under watch: every call checks what must hold always.

use std::time::Duration;

use pulsewire_protocol::{
    CloseReason, Closed, Config, Connection, Damage, Disconnect, Event, Instant, Kind, ProtocolError, Role, Seed,
    Shutdown, Transmit,
};

use crate::packets::hello_packet;
use crate::pieces::hello;
use crate::sent::Sent;

/// The key that the peer announces, where it is the harness that announces it.
pub const PEER_KEY: u32 = 0x0BAD_CAFE;

/// Small limits, so that short inputs reach them.
#[must_use]
pub fn config(resync: bool) -> Config {
    let mut config = Config::default();
    config.limits.frame = 8_192;
    config.limits.message = 20_000;
    config.limits.send_queue = 100_000;
    config.damage = if resync { Damage::Resynchronise } else { Damage::Close };
    config
}

/// A connection, its driver, and what came out.
pub struct Watched {
    connection: Connection,
    now: Instant,
    held: Vec<u8>,
    arrived: usize,
    /// All events but `Closed`.
    pub events: Vec<Event<'static>>,
    /// The last event.
    pub closed: Option<Closed>,
    /// The first error.
    pub fault: Option<CloseReason>,
    sent: Sent,
}

impl Watched {
    /// A connection that waits for the peer's first packet.
    #[must_use]
    pub fn new(config: Config, role: Role, key: u32) -> Self {
        let config = config.validate().expect("a valid configuration");
        let [a, b, c, d] = key.to_be_bytes();
        let seed = Seed::from_bytes([a, b, c, d, 1, 2, 3, 4, 5, 6, 7, 8]);
        let connection = match role {
            Role::Client => Connection::client(Instant::ZERO, &config, seed),
            Role::Server => Connection::server(Instant::ZERO, &config, seed),
        };
        Self {
            connection,
            now: Instant::ZERO,
            held: Vec::new(),
            arrived: 0,
            events: Vec::new(),
            closed: None,
            fault: None,
            sent: Sent::default(),
        }
    }

    /// A connection whose handshake is complete, with nothing noted yet.
    #[must_use]
    pub fn greeted(config: Config, role: Role, key: u32, peer_resyncs: bool) -> Self {
        let mut watched = Self::new(config, role, key);
        watched.transmit();
        let kind = if role == Role::Server { Kind::HELLO } else { Kind::HELLO_ACK };
        let hello = hello(PEER_KEY, peer_resyncs);
        watched.receive(&hello_packet(kind, &hello));
        watched.transmit();
        assert!(watched.connection.is_open());
        watched.sent.know_peer(PEER_KEY, hello.frame_limit);
        watched.events.clear();
        watched
    }

    /// The connection itself, for commands.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// The present moment of this run.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    fn note(&mut self, event: Event<'_>) {
        assert!(self.closed.is_none(), "{event:?} after Closed");
        let event = match event {
            Event::Closed(closed) => {
                assert!(self.connection.is_over() && self.connection.queued() == 0);
                assert_eq!(closed.received, self.connection.messages_received());
                self.closed = Some(*closed);
                return;
            }
            Event::Message(message) => {
                assert!(message.payload.len() <= self.arrived, "a payload that never came");
                Event::Message(message.into_owned())
            }
            other => other.into_owned(),
        };
        self.events.push(event);
    }

    fn fail(&mut self, error: &ProtocolError) {
        assert!(self.connection.is_over(), "an error that is not fatal: {error}");
        assert!(self.fault.is_none(), "a second error: {error}");
        self.fault = Some(error.close_reason());
    }

    /// The payload of the latest PONG.
    #[must_use]
    pub fn pong(&self) -> Option<&[u8]> {
        self.sent.pong.as_deref()
    }

    /// Takes what came from time or commands.
    pub fn poll_events(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            self.note(event);
        }
    }

    /// Bytes came.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.arrived += bytes.len();
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        let mut input = &held[..];
        loop {
            let before = input.len();
            match self.connection.receive(self.now, &mut input) {
                Ok(Some(event)) => self.note(event),
                Ok(None) => break,
                Err(error) => {
                    assert!(input.is_empty());
                    self.fail(&error);
                    break;
                }
            }
            assert!(input.len() <= before);
        }
        assert!(input.len() < 4_096, "more held back than was promised");
        self.held = input.to_vec();
        self.poll_events();
    }

    /// Bytes came, and are read into the lent buffer wherever there is one.
    pub fn receive_direct(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let Some((mut buffer, missing)) = self.connection.direct_buffer() else { return self.receive(bytes) };
            let capacity = buffer.capacity();
            assert!(missing > 0 && capacity > 0 && buffer.is_empty(), "lent memory without room, or not empty");
            assert!(capacity <= (64 << 10).max(4 * self.arrived), "{capacity} bytes held for {}", self.arrived);
            let (now, rest) = bytes.split_at(missing.min(bytes.len()).min(capacity));
            buffer.extend_from_slice(now);
            bytes = rest;
            self.arrived += now.len();
            match self.connection.received_direct(self.now, buffer) {
                Ok(Some(event)) => self.note(event),
                Ok(None) => {}
                Err(error) => self.fail(&error),
            }
            self.poll_events();
        }
    }

    /// Time passes, from deadline to deadline.
    pub fn pass_time(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.connection.poll_timeout().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.connection.handle_timeout(self.now);
            let next = self.connection.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "a deadline in the past after handle_timeout");
            self.poll_events();
        }
        self.now = end;
    }

    /// Hands out and takes all that waits.
    pub fn transmit(&mut self) {
        let mut batch = Transmit::new();
        while self.connection.poll_transmit(self.now, 4_096, &mut batch) {
            let bytes: Vec<u8> = batch.slices().flatten().copied().collect();
            assert_eq!(bytes.len(), batch.len());
            self.sent.check(&bytes).check_room(4_096);
            assert!(!self.connection.poll_transmit(self.now, 4_096, &mut batch), "a batch that holds bytes was filled");
            assert!(self.connection.transmitted(self.now, &mut batch, bytes.len()));
            self.poll_events();
        }
        assert_eq!(self.connection.queued(), 0);
    }

    /// Time alone ends it, however little the transport takes (PW-CLS-012).
    fn wait_for_the_end(&mut self) {
        let end = self.now + config(false).timeouts.linger * 2;
        while let Some(next) = self.connection.poll_timeout() {
            assert!(next > self.now && next <= end, "an end that does not come");
            self.now = next;
            self.connection.handle_timeout(next);
        }
        assert_eq!(self.connection.shutdown(), Shutdown::Close);
    }

    /// The stream ends; by now there is an end, and it stays the end.
    pub fn finish(&mut self) {
        self.connection.disconnected(self.now, Disconnect::EndOfStream);
        self.poll_events();
        assert!(self.closed.is_some() && self.connection.direct_buffer().is_none());
        self.wait_for_the_end();
        self.receive(&[0xF7; 20]);
        self.pass_time(Duration::from_secs(3_600));
        self.connection.abort(self.now);
        self.poll_events();
        self.transmit();
        assert!(self.held.is_empty());
    }
}
