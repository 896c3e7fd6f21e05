//! Between the words of the protocol crate and those of the suite.

use std::num::NonZeroU64;
use std::time::Duration;

use pulsewire_conformance::Profile;
use pulsewire_conformance::subject::{self, Happening, Id, Refusal};
use pulsewire_protocol::{
    Admission, CloseFrame, CloseReason, Config, ConnectionId, Damage, Event, HeartbeatConfig, Limits, Origin, Retry,
    SendRefused, Timeouts,
};

/// Bytes that may wait for one connection: more than the system takes, so that the suite sees what overtakes messages.
const SEND_QUEUE: usize = 32 << 20;

/// The core's configuration for a profile of the suite.
pub fn config(profile: &Profile) -> Config {
    Config {
        heartbeat: HeartbeatConfig {
            idle: profile.idle,
            interval: profile.interval,
            probes: profile.probes,
            extension_max: profile.extension_max,
            detect_within: profile.detect_within,
            ping_floor: profile.ping_floor,
            busy_max: profile.busy_max,
        },
        limits: Limits {
            frame: profile.frame_limit,
            message: profile.message_limit,
            frame_sent: profile.frame_sent,
            send_queue: SEND_QUEUE,
        },
        timeouts: Timeouts {
            handshake: profile.handshake_timeout,
            close: profile.close_timeout,
            write_stall: profile.write_stall,
            assembly_base: profile.assembly_base,
            assembly_rate: profile.assembly_rate,
            linger: profile.linger,
        },
        damage: if profile.resync { Damage::Resynchronise } else { Damage::Close },
        admission: if profile.admission { Admission::Ask } else { Admission::Automatic },
        token: None,
    }
}

pub fn id_to_suite(id: ConnectionId) -> Id {
    Id { slot: id.slot(), domain: id.domain(), cookie: id.cookie().get() }
}

/// The id that the suite means, unless it made up one that no connection can have.
pub fn id_from_suite(id: Id) -> Option<ConnectionId> {
    Some(ConnectionId::new(id.slot, id.domain, NonZeroU64::new(id.cookie)?))
}

/// What an event tells the suite; `None` for messages, the handshake's end, and what the suite does not ask about.
pub fn happening(event: &Event<'_>) -> Option<Happening> {
    Some(match event {
        Event::Admission(_) => Happening::Admission,
        Event::Rejected(rejected) => {
            let ordinal = rejected.ordinal.map_or(0, u64::from);
            Happening::Rejected { class: rejected.class.0, ordinal, reason: rejected.reason.0 }
        }
        Event::TooLarge(_) => Happening::TooLarge,
        Event::Suspect(_) => Happening::Suspect,
        Event::Recovered(_) => Happening::Recovered,
        Event::Draining { received } => Happening::Draining { received: *received },
        Event::Closing(frame) => Happening::Closing(frame_to_suite(frame.reason, frame.retry, &frame.text)),
        Event::Closed(closed) => {
            let origin = match closed.origin {
                Origin::Local => subject::Origin::Local,
                Origin::Peer => subject::Origin::Peer,
                Origin::Transport => subject::Origin::Transport,
            };
            let frame = frame_to_suite(closed.reason, closed.retry, &closed.detail);
            Happening::Closed { frame, origin, orderly: closed.orderly }
        }
        _ => return None,
    })
}

fn frame_to_suite(reason: CloseReason, retry: Retry, text: &str) -> subject::CloseFrame {
    let retry_after = match retry {
        Retry::After(time) => u32::try_from(time.as_millis()).unwrap_or(u32::MAX),
        Retry::Never => u32::MAX,
    };
    subject::CloseFrame { reason: reason.0, retry_after: Some(retry_after), text: text.to_owned() }
}

pub fn frame_from_suite(frame: &subject::CloseFrame) -> CloseFrame {
    let registered = CloseFrame::from(CloseReason(frame.reason)).with_text(&frame.text);
    match frame.retry_after {
        None => registered,
        Some(u32::MAX) => registered.with_retry(Retry::Never),
        Some(milliseconds) => registered.with_retry(Retry::After(Duration::from_millis(milliseconds.into()))),
    }
}

/// Why a message was refused.
pub fn refusal(reason: SendRefused) -> Refusal {
    match reason {
        SendRefused::Stale => Refusal::Stale,
        SendRefused::Closed(_) | SendRefused::NotEstablished => Refusal::Closed,
        SendRefused::Full => Refusal::Full,
        // No other refusal has a name of its own in the suite.
        _ => Refusal::TooLarge,
    }
}
