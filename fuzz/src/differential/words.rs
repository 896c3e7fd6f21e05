//! What the application is told, in the same words by both.

use pulsewire_conformance::subject::{self, Happening};
use pulsewire_protocol::{Event, Origin, Retry};

/// PEER_TIMEOUT, WRITE_STALL, FRAME_STALL, CLOSE_TIMEOUT and MESSAGE_STALL.
const TIME_LIMITS: [&str; 5] =
    ["closed 48 here", "closed 49 here", "closed 50 here", "closed 54 here", "closed 55 here"];

/// What the core tells; `None` for what the oracle does not: gaps, the end of the handshake, and a CLOSE before the end.
pub(super) fn of_core(event: &Event<'_>) -> Option<String> {
    Some(match event {
        Event::Admission(_) => "admission".into(),
        Event::Rejected(rejected) => {
            of_reject(rejected.class.0, rejected.ordinal.map_or(0, u64::from), rejected.reason.0)
        }
        Event::TooLarge(_) => "too large".into(),
        Event::Suspect(_) => "suspect".into(),
        Event::Recovered(_) => "recovered".into(),
        Event::Draining { received } => format!("draining {received}"),
        Event::Closed(closed) => {
            let retry = match closed.retry {
                Retry::After(time) => u32::try_from(time.as_millis()).unwrap_or(u32::MAX),
                Retry::Never => u32::MAX,
            };
            match closed.origin {
                Origin::Peer => of_peer(closed.reason.0, closed.orderly, Some(retry), &closed.detail),
                Origin::Local => format!("closed {} here {}", closed.reason.0, closed.orderly),
                Origin::Transport => format!("closed {} below {}", closed.reason.0, closed.orderly),
            }
        }
        _ => return None,
    })
}

/// What the oracle tells.
pub(super) fn of_oracle(happening: &Happening) -> Option<String> {
    Some(match happening {
        Happening::Admission => "admission".into(),
        Happening::Rejected { class, ordinal, reason } => of_reject(*class, *ordinal, *reason),
        Happening::TooLarge => "too large".into(),
        Happening::Suspect => "suspect".into(),
        Happening::Recovered => "recovered".into(),
        Happening::Draining { received } => format!("draining {received}"),
        Happening::Closing(_) => return None,
        Happening::Closed { frame, origin, orderly } => match origin {
            subject::Origin::Peer => of_peer(frame.reason, *orderly, frame.retry_after, &frame.text),
            subject::Origin::Local => format!("closed {} here {orderly}", frame.reason),
            subject::Origin::Transport => format!("closed {} below {orderly}", frame.reason),
        },
    })
}

fn of_reject(class: u8, ordinal: u64, reason: u16) -> String {
    format!("rejected {ordinal} of class {class} for {reason}")
}

/// The core's sentence ends with the item LIMIT, where there is one; the oracle does not tell that.
fn of_peer(reason: u16, orderly: bool, retry_after: Option<u32>, text: &str) -> String {
    let text = text.split("(limit ").next().unwrap_or_default().trim_end();
    format!("closed {reason} by the peer {orderly} {retry_after:?} {text:?}")
}

/// That a peer is suspect, or has recovered, may stand anywhere among what is told at a time.
pub(super) fn suspicions_first(told: &mut [String]) {
    told.sort_by_key(|word| word != "suspect" && word != "recovered");
}

/// Drops what is due at the moment of an end, and need not be told of any more: a peer that turns suspect, or lives after all and
/// breaks a rule with the same header. Both may tell it before or behind what else came then.
pub(super) fn drop_last_suspicion(told: &mut Vec<String>) {
    let Some((end, before)) = told.split_last() else { return };
    if end.starts_with("closed") {
        let fault = end.contains(" here ");
        let optional = |word: &String| word == "suspect" || fault && word == "recovered";
        let kept: Vec<_> = before.iter().filter(|word| !optional(word)).cloned().collect();
        *told = [kept, vec![end.clone()]].concat();
    }
}

/// Whether it ended because a message was open for too long.
pub(super) fn is_stalled_message(told: &[String]) -> bool {
    told.last().is_some_and(|word| word.starts_with("closed 55 here"))
}

/// Whether two different time limits were up at the same moment, and each side named another one: which comes first is free (section 9).
pub(super) fn is_tie(core: &[String], oracle: &[String]) -> bool {
    let limit =
        |told: &[String]| told.last().and_then(|word| TIME_LIMITS.iter().position(|limit| word.starts_with(limit)));
    limit(core).zip(limit(oracle)).is_some_and(|(core, oracle)| core != oracle)
}
