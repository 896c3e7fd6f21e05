//! Pulsewire over TCP on tokio.
//!
//! An [`Endpoint`] listens and connects. A [`Connection`] gives events, and is driven by the task that receives them; a
//! [`Sender`] sends from anywhere.
//!
//! ```no_run
//! use pulsewire_transport_tokio::{Connection, Endpoint, protocol::{Config, Event}};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let endpoint = Endpoint::new(Config::default().validate()?);
//!     let listener = endpoint.listen("127.0.0.1:7700").await?;
//!     loop {
//!         tokio::spawn(echo(listener.accept().await?));
//!     }
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
//! Small messages are joined: what is sent while bytes that came together are being handled leaves in one write. The
//! heartbeat, the handshake's and all other clocks run inside [`Connection::recv`]; that of a stalled write runs inside
//! [`Sender::send`] too, since a task that sends what it receives is not in `recv` while it waits there.
//!
//! # Slow applications
//!
//! A task that handles a message is not in `recv`. For longer than the peer's heartbeat allows it must not stay away, so:
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
//! With [`Admission::Ask`](protocol::Admission::Ask) in the configuration, a server judges each client before it answers:
//!
//! ```
//! use pulsewire_transport_tokio::Connection;
//! use pulsewire_transport_tokio::protocol::{CloseFrame, CloseReason, Event};
//!
//! async fn serve(mut connection: Connection) {
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

#![deny(unsafe_code)]

mod buffers;
mod clock;
mod connection;
mod driver;
mod endpoint;
mod error;
mod farewell;
mod input;
mod keeper;
mod line;
mod receiver;
mod registry;
mod sender;
mod shared;
mod socket_options;
mod stream;
mod timer;
mod turn;
mod unacknowledged;

pub use connection::Connection;
pub use endpoint::{Endpoint, Listener};
pub use error::ConnectError;
pub use pulsewire_protocol as protocol;
pub use sender::Sender;
pub use socket_options::{Keepalive, SocketOptions, set_keepalive};
pub use stream::Stream;
