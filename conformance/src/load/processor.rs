//! How much of a processor this program has used.

/// What Linux counts processor time in: hundredths of a second, whatever the machine.
const TICKS_PER_SECOND: f64 = 100.0;
/// Fields of `/proc/self/stat` behind the name of the program that come before the time.
const BEFORE: usize = 11;

/// Seconds of processor time since the start, of all threads; `None` where the system is not Linux.
pub(crate) fn seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name may hold anything but this.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(BEFORE);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::Instant;

    #[test]
    fn it_grows_no_faster_than_time_while_one_thread_works() {
        let (before, began) = (super::seconds().expect("Linux tells"), Instant::now());
        let mut sum = 0_u64;
        while super::seconds().expect("Linux tells") < before + 0.05 {
            sum = (0..10_000).fold(sum, |sum, number| sum.wrapping_mul(31) ^ number);
        }
        // Other tests of this process work as well.
        let threads = std::thread::available_parallelism().expect("some").get() as f64;
        assert!(began.elapsed().as_secs_f64() * threads > 0.02, "{sum}");
    }
}
