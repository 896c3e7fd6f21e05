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
//! The handler is called on the thread of all connections, so it never waits: a thread that does not keep up with what comes says
//! nothing of it, and peers whose PINGs lie unread for long give it up (PW-HB-027 is not done here). Work that takes long goes through a queue to
//! another thread. [`ChannelHandler`] is one that pauses a connection when too much of it waits, and resumes it by itself. With a
//! queue of your own, [`pause`](Context::pause) the connection when it is full, and have whoever takes work out of it call
//! [`Sender::resume`] when there is room. The peer is told, and does not take this side for dead.
//!
//! With [`Admission::Ask`](protocol::Admission::Ask) in the configuration, a server judges each client before it answers:
//! at [`Event::Admission`](protocol::Event::Admission), or later from any thread, with `accept`, or with `refuse` and a
//! [`CloseFrame`](protocol::CloseFrame).
//!
//! # Servers and clients
//!
//! A server takes limits and times from a [`ServerConfig`]. Its handler reaches [groups](Context::groups) of connections and sets
//! [timers](Context::set_timer), and other threads [post](Poster::post) events to it. A client can
//! [stay connected](Handler::client), with a [token](Handler::token) for each try and [messages](ClientSender) that are kept for the next
//! connection. All of it runs on the one thread, without locks.
//!
//! One thread moves what one core does. Where that is too little, `Endpoint::start_threads` starts one for each handler.
//!
//! # Watching
//!
//! The handler runs in a `tracing` span, `connection`, with `id`, `role` and `peer`. With the feature `metrics` connections are told to the
//! recorder that the application installs, under the names of [`telemetry`](pulsewire_policy::telemetry).
//!
//! # Slow links
//!
//! The system is not asked what a peer's host has acknowledged: what it took counts as that (PW-TCP-005). So a PING that waits in
//! its memory behind other bytes is timed from there, and a link is slow enough to look dead where that takes longer than the
//! heartbeat allows: [`SocketOptions::send_buffer`] bounds it, and [`SocketOptions::largest_send`] and
//! [`SocketOptions::send_ahead`] what is handed to the system at a time.
//!
//! # Errors of the system
//!
//! What an error says about a connection stands in one table, [`Cause`](socket::Cause), which knows the NTSTATUS of an operation too:
//! a disconnect by the peer and one by this host have the same code, 64, and only one of them is a reset. A shortage of this host
//! ends no connection at once: what was not started is tried again, at longer and longer intervals, for five seconds, while the
//! connection pauses (BUSY), lest a heartbeat blame the peer. Then it ends with ABORTED and the code of the system.
//!
//! When a send fails, nothing more is sent, and a second is left for what the peer said last (PW-CLS-011).
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
//! - Where nothing is expected soon an operation owns no buffer: a receive of no bytes tells when there is something to receive, which
//!   is received in the same turn.
//! - An operation also holds a share of its socket. What is pending on a socket is cancelled, and the system's socket is closed
//!   when the last of that has come back: cancel, wait, close, in this order. What is not back after two seconds has its socket
//!   closed under it, so that peers and addresses are let go of; its memory stays its own until it comes back, if it ever does.
//! - One thread owns the port and submits everything. Other threads queue requests in the connection's own mailbox and
//!   wake it.
//! - An endpoint may have several such threads, each with a port and connections of its own. What one of them accepts belongs to no
//!   port until the thread takes it that is to have it, for good.
//! - An operation carries the caller's token, slot and cookie, so that a late completion is never taken for one of the
//!   connection that lives in the slot now (PW-CK-002).
//! - A connection's id dies before its socket is closed, and its slot is used again only when every operation of the
//!   old connection has come back (PW-CK-005).

#![deny(unsafe_code)]
#![cfg_attr(
    all(not(windows), not(test)),
    expect(dead_code, reason = "elsewhere only the unit tests have a port to drive")
)]

mod budget;
mod channel;
mod client_sender;
mod clients;
mod crew;
mod directory;
mod driver;
#[cfg(windows)]
mod endpoint;
mod error;
mod file_part;
mod groups;
mod handler;
mod inbox;
mod mailbox;
mod orders;
#[cfg(any(windows, test))]
mod owner;
mod port;
mod poster;
mod sender;
mod shared_gate;
mod socket_options;
mod statistics;
mod sync;
#[cfg(windows)]
mod threads;
mod timeout;
mod timers;
mod wake_flag;

#[cfg(test)]
mod fake_port;
#[cfg(all(test, loom))]
mod interleavings;
#[cfg(windows)]
#[expect(unsafe_code, reason = "calls the system; every block says why it is sound")]
mod sys;

pub use channel::{ChannelHandler, ChannelLimits, Notice, NoticeKind, Notices};
pub use client_sender::{Accepted, ClientOptions, ClientSender, Unsent};
pub use clients::{ClientEvent, ClientId, OverReason};
#[cfg(windows)]
pub use endpoint::Endpoint;
pub use file_part::{FilePart, SendFileError};
pub use groups::{GroupId, Groups};
pub use handler::{Context, Handler, Turn};
pub use poster::Poster;
pub use pulsewire_policy::server::{
    AdmissionLimits, Lifetime, Occupancy, ServerConfig, ServerLimits, ShutdownTimes, ValidServerConfig,
};
pub use pulsewire_policy::{
    Delivery, Dissolved, GiveUp, GroupConfig, GroupStatistics, Joining, Missed, ReconnectConfig, ShutdownReport,
    SlowMember, Traffic, ValidReconnectConfig,
};
pub use pulsewire_protocol as protocol;
pub use pulsewire_socket as socket;
pub use pulsewire_socket::{Keepalive, set_keepalive};
pub use sender::Sender;
pub use socket_options::SocketOptions;
pub use statistics::EndpointStatistics;
pub use timers::TimerId;
