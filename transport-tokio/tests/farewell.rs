//! What becomes of a stream when its connection is over: the machine says so (PW-CLS-012), in virtual time.

use std::time::Duration;

use crate::support::{bounded, ms, until_closed, valid};
use pulsewire_transport_tokio::protocol::{CloseReason, Config, Event, Role, ValidConfig};
use pulsewire_transport_tokio::{Connection, Endpoint};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

const HANDSHAKE: Duration = Duration::from_millis(50);
const LINGER: Duration = Duration::from_millis(700);
/// Tokio's timers count milliseconds.
const ROUNDED: Duration = Duration::from_millis(2);

fn config() -> ValidConfig {
    let mut config = Config::default();
    config.timeouts.handshake = HANDSHAKE;
    config.timeouts.linger = LINGER;
    valid(config)
}

/// A server whose client says nothing, just when it gave up waiting for HELLO, and the client's end of the stream.
async fn given_up(stream_holds: usize) -> (Endpoint, DuplexStream) {
    let (near, far) = tokio::io::duplex(stream_holds);
    let endpoint = Endpoint::new(config());
    let mut server = endpoint.connection(near, Role::Server).unwrap();
    let (_, closed) = until_closed(&mut server).await;
    assert_eq!(closed.reason, CloseReason::HANDSHAKE_TIMEOUT);
    (endpoint, far)
}

/// The server half-closes behind its last word, and reads on for as long as the configuration says.
#[tokio::test(start_paused = true)]
async fn a_stream_is_read_behind_its_end_for_linger() {
    bounded(async {
        let (endpoint, mut far) = given_up(1 << 10).await;
        let over = Instant::now();
        let mut last_words = Vec::new();
        far.read_to_end(&mut last_words).await.unwrap();
        assert!(!last_words.is_empty() && over.elapsed() < ROUNDED, "{last_words:?}");
        // More than the stream holds: somebody reads it.
        while over.elapsed() < LINGER - ms(20) {
            far.write_all(&[7; 100]).await.unwrap();
            tokio::time::sleep(ms(10)).await;
        }
        assert!(endpoint.shutdown(LINGER).await.cut == 0);
        assert!(over.elapsed() >= LINGER && over.elapsed() <= LINGER + ROUNDED, "{:?}", over.elapsed());
        assert!(far.write_all(&[7]).await.is_err());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_closed_as_soon_as_the_peer_has_ended_its_side() {
    bounded(async {
        let (endpoint, mut far) = given_up(1 << 10).await;
        let over = Instant::now();
        far.shutdown().await.unwrap();
        assert!(endpoint.shutdown(LINGER).await.cut == 0);
        assert!(over.elapsed() < ROUNDED, "{:?}", over.elapsed());
        // What was said last is there all the same.
        let mut last_words = Vec::new();
        far.read_to_end(&mut last_words).await.unwrap();
        assert!(!last_words.is_empty());
    })
    .await;
}

/// A peer that takes the last words byte by byte is waited for while it goes on, and no longer than linger behind that.
#[tokio::test(start_paused = true)]
async fn last_words_have_time_while_some_are_taken() {
    bounded(async {
        let (endpoint, mut far) = given_up(1).await;
        let over = Instant::now();
        let (mut byte, mut count) = ([0], 0);
        while count < 10 {
            tokio::time::sleep(LINGER - ms(100)).await;
            count += far.read(&mut byte).await.unwrap();
        }
        let last_progress = over.elapsed();
        assert!(last_progress > LINGER * 5);
        assert!(endpoint.shutdown(LINGER * 2).await.cut == 0);
        assert!(over.elapsed() <= last_progress + LINGER + ROUNDED, "{:?}", over.elapsed());
    })
    .await;
}

/// Above all is the patience of who stops the endpoint.
#[tokio::test(start_paused = true)]
async fn a_farewell_is_cut_when_the_patience_of_a_shutdown_ends() {
    bounded(async {
        let (endpoint, mut far) = given_up(1 << 10).await;
        assert_eq!(endpoint.shutdown(ms(100)).await.cut, 1);
        assert!(endpoint.shutdown(ROUNDED).await.cut == 0, "it is gone");
        assert!(far.write_all(&[7]).await.is_err());
    })
    .await;
}

/// Whoever keeps a sender does not keep the stream, and can't cut the last words either: the connection is over.
#[tokio::test(start_paused = true)]
async fn a_sender_cuts_no_farewell() {
    bounded(async {
        let (near, mut far) = tokio::io::duplex(1 << 10);
        let mut server: Connection = Endpoint::new(config()).connection(near, Role::Server).unwrap();
        let sender = server.sender();
        assert!(matches!(server.recv().await, Some(Event::Closed(_))));
        sender.abort();
        let over = Instant::now();
        let mut last_words = Vec::new();
        far.read_to_end(&mut last_words).await.unwrap();
        assert!(!last_words.is_empty());
        while far.write_all(&[7]).await.is_ok() {
            tokio::time::sleep(ms(10)).await;
        }
        assert!(over.elapsed() >= LINGER && over.elapsed() < LINGER + ms(20), "{:?}", over.elapsed());
    })
    .await;
}
