//! Where a connection stands, and what may come then (spec appendix A).

use std::time::Instant;

use super::super::fault::Fault;
use super::super::limit::Limit;
use super::super::{Behaviour, Bug};
use crate::codec::Hello;
use crate::codec::registry::{kind, reason};
use crate::role::Role;

/// Where the connection stands.
pub(super) enum Phase {
    /// The peer's first packet is awaited.
    Greeting { limit: Limit },
    /// The application judges HELLO (PW-HS-020).
    Judging { limit: Limit, client: Box<Hello>, version: u8 },
    /// Messages go both ways.
    Open,
    /// The application closes. This side's CLOSE goes out behind the messages, and `sent` runs since then; `over` since CLOSE_ACK
    /// came.
    Closing { queued: bool, sent: Option<Limit>, over: Option<Limit> },
    /// The peer's CLOSE came: what was accepted goes out, then CLOSE_ACK, then nothing.
    Acknowledging { queued: bool, since: Instant },
    /// A fault of either side: what is begun goes out, and CLOSE where this side found it. Nothing that comes is acted on.
    Failing { limit: Limit },
    /// This side's direction is ended; the peer's is read to its end.
    Lingering { limit: Limit },
    /// Over.
    Gone,
}

impl Phase {
    /// The application closes: CLOSE is not queued yet.
    pub(super) const CLOSING: Self = Self::Closing { queued: false, sent: None, over: None };

    /// The transport took bytes: the times that go by that begin anew (PW-CLS-007, PW-CLS-012). `of_close` tells whether CLOSE was among
    /// them, behind which more may go.
    pub(super) fn bytes_taken(&mut self, of_close: bool, now: Instant, behaviour: &Behaviour) {
        let limit = match self {
            Self::Closing { over: Some(limit), .. } | Self::Failing { limit } | Self::Lingering { limit } => limit,
            Self::Closing { over: None, .. } if behaviour.has(Bug::CloseTimeRunsWhileItWaits) => return,
            Self::Closing { sent: Some(limit), over: None, .. } => {
                if of_close || behaviour.has(Bug::AnyByteDefersCloseTimeout) {
                    limit.progress(now);
                }
                return;
            }
            Self::Closing { sent: None, over: None, .. }
            | Self::Greeting { .. }
            | Self::Judging { .. }
            | Self::Open
            | Self::Acknowledging { .. }
            | Self::Gone => return,
        };
        if !behaviour.has(Bug::LingerRunsWhileItSends) {
            limit.progress(now);
        }
    }

    /// Whether what comes is ignored.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Closing { over, .. } => over.is_some(),
            Self::Failing { .. } | Self::Lingering { .. } | Self::Gone => true,
            Self::Greeting { .. } | Self::Judging { .. } | Self::Open | Self::Acknowledging { .. } => false,
        }
    }
}

/// What the peer has said about the end.
#[derive(Clone, Copy, Default)]
pub(super) struct Farewell {
    /// DRAIN came.
    pub(super) drained: bool,
    /// CLOSE came.
    pub(super) closed: bool,
}

/// Which kinds may come in which phase.
pub(super) fn judge_in_phase(
    phase: &Phase,
    role: Role,
    peer: Farewell,
    behaviour: &Behaviour,
    kind: u8,
) -> Result<(), Fault> {
    let bug = |bug| behaviour.has(bug);
    let fits = match (phase, kind) {
        (Phase::Greeting { .. }, _) => match role {
            _ if bug(Bug::ReadsAnyPacketAsHello) => true,
            Role::Server => kind == kind::HELLO,
            Role::Client => kind == kind::HELLO_ACK || kind == kind::CLOSE,
        },
        (Phase::Judging { .. }, _) => bug(Bug::HearsWhileJudging),
        (_, kind::HELLO | kind::HELLO_ACK) => bug(Bug::SecondHelloAccepted),
        (Phase::Closing { sent: Some(_), .. }, kind::CLOSE_ACK) => true,
        (Phase::Closing { sent: None, .. }, kind::CLOSE_ACK) => bug(Bug::AcceptsEarlyCloseAck),
        (_, kind::CLOSE_ACK) => bug(Bug::AcceptsStrayCloseAck),
        (_, kind::DATA | kind::CLOSE) => !peer.closed || bug(Bug::ListensAfterClose),
        (_, kind::DRAIN) if peer.closed => bug(Bug::AcceptsDrainBehindClose),
        (_, kind::DRAIN) => !peer.drained || bug(Bug::AcceptsSecondDrain),
        (_, _) => true,
    };
    if fits { Ok(()) } else { Err(Fault::new(reason::UNEXPECTED_PACKET)) }
}
