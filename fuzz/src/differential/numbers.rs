//! The numbers that both have.

use std::time::Duration;

use pulsewire_conformance::Profile;
use pulsewire_protocol::{Admission, Config, Damage, HeartbeatConfig, Limits, Timeouts};

/// How far time goes at once. All numbers are multiples of it, so that nothing is due between two ticks.
pub(super) const TICK: Duration = Duration::from_millis(50);
/// Silence before the first PING.
pub(super) const IDLE: Duration = Duration::from_millis(1_000);

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Small ones, so that short inputs reach them.
pub(super) fn numbers(resync: bool, asks: bool, probes: u32, detects: bool) -> Config {
    let heartbeat = HeartbeatConfig {
        idle: IDLE,
        // Below `idle`, which tells whether the peer's floor took the jitter away.
        interval: ms(400),
        probes,
        extension_max: Some(ms(2_000)),
        // No less than this side's own numbers make; the floor of a peer may make it too much.
        detect_within: detects.then_some(ms(1_500 + 1_000 * u64::from(probes))),
        ping_floor: ms(100),
        busy_max: ms(3_000),
    };
    let timeouts = Timeouts {
        handshake: ms(2_000),
        close: ms(1_500),
        // Everything is taken at once here.
        write_stall: ms(60_000),
        assembly_base: ms(1_000),
        // A byte a millisecond: no rounding.
        assembly_rate: 1_000,
        linger: ms(2_000),
    };
    Config {
        heartbeat,
        limits: Limits { frame: 8_192, message: 20_000, frame_sent: 1_024, send_queue: 1 << 20 },
        timeouts,
        damage: if resync { Damage::Resynchronise } else { Damage::Close },
        admission: if asks { Admission::Ask } else { Admission::Automatic },
        token: None,
    }
}

/// The same numbers for the oracle.
pub(super) fn profile(config: &Config) -> Profile {
    let Config { heartbeat, limits, timeouts, .. } = config;
    Profile {
        idle: heartbeat.idle,
        interval: heartbeat.interval,
        probes: heartbeat.probes,
        extension_max: heartbeat.extension_max,
        detect_within: heartbeat.detect_within,
        ping_floor: heartbeat.ping_floor,
        frame_limit: limits.frame,
        message_limit: limits.message,
        frame_sent: limits.frame_sent,
        handshake_timeout: timeouts.handshake,
        close_timeout: timeouts.close,
        write_stall: timeouts.write_stall,
        linger: timeouts.linger,
        assembly_base: timeouts.assembly_base,
        assembly_rate: timeouts.assembly_rate,
        busy_max: heartbeat.busy_max,
        resync: config.damage == Damage::Resynchronise,
        admission: config.admission == Admission::Ask,
    }
}
