//! Options of any TCP socket, of any program: for connections that stay open for hours, to peers whose protocol cannot be changed.
//!
//! ```no_run
//! use std::net::TcpStream;
//! use std::time::Duration;
//! use pulsewire_socket::{Keepalive, set_keepalive, set_user_timeout};
//!
//! let keepalive = Keepalive::new(Duration::from_secs(5), Duration::from_secs(2), 3)?; // checked here, not at each socket
//! let device = TcpStream::connect("192.0.2.7:4352")?;
//! let effective = set_keepalive(&device, keepalive)?; // what the system made of it
//! set_user_timeout(&device, keepalive.user_timeout())?; // keepalive stands still while data is in flight
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each function takes a reference to what lies at hand (anything from which there is a [`SockRef`]): a socket of the standard
//! library, tokio, mio or socket2, or whatever lends its descriptor (`AsFd`) or handle (`AsSocket`). Each setting is a type that is checked
//! when it is made, and each function that sets something says what became of it.
//!
//! | question | answer |
//! |---|---|
//! | Is the peer's host still there, though nothing is sent? | [`set_keepalive`] |
//! | And while data is in flight? | [`set_user_timeout`] |
//! | Does it take what was sent? | [`unacknowledged`], [`unsent`], [`in_flight`] |
//! | How long does something urgent wait behind what was written before? | [`limit_unsent`] |
//! | What is lost when it is closed? | [`set_linger`] |
//! | Does the network prefer it? | [`set_traffic_class`]; `Qos` on Windows |
//! | Whose fault is it that an operation failed? | [`Cause`] |
//! | Who may connect, and can somebody else take the address? | [`ListenOptions`] |
//!
//! Nothing here notices that the peer's *program* hangs: its host answers for it. That takes a heartbeat of the application, which the
//! protocol Pulsewire has.
//!
//! With the feature `serde`, settings are read and written: times as milliseconds (`idle_ms`), classes by name (`"AF41"`), and what
//! is out of range is refused while it is read.
#![deny(unsafe_code)]

mod cause;
mod error;
mod established;
mod keepalive;
mod linger;
mod listener;
mod outstanding;
#[cfg(any(windows, test))]
#[cfg_attr(
    not(windows),
    allow(dead_code, unnameable_types, unreachable_pub, reason = "a part of it is tested elsewhere too")
)]
mod qos_flow;
#[cfg(feature = "serde")]
mod representation;
mod sys;
mod traffic_class;
mod unsent_limit;
mod user_timeout;

pub use cause::Cause;
pub use error::{Error, OutOfRange, Setting, Unconnected};
pub use keepalive::{EffectiveKeepalive, Keepalive, clear_keepalive, keepalive, set_keepalive};
pub use linger::{Linger, linger, set_linger};
pub use listener::ListenOptions;
pub use outstanding::{in_flight, unacknowledged, unsent};
#[cfg(windows)]
pub use qos_flow::{NotMarked, Qos, QosCall, QosError, QosFlow, TrafficType};
pub use socket2::SockRef;
pub use traffic_class::{Dscp, set_traffic_class, traffic_class};
pub use unsent_limit::{UnsentLimit, limit_unsent};
pub use user_timeout::{UserTimeout, clear_user_timeout, set_user_timeout, user_timeout};

/// The example of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
