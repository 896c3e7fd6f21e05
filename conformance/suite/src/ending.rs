//! How the last connection of a case ended: a second axis beside the verdict.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::codec::Header;
use crate::codec::registry::{kind, reason};
use crate::transcript::{Action, Step};

/// How a connection ended, as the suite saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ending", content = "close_reason")]
pub enum ConnectionEnd {
    /// The suite's CLOSE was answered with CLOSE_ACK.
    Orderly,
    /// The subject sent CLOSE with this reason (spec section 11.3).
    ClosedBySubject(String),
    /// The connection was reset without CLOSE.
    Reset,
    /// The stream ended without CLOSE.
    EndedWithoutAWord,
    /// Nothing ended it while the case ran.
    StillOpen,
    /// There was no connection.
    NeverOpened,
}

impl ConnectionEnd {
    /// How the last connection of these steps ended.
    pub(crate) fn of(steps: &[Step]) -> Self {
        let Some(last) = steps.iter().map(|step| step.connection).max().filter(|last| *last > 0) else {
            return Self::NeverOpened;
        };
        let of_last = || steps.iter().filter(|step| step.connection == last);
        let packet = |kind| of_last().find(|step| received_kind(step) == Some(kind));
        let happened = |action| of_last().any(|step| step.action == action);
        if packet(kind::CLOSE_ACK).is_some() {
            Self::Orderly
        } else if let Some(close) = packet(kind::CLOSE) {
            Self::ClosedBySubject(close_reason(close))
        } else if happened(Action::Reset) {
            Self::Reset
        } else if happened(Action::Ended) {
            Self::EndedWithoutAWord
        } else {
            Self::StillOpen
        }
    }
}

fn received_kind(step: &Step) -> Option<u8> {
    let packet = step.action == Action::Received && step.bytes.start.starts_with(&Header::MAGIC);
    packet.then(|| step.bytes.start.get(2).copied()).flatten()
}

fn close_reason(step: &Step) -> String {
    match step.bytes.start.get(Header::SIZE..Header::SIZE + 2) {
        Some(&[high, low]) => reason::name(u16::from_be_bytes([high, low])),
        Some(_) | None => "no reason".into(),
    }
}

impl fmt::Display for ConnectionEnd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Orderly => formatter.write_str("closed in order"),
            Self::ClosedBySubject(reason) => write!(formatter, "closed by the subject with {reason}"),
            Self::Reset => formatter.write_str("reset"),
            Self::EndedWithoutAWord => formatter.write_str("ended without a word"),
            Self::StillOpen => formatter.write_str("still open"),
            Self::NeverOpened => formatter.write_str("never opened"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ConnectionEnd;
    use crate::codec::registry::{kind, reason};
    use crate::codec::{Close, Packet};
    use crate::transcript::{ConnectionTranscript, Transcript};

    fn came(connection: &ConnectionTranscript, packet: &Packet) {
        connection.received(packet, &packet.encode(7));
    }

    fn end_after(act: fn(&ConnectionTranscript)) -> ConnectionEnd {
        let transcript = Transcript::new(crate::clock::now());
        transcript.connection().reset();
        act(&transcript.connection());
        ConnectionEnd::of(&transcript.steps())
    }

    #[test]
    fn the_last_connection_is_told_by_what_the_subject_did() {
        assert_eq!(ConnectionEnd::of(&[]), ConnectionEnd::NeverOpened);
        assert_eq!(end_after(|last| last.sent(None, b"x", &[1], 0)), ConnectionEnd::StillOpen);
        assert_eq!(end_after(ConnectionTranscript::ended), ConnectionEnd::EndedWithoutAWord);
        assert_eq!(end_after(ConnectionTranscript::reset), ConnectionEnd::Reset);
        let acknowledged = |last: &ConnectionTranscript| came(last, &Packet::close_ack(0));
        assert_eq!(end_after(acknowledged), ConnectionEnd::Orderly);
        let closed = end_after(|last| {
            came(last, &Packet::control(kind::PONG, [0; 8]));
            came(last, &Close::new(reason::BAD_PONG, 0).to_packet());
            last.reset();
        });
        assert_eq!(closed, ConnectionEnd::ClosedBySubject("BAD_PONG".into()));
    }
}
