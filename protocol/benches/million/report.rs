//! What is printed, and the goals.

use std::time::Duration;

use crate::life::{Life, MEASURED, seconds};
use crate::server::STEP;

/// What a million connections may take.
const BYTES: f64 = 640.0;
const SECONDS: f64 = 0.25;
const LONGEST: Duration = Duration::from_millis(2);

/// Steps in a second.
const IN_SECOND: usize = (Duration::from_secs(1).as_nanos() / STEP.as_nanos()) as usize;

/// How many connections the goals are for.
const GOALS_FOR: u32 = 1_000_000;

/// Prints what came out, and gives a sentence about each goal that was missed.
pub(crate) fn print(life: &Life) -> Vec<String> {
    let Life { count, held, steps, longest_insert } = life;
    let each = |sum: usize| sum as f64 / f64::from(*count);
    let pings: u64 = steps.iter().map(|step| step.pings).sum();
    let pings = pings as f64 / MEASURED.as_secs_f64();
    let bytes = each(held.bytes);
    let mut processor: Vec<Duration> =
        steps.chunks(IN_SECOND).map(|second| second.iter().map(|step| step.took).sum()).collect();
    processor.sort_unstable();
    let (processor, most) =
        (processor[processor.len() / 2].as_secs_f64(), processor[processor.len() - 1].as_secs_f64());
    let (longest_call, call_at) = longest(steps.iter().map(|step| step.longest_call));
    let (longest_turn, turn_at) = longest(steps.iter().map(|step| step.longest_turn));
    let (longest_step, step_at) = longest(steps.iter().map(|step| step.took));
    let slow = steps.iter().filter(|step| step.longest_call.max(step.longest_turn) > LONGEST).count();

    println!("{} connections", thousands(*count));
    line("memory per connection", bytes, &format!("bytes in {:.2} blocks", each(held.blocks)));
    line("PINGs per simulated second", pings, "");
    line("processor time per simulated second", processor, &format!("s, and {most:.3} s in the longest"));
    line("processor time per PING and PONG", processor * 1e9 / pings, "ns");
    line("longest call of handle_timeout", millis(longest_call), &format!("ms, {call_at:.3} s in"));
    line("longest turn of one connection", millis(longest_turn), &format!("ms, {turn_at:.3} s in"));
    line("longest millisecond, all its work", millis(longest_step), &format!("ms, {step_at:.3} s in"));
    let share = format!("of {} milliseconds", steps.len());
    line("with a call or turn longer than 2 ms", slow as f64, &share);
    line("longest call of insert, before", millis(*longest_insert), "ms");
    if *count != GOALS_FOR {
        return Vec::new();
    }
    let goals = [
        ("memory per connection", bytes, BYTES, "bytes"),
        ("processor time per simulated second", processor, SECONDS, "s"),
        ("longest call or turn", millis(longest_call.max(longest_turn)), millis(LONGEST), "ms"),
    ];
    goals.into_iter().filter_map(|(name, value, limit, unit)| judge(*count, name, value, limit, unit)).collect()
}

/// Prints a goal, and gives a sentence if it is missed.
fn judge(count: u32, name: &str, value: f64, limit: f64, unit: &str) -> Option<String> {
    let missed = value > limit;
    let goal = format!("{name} <= {limit} {unit}");
    line(&goal, value, if missed { "MISSED" } else { "ok" });
    missed.then(|| format!("{} connections: {goal}, but it is {value:.3}", thousands(count)))
}

fn line(name: &str, value: f64, behind: &str) {
    println!("{}", format!("  {name:<54} {value:>10.3} {behind}").trim_end());
}

/// The longest, and after which time it was over.
fn longest(times: impl Iterator<Item = Duration>) -> (Duration, f64) {
    let (step, longest) = (1..).zip(times).max_by_key(|(_, time)| *time).unwrap_or_default();
    (longest, seconds(step))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A number as people write it.
pub(crate) fn thousands(number: u32) -> String {
    let digits = number.to_string();
    let mut groups: Vec<&str> =
        digits.as_bytes().rchunks(3).filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.reverse();
    groups.join(",")
}
