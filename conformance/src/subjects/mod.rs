//! The implementations that the tool can name.

#[cfg(windows)]
mod iocp;
mod seen;
mod tokio;

use std::sync::Arc;

use pulsewire_conformance::Profile;
use pulsewire_conformance::oracle::{Bug, Oracle};
use pulsewire_conformance::subject::{self, CloseFrame, Happening, Id, Refusal, Reply, Subject};
use pulsewire_protocol::{
    Closed, Config, ConnectionId, Damage, HeartbeatConfig, Limits, Origin, SendRefused, Timeouts,
};

#[cfg(windows)]
pub use self::iocp::IocpSubject;
pub use self::tokio::TokioSubject;

/// The implementations of this workspace that run on this system.
///
/// A transport is added here, with its adapter in a file of its own beside this one.
#[must_use]
pub fn of_this_system() -> Vec<Arc<dyn Subject>> {
    vec![
        Arc::new(TokioSubject::new().expect("the runtime of tokio starts")),
        #[cfg(windows)]
        Arc::new(IocpSubject),
    ]
}

/// The subject with this name: one of this system, `oracle:none`, or `oracle:` and the name of a bug.
#[must_use]
pub fn by_name(name: &str) -> Option<Arc<dyn Subject>> {
    let bug = name.strip_prefix("oracle:").and_then(Bug::from_name);
    if let Some(bug) = bug {
        return Some(Arc::new(Oracle::with_bug(bug)));
    }
    let oracle: Arc<dyn Subject> = Arc::new(Oracle::clean());
    of_this_system().into_iter().chain([oracle]).find(|subject| subject.name() == name)
}

/// The core's configuration for a profile of the suite.
fn core_config(profile: &Profile) -> Config {
    Config {
        heartbeat: HeartbeatConfig {
            idle: profile.idle,
            interval: profile.interval,
            probes: profile.probes,
            extension_max: Some(profile.extension_max),
            detect_within: profile.detect_within,
            ping_floor: profile.ping_floor,
            ..HeartbeatConfig::default()
        },
        limits: Limits { frame: profile.frame_limit, message: profile.message_limit, ..Limits::default() },
        timeouts: Timeouts {
            handshake: profile.handshake_timeout,
            close: profile.close_timeout,
            write_stall: profile.write_stall,
            assembly_base: profile.assembly_base,
            assembly_rate: profile.assembly_rate,
        },
        damage: if profile.resync { Damage::Resynchronise } else { Damage::Close },
        ..Config::default()
    }
}

fn id_to_suite(id: ConnectionId) -> Id {
    Id { slot: id.slot, domain: id.domain, cookie: id.cookie }
}

fn id_from_suite(id: Id) -> ConnectionId {
    ConnectionId { slot: id.slot, domain: id.domain, cookie: id.cookie }
}

fn ending(closed: &Closed) -> Happening {
    let origin = match closed.origin {
        Origin::Local => subject::Origin::Local,
        Origin::Peer => subject::Origin::Peer,
        Origin::Transport => subject::Origin::Transport,
    };
    Happening::Closed { frame: CloseFrame::from(closed.reason.0), origin }
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
