//! Every order in which the owner thread and others may use waker, inbox and mailbox. One that sleeps for ever is a deadlock, which
//! fails a test.

use std::convert::Infallible;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::task::Wake;

use loom::thread::{self, JoinHandle};
use pulsewire_protocol::{
    Class, CloseReason, Config, Connection, ConnectionId, Event, Instant, Message, Seed, SendError, SendRefused,
    Transmit, ValidConfig,
};

use crate::inbox::{Command, Inbox};
use crate::mailbox::Mailbox;
use crate::sync::{Condvar, Mutex};
use crate::wake_flag::WakeFlag;

const NOW: Instant = Instant::ZERO;

/// Bytes for which there is room in a mailbox that is to hold one message of these tests.
const ROOM: usize = 60;

/// A port that knows wakes only.
struct Port {
    flag: WakeFlag,
    messages: Mutex<usize>,
    arrived: Condvar,
}

impl Wake for Port {
    fn wake(self: Arc<Self>) {
        self.flag.wake(|| {
            let mut messages = self.messages.lock().unwrap();
            *messages += 1;
            assert_eq!(*messages, 1, "more than one would only fill the queue");
            self.arrived.notify_one();
            Ok::<(), Infallible>(())
        });
    }
}

impl Port {
    /// Waits for a message, for as long as it takes.
    fn wait(&self) {
        let mut messages = self.messages.lock().unwrap();
        while *messages == 0 {
            messages = self.arrived.wait(messages).unwrap();
        }
        *messages -= 1;
        drop(messages);
        self.flag.message_taken();
    }
}

/// The owner thread's side of one open connection.
struct Owner {
    port: Arc<Port>,
    inbox: Arc<Inbox>,
    mailbox: Arc<Mailbox>,
    connection: Connection,
}

impl Owner {
    fn new(room: usize) -> Self {
        let port = Arc::new(Port { flag: WakeFlag::new(), messages: Mutex::new(0), arrived: Condvar::new() });
        let inbox = Arc::new(Inbox::new(Arc::clone(&port).into(), 1 << 20));
        let mailbox = Arc::new(Mailbox::new(ConnectionId::new(0, 1, NonZeroU64::MIN), Arc::clone(&inbox), room));
        mailbox.open(1 << 20);
        Self { port, inbox, mailbox, connection: open_connection() }
    }

    /// Waits until it is woken, and obeys. Says how many messages the connection was handed.
    fn turn(&mut self) -> u64 {
        self.port.wait();
        let before = self.connection.messages_sent();
        for command in self.inbox.take() {
            let Command::Look(_) = command else { panic!("unexpected: {command:?}") };
            let submitted = self.mailbox.submit(&mut self.connection, NOW);
            assert!(submitted.refused.is_empty(), "{:?}", submitted.refused);
        }
        self.connection.messages_sent() - before
    }

    /// The system takes what waits in the connection.
    fn transmit(&mut self) {
        let mut batch = Transmit::new();
        while self.connection.poll_transmit(NOW, 1 << 20, &mut batch) {
            let all = batch.len();
            self.connection.transmitted(NOW, &mut batch, all);
        }
        let submitted = self.mailbox.submit(&mut self.connection, NOW);
        assert!(submitted.refused.is_empty(), "{:?}", submitted.refused);
    }

    fn sends(&self, send: fn(&Mailbox) -> Result<(), SendError<'static>>) -> JoinHandle<Result<(), SendRefused>> {
        let mailbox = Arc::clone(&self.mailbox);
        thread::spawn(move || send(&mailbox).map_err(|refused| refused.reason))
    }
}

/// One of which a mailbox with [`ROOM`] holds one.
fn message() -> Message<'static> {
    Message::new(Class::BUSINESS, vec![7; 24])
}

/// A client whose handshake is complete.
fn open_connection() -> Connection {
    let config: ValidConfig = Config::default().validate().unwrap();
    let mut client = Connection::client(NOW, &config, Seed::from_bytes([1; 12]));
    let mut server = Connection::server(NOW, &config, Seed::from_bytes([2; 12]));
    while !(client.is_open() && server.is_open()) {
        pass(&mut client, &mut server);
        pass(&mut server, &mut client);
    }
    while let Some(event) = client.poll_event() {
        assert!(matches!(event, Event::Established(_)), "{event:?}");
    }
    client
}

fn pass(from: &mut Connection, to: &mut Connection) {
    let mut batch = Transmit::new();
    while from.poll_transmit(NOW, 1 << 20, &mut batch) {
        let bytes: Vec<u8> = batch.slices().flatten().copied().collect();
        let mut input = &bytes[..];
        while to.receive(NOW, &mut input).unwrap().is_some() {}
        from.transmitted(NOW, &mut batch, bytes.len());
    }
}

/// No wake is lost: whatever two threads send reaches the connection, though the owner sleeps in between.
#[test]
fn whoever_announces_something_wakes_the_owner() {
    loom::model(|| {
        let mut owner = Owner::new(2 * ROOM);
        let senders = [(); 2].map(|()| owner.sends(|mailbox| mailbox.send(message())));
        let mut handed_over = 0;
        while handed_over < 2 {
            handed_over += owner.turn();
        }
        for sender in senders {
            sender.join().unwrap().unwrap();
        }
        assert_eq!(owner.inbox.budget.used(), 0);
    });
}

/// What was accepted is handed to the connection or given back when the id dies, and what is refused says why.
#[test]
fn a_message_that_was_accepted_is_never_lost_at_the_end() {
    loom::model(|| {
        let mut owner = Owner::new(2 * ROOM);
        let senders = [(); 2].map(|()| owner.sends(|mailbox| mailbox.send(message())));
        owner.mailbox.submit(&mut owner.connection, NOW);
        let given_back = owner.mailbox.shut().len() as u64;
        let handed_over = owner.connection.messages_sent();
        let mut accepted = 0;
        for sender in senders {
            match sender.join().unwrap() {
                Ok(()) => accepted += 1,
                Err(reason) => assert_eq!(reason, SendRefused::Stale),
            }
        }
        assert_eq!(accepted, handed_over + given_back);
        assert_eq!((owner.inbox.budget.used(), owner.mailbox.requests()), (0, 0));
    });
}

/// Who waits for room goes on when there is some.
#[test]
fn a_sender_that_waits_for_room_gets_it() {
    loom::model(|| {
        let mut owner = Owner::new(ROOM);
        owner.mailbox.send(message()).unwrap();
        let sender = owner.sends(|mailbox| mailbox.send_blocking(message()));
        let mut handed_over = 0;
        while handed_over < 2 {
            handed_over += owner.turn();
            owner.transmit();
        }
        sender.join().unwrap().unwrap();
    });
}

/// Who waits for room is told when there will be none any more.
#[test]
fn a_sender_that_waits_for_room_learns_of_the_end() {
    loom::model(|| {
        let owner = Owner::new(ROOM);
        owner.mailbox.send(message()).unwrap();
        let sender = owner.sends(|mailbox| mailbox.send_blocking(message()));
        let given_back = owner.mailbox.shut().len();
        assert_eq!((given_back, sender.join().unwrap()), (1, Err(SendRefused::Stale)));
    });
}

/// An order and a message of two threads: the owner looks once for both, or twice, and finds both.
#[test]
fn an_order_is_obeyed_whoever_announced_it() {
    loom::model(|| {
        let mut owner = Owner::new(ROOM);
        let sender = owner.sends(|mailbox| mailbox.send(message()));
        let mailbox = Arc::clone(&owner.mailbox);
        let closer = thread::spawn(move || assert!(mailbox.close(CloseReason::NORMAL)));
        while owner.connection.is_open() {
            owner.turn();
        }
        closer.join().unwrap();
        let accepted = sender.join().unwrap();
        // Only one that came ahead of the close was accepted, and went out ahead of it.
        assert_eq!(accepted.is_ok(), owner.connection.messages_sent() == 1);
    });
}
