//! The implementations that the tool can name.

mod core;
#[cfg(windows)]
mod iocp;
mod seen;
mod tokio;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use pulsewire_conformance::Profile;
use pulsewire_conformance::oracle::{Bug, Oracle};
use pulsewire_conformance::subject::{self, Happening, Id, Refusal, Reply, Subject};
use pulsewire_protocol::{
    Admission, CloseFrame, CloseReason, Config, ConnectionId, Damage, Event, HeartbeatConfig, Limits, Origin, Retry,
    SendRefused, Timeouts,
};

pub use self::core::CoreSubject;
#[cfg(windows)]
pub use self::iocp::IocpSubject;
pub use self::tokio::{Medium, tokio_subject};

/// The implementations of this workspace that run on this system.
///
/// A transport is added here, with its adapter in a file of its own beside this one.
#[must_use]
pub fn of_this_system() -> Vec<Arc<dyn Subject>> {
    vec![
        tokio_over(Medium::Tcp),
        #[cfg(windows)]
        Arc::new(IocpSubject),
    ]
}

fn tokio_over(medium: Medium) -> Arc<dyn Subject> {
    Arc::new(tokio_subject(medium).expect("the runtime of tokio starts"))
}

/// The tokio transport over other media than TCP sockets.
#[must_use]
pub fn over_other_media() -> Vec<Arc<dyn Subject>> {
    vec![
        #[cfg(unix)]
        tokio_over(Medium::Unix),
        tokio_over(Medium::Duplex),
        tokio_over(Medium::Tls),
    ]
}

/// The subject with this name: one of this system, `tokio-unix`, `tokio-duplex` or `tokio-tls`, `oracle:none`, or `oracle:` and the name of a bug, or `oracle-in-memory:` in
/// place of `oracle:`.
#[must_use]
pub fn by_name(name: &str) -> Option<Arc<dyn Subject>> {
    if let Some(oracle) = name.strip_prefix("oracle:") {
        return Some(Arc::new(oracle_by_name(oracle)?));
    }
    if let Some(oracle) = name.strip_prefix("oracle-in-memory:") {
        return Some(Arc::new(oracle_by_name(oracle)?.in_memory()));
    }
    if name == "core" {
        return Some(Arc::new(CoreSubject::new(0)));
    }
    of_this_system().into_iter().chain(over_other_media()).find(|subject| subject.name() == name)
}

/// The oracle with this bug, or with `none`.
fn oracle_by_name(name: &str) -> Option<Oracle> {
    if name == "none" { Some(Oracle::clean()) } else { Bug::from_name(name).map(Oracle::with_bug) }
}

/// Bytes that may wait for one connection: more than the system takes, so that the suite sees what overtakes messages.
const SEND_QUEUE: usize = 32 << 20;

/// The core's configuration for a profile of the suite.
fn core_config(profile: &Profile) -> Config {
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

fn id_to_suite(id: ConnectionId) -> Id {
    Id { slot: id.slot(), domain: id.domain(), cookie: id.cookie().get() }
}

/// The id that the suite means, unless it made up one that no connection can have.
fn id_from_suite(id: Id) -> Option<ConnectionId> {
    Some(ConnectionId::new(id.slot, id.domain, NonZeroU64::new(id.cookie)?))
}

/// What an event tells the suite; `None` for messages, the handshake's end, and what the suite does not ask about.
fn happening(event: &Event<'_>) -> Option<Happening> {
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

fn frame_from_suite(frame: &subject::CloseFrame) -> CloseFrame {
    let registered = CloseFrame::from(CloseReason(frame.reason)).with_text(&frame.text);
    match frame.retry_after {
        None => registered,
        Some(u32::MAX) => registered.with_retry(Retry::Never),
        Some(milliseconds) => registered.with_retry(Retry::After(Duration::from_millis(milliseconds.into()))),
    }
}

/// The reply of a command that needs no more than a live connection.
fn done_if(lives: bool) -> Reply {
    if lives { Reply::Done } else { refused(SendRefused::Stale, Vec::new()) }
}

fn refused(reason: SendRefused, payload: Vec<u8>) -> Reply {
    let reason = match reason {
        SendRefused::Stale => Refusal::Stale,
        SendRefused::Closed(_) | SendRefused::NotEstablished => Refusal::Closed,
        SendRefused::Full => Refusal::Full,
        // No other refusal has a name of its own in the suite.
        _ => Refusal::TooLarge,
    };
    Reply::Refused { reason, payload }
}
