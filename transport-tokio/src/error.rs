//! What can go wrong before there is a connection.

use std::io;
use std::net::SocketAddr;

use pulsewire_protocol::Closed;

/// Why [`Endpoint::connect`](crate::Endpoint::connect) gave no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The TCP connection could not be opened.
    #[error("cannot connect to {address}: {source}")]
    Tcp {
        /// Where to.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The peer, or this side, ended it during the handshake.
    #[error("{address} did not complete the handshake: {closed}")]
    Handshake {
        /// Where to.
        address: SocketAddr,
        /// How it ended, with advice on trying again.
        closed: Box<Closed>,
    },
}
