//! Timeouts as the system takes them: whole milliseconds in 32 bits.

use std::time::Duration;

/// The value that the system takes for "no timeout".
const INFINITE: u32 = u32::MAX;

/// The milliseconds to wait for `timeout`, `None` being for ever.
///
/// Rounded up, since a wait that ends before the deadline finds nothing to do and turns into a busy loop; and kept
/// below the value that means "for ever", since a long wait must still end.
pub(crate) fn milliseconds(timeout: Option<Duration>) -> u32 {
    let Some(timeout) = timeout else { return INFINITE };
    let rounded_up = timeout.as_nanos().div_ceil(1_000_000);
    u32::try_from(rounded_up).map_or(INFINITE - 1, |milliseconds| milliseconds.min(INFINITE - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_waits_for_ever_but_none() {
        assert_eq!(milliseconds(None), INFINITE);
        assert_eq!(milliseconds(Some(Duration::MAX)), INFINITE - 1);
        assert_eq!(milliseconds(Some(Duration::from_millis(u64::from(INFINITE)))), INFINITE - 1);
    }

    #[test]
    fn parts_of_a_millisecond_count_whole() {
        assert_eq!(milliseconds(Some(Duration::ZERO)), 0);
        assert_eq!(milliseconds(Some(Duration::from_nanos(1))), 1);
        assert_eq!(milliseconds(Some(Duration::from_millis(1))), 1);
        assert_eq!(milliseconds(Some(Duration::from_nanos(1_000_001))), 2);
    }
}
