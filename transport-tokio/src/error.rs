//! What can go wrong before there is a connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use pulsewire_protocol::Closed;

/// Why [`Endpoint::connect`](crate::Endpoint::connect) gave no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name could not be turned into an address.
    #[error("cannot find the address to connect to")]
    Address {
        /// What the system said.
        source: io::Error,
    },
    /// The TCP connection could not be opened.
    #[error("cannot connect to {address}")]
    Tcp {
        /// Where to; the last one tried.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No address answered in time.
    #[error("no answer within {limit:?}")]
    Timeout {
        /// How long connecting was allowed to take ([`SocketOptions::connect_timeout`](crate::SocketOptions::connect_timeout)).
        limit: Duration,
    },
    /// The peer, or this side, ended it during the handshake.
    #[error("{address} did not complete the handshake: {closed}")]
    Handshake {
        /// Where to.
        address: SocketAddr,
        /// How it ended. If the server refused this client: its reason, its sentence in `detail`, and its advice on connecting
        /// again in `retry` (PW-HS-022).
        closed: Box<Closed>,
        /// What the stream said, if that broke: a TLS alert, for one.
        source: Option<io::Error>,
    },
}
