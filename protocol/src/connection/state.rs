//! The states of a connection and the ways between them: appendix A of the specification.

use alloc::boxed::Box;

use bytes::Bytes;

use crate::config::Seed;
use crate::wire::CloseFrame;
use crate::wire::{ClosePayload, Hello, Kind};

/// Which side opened the connection below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Role {
    /// It sends HELLO.
    Client,
    /// It answers HELLO_ACK.
    Server,
}

/// Where the connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// The peer's first packet has not come.
    Handshake { seed: Box<Seed> },
    /// The application of a server judges this HELLO.
    Judging { judged: Box<Judged> },
    /// Messages go both ways.
    Open,
    /// This side asked to close: it sends no message any more, and still receives them (PW-CLS-002, PW-CLS-005).
    Closing { said: Box<CloseFrame> },
    /// The peer asked to close. What was accepted goes out, then CLOSE_ACK.
    PeerClosing { heard: Box<ClosePayload> },
    /// Both sides asked to close. CLOSE_ACK of this side waits or went out.
    BothClosing { both: Box<Both> },
    /// `Closed` was or will be reported. Last bytes may wait to be written.
    Over,
}

/// A HELLO, and what the answer is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) seed: Seed,
    pub(super) hello: Hello,
}

/// What each side asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Both {
    pub(super) said: CloseFrame,
    pub(super) heard: ClosePayload,
}

/// What a packet kind means in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// A server's first packet.
    Hello,
    /// A client's first packet.
    HelloAck,
    /// CLOSE in place of HELLO_ACK.
    Refusal,
    Data,
    Ping,
    Pong,
    Busy,
    Reject,
    Drain,
    /// The peer asks to close.
    CloseAsked,
    /// The peer asks to close, and so did this side.
    CloseCrossed,
    /// The answer to CLOSE of this side.
    CloseAck,
    /// Evidence of life and nothing else.
    Nothing,
    /// Not allowed now; when that is.
    Unexpected(&'static str),
}

const BEFORE_CLOSE: Input = Input::Unexpected("before CLOSE");
const AFTER_CLOSE: Input = Input::Unexpected("after CLOSE");

impl State {
    /// The transition table: every state by every kind. The fields of the header have been judged. `drained`: the peer has
    /// sent DRAIN. `said`: CLOSE of this side was handed out, if it has one to say.
    ///
    /// What is unexpected: another first packet (PW-FRM-004), any before the answer to HELLO (PW-HS-021), HELLO or HELLO_ACK
    /// later (PW-HS-013), CLOSE_ACK without CLOSE (PW-CLS-010), messages, DRAIN or another CLOSE behind CLOSE (PW-CLS-013),
    /// and a second DRAIN (PW-CLS-017).
    pub(super) fn input(&self, role: Role, drained: bool, said: bool, kind: Kind) -> Input {
        match self {
            Self::Handshake { .. } => match (role, kind) {
                (Role::Server, Kind::HELLO) => Input::Hello,
                (Role::Client, Kind::HELLO_ACK) => Input::HelloAck,
                (Role::Client, Kind::CLOSE) => Input::Refusal,
                _ => Input::Unexpected("as the first packet"),
            },
            Self::Judging { .. } => Input::Unexpected("before HELLO_ACK"),
            Self::Open => match kind {
                Kind::DATA => Input::Data,
                Kind::DRAIN => drain(drained),
                Kind::CLOSE => Input::CloseAsked,
                Kind::CLOSE_ACK => BEFORE_CLOSE,
                other => at_any_time(other),
            },
            Self::Closing { .. } => match kind {
                Kind::DATA => Input::Data,
                Kind::DRAIN => drain(drained),
                Kind::CLOSE => Input::CloseCrossed,
                Kind::CLOSE_ACK => close_ack(said),
                other => at_any_time(other),
            },
            Self::PeerClosing { .. } => match kind {
                Kind::DATA | Kind::DRAIN | Kind::CLOSE => AFTER_CLOSE,
                Kind::CLOSE_ACK => BEFORE_CLOSE,
                other => at_any_time(other),
            },
            Self::BothClosing { .. } => match kind {
                Kind::DATA | Kind::DRAIN | Kind::CLOSE => AFTER_CLOSE,
                Kind::CLOSE_ACK => close_ack(said),
                other => at_any_time(other),
            },
            Self::Over => Input::Nothing,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }

    /// The seed, until the peer's first packet has come.
    pub(super) fn seed(&self) -> Option<Seed> {
        match self {
            Self::Handshake { seed } => Some(**seed),
            Self::Judging { .. }
            | Self::Open
            | Self::Closing { .. }
            | Self::PeerClosing { .. }
            | Self::BothClosing { .. }
            | Self::Over => None,
        }
    }

    pub(super) fn is_handshaking(&self) -> bool {
        match self {
            Self::Handshake { .. } | Self::Judging { .. } => true,
            Self::Open | Self::Closing { .. } | Self::PeerClosing { .. } | Self::BothClosing { .. } | Self::Over => {
                false
            }
        }
    }

    /// What this side asked for, until it is answered.
    pub(super) fn said(&self) -> Option<&CloseFrame> {
        match self {
            Self::Closing { said } => Some(said),
            Self::BothClosing { both } => Some(&both.said),
            Self::Handshake { .. } | Self::Judging { .. } | Self::Open | Self::PeerClosing { .. } | Self::Over => None,
        }
    }

    /// Bytes of memory that a HELLO holds while it is judged.
    pub(super) fn buffered(&self) -> usize {
        match self {
            Self::Judging { judged } => size_of::<Judged>() + judged.hello.token.as_ref().map_or(0, Bytes::len),
            Self::Handshake { .. }
            | Self::Open
            | Self::Closing { .. }
            | Self::PeerClosing { .. }
            | Self::BothClosing { .. }
            | Self::Over => 0,
        }
    }

    /// CLOSE of the peer, while it is being answered.
    pub(super) fn heard(&self) -> Option<&ClosePayload> {
        match self {
            Self::PeerClosing { heard } => Some(heard),
            Self::BothClosing { both } => Some(&both.heard),
            Self::Handshake { .. } | Self::Judging { .. } | Self::Open | Self::Closing { .. } | Self::Over => None,
        }
    }
}

/// The kinds that mean the same in all states between the handshake and the end.
fn at_any_time(kind: Kind) -> Input {
    match kind {
        Kind::PING => Input::Ping,
        Kind::PONG => Input::Pong,
        Kind::BUSY => Input::Busy,
        Kind::REJECT => Input::Reject,
        Kind::HELLO | Kind::HELLO_ACK => Input::Unexpected("after the handshake"),
        _ => Input::Nothing,
    }
}

fn drain(drained: bool) -> Input {
    if drained { Input::Unexpected("after DRAIN") } else { Input::Drain }
}

/// CLOSE_ACK means something once CLOSE was handed out.
fn close_ack(said: bool) -> Input {
    if said { Input::CloseAck } else { BEFORE_CLOSE }
}
