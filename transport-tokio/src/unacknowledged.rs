//! What the peer's host has not acknowledged yet of what was written to a socket: the one thing that tells a link that is slow
//! from one that is dead (PW-TCP-005).

use tokio::net::TcpStream;

/// How many bytes that is, where the system tells. The end of the stream counts as one, once it was written.
#[cfg(target_os = "linux")]
pub(crate) fn of(socket: &TcpStream) -> Option<u64> {
    use std::os::fd::AsRawFd;

    let mut waiting: libc::c_int = 0;
    // SIOCOUTQ, which `libc` knows by its number's older name.
    // SAFETY: the descriptor is open while the socket is borrowed, and the request writes one `int` to where it is told.
    #[expect(unsafe_code, reason = "no safe interface asks for it")]
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut waiting) };
    if result == 0 { u64::try_from(waiting).ok() } else { None }
}

/// Other systems are not asked.
#[cfg(not(target_os = "linux"))]
pub(crate) fn of(_socket: &TcpStream) -> Option<u64> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// PW-TCP-005: what lies in this host's memory counts, and what the peer's host has does not.
    #[tokio::test]
    async fn what_the_peer_has_no_room_for_is_not_acknowledged() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        assert_eq!(of(&near), Some(0));

        near.writable().await.unwrap();
        let mut written = 0;
        while let Ok(count) = near.try_write(&[7; 64 << 10]) {
            written += count;
        }
        let waiting = usize::try_from(of(&near).unwrap()).unwrap();
        assert!(waiting > 0 && waiting < written, "{waiting} of {written}");

        near.shutdown().await.unwrap();
        let mut read = Vec::new();
        far.read_to_end(&mut read).await.unwrap();
        assert_eq!(read.len(), written);
        while of(&near) != Some(0) {
            tokio::task::yield_now().await;
        }
    }
}
