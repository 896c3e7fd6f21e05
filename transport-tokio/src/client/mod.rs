//! A client that stays connected.

mod attempt;
mod event;
mod options;
mod outbox;
mod sender;

use std::error::Error;
use std::fmt;
use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;

use bytes::Bytes;
use fastrand::Rng;
use pulsewire_policy::{Failure, Next, Reconnect};
use pulsewire_protocol::{CloseFrame, CloseReason, Closed, ConnectionId, Established, Event, Instant};
use tokio::net::ToSocketAddrs;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use self::attempt::{Attempt, Fetch, Opening};
pub use self::event::{AttemptError, ClientEvent, Connected, Disconnected, Failed, Over, OverReason};
pub use self::options::{ClientOptions, Unsent};
use self::outbox::Outbox;
pub use self::sender::{Accepted, ClientSender};
use crate::connection::Connection;
use crate::endpoint::Endpoint;
use crate::error::ConnectError;
use crate::input::Found;
use crate::stream::{Below, Stream};

/// A client that connects again whenever its connection is lost, and tells what happens in one stream of events.
///
/// The task in [`recv`](Self::recv) drives it, as that of a [`Connection`] does: it connects, waits, and receives there. While it is
/// away, its endpoint looks after the connection, and a try that was begun goes on; the next one begins when it is back.
///
/// - Each try resolves the name anew, tries its addresses side by side, and has a token of its own
///   ([`with_token`](Self::with_token)).
/// - When it tries again is decided by [`Reconnect`], which heeds what the server said about that.
/// - A [`ClientSender`] sends on whichever connection there is, or keeps what is to be sent for the next one ([`Unsent`]).
///
/// Dropping it closes the connection in order, in the background, behind what was accepted. What is kept while there is none goes with
/// it: to have that back, [`close`](Self::close) and go on receiving until [`ClientEvent::Over`].
///
/// [`Endpoint::shutdown`] ends connections, and a client then connects again: close clients first.
pub struct Client {
    endpoint: Endpoint,
    options: ClientOptions,
    open: Box<dyn FnMut() -> Opening + Send>,
    fetch: Option<Fetch>,
    reconnect: Reconnect,
    random: Rng,
    outbox: Arc<Outbox>,
    state: State,
}

enum State {
    /// Until the next try.
    Waiting {
        until: Instant,
    },
    /// One task, which ends with this.
    Connecting {
        attempt: JoinSet<Result<(Connection, Box<Established>), AttemptError>>,
    },
    Connected {
        connection: Connection,
    },
    /// What is over is still to be told.
    Ending {
        reason: OverReason,
    },
    Over,
}

/// What is told next: an event of its own, or one that borrows the input of the connection.
enum Told {
    Own(ClientEvent<'static>),
    Found(Found),
}

impl Client {
    /// A client of whoever listens at this address. A name is resolved anew for each try. It connects when it is received from.
    ///
    /// Opening a TCP connection has [`SocketOptions::connect_timeout`](crate::SocketOptions::connect_timeout) for all, the name included.
    #[must_use]
    pub fn new<A>(endpoint: &Endpoint, address: A, options: ClientOptions) -> Self
    where
        A: ToSocketAddrs + Clone + Send + Sync + 'static,
    {
        let opener = endpoint.clone();
        let open = move || -> Opening {
            let (endpoint, address) = (opener.clone(), address.clone());
            Box::pin(async move {
                let (stream, address) = endpoint.open(address).await?;
                Ok((Below::socket(stream), Some(address)))
            })
        };
        Self::build(endpoint, options, Box::new(open))
    }

    /// A client over streams of your own, such as TLS ones or those of Unix sockets: `open` gives a new one for each try. It has
    /// [`SocketOptions::connect_timeout`](crate::SocketOptions::connect_timeout) for that.
    ///
    /// ```no_run
    /// # use pulsewire_transport_tokio::{Client, ClientOptions, Endpoint};
    /// # fn example(endpoint: &Endpoint) -> Client {
    /// Client::with_streams(endpoint, || tokio::net::TcpStream::connect("127.0.0.1:7700"), ClientOptions::default())
    /// # }
    /// ```
    #[must_use]
    pub fn with_streams<F, S>(
        endpoint: &Endpoint,
        mut open: impl FnMut() -> F + Send + 'static,
        options: ClientOptions,
    ) -> Self
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: Stream + 'static,
    {
        let limit = endpoint.options().connect_timeout;
        let open = move || -> Opening {
            let opening = open();
            Box::pin(async move {
                let opened = timeout(limit, opening).await.map_err(|_| ConnectError::Timeout { limit })?;
                let stream = opened.map_err(|source| AttemptError::Stream { source })?;
                Ok((Below::given(stream), None))
            })
        };
        Self::build(endpoint, options, Box::new(open))
    }

    fn build(endpoint: &Endpoint, options: ClientOptions, open: Box<dyn FnMut() -> Opening + Send>) -> Self {
        let mut random = options.jitter_seed.map_or_else(Rng::new, Rng::with_seed);
        let reconnect = Reconnect::new(options.reconnect.clone(), endpoint.clock().now());
        let until = reconnect.first_try(random.u64(..));
        Self {
            endpoint: endpoint.clone(),
            open,
            fetch: None,
            reconnect,
            random,
            outbox: Arc::new(Outbox::new(options.unsent.room())),
            options,
            state: State::Waiting { until },
        }
    }

    /// The same with a fresh token for each try, in place of that of the configuration: `fetch` is called when the server has been
    /// reached, and what it gives goes into HELLO. Its error counts as a failed try, and so does taking longer than
    /// [`ClientOptions::token_timeout`].
    #[must_use]
    pub fn with_token<F, E>(mut self, fetch: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.fetch = Some(Arc::new(move || {
            let fetching = fetch();
            Box::pin(async move { fetching.await.map_err(Into::into) })
        }));
        self
    }

    /// The next event. The last one is [`ClientEvent::Over`], and after it comes `None`.
    ///
    /// A message borrows the read buffer, as in [`Connection::recv`].
    ///
    /// Cancel safe: dropping the future loses nothing.
    ///
    /// # Panics
    /// Where the application's own `open` or `fetch` does. The client is over then.
    pub async fn recv(&mut self) -> Option<ClientEvent<'_>> {
        let found = loop {
            match self.step().await {
                Some(Told::Own(event)) => return Some(event),
                Some(Told::Found(found)) => break found,
                None if matches!(self.state, State::Over) => return None,
                None => {}
            }
        };
        match &self.state {
            State::Connected { connection } => Some(ClientEvent::Event(connection.event(found))),
            State::Waiting { .. } | State::Connecting { .. } | State::Ending { .. } | State::Over => {
                unreachable!("what was found is of a connection")
            }
        }
    }

    /// Goes on, to the next event or a part of the way. What it waits for is not lost where it is dropped.
    async fn step(&mut self) -> Option<Told> {
        if let Some(refused) = self.outbox.take_refused() {
            return Some(Told::Own(ClientEvent::Refused(Box::new(refused))));
        }
        if let (State::Waiting { .. } | State::Connecting { .. }, Some(reason)) = (&self.state, self.outbox.ended()) {
            self.state = State::Ending { reason: OverReason::Closed { reason } };
        }
        match &mut self.state {
            State::Waiting { until } => {
                let until = *until;
                if self.endpoint.clock().now() >= until {
                    return Some(Told::Own(self.begin()));
                }
                let wake_at = self.endpoint.clock().tokio(until);
                self.outbox.undisturbed(sleep_until(wake_at)).await;
                None
            }
            State::Connecting { attempt } => match self.outbox.undisturbed(attempt.join_next()).await?? {
                Ok(Ok((connection, established))) => Some(Told::Own(self.connected(connection, *established))),
                Ok(Err(error)) => Some(Told::Own(self.failed(error))),
                Err(ended) => match ended.try_into_panic() {
                    Ok(panic) => {
                        // Whoever catches that may ask again.
                        self.state = State::Ending { reason: OverReason::Closed { reason: CloseReason::ABORTED } };
                        resume_unwind(panic)
                    }
                    // The runtime ends, and this task with it.
                    Err(_) => std::future::pending().await,
                },
            },
            State::Connected { connection } => match self.outbox.undisturbed(connection.find()).await?? {
                Found::Owned(Event::Closed(closed)) => {
                    let id = connection.id();
                    let sent = connection.statistics();
                    let io_error = connection.take_io_error();
                    let in_doubt = sent
                        .messages_sent
                        .saturating_sub(closed.unsent.len() as u64)
                        .saturating_sub(sent.messages_rejected)
                        .saturating_sub(closed.acknowledged.unwrap_or(0));
                    Some(Told::Own(self.disconnected(id, *closed, io_error, in_doubt)))
                }
                found => Some(Told::Found(found)),
            },
            State::Ending { reason } => {
                let reason = *reason;
                self.state = State::Over;
                let unsent = self.outbox.end(reason.close_reason());
                Some(Told::Own(ClientEvent::Over(Box::new(Over { reason, unsent }))))
            }
            State::Over => None,
        }
    }

    fn begin(&mut self) -> ClientEvent<'static> {
        let attempt = Attempt {
            endpoint: self.endpoint.clone(),
            opening: (self.open)(),
            fetch: self.fetch.clone(),
            token_timeout: self.options.token_timeout,
        };
        let mut task = JoinSet::new();
        task.spawn(attempt.run());
        self.state = State::Connecting { attempt: task };
        ClientEvent::Connecting { attempt: self.reconnect.attempt() }
    }

    fn failed(&mut self, error: AttemptError) -> ClientEvent<'static> {
        let attempt = self.reconnect.attempt();
        tracing::debug!(attempt, %error, "cannot connect");
        let next = self.reconnect.failed(self.endpoint.clock().now(), error.failure(), self.random.u64(..));
        let next_try_at = self.go_on(next);
        ClientEvent::Failed(Box::new(Failed { attempt, error, next_try_at }))
    }

    fn connected(&mut self, connection: Connection, established: Established) -> ClientEvent<'static> {
        self.reconnect.established(self.endpoint.clock().now());
        let (id, address) = (connection.id(), connection.peer_address());
        self.outbox.join(connection.sender());
        self.state = State::Connected { connection };
        ClientEvent::Connected(Box::new(Connected { id, address, established }))
    }

    fn disconnected(
        &mut self,
        id: ConnectionId,
        mut closed: Closed,
        io_error: Option<io::Error>,
        in_doubt: u64,
    ) -> ClientEvent<'static> {
        self.outbox.leave(id);
        let next_try_at = match self.outbox.ended() {
            Some(reason) => {
                self.state = State::Ending { reason: OverReason::Closed { reason } };
                None
            }
            None => {
                let now = self.endpoint.clock().now();
                let next = self.reconnect.ended(now, Failure::from(&closed), self.random.u64(..));
                self.go_on(next)
            }
        };
        if next_try_at.is_some() {
            self.outbox.keep(&mut closed.unsent);
        }
        ClientEvent::Disconnected(Box::new(Disconnected { id, closed, io_error, in_doubt, next_try_at }))
    }

    /// Gives when the next try begins, in the time of the application.
    fn go_on(&mut self, next: Next) -> Option<tokio::time::Instant> {
        match next {
            Next::TryAt(until) => {
                self.state = State::Waiting { until };
                Some(tokio::time::Instant::now() + (until - self.endpoint.clock().now()))
            }
            Next::GiveUp(why) => {
                self.state = State::Ending { reason: why.into() };
                None
            }
        }
    }

    /// A handle for sending that can be cloned and given to any task, and that stays the same however often this client connects.
    #[must_use]
    pub fn sender(&self) -> ClientSender {
        ClientSender::new(Arc::clone(&self.outbox))
    }

    /// Closes it for good: the present connection behind all that was accepted, and any try under way at once. From now on nothing is
    /// accepted. Go on receiving until [`ClientEvent::Over`]. A [`CloseReason`] will do; a [`CloseFrame`] gives a sentence with it.
    pub fn close(&mut self, close: impl Into<CloseFrame>) {
        self.outbox.close(close.into());
    }
}

impl OverReason {
    /// What senders are told.
    fn close_reason(self) -> CloseReason {
        match self {
            Self::Closed { reason } => reason,
            Self::GivenUp(why) => why.reason(),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Waiting { .. } => "waiting",
            State::Connecting { .. } => "connecting",
            State::Connected { .. } => "connected",
            State::Ending { .. } | State::Over => "over",
        };
        f.debug_struct("Client").field("state", &state).field("options", &self.options).finish_non_exhaustive()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Over);
        if std::thread::panicking() {
            // Whoever panics did not finish what it was about.
            self.outbox.end(CloseReason::ABORTED);
            return;
        }
        self.outbox.close(CloseReason::NORMAL.into());
        match state {
            // What was kept goes out first, and then the CLOSE.
            State::Connected { mut connection } if self.outbox.is_pumping() => {
                let runtime = connection.runtime().clone();
                runtime.spawn(async move { while connection.recv().await.is_some() {} });
            }
            State::Connected { .. }
            | State::Waiting { .. }
            | State::Connecting { .. }
            | State::Ending { .. }
            | State::Over => {}
        }
    }
}
