//! How connections end: who ended them, and what is known about it.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::message::Message;
use crate::verdict::Verdict;
use crate::wire::printing::escaped;
use crate::wire::{CloseReason, Retry};

/// Who ended the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Origin {
    /// This side: its application, or its judgement of the peer.
    Local,
    /// The peer sent CLOSE.
    Peer,
    /// The transport below ended without a word of the protocol.
    Transport,
}

/// How the transport below ended, for [`Connection::disconnected`](crate::Connection::disconnected).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Disconnect {
    /// End of stream: a read returned 0 bytes.
    EndOfStream,
    /// The peer's side reset the connection, or its process died.
    Reset,
    /// The operating system gave up on the network.
    NetworkLost,
    /// This side closed the socket.
    Aborted,
}

impl Disconnect {
    /// The reason that [`Closed`] gives for it.
    #[must_use]
    pub fn reason(self) -> CloseReason {
        match self {
            Self::EndOfStream => CloseReason::PEER_ENDED,
            Self::Reset => CloseReason::RESET,
            Self::NetworkLost => CloseReason::NETWORK_LOST,
            Self::Aborted => CloseReason::ABORTED,
        }
    }
}

/// The end of a connection: the last event that it gives.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Closed {
    /// Why.
    pub reason: CloseReason,
    /// Who ended it.
    pub origin: Origin,
    /// Advice on connecting again: the peer's where it gave any, else the registry's.
    #[cfg_attr(feature = "serde", serde(rename = "retry_after_ms", with = "crate::representation::retry"))]
    pub retry: Retry,
    /// A sentence for a person with the particulars; empty where there are none. The peer's own where it closed: `Display`
    /// escapes it, who prints it otherwise has to.
    pub detail: String,
    /// With `PEER_TIMEOUT` by this side: what was seen, in numbers. `detail` is the sentence.
    pub verdict: Option<Box<Verdict>>,
    /// Whether both sides took leave: CLOSE and CLOSE_ACK went both ways.
    pub orderly: bool,
    /// Whether the peer sent anything at all, whatever it was.
    pub heard: bool,
    /// Messages received whole on this connection.
    pub received: u64,
    /// How many messages the peer says it received whole, where it said so. All of them, if it equals what was sent; else it
    /// does not tell which.
    pub acknowledged: Option<u64>,
    /// What was accepted for sending and never handed to the driver, in order.
    pub unsent: Vec<Message<'static>>,
}

/// How a connection ended, in short: for who counts, and did not get [`Closed`] itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Ended {
    /// As [`Closed::reason`].
    pub reason: CloseReason,
    /// As [`Closed::origin`].
    pub origin: Origin,
    /// As [`Closed::orderly`].
    pub orderly: bool,
    /// Whether the handshake had been complete.
    pub established: bool,
    /// As [`Closed::acknowledged`].
    pub acknowledged: Option<u64>,
    /// How many messages [`Closed::unsent`] gave back.
    pub unsent_messages: u64,
    /// Bytes of payload in these.
    pub unsent_bytes: u64,
}

impl Closed {
    /// Whether the peer left without having sent a single byte, as the health checks of load balancers do: nothing was lost.
    #[must_use]
    pub fn never_spoke(&self) -> bool {
        self.origin == Origin::Transport && !self.heard
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.origin {
            Origin::Local => "closed by this side",
            Origin::Peer => "closed by the peer",
            Origin::Transport => "ended by the transport",
        };
        if self.never_spoke() {
            return write!(f, "{who}: the peer left without sending a byte ({:?})", self.reason);
        }
        match &*escaped(&self.detail) {
            "" => write!(f, "{who}: {}", self.reason),
            detail => write!(f, "{who}: {detail} ({:?})", self.reason),
        }
    }
}
