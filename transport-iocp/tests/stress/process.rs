//! What the process holds, as the system counts it.
#![expect(unsafe_code, reason = "the system's counts have no safe interface")]

use windows_sys::Win32::System::ProcessStatus::{K32GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, GetProcessHandleCount};

/// Handles of all kinds: sockets, ports, threads, events.
pub(crate) fn handles() -> u32 {
    let mut count = 0;
    // SAFETY: the call gives a constant that stands for this process.
    let process = unsafe { GetCurrentProcess() };
    // SAFETY: the handle is valid, and the count is ours to write.
    let counted = unsafe { GetProcessHandleCount(process, &mut count) };
    assert_ne!(counted, 0, "{}", std::io::Error::last_os_error());
    count
}

/// Memory that nobody else has, in bytes.
pub(crate) fn memory() -> usize {
    let mut counters = PROCESS_MEMORY_COUNTERS::default();
    let size = size_of::<PROCESS_MEMORY_COUNTERS>() as u32;
    // SAFETY: the call gives a constant that stands for this process.
    let process = unsafe { GetCurrentProcess() };
    // SAFETY: the handle is valid, and the structure has the size that is stated.
    let told = unsafe { K32GetProcessMemoryInfo(process, &mut counters, size) };
    assert_ne!(told, 0, "{}", std::io::Error::last_os_error());
    counters.PagefileUsage
}
