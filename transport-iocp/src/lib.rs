//! Pulsewire over TCP on raw Windows I/O completion ports.
//!
//! `Endpoint` listens and connects, and owns the one thread that moves all bytes. That thread calls your [`Handler`];
//! a [`Sender`] sends from any other. [`ChannelHandler`] forwards everything to a thread of yours.
//!
//! ```no_run
//! # #[cfg(windows)] mod windows {
//! use pulsewire_transport_iocp::protocol::{Config, Event, SendError};
//! use pulsewire_transport_iocp::{Context, Endpoint, Handler, SocketOptions};
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     fn event(&mut self, connection: &mut Context<'_>, event: Event<'_>) {
//!         match event {
//!             // The message borrows the receive buffer; sending copies it, if it is small.
//!             Event::Message(message) => {
//!                 if let Err(refused) = connection.send(message) {
//!                     eprintln!("{refused}");
//!                 }
//!             }
//!             Event::Closed(closed) => println!("{}: {closed}", connection.peer_address()),
//!             other => println!("{other:?}"),
//!         }
//!     }
//!
//!     fn unsent(&mut self, _connection: &mut Context<'_>, refused: SendError<'static>) {
//!         eprintln!("{refused}");
//!     }
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let endpoint = Endpoint::start(Config::default().validate()?, SocketOptions::default(), Echo)?;
//!     println!("listening on {}", endpoint.listen("127.0.0.1:7700".parse()?)?);
//!     std::io::stdin().read_line(&mut String::new())?;
//!     endpoint.shutdown(std::time::Duration::from_secs(10));
//!     Ok(())
//! }
//! # }
//! # fn main() {}
//! ```
//!
//! # Slow applications
//!
//! The handler is called on the thread of all connections, so it never waits. Work that takes long goes through a queue to
//! another thread: [`pause`](Context::pause) the connection when the queue is full, and have whoever takes work out of it
//! call [`Sender::resume`] when there is room. The peer is told, and does not take this side for dead.
//!
//! With [`Admission::Ask`](protocol::Admission::Ask) in the configuration, a server judges each client before it answers:
//! at [`Event::Admission`](protocol::Event::Admission), or later from any thread, with `accept`, or with `refuse` and a
//! [`CloseFrame`](protocol::CloseFrame).
//!
//! # Slow links
//!
//! The system is not asked what a peer's host has acknowledged: what it took counts as that (PW-TCP-005). So a PING that waits in
//! its memory behind other bytes is timed from there, and a link is slow enough to look dead where that takes longer than the
//! heartbeat allows: [`SocketOptions::send_buffer`] bounds it.
//!
//! # Layers
//!
//! The driver knows connections and the protocol, and nothing of Windows. Below it lies one seam, the completion port:
//! a trait whose real implementation is the only part of this crate that is Windows-only and the only one with unsafe
//! code. In the unit tests a fake port stands in its place, which delivers completions in any legal order, in virtual
//! time, on every system.
//!
//! # Ownership
//!
//! - An operation owns its buffers from the moment it is submitted. It always comes back, exactly once, as a completion
//!   that carries them, whether it succeeded, failed, was cancelled or could not even be started.
//! - An operation also holds a share of its socket. Dropping a socket cancels what is pending on it, and the system's
//!   socket is closed when the last of that has come back: cancel, wait, close, in this order.
//! - One thread owns the port and submits everything. Other threads queue requests in the connection's own mailbox and
//!   wake it.
//! - An operation carries the caller's token, slot and cookie, so that a late completion is never taken for one of the
//!   connection that lives in the slot now (PW-CK-002).
//! - A connection's id dies before its socket is closed, and its slot is used again only when every operation of the
//!   old connection has come back (PW-CK-005).

#![deny(unsafe_code)]
#![cfg_attr(
    all(not(windows), not(test)),
    expect(dead_code, reason = "elsewhere only the unit tests have a port to drive")
)]

mod channel;
mod directory;
mod driver;
#[cfg(windows)]
mod endpoint;
mod error;
mod handler;
mod inbox;
mod keepalive;
mod mailbox;
mod port;
mod sender;
mod socket_options;
mod timeout;

#[cfg(test)]
mod fake_port;
#[cfg(windows)]
#[expect(unsafe_code, reason = "calls the system; every block says why it is sound")]
mod sys;

pub use channel::{ChannelHandler, Notice, NoticeKind};
#[cfg(windows)]
pub use endpoint::Endpoint;
pub use handler::{Context, Handler};
pub use keepalive::Keepalive;
#[cfg(windows)]
pub use keepalive::set_keepalive;
pub use pulsewire_protocol as protocol;
pub use sender::Sender;
pub use socket_options::SocketOptions;
