//! Descriptors of this process.

use std::io;

/// What the largest profiles take.
const WANTED: libc::rlim_t = 65_536;

/// Raises the limit of open files as far as that is allowed, and as it is of use.
pub(crate) fn raise_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is valid for a limit.
    let failed = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0;
    assert!(!failed, "no limit of files: {}", io::Error::last_os_error());
    // A privileged process may raise both.
    let both = libc::rlimit { rlim_cur: WANTED.max(limit.rlim_cur), rlim_max: WANTED.max(limit.rlim_max) };
    let allowed = libc::rlimit { rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max };
    let raised = [both, allowed].iter().any(|limit| {
        // SAFETY: the pointer is valid for a limit.
        (unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const *limit) }) == 0
    });
    if !raised {
        eprintln!("the limit of open files stays at {}: {}", limit.rlim_cur, io::Error::last_os_error());
    }
}

/// How many are open.
pub(crate) fn open() -> usize {
    // That of the listing itself is one of them.
    std::fs::read_dir("/proc/self/fd").expect("Linux tells").count() - 1
}

/// Gives back what the allocator keeps, so that what the system counts is what is held.
pub(crate) fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}
