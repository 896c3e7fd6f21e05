//! Which processor this process runs on, and how long it did.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::time::Duration;

/// Binds this process to one processor, where it has a choice.
pub(crate) fn bind(processor: usize) {
    // SAFETY: a set of processors is a field of bits, and all zeros is an empty one.
    let mut set: libc::cpu_set_t = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: the set is valid, and the processor is below its size.
    unsafe { libc::CPU_SET(processor, &mut set) };
    // SAFETY: the set is valid for the size that is given with it.
    let failed = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) } != 0;
    if failed {
        eprintln!("cannot bind to processor {processor}: {}", io::Error::last_os_error());
    }
}

/// Processor time of this process so far, its own and the system's for it.
pub(crate) fn used() -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the pointer is valid for a `timespec`, which is written if this gives 0.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, time.as_mut_ptr()) } != 0;
    assert!(!failed, "no clock of the process: {}", io::Error::last_os_error());
    // SAFETY: it was written.
    let time = unsafe { time.assume_init() };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
