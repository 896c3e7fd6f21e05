//! How many unsent bytes the system holds.

use std::io;
use std::num::NonZeroU32;

use socket2::SockRef;

use crate::error::{Error, Setting};
use crate::sys;

/// How a limit of unsent bytes came about.
#[derive(Debug)]
pub enum UnsentLimit {
    /// The system limits what is unsent (`TCP_NOTSENT_LOWAT`), and lets as much be in flight as the network takes. A socket is
    /// writable while less is unsent; a segment that was begun is filled.
    Exact,
    /// The system has no such limit, so its whole send buffer is limited (`SO_SNDBUF`): what is unsent and what is in flight
    /// together. On a fast and long link that costs throughput.
    SendBuffer {
        /// How many bytes the buffer has now, as the system counts. Linux counts its own administration too, and doubles what it
        /// is asked for; every system has bounds of its own.
        bytes: usize,
        /// Why the exact limit was not to be had.
        reason: io::Error,
    },
}

/// Limits how many unsent bytes the system holds for a connection. What is written behind them waits for them: a heartbeat, an
/// urgent message. Without a limit it is megabytes.
///
/// Where the system lacks the exact limit (Windows, an old kernel, some sandboxes) the send buffer is limited instead. That is no
/// failure, and the result tells so; saying it once is enough.
///
/// # Errors
/// [`Error::System`], where neither works.
pub fn limit_unsent<'s>(socket: impl Into<SockRef<'s>>, bytes: NonZeroU32) -> Result<UnsentLimit, Error> {
    let socket = &socket.into();
    limit(
        || sys::set_notsent_lowat(socket, bytes.get()),
        || {
            // It is an `int` everywhere.
            socket.set_send_buffer_size(bytes.get().min(i32::MAX as u32) as usize)?;
            socket.send_buffer_size()
        },
    )
}

fn limit(
    exactly: impl FnOnce() -> io::Result<()>,
    roughly: impl FnOnce() -> io::Result<usize>,
) -> Result<UnsentLimit, Error> {
    match exactly() {
        Ok(()) => Ok(UnsentLimit::Exact),
        Err(reason) => {
            let bytes = roughly().map_err(Error::system(Setting::UnsentLimit))?;
            Ok(UnsentLimit::SendBuffer { bytes, reason })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_without_the_exact_limit_gets_the_rough_one_and_is_told_so() {
        let lacks = || Err(io::ErrorKind::Unsupported.into());
        match limit(lacks, || Ok(2_000)).unwrap() {
            UnsentLimit::SendBuffer { bytes: 2_000, reason } => assert_eq!(reason.kind(), io::ErrorKind::Unsupported),
            other => panic!("{other:?}"),
        }
        assert!(matches!(limit(|| Ok(()), || panic!("the exact one is there")), Ok(UnsentLimit::Exact)));
        assert!(limit(lacks, || Err(io::ErrorKind::PermissionDenied.into())).is_err());
    }
}
