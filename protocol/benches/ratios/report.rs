//! The table.

use crate::goal::Interval;
use crate::measure::Measured;

/// Prints one group: times, then goals.
pub(crate) fn print(measured: &Measured) {
    println!("{}", measured.name);
    for (name, Interval { median, .. }) in &measured.times {
        println!("  {name:<54} {median:>9.2} ns");
    }
    for (goal, interval) in &measured.goals {
        let verdict = if goal.is_missed(*interval) { "MISSED" } else { "ok" };
        let Interval { low, median, high } = interval;
        println!("  {:<54} {median:>9.2}    {low:.2} to {high:.2}  {verdict}", goal.to_string());
    }
}
