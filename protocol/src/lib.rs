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
//! ```
//! use std::io::{ErrorKind, Read, Write};
//! use std::net::TcpStream;
//! use pulsewire_protocol::{Clock, Connection, Disconnect, Event, ProtocolError, Transmit};
//!
//! /// Echoes every message until the connection ends.
//! fn echo(mut socket: TcpStream, mut connection: Connection, clock: Clock) -> std::io::Result<()> {
//!     let mut buffer = vec![0; 64 << 10]; // what was read
//!     let mut held = 0; // bytes at its front that wait for more
//!     let mut batch = Transmit::new(); // what is to be written
//!     while !connection.is_over() {
//!         // Read: wait for bytes, but not beyond the next deadline.
//!         let wait = connection.poll_timeout().map(|deadline| clock.until(deadline).max(std::time::Duration::from_millis(1)));
//!         socket.set_read_timeout(wait)?;
//!         let read = socket.read(&mut buffer[held..]);
//!         let now = clock.now();
//!         match read {
//!             Ok(0) => connection.disconnected(Disconnect::EndOfStream),
//!             Ok(count) => held += count,
//!             Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
//!             Err(_) => connection.disconnected(Disconnect::Reset),
//!         }
//!
//!         // Handle everything that came. An event borrows the buffer, not the connection: sending works in here.
//!         let mut input = &buffer[..held];
//!         loop {
//!             match connection.receive(now, &mut input) {
//!                 Ok(Some(Event::Message(message))) => {
//!                     if let Err(refused) = connection.send(message) {
//!                         eprintln!("{refused}");
//!                     }
//!                 }
//!                 Ok(Some(event)) => println!("{event:?}"),
//!                 Ok(None) => break,
//!                 Err(error) => eprintln!("{error}"), // fatal; the peer is told below
//!             }
//!         }
//!         let left = input.len();
//!         buffer.copy_within(held - left..held, 0);
//!         held = left;
//!
//!         // Let time pass, then write once.
//!         connection.handle_timeout(now);
//!         while connection.poll_transmit(now, 64 << 10, &mut batch) {
//!             while !batch.is_empty() {
//!                 let mut slices = [std::io::IoSlice::new(&[]); 16];
//!                 let count = batch.fill(&mut slices);
//!                 let written = socket.write_vectored(&slices[..count])?;
//!                 batch.advance(written);
//!                 connection.transmitted(clock.now(), written);
//!             }
//!         }
//!         while let Some(event) = connection.poll_event() {
//!             println!("{event:?}"); // `Closed` comes here, with everything that is known about the end
//!         }
//!     }
//!     socket.shutdown(std::net::Shutdown::Write)
//! }
//! ```
//!
//! # What holds always
//!
//! - However the stream is cut, the events are the same.
//! - Memory grows with what arrived, never with what a length field says.
//! - [`Event::Closed`] is the last event, and comes exactly once.
//! - What is not accepted for sending comes back, with the reason.
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
mod rtt;
mod table;
mod time;
mod wire;

pub use close::{CloseReason, Closed, Disconnect, Origin, Retry};
pub use config::{Config, Damage, HeartbeatConfig, Limits, Seed, Timeouts, ValidConfig};
pub use connection::{Connection, Role, Transmit};
pub use error::{ConfigError, ProtocolError, SendError, SendRefused};
pub use event::{Established, Event, Gap};
pub use message::{Message, Payload};
pub use table::{ConnectionId, ConnectionRef, ConnectionTable, Slots};
#[cfg(feature = "std")]
pub use time::Clock;
pub use time::Instant;
pub use wire::{Class, Flags, HEADER_SIZE, Header, Hello, Kind, MAGIC};

/// Runs the examples of the README with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
