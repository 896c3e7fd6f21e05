//! A server that a client reaches over streams in memory, whose door can be shut. It remembers when somebody knocked.

use std::future::{Future, Ready, ready};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pulsewire_transport_tokio::protocol::{Class, Config, Established, Event, Message, Role};
use pulsewire_transport_tokio::{
    Client, ClientEvent, ClientOptions, Connected, Connection, Disconnected, Endpoint, Failed, Over,
};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

pub(crate) struct Door {
    endpoint: Endpoint,
    came: mpsc::UnboundedReceiver<DuplexStream>,
    state: Arc<Mutex<State>>,
}

struct State {
    shut: bool,
    holds: usize,
    knocks: Vec<Instant>,
}

impl Door {
    /// What a client opens its streams with, which hold so many bytes each way.
    pub(crate) fn new(
        server: Config,
        holds: usize,
    ) -> (Self, impl FnMut() -> Ready<io::Result<DuplexStream>> + Send + 'static) {
        let endpoint = Endpoint::new(server.validate().expect("a valid configuration"));
        let (comes, came) = mpsc::unbounded_channel();
        let state = Arc::new(Mutex::new(State { shut: false, holds, knocks: Vec::new() }));
        let door = Self { endpoint, came, state: Arc::clone(&state) };
        let open = move || {
            let mut state = state.lock().unwrap();
            state.knocks.push(Instant::now());
            let (near, far) = tokio::io::duplex(state.holds);
            ready(match state.shut || comes.send(far).is_err() {
                true => Err(io::ErrorKind::ConnectionRefused.into()),
                false => Ok(near),
            })
        };
        (door, open)
    }

    pub(crate) fn shut(&self) {
        self.state.lock().unwrap().shut = true;
    }

    pub(crate) fn open(&self) {
        self.state.lock().unwrap().shut = false;
    }

    /// When somebody came, or found it shut.
    pub(crate) fn knocks(&self) -> Vec<Instant> {
        self.state.lock().unwrap().knocks.clone()
    }

    /// The next one who comes, before the handshake.
    pub(crate) async fn next(&mut self) -> Connection {
        let stream = self.came.recv().await.expect("the client lives");
        self.endpoint.connection(stream, Role::Server).expect("random numbers")
    }

    /// The next one who comes, when the handshake is complete, and what was agreed.
    pub(crate) async fn welcome(&mut self) -> (Connection, Established) {
        let mut connection = self.next().await;
        loop {
            match connection.recv().await {
                Some(Event::Established(established)) => return (connection, *established),
                Some(Event::Admission(_)) => connection.accept(),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// A client of a door.
pub(crate) fn client(
    open: impl FnMut() -> Ready<io::Result<DuplexStream>> + Send + 'static,
    options: ClientOptions,
) -> Client {
    let endpoint = Endpoint::new(Config::default().validate().expect("the defaults are valid"));
    Client::with_streams(&endpoint, open, options)
}

/// A test that hangs must end, also where time is virtual and never stands still.
pub(crate) async fn bounded<F: Future>(test: F) -> F::Output {
    timeout(Duration::from_secs(100_000), test).await.expect("the test hangs")
}

pub(crate) async fn connecting(client: &mut Client) -> u32 {
    match client.recv().await {
        Some(ClientEvent::Connecting { attempt }) => attempt,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn connected(client: &mut Client) -> Connected {
    match client.recv().await {
        Some(ClientEvent::Connected(connected)) => *connected,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn failed(client: &mut Client) -> Failed {
    match client.recv().await {
        Some(ClientEvent::Failed(failed)) => *failed,
        other => panic!("{other:?}"),
    }
}

/// The end of the present connection, whatever comes on it before.
pub(crate) async fn disconnected(client: &mut Client) -> Disconnected {
    loop {
        match client.recv().await {
            Some(ClientEvent::Event(_)) => {}
            Some(ClientEvent::Disconnected(disconnected)) => return *disconnected,
            other => panic!("{other:?}"),
        }
    }
}

/// The last event, which comes now.
pub(crate) async fn over(client: &mut Client) -> Over {
    let over = match client.recv().await {
        Some(ClientEvent::Over(over)) => *over,
        other => panic!("{other:?}"),
    };
    assert!(client.recv().await.is_none(), "nothing comes behind the last event");
    over
}

/// A message that can be recognised.
pub(crate) fn message(number: u32, size: usize) -> Message<'static> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(size.max(4), 0);
    Message::new(Class::BUSINESS, payload)
}

/// Which one it is.
pub(crate) fn number_of(message: &Message<'_>) -> u32 {
    let [a, b, c, d, ..] = *message.payload else { panic!("{message:?}") };
    u32::from_be_bytes([a, b, c, d])
}

/// The messages that come until it ends, or time is up.
pub(crate) async fn receive(server: &mut Connection, patience: Duration) -> Vec<u32> {
    let mut numbers = Vec::new();
    let receiving = async {
        while let Some(event) = server.recv().await {
            if let Event::Message(message) = event {
                numbers.push(number_of(&message));
            }
        }
    };
    let _ = timeout(patience, receiving).await;
    numbers
}
