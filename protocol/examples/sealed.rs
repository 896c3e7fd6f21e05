//! Payloads that only the two applications can read: sealed with an AEAD, and carried under ENCRYPTED.
//!
//! The protocol carries the mark and nothing more (PW-DAT-012). Keys, freshness and order are the application's: both sides
//! know a key, and each opens with a random challenge that the other binds every message to, together with the message's
//! number and class. So nothing recorded can be replayed, left out, or given to somebody else unnoticed.
//!
//! ```sh
//! cargo run -p pulsewire-protocol --example sealed
//! ```

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use pulsewire_protocol::{Class, Clock, CloseReason, Config, Connection, Event, Message, Seed, Transmit};

const NONCE_SIZE: usize = 24;

/// Bytes that identify one session of one receiver.
type Challenge = [u8; 16];

/// One direction: what was sealed or opened so far, for whom.
struct Direction {
    cipher: XChaCha20Poly1305,
    /// The receiver's challenge.
    challenge: Challenge,
    messages: u64,
}

impl Direction {
    fn new(key: &Key, challenge: Challenge) -> Self {
        Self { cipher: XChaCha20Poly1305::new(key), challenge, messages: 0 }
    }

    /// What a message is bound to, beside its content.
    fn context(&mut self, class: Class) -> Vec<u8> {
        self.messages += 1;
        [&self.challenge[..], &self.messages.to_be_bytes(), &[class.0]].concat()
    }

    fn seal(&mut self, class: Class, plain: &[u8]) -> Message<'static> {
        let nonce = random::<NONCE_SIZE>();
        let payload = Payload { msg: plain, aad: &self.context(class) };
        let sealed = self.cipher.encrypt(XNonce::from_slice(&nonce), payload).expect("a message of less than 256 GiB");
        Message { encrypted: true, ..Message::new(class, [&nonce[..], &sealed].concat()) }
    }

    /// The content of a message, if it is marked, whole, and the one that comes next.
    fn open(&mut self, message: &Message<'_>) -> Option<Vec<u8>> {
        let (nonce, sealed) = message.payload.split_at_checked(NONCE_SIZE).filter(|_| message.encrypted)?;
        let payload = Payload { msg: sealed, aad: &self.context(message.class) };
        self.cipher.decrypt(XNonce::from_slice(nonce), payload).ok()
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    bytes
}

/// One application with its connection.
struct Application {
    name: &'static str,
    connection: Connection,
    key: Key,
    /// What this side wants its peer to bind messages to.
    challenge: Challenge,
    /// Known when the peer's challenge came: from then on all is sealed.
    sealed: Option<(Direction, Direction)>,
    opened: Vec<String>,
}

impl Application {
    fn new(name: &'static str, connection: Connection, key: Key) -> Self {
        Self { name, connection, key, challenge: random(), sealed: None, opened: Vec::new() }
    }

    fn say(&mut self, clock: &Clock, text: &str) {
        let (outbound, _) = self.sealed.as_mut().expect("the challenges were exchanged");
        let message = outbound.seal(Class::COMMUNICATION, text.as_bytes());
        self.connection.send(clock.now(), message).expect("the queue has room");
    }

    fn handle(&mut self, clock: &Clock, event: Event<'_>) {
        match (event, &mut self.sealed) {
            (Event::Established(_), _) => {
                let challenge = Message::new(Class::SYSTEM, self.challenge.to_vec());
                self.connection.send(clock.now(), challenge).expect("the queue is empty");
            }
            (Event::Message(message), None) => match Challenge::try_from(&*message.payload) {
                Ok(theirs) => {
                    self.sealed = Some((Direction::new(&self.key, theirs), Direction::new(&self.key, self.challenge)));
                }
                Err(_) => self.connection.close(clock.now(), CloseReason::REFUSED),
            },
            (Event::Message(message), Some((_, inbound))) => match inbound.open(&message) {
                Some(plain) => {
                    let text = String::from_utf8_lossy(&plain).into_owned();
                    println!("{} read {text:?} out of {} sealed bytes", self.name, message.payload.len());
                    self.opened.push(text);
                }
                // Not sealed, changed, repeated, or out of order: nothing that follows can be trusted.
                None => self.connection.close(clock.now(), CloseReason::REFUSED),
            },
            (Event::Closed(closed), _) => println!("{}: {closed}", self.name),
            (other, _) => println!("{}: {other:?}", self.name),
        }
    }
}

/// Carries what one side has to say to the other. The network is a `Vec`; `echo.rs` shows one with sockets.
fn carry(clock: &Clock, from: &mut Application, to: &mut Application) {
    let (mut network, mut batch) = (Vec::new(), Transmit::new());
    while from.connection.poll_transmit(clock.now(), 64 << 10, &mut batch) {
        batch.slices().for_each(|bytes| network.extend_from_slice(bytes));
        let written = batch.len();
        from.connection.transmitted(clock.now(), &mut batch, written);
    }
    for (side, mut input) in [(to, &network[..]), (from, &[])] {
        while let Some(event) = side.connection.receive(clock.now(), &mut input).expect("no fault of the peer") {
            side.handle(clock, event);
        }
    }
}

fn main() {
    let clock = Clock::new();
    let config = Config::default().validate().expect("the defaults are valid");
    // In earnest, the two sides agreed on it elsewhere.
    let key = Key::from(random::<32>());
    let client = Connection::client(clock.now(), &config, Seed::from_bytes(random()));
    let server = Connection::server(clock.now(), &config, Seed::from_bytes(random()));
    let mut client = Application::new("client", client, key);
    let mut server = Application::new("server", server, key);

    // HELLO and HELLO_ACK, then the challenges.
    for _ in 0..2 {
        carry(&clock, &mut client, &mut server);
        carry(&clock, &mut server, &mut client);
    }
    client.say(&clock, "the door is open");
    client.say(&clock, "the light is on");
    carry(&clock, &mut client, &mut server);
    server.say(&clock, "noted");
    carry(&clock, &mut server, &mut client);
    assert_eq!((server.opened.len(), client.opened.len()), (2, 1));

    client.connection.close(clock.now(), CloseReason::NORMAL);
    carry(&clock, &mut client, &mut server);
    carry(&clock, &mut server, &mut client);
    carry(&clock, &mut client, &mut server);
}
