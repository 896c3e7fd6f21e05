//! Which numbers an implementation can have at all: spec section 10.

use super::{Limits, Manifest, Timers};
use crate::expectations::BadFile;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A number as the manifest calls it, what it declares, and the least and the greatest that it may be.
type Ranged = (&'static str, Option<u64>, u64, u64);

fn ranged(manifest: &Manifest) -> [Ranged; 16] {
    let Manifest { timers, limits, .. } = manifest;
    let Timers { idle, interval, probes, extension_max, detect_within, handshake_timeout, close_timeout, .. } = *timers;
    let Timers { write_stall, linger, assembly_base, busy_max, assembly_rate, .. } = *timers;
    let Limits { ping_floor, frame, message, frame_sent, resync: _ } = *limits;
    let any = u64::from(u32::MAX);
    [
        ("idle", idle, 10, DAY),
        ("interval", interval, 10, HOUR),
        ("probes", probes.map(u64::from), 1, 10),
        ("extension_max", extension_max, 0, DAY),
        ("detect_within", detect_within, 30, 7 * DAY),
        ("handshake_timeout", handshake_timeout, 10, 10 * MINUTE),
        ("close_timeout", close_timeout, 10, 10 * MINUTE),
        ("write_stall", write_stall, 10, DAY),
        ("busy_max", busy_max, 0, 10 * MINUTE),
        ("linger", linger, 100, MINUTE),
        ("assembly_base", assembly_base, 10, HOUR),
        ("assembly_rate", assembly_rate.map(u64::from), 1, any),
        ("ping_floor", ping_floor.map(u64::from), 1, MINUTE),
        ("frame", frame.map(u64::from), 512, 16_777_215),
        ("message", message.map(u64::from), 512, any),
        ("frame_sent", frame_sent.map(u64::from), 512, 16_777_215),
    ]
}

/// Refuses a number that no implementation can have, and numbers that contradict each other.
pub(super) fn check(manifest: &Manifest) -> Result<(), BadFile> {
    for (name, declared, least, greatest) in ranged(manifest) {
        if let Some(number) = declared.filter(|number| !(least..=greatest).contains(number)) {
            let sentence = format!("{name} = {number} is outside its range, {least} to {greatest} (section 10)");
            return Err(BadFile(sentence));
        }
    }
    if let (Some(frame), Some(message)) = (manifest.limits.frame, manifest.limits.message)
        && message < frame
    {
        return Err(BadFile(format!("message = {message} is below frame = {frame} (PW-HS-010)")));
    }
    // What a peer announces makes the silence only longer.
    let silence = manifest.profile().longest_silence().as_millis();
    match manifest.timers.detect_within {
        Some(within) if u128::from(within) < silence => Err(BadFile(format!(
            "detect_within = {within} is below idle + interval * probes = {silence}: every peer would be refused (PW-HS-016)"
        ))),
        Some(_) | None => Ok(()),
    }
}
