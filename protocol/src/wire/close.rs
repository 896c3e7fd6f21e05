//! What CLOSE says: reasons, advice on connecting again, a sentence (sections 9 and 11.3 of the specification).

use alloc::string::String;
use core::fmt;
use core::time::Duration;

/// Why a connection ended: a number of the registry in section 11.3 of the specification.
///
/// Unknown numbers are kept as they came. 32,768 to 65,535 are the application's own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseReason(pub u16);

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $text:literal;)*) => {
        impl CloseReason {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// The name of the registry, or `None` for a number that it doesn't list.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// The reason that the registry gives this name.
            #[cfg(feature = "serde")]
            pub(crate) fn from_name(name: &str) -> Option<Self> {
                [$(Self::$name),*].into_iter().find(|reason| reason.name() == Some(name))
            }

            const fn sentence(self) -> &'static str {
                match self.0 {
                    $($value => $text,)*
                    32_768.. => "the application gave a reason of its own",
                    _ => "the peer gave a reason that this version does not know",
                }
            }
        }
    };
}

reasons! {
    /// Nothing is wrong; the application is done.
    NORMAL = 1, "the connection was closed normally";
    /// This side is shutting down or moving; connect again, elsewhere or later.
    GOING_AWAY = 2, "the side that closed is going away; connect again later";
    /// The application refused the peer.
    REFUSED = 3, "the application refused the connection";
    /// No room for another connection just now.
    OVERLOADED = 4, "no room for another connection; try again later";
    /// The first bytes were not Pulsewire's.
    NOT_PULSEWIRE = 16, "the first bytes were not Pulsewire's; is the address right?";
    /// A header did not verify, and resynchronising was not agreed.
    BAD_HEADER = 17, "a header did not verify; the stream was damaged";
    /// A payload's checksum was wrong, and resynchronising was not agreed.
    PAYLOAD_CHECKSUM = 18, "a payload's checksum was wrong; the stream was damaged";
    /// A header whose fields contradict each other.
    BAD_PACKET = 19, "a header has fields that its kind must not have";
    /// A kind that this version doesn't know and may not ignore.
    UNKNOWN_KIND = 20, "a packet of an unknown critical kind";
    /// A flag that this version doesn't know.
    UNKNOWN_FLAG = 21, "a packet with an unknown flag";
    /// A control packet of a size that its kind can't have.
    BAD_LENGTH = 22, "a control packet of the wrong size";
    /// Frames of a message that don't fit together.
    BAD_FRAGMENT = 23, "frames that do not fit together to a message";
    /// A frame above the announced limit.
    FRAME_TOO_LARGE = 24, "a frame above the announced limit";
    /// More messages were refused than can be told.
    MESSAGE_TOO_LARGE = 25, "more messages had to be refused than can be told";
    /// More bytes or gaps were skipped than resynchronising allows.
    RESYNC_BUDGET = 26, "too much of the stream had to be skipped";
    /// A DATA packet without checksum to a side that resynchronises.
    CHECKSUM_REQUIRED = 27, "a DATA packet lacked the checksum that was asked for";
    /// A packet that is not allowed at this point of the connection.
    UNEXPECTED_PACKET = 28, "a packet that is not allowed at this point";
    /// A count or an ordinal above what was sent.
    BAD_COUNT = 29, "a packet counts messages that were never sent";
    /// A malformed HELLO or HELLO_ACK.
    BAD_HELLO = 32, "a malformed HELLO or HELLO_ACK";
    /// No version in common.
    UNSUPPORTED_VERSION = 33, "the two sides share no version of the protocol";
    /// An unknown critical item in HELLO or HELLO_ACK.
    UNKNOWN_ITEM = 34, "an unknown critical item in HELLO or HELLO_ACK";
    /// The handshake was not complete in time.
    HANDSHAKE_TIMEOUT = 35, "the handshake was not complete in time";
    /// The peer's ping floor makes detection slower than `detect_within` allows.
    INCOMPATIBLE_TIMERS = 36, "the peer's ping floor makes detection slower than configured";
    /// The peer was silent and answered no probe.
    PEER_TIMEOUT = 48, "the peer was silent and answered no probe";
    /// What was handed out went away too slowly.
    WRITE_STALL = 49, "the peer takes bytes too slowly";
    /// A packet was not complete in time.
    FRAME_STALL = 50, "a packet was not complete in time";
    /// More PINGs than the announced floor admits.
    PING_FLOOD = 51, "more PINGs than the announced floor admits";
    /// A PING whose number did not increase.
    BAD_PING = 52, "a PING whose number did not increase";
    /// A PONG for a PING that was never sent.
    BAD_PONG = 53, "a PONG for a PING that was never sent";
    /// CLOSE was not answered in time.
    CLOSE_TIMEOUT = 54, "the peer did not answer CLOSE in time";
    /// A message was begun, and did not go on or end in time.
    MESSAGE_STALL = 55, "a message was begun and not completed in time";
    /// The stream ended without CLOSE. Never on the wire.
    PEER_ENDED = 256, "the peer ended the stream without closing";
    /// The connection was reset. Never on the wire.
    RESET = 257, "the connection was reset by the peer's side";
    /// The transport gave up on the network. Never on the wire.
    NETWORK_LOST = 258, "the network was lost";
    /// This side cut the connection. Never on the wire.
    ABORTED = 259, "this side cut the connection";
}

impl CloseReason {
    /// Whether this names a fault of the protocol or of a side: such a CLOSE is not answered (PW-CLS-009).
    #[must_use]
    pub const fn is_fault(self) -> bool {
        matches!(self.0, 16..=255)
    }

    /// Whether this side may send it in CLOSE: the registry's reasons below 256, and the application's own from 32,768 on
    /// (PW-VER-001). A peer of a later version may send others.
    #[must_use]
    pub const fn is_on_wire(self) -> bool {
        match self.0 {
            ..256 => self.name().is_some(),
            256..32_768 => false,
            32_768.. => true,
        }
    }

    /// The registry's advice on connecting again.
    #[must_use]
    pub const fn retry(self) -> Retry {
        match self.0 {
            1 | 17 | 18 | 26 | 259 => Retry::After(Duration::ZERO),
            2 | 4 | 35 | 48..=50 | 54 | 55 | 256..=258 => Retry::After(Duration::from_secs(1)),
            32_768.. => Retry::After(Duration::ZERO),
            _ => Retry::Never,
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.sentence(), self.0)
    }
}

impl fmt::Debug for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name}"),
            None => write!(f, "CloseReason({})", self.0),
        }
    }
}

/// Advice on connecting again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// It is worth another try after this time; add jitter, and back off.
    After(Duration),
    /// Another try would end the same way.
    Never,
}

impl Retry {
    pub(crate) fn to_wire(self) -> u32 {
        match self {
            Self::After(time) => u32::try_from(time.as_millis()).unwrap_or(u32::MAX).min(u32::MAX - 1),
            Self::Never => u32::MAX,
        }
    }

    pub(crate) fn from_wire(millis: u32) -> Self {
        if millis == u32::MAX { Self::Never } else { Self::After(Duration::from_millis(millis.into())) }
    }
}

/// What a CLOSE says to the application: why, when to come again, and a sentence.
///
/// ```
/// use std::time::Duration;
/// use pulsewire_protocol::{CloseFrame, CloseReason, Retry};
///
/// // The registry's advice for the reason, and no sentence.
/// let frame = CloseFrame::from(CloseReason::GOING_AWAY);
/// assert_eq!(frame.retry, Retry::After(Duration::from_secs(1)));
///
/// let frame = frame.with_retry(Retry::After(Duration::from_secs(60))).with_text("back in a minute");
/// assert_eq!(frame.text, "back in a minute");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CloseFrame {
    /// Why.
    pub reason: CloseReason,
    /// When to connect again; whole milliseconds on the wire.
    #[cfg_attr(feature = "serde", serde(rename = "retry_after_ms", with = "crate::representation::retry"))]
    pub retry: Retry,
    /// A sentence for a person; may be empty. CLOSE has room for 494 bytes of UTF-8: a longer one is cut.
    pub text: String,
}

impl CloseFrame {
    /// The same with other advice on connecting again.
    #[must_use]
    pub fn with_retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }

    /// The same with a sentence for a person.
    #[must_use]
    pub fn with_text(self, text: impl Into<String>) -> Self {
        Self { text: text.into(), ..self }
    }

    /// The same with `reason` in place of one that must not be on the wire.
    pub(crate) fn on_wire_or(self, reason: CloseReason) -> Self {
        if self.reason.is_on_wire() { self } else { Self { reason, ..self } }
    }
}

impl From<CloseReason> for CloseFrame {
    /// The registry's advice for this reason, and no sentence.
    fn from(reason: CloseReason) -> Self {
        Self { reason, retry: reason.retry(), text: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_never_only_where_it_was_given() {
        let longest = u32::MAX - 1;
        let exactly = |millis: u32| Retry::After(Duration::from_millis(millis.into()));
        for time in [exactly(longest), exactly(u32::MAX), Retry::After(Duration::MAX)] {
            assert_eq!(time.to_wire(), longest);
            assert_eq!(Retry::from_wire(time.to_wire()), exactly(longest));
        }
        assert_eq!(Retry::from_wire(Retry::Never.to_wire()), Retry::Never);
    }

    /// An application's own reasons stand in no registry: it comes again unless told otherwise.
    #[test]
    fn the_applications_own_reasons_advise_to_come_again() {
        for reason in [32_768, u16::MAX] {
            assert_eq!(CloseReason(reason).retry(), Retry::After(Duration::ZERO));
        }
        assert_eq!(CloseReason(32_767).retry(), Retry::Never);
    }
}
