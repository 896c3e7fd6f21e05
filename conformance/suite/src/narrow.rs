//! What of the setting of a failed run matters: the values without which it does not fail.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::attempt::Attempt;
use crate::setting::Setting;
use crate::verdict::Verdict;

/// How many failures of a run are narrowed down: a subject that fails everywhere says enough by that.
const MOST: u32 = 40;

/// Narrows down the first failures of a run.
pub(crate) struct Narrowing {
    left: AtomicU32,
}

impl Narrowing {
    /// For a run that has not begun.
    pub(crate) fn new() -> Self {
        Self { left: AtomicU32::new(MOST) }
    }

    /// The attempt with the fewest values that are not plain among those that fail as well: one after the other is made plain, and
    /// stays so where that changes nothing. What did not fail for certain, or is one too many, is given back as it is.
    pub(crate) fn narrow(&self, failed: Attempt, mut again: impl FnMut(Setting) -> Option<Attempt>) -> Attempt {
        let setting = failed.report.setting;
        if !fails(&failed) || setting.is_plain() || !self.take() {
            return failed;
        }
        if let Some(plain) = again(Setting::PLAIN).filter(fails) {
            return plain;
        }
        let mut least = failed;
        for deviation in setting.deviations() {
            let simpler = least.report.setting.without(deviation);
            if !simpler.is_plain() {
                least = again(simpler).filter(fails).unwrap_or(least);
            }
        }
        least.report.is_narrowed = true;
        least
    }

    fn take(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

fn fails(attempt: &Attempt) -> bool {
    matches!(attempt.report.verdict, Verdict::Fail(_) | Verdict::HarnessError(_)) && !attempt.is_grey
}
