//! The states of a connection and the ways between them (sections 7 and 9 of the specification).

use alloc::boxed::Box;

use crate::close::CloseReason;
use crate::config::Seed;
use crate::time::Instant;
use crate::wire::{CloseFrame, Kind};

/// Which side opened the connection below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    Handshake { deadline: Instant, seed: Seed },
    /// Messages go both ways.
    Open,
    /// This side asked to close. The deadline begins when CLOSE was handed out.
    Closing { reason: CloseReason, deadline: Option<Instant>, peer_asked: bool },
    /// The peer asked to close. What was accepted goes out, then CLOSE_ACK.
    PeerClosing(Box<CloseFrame>),
    /// `Closed` was or will be reported. Last bytes may wait to be written.
    Over,
}

/// What a packet kind means in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// HELLO or HELLO_ACK, as the first packet.
    Greeting,
    /// CLOSE in place of HELLO_ACK.
    Refusal,
    Data,
    Ping,
    Pong,
    Close,
    CloseAck,
    /// Evidence of life and nothing else: reserved and ignorable kinds.
    Nothing,
    /// Not allowed now; when that is.
    Unexpected(&'static str),
}

impl State {
    /// The transition table: every state by every kind. The fields of the header have been judged.
    pub(super) fn input(&self, role: Role, kind: Kind) -> Input {
        match self {
            Self::Handshake { .. } => match (role, kind) {
                (Role::Server, Kind::HELLO) | (Role::Client, Kind::HELLO_ACK) => Input::Greeting,
                (Role::Client, Kind::CLOSE) => Input::Refusal,
                _ => Input::Unexpected("as the first packet"),
            },
            Self::Open => match kind {
                Kind::DATA => Input::Data,
                Kind::PING => Input::Ping,
                Kind::PONG => Input::Pong,
                Kind::CLOSE => Input::Close,
                Kind::CLOSE_ACK => Input::Unexpected("before CLOSE"),
                Kind::HELLO | Kind::HELLO_ACK => Input::Unexpected("after the handshake"),
                _ => Input::Nothing,
            },
            Self::Closing { deadline, peer_asked, .. } => match kind {
                Kind::DATA if *peer_asked => Input::Unexpected("after CLOSE"),
                Kind::DATA => Input::Data,
                Kind::PING => Input::Ping,
                Kind::PONG => Input::Pong,
                Kind::CLOSE if *peer_asked => Input::Unexpected("after CLOSE"),
                Kind::CLOSE => Input::Close,
                Kind::CLOSE_ACK if deadline.is_some() => Input::CloseAck,
                Kind::CLOSE_ACK => Input::Unexpected("before CLOSE"),
                Kind::HELLO | Kind::HELLO_ACK => Input::Unexpected("after the handshake"),
                _ => Input::Nothing,
            },
            Self::PeerClosing(_) => match kind {
                Kind::DATA | Kind::CLOSE => Input::Unexpected("after CLOSE"),
                Kind::PING => Input::Ping,
                Kind::PONG => Input::Pong,
                Kind::CLOSE_ACK => Input::Unexpected("before CLOSE"),
                Kind::HELLO | Kind::HELLO_ACK => Input::Unexpected("after the handshake"),
                _ => Input::Nothing,
            },
            Self::Over => Input::Nothing,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }
}
