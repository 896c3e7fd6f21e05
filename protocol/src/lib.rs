//! Pulsewire without I/O.
//!
//! Long-lived connections need three things that everybody writes again and gets wrong: cutting a byte stream into
//! packets, noticing a peer that vanished without a word, and never writing to a stranger through a reused connection.
//! This crate does the three, and nothing else. It has no sockets, threads, clocks or random numbers: bytes and time come
//! in, bytes and events go out, and the same inputs always give the same outputs.
//!
//! [`Connection`] is one peer, [`ConnectionTable`] many. To have the bytes moved for you, take a transport crate.
//!
//! # The run loop
//!
//! The same for clients and servers. This one polls a non-blocking socket; a real driver waits for readiness, or for
//! completions, until the next deadline ([`Connection::poll_timeout`]).
//!
//! ```
//! use std::io::{ErrorKind, IoSlice, Read, Result, Write};
//! use std::net::TcpStream;
//! use std::time::Duration;
//!
//! use pulsewire_protocol::{Clock, Connection, Disconnect, Event, Shutdown, Transmit};
//!
//! fn drive(
//!     mut socket: TcpStream,
//!     mut connection: Connection,
//!     clock: Clock,
//!     mut handle: impl FnMut(&mut Connection, Event<'_>),
//! ) -> Result<()> {
//!     socket.set_nonblocking(true)?;
//!     let mut buffer = vec![0; 64 << 10]; // what was read; larger packets come in pieces
//!     let mut held = 0; // bytes at its front that wait for more: less than 4 KiB
//!     let mut batch = Transmit::new(); // what is to be written
//!     loop {
//!         // What was queued meanwhile; a client's HELLO, to begin with.
//!         while !batch.is_empty() || connection.poll_transmit(clock.now(), 64 << 10, &mut batch) {
//!             let mut slices = [IoSlice::new(&[]); 16];
//!             let count = batch.fill(&mut slices);
//!             let Ok(written) = socket.write_vectored(&slices[..count]) else { break }; // full, or gone, as reading will say
//!             connection.transmitted(clock.now(), &mut batch, written);
//!         }
//!         match socket.read(&mut buffer[held..]) {
//!             Ok(0) => connection.disconnected(clock.now(), Disconnect::EndOfStream),
//!             Ok(count) => held += count,
//!             Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(1)),
//!             Err(_) => connection.disconnected(clock.now(), Disconnect::Reset),
//!         }
//!         // Everything that happened. An event borrows the buffer, not the connection: sending works in `handle`.
//!         let mut input = &buffer[..held];
//!         loop {
//!             match connection.receive(clock.now(), &mut input) {
//!                 Ok(Some(event)) => handle(&mut connection, event),
//!                 Ok(None) => break,
//!                 Err(error) => eprintln!("{error}"), // fatal; the peer is told, and `Closed` follows
//!             }
//!         }
//!         let left = input.len();
//!         buffer.copy_within(held - left..held, 0);
//!         held = left;
//!         match connection.shutdown() {
//!             Shutdown::None => {}
//!             Shutdown::HalfClose => drop(socket.shutdown(std::net::Shutdown::Write)), // and read on
//!             Shutdown::Close => return Ok(()),
//!         }
//!         connection.handle_timeout(clock.now()); // what could be read was delivered, so time may pass
//!     }
//! }
//! # use pulsewire_protocol::{Class, CloseReason, Config, Message, Seed};
//! # let config = Config::default().validate().unwrap();
//! # let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
//! # let address = listener.local_addr().unwrap();
//! # let server = std::thread::spawn({
//! #     let config = config.clone();
//! #     move || {
//! #         let (socket, _) = listener.accept().unwrap();
//! #         let clock = Clock::new();
//! #         let connection = Connection::server(clock.now(), &config, Seed::from_bytes([1; 12]));
//! #         drive(socket, connection, clock, |connection, event| {
//! #             if let Event::Message(message) = event {
//! #                 connection.send(clock.now(), message).unwrap();
//! #             }
//! #         })
//! #     }
//! # });
//! # let clock = Clock::new();
//! # let connection = Connection::client(clock.now(), &config, Seed::from_bytes([2; 12]));
//! # let (mut echoed, mut orderly) = (0, false);
//! # drive(TcpStream::connect(address).unwrap(), connection, clock, |connection, event| match event {
//! #     Event::Established(_) => drop(connection.send(clock.now(), Message::new(Class::BUSINESS, vec![7; 8 << 20])).is_ok()),
//! #     Event::Message(message) => {
//! #         echoed = message.payload.len();
//! #         connection.close(clock.now(), CloseReason::NORMAL);
//! #     }
//! #     Event::Closed(closed) => orderly = closed.orderly,
//! #     _ => {}
//! # })
//! # .unwrap();
//! # server.join().unwrap().unwrap();
//! # assert_eq!((echoed, orderly), (8 << 20, true));
//! ```
//!
//! Large packets need not pass through the buffer: see [`Connection::direct_buffer`]. A driver that stops reading because
//! its application is slow says so with [`Connection::pause`], or the peer gives it up. One whose system tells what the peer's
//! host has acknowledged reports that with [`Connection::acknowledged`]: then a link that is slow is told from one that is dead.
//! The end needs no care: the connection bounds its last words too, and says when to half-close and when to close
//! ([`Connection::shutdown`]).
//!
//! # Reading and writing values
//!
//! With the feature `serde` (off by default, works without `std`): configurations, events, statistics, verdicts, close
//! reasons and [traces](Trace), in any format that serde knows. A [`ValidConfig`] is validated while it is read, and what is
//! wrong with it is the error; what a configuration leaves out is the default, and an unknown field is an error.
//!
//! | what | for people (JSON and the like) | for machines |
//! |---|---|---|
//! | a field of time | `…_ms`: milliseconds, with a fraction where they are not whole; exact to the nanosecond up to 26 days | nanoseconds, u64 |
//! | [`Instant`] in a trace | `…_ns`: nanoseconds since the driver's epoch | nanoseconds, u64 |
//! | bytes, and [`Seed`] | hexadecimal digits | bytes |
//! | [`CloseReason`], [`RejectReason`] | the name in the registry, else the number; both can be read | the number |
//! | [`Retry`] | `retry_after_ms`, as any time; `null` is never | nanoseconds, or none |
//! | a variant | its name in snake case | its index |
//!
//! # What holds always
//!
//! - However the stream is cut, the events are the same.
//! - Memory grows with what arrived, never with what a length field says.
//! - [`Event::Closed`] is the last event, and comes exactly once.
//! - What is not accepted for sending comes back, with the reason.
//! - Every wait has a limit, also that of the end; a limit that the driver noticed late begins anew, once.
//! - `Debug` prints no key, token or payload; `Display` escapes what a peer said.
//! - Nothing here panics, whatever the peer sends.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod close;
mod config;
mod connection;
mod error;
mod event;
mod framer;
mod heartbeat;
mod message;
#[cfg(test)]
mod model_state;
mod refusal;
#[cfg(feature = "serde")]
pub mod representation;
mod rest;
mod rtt;
mod statistics;
#[cfg(target_has_atomic = "64")]
mod sync;
mod table;
mod time;
mod trace;
mod verdict;
mod wire;

pub use close::{Closed, Disconnect, Ended, Origin};
pub use config::{Admission, Config, Damage, HeartbeatConfig, Limits, Seed, Timeouts, ValidConfig, check_range};
pub use connection::{Connection, PeerLimits, PreparedMessage, Role, Shutdown, Transmit};
pub use error::{ConfigError, ProtocolError, SendError, SendRefused};
pub use event::{Established, Event, Gap, Recovered, Request, Suspect};
pub use message::{Message, Payload};
pub use refusal::TooLarge;
pub use rtt::Rtt;
pub use statistics::Statistics;
#[cfg(target_has_atomic = "64")]
pub use table::Liveness;
pub use table::{
    ConnectionId, ConnectionRef, ConnectionTable, InsertError, InsertRefused, Slots, TableLimits, TimingWheel,
    ValidTableLimits,
};
#[cfg(feature = "std")]
pub use time::Clock;
pub use time::Instant;
pub use trace::{Operation, Outcome, Recorder, Replay, Step, Trace};
pub use verdict::Verdict;
pub use wire::{
    Class, CloseFrame, CloseReason, Flags, HEADER_SIZE, Header, Hello, Kind, MAGIC, RejectReason, Rejected, Retry,
    WireError,
};

/// Runs the examples of the README with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
