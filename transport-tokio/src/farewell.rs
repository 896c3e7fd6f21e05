//! After the end of a connection: the last bytes out, half-close, read to the end, close (PW-CLS-012).

use std::io::{self, IoSlice};
use std::time::Duration;

use pulsewire_protocol::{CloseReason, Closed, Origin, Transmit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::driver::Stream;
use crate::registry::FarewellGuard;

/// How long the peer gets to take the last bytes and to end its side.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs the farewell in a task of its own, unless the stream is dead anyway.
pub(crate) fn spawn(stream: Box<dyn Stream>, batches: Vec<Transmit>, closed: &Closed, guard: FarewellGuard) {
    let dead = match closed.origin {
        Origin::Transport => closed.reason != CloseReason::PEER_ENDED,
        Origin::Local => closed.reason == CloseReason::ABORTED,
        Origin::Peer => false,
    };
    if dead {
        return;
    }
    tokio::spawn(async move {
        // An error or the end of patience changes nothing: the connection is over, and its end was reported.
        let _ = tokio::time::timeout(PATIENCE, say(stream, batches)).await;
        drop(guard);
    });
}

async fn say(mut stream: Box<dyn Stream>, batches: Vec<Transmit>) -> io::Result<()> {
    for mut batch in batches {
        while !batch.is_empty() {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = batch.fill(&mut slices);
            let written = stream.write_vectored(&slices[..count]).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            batch.advance(written);
        }
    }
    stream.shutdown().await?;
    // Closing a socket with unread bytes resets the connection, and a reset destroys what is on its way to the peer.
    let mut discarded = [0; 4 << 10];
    while stream.read(&mut discarded).await? > 0 {}
    Ok(())
}
