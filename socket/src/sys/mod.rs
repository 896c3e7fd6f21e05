//! Calls that socket2 does not have. All unsafe code of the crate is in this folder.
#![expect(unsafe_code, reason = "system calls")]

#[cfg(windows)]
pub(crate) mod qwave;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::*;
#[cfg(windows)]
pub(crate) use windows::*;
