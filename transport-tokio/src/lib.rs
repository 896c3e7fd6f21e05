//! Pulsewire over TCP on tokio.
//!
//! An [`Endpoint`] listens and connects. A [`Connection`] gives events, and is driven by the task that receives them; a
//! [`Sender`] sends from anywhere.
//!
//! # Serving
//!
//! ```no_run
//! use pulsewire_transport_tokio::{Connection, Endpoint, Server, protocol::{Config, Event}};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut server = Server::new(Endpoint::new(Config::default().validate()?));
//!     server.listen("127.0.0.1:7700").await?;
//!     server.serve(echo).await;
//!     Ok(())
//! }
//!
//! async fn echo(mut connection: Connection) {
//!     let sender = connection.sender();
//!     while let Some(event) = connection.recv().await {
//!         match event {
//!             // The message borrows the read buffer; sending copies it, if it is small. A peer that reads slowly is told that
//!             // this side waits until there is room again.
//!             Event::Message(message) => {
//!                 if let Err(refused) = sender.busy_while(sender.send(message)).await {
//!                     eprintln!("{refused}");
//!                 }
//!             }
//!             Event::Closed(closed) => println!("{closed}"),
//!             other => println!("{other:?}"),
//!         }
//!     }
//! }
//! ```
//!
//! A [`Server`] goes on accepting whatever fails, keeps [limits](ServerLimits) and tells those whom it refuses, outlives panics of
//! the handler, and ends in order, with a [report](ShutdownReport) ([`ServerHandle::shutdown`]). [`Endpoint::listen`] is for loops of
//! your own, which have all that to do themselves.
//!
//! A restart need not be noticed: hand the listening socket over to the new process ([`Server::listen_with`]; the example
//! `graceful_restart` does), or let systemd hold it ([`Server::listen_inherited`]).
//!
//! # A chat
//!
//! A [`Group`] sends a message to all its members. It is encoded once, and nobody waits for a member that is slow:
//!
//! ```no_run
//! use pulsewire_transport_tokio::protocol::{Config, Event};
//! use pulsewire_transport_tokio::{Connection, Endpoint, Group, GroupConfig, Server};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut server = Server::new(Endpoint::new(Config::default().validate()?));
//!     server.listen("[::]:7700").await?;
//!     let room = Group::new(GroupConfig::default());
//!     server.serve(move |connection| talk(connection, room.clone())).await;
//!     Ok(())
//! }
//!
//! async fn talk(mut connection: Connection, room: Group) {
//!     if room.join(&connection.sender()).is_err() {
//!         return; // it was dissolved
//!     }
//!     while let Some(event) = connection.recv().await {
//!         if let Event::Message(message) = event {
//!             for (id, why) in room.send(message).await.missed {
//!                 println!("{id:?} did not get it: {why:?}");
//!             }
//!         }
//!     }
//!     room.leave(connection.id());
//! }
//! ```
//!
//! # Receiving and sending at once
//!
//! A connection that belongs to one task, which answers requests and sends what others ask it to:
//!
//! ```
//! use pulsewire_transport_tokio::Connection;
//! use pulsewire_transport_tokio::protocol::{CloseReason, Event, Message};
//! use tokio::sync::mpsc;
//!
//! async fn device(mut connection: Connection, mut orders: mpsc::Receiver<Message<'static>>) {
//!     let sender = connection.sender();
//!     loop {
//!         tokio::select! {
//!             event = connection.recv() => match event {
//!                 Some(Event::Message(request)) => drop(sender.send(answer(request)).await),
//!                 Some(Event::Closed(closed)) => return println!("{closed}"),
//!                 _ => {}
//!             },
//!             order = orders.recv() => match order {
//!                 Some(order) => drop(sender.send(order).await),
//!                 // Nobody has orders any more.
//!                 None => return connection.close(CloseReason::NORMAL),
//!             },
//!         }
//!     }
//! }
//! # fn answer(request: Message<'_>) -> Message<'_> { request }
//! ```
//!
//! Where others send on their own, give them a [`Sender`] each: it can be cloned and kept, and tells them when the connection is over.
//!
//! # Driving
//!
//! Small messages are joined: what is sent while bytes that came together are being handled leaves in one write. The
//! heartbeat, the handshake's and all other clocks are the endpoint's: it has one task, the keeper, which says to the task in
//! [`Connection::recv`] when time is up, and looks after the connections of those that are elsewhere.
//!
//! # Slow applications
//!
//! A task that handles a message is not in `recv`. If it stays away for a second, the keeper pauses the connection: the peer is
//! told, and waits. If it comes back in time, but for one more of many messages that wait, the peer is told each second that this
//! side lives. Where slow work is known before, say so:
//!
//! - Work of microseconds: just do it.
//! - Work that may take long, one message after the other: [`Connection::busy_while`], or [`Sender::busy_while`] where the
//!   message was not copied. The peer is told, and waits; nothing more is read, so back-pressure reaches it.
//! - A queue between this task and those that work: give messages to it, [`pause`](Connection::pause) when it is full, and go
//!   on in `recv`; who takes messages out calls [`Sender::resume`] when there is room.
//! - Neither helps where the thread itself is blocked: that belongs into `spawn_blocking`.
//!
//! # Admission
//!
//! A server may judge each client before it answers, with [`Server::admit`]: a check that is bounded in time and number. With
//! [`Admission::Ask`](protocol::Admission::Ask) in the configuration the handler does it itself:
//!
//! ```
//! use pulsewire_transport_tokio::Connection;
//! use pulsewire_transport_tokio::protocol::{CloseFrame, CloseReason, Event};
//!
//! async fn handle(mut connection: Connection) {
//!     while let Some(event) = connection.recv().await {
//!         match event {
//!             Event::Admission(request) if request.token.as_deref() == Some(b"friend") => connection.accept(),
//!             Event::Admission(_) => {
//!                 connection.refuse(CloseFrame::from(CloseReason::REFUSED).with_text("friends only"));
//!             }
//!             other => println!("{other:?}"),
//!         }
//!     }
//! }
//! ```
//!
//! The client's [`Endpoint::connect`] then fails with [`ConnectError::Handshake`], which holds reason, sentence and advice.
//!
//! # Staying connected
//!
//! A [`Client`] connects again whenever its connection is lost, and tells what happens in one stream of events. Its
//! [`ClientSender`] stays the same all the time:
//!
//! ```no_run
//! use pulsewire_transport_tokio::protocol::{Class, Config, Event, Message};
//! use pulsewire_transport_tokio::{Client, ClientEvent, ClientOptions, Endpoint, Unsent};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let endpoint = Endpoint::new(Config::default().validate()?);
//!     let options = ClientOptions { unsent: Unsent::Keep { bytes: 1 << 20 }, ..ClientOptions::default() };
//!     let mut client = Client::new(&endpoint, "server.example:7700", options);
//!     let sender = client.sender();
//!     sender.send(Message::new(Class::BUSINESS, b"kept until there is a connection")).await?;
//!     while let Some(event) = client.recv().await {
//!         match event {
//!             ClientEvent::Connected(connected) => println!("connected to {:?}", connected.address),
//!             ClientEvent::Event(Event::Message(message)) => println!("{} bytes", message.payload.len()),
//!             ClientEvent::Failed(failed) => println!("{}; next try at {:?}", failed.error, failed.next_try_at),
//!             ClientEvent::Disconnected(lost) => println!("{}; {} in doubt", lost.closed, lost.in_doubt),
//!             ClientEvent::Over(over) => println!("{}", over.reason),
//!             _ => {}
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! - Waits between tries are random and grow ([`ReconnectConfig`]); a server's `retry_after` is heeded, and *never* ends it.
//! - [`Client::with_token`] fetches a fresh token for each connect, and [`Client::with_streams`] takes streams of your own, as for
//!   TLS.
//! - A message is sent at most once. What was not sent is returned or kept, as [`Unsent`] says; what may have arrived is counted
//!   ([`Disconnected::in_doubt`]). Where each message must arrive, number them, and have the server say what it has.
//! - A server that drains (`Event::Draining`) is left by closing its connection, when what was begun is finished:
//!   `sender.connection()` gives it. The client then connects anew.
//!
//! # Configurations in files
//!
//! With the feature `serde` (off by default) [`SocketOptions`], [`ServerConfig`] and what they hold can be read and written, as the
//! protocol's [`Config`](protocol::Config) can: times in milliseconds, what is left out is the default, an unknown field is an error.
//! A [`ValidServerConfig`] is validated while it is read.

#![deny(unsafe_code)]

mod adapters;
mod buffers;
mod client;
mod clock;
mod connecting;
mod connection;
mod driver;
mod endpoint;
mod error;
mod farewell;
mod group;
mod input;
mod keeper;
mod proxy;
mod receiver;
mod registry;
mod report;
mod sender;
mod server;
mod shared;
mod socket_options;
mod statistics;
mod stream;
mod timer;
#[cfg(feature = "tls")]
pub mod tls;
mod turn;
mod waiters;

pub use adapters::{EventStream, MessageSink};
pub use client::{
    Accepted, AttemptError, Client, ClientEvent, ClientOptions, ClientSender, Connected, Disconnected, Failed, Over,
    OverReason, Unsent,
};
pub use connection::Connection;
pub use endpoint::{Endpoint, Listener};
pub use error::ConnectError;
pub use group::Group;
pub use proxy::{ProxiedFor, read_proxy_header};
pub use pulsewire_policy as policy;
pub use pulsewire_policy::{
    Delivery, Dissolved, GiveUp, GroupConfig, GroupStatistics, Joining, Missed, ReconnectConfig, SlowMember, Traffic,
    ValidReconnectConfig,
};
pub use pulsewire_protocol as protocol;
pub use pulsewire_socket as socket;
pub use pulsewire_socket::{Keepalive, UserTimeout, set_keepalive};
pub use report::ShutdownReport;
pub use sender::{Permit, Sender};
pub use server::{
    AdmissionLimits, Lifetime, ListenerHandle, Server, ServerConfig, ServerHandle, ServerLimits, ServerStatistics,
    ShutdownTimes, StreamQueue, ValidServerConfig,
};
pub use socket_options::SocketOptions;
pub use statistics::EndpointStatistics;
pub use stream::Stream;
