//! What two sides tell each other beside messages, and what a connection tells of itself, in virtual time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::support::{bounded, brisk, message, next_message, pair, until_closed, valid};
use pulsewire_transport_tokio::protocol::{
    Class, CloseFrame, CloseReason, Config, Event, Message, RejectReason, Retry, Role, Statistics,
};
use pulsewire_transport_tokio::{Connection, Endpoint};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Receives in a task of its own, until the end.
fn receive(mut connection: Connection) -> JoinHandle<()> {
    tokio::spawn(async move { drop(until_closed(&mut connection).await) })
}

/// PW-CLS-016, PW-CLS-017.
#[tokio::test(start_paused = true)]
async fn a_drain_is_told_with_a_count_and_ends_nothing() {
    bounded(async {
        let (mut near, mut far) = pair(brisk(), 1 << 20).await;
        far.sender().try_send(message(1, 100)).unwrap();
        next_message(&mut near).await;
        near.drain();
        assert_eq!(far.recv().await, Some(Event::Draining { received: 1 }));
        far.sender().drain();
        assert_eq!(near.recv().await, Some(Event::Draining { received: 0 }));
        far.sender().try_send(message(2, 100)).unwrap();
        assert_eq!(next_message(&mut near).await, message(2, 100));
        far.close(CloseReason::NORMAL);
        let (near, far) = tokio::join!(until_closed(&mut near), until_closed(&mut far));
        assert!(near.1.orderly && far.1.orderly);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_close_carries_a_sentence_and_advice() {
    bounded(async {
        let said = CloseFrame::from(CloseReason::GOING_AWAY)
            .with_retry(Retry::After(Duration::from_secs(77)))
            .with_text("back in a minute or so");
        let (mut near, mut far) = pair(brisk(), 1 << 20).await;
        near.close(said.clone());
        assert_eq!(far.recv().await, Some(Event::Closing(Box::new(said.clone()))));
        let (_, (_, closed)) = tokio::join!(until_closed(&mut near), until_closed(&mut far));
        assert_eq!((closed.reason, closed.retry, closed.detail), (said.reason, said.retry, said.text));
    })
    .await;
}

/// PW-HB-018: a network that carries nothing for a while.
#[tokio::test(start_paused = true)]
async fn a_peer_that_is_not_heard_for_a_while_is_suspect_and_recovers() {
    bounded(async {
        let ((near, mut here), (mut there, far)) = (tokio::io::duplex(1 << 20), tokio::io::duplex(1 << 20));
        let network = Arc::new(Notify::new());
        let switch = Arc::clone(&network);
        tokio::spawn(async move {
            tokio::select! {
                _ended = tokio::io::copy_bidirectional(&mut here, &mut there) => return,
                () = switch.notified() => {}
            }
            switch.notified().await;
            let _ended = tokio::io::copy_bidirectional(&mut here, &mut there).await;
        });
        let endpoint = Endpoint::new(valid(brisk()));
        let mut near = endpoint.connection(near, Role::Client).unwrap();
        let mut far = endpoint.connection(far, Role::Server).unwrap();
        tokio::join!(near.recv(), far.recv());
        let _receiving = receive(far);
        network.notify_one();
        let Some(Event::Suspect(suspect)) = near.recv().await else { panic!("not suspect") };
        assert!(suspect.unanswered >= 1 && suspect.silent_for >= brisk().heartbeat.idle.mul_f64(0.8));
        network.notify_one();
        let Some(Event::Recovered(recovered)) = near.recv().await else { panic!("not recovered") };
        assert!(recovered.silent_for >= suspect.silent_for);
    })
    .await;
}

/// PW-REJ-007: damage on the way destroys a message; both sides are told, and the connection goes on.
#[tokio::test(start_paused = true)]
async fn a_message_that_was_damaged_is_told_at_both_sides() {
    bounded(async {
        let (near, far) = tokio::io::duplex(1 << 20);
        let endpoint = Endpoint::new(valid(Config::default()));
        let mut client = endpoint.connection(near, Role::Client).unwrap();
        let stream = Damaging { below: far, mark: 0xEE };
        let mut server = endpoint.connection(stream, Role::Server).unwrap();
        let (first, second) = tokio::join!(client.recv(), server.recv());
        assert!(matches!((first, second), (Some(Event::Established(_)), Some(Event::Established(_)))));

        client.sender().try_send(message(1, 100)).unwrap();
        let marked = [0xEE; 100];
        let ordinal = client.sender().try_send(Message::new(Class::BUSINESS, &marked)).unwrap();
        client.sender().try_send(message(2, 100)).unwrap();
        assert_eq!(next_message(&mut server).await, message(1, 100));
        let Some(Event::Gap(gap)) = server.recv().await else { panic!("no gap") };
        assert!(gap.skipped > 100);
        assert_eq!(next_message(&mut server).await, message(2, 100));
        let Some(Event::Rejected(rejected)) = client.recv().await else { panic!("it was not told") };
        assert_eq!((rejected.class, rejected.ordinal), (Class::BUSINESS, Some(ordinal)));
        assert_eq!((ordinal.get(), rejected.reason), (2, RejectReason::DAMAGED));
        assert_eq!((client.statistics().messages_rejected, server.statistics().messages_refused), (1, 1));
        assert_eq!(server.statistics().gaps, 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn statistics_count_on_both_sides_and_last_longer_than_the_connection() {
    bounded(async {
        let (mut near, mut far) = pair(brisk(), 1 << 20).await;
        for number in 0..3 {
            near.sender().try_send(message(number, 1_000)).unwrap();
            next_message(&mut far).await;
        }
        let Statistics { messages_sent, bytes_taken, .. } = near.statistics();
        let Statistics { messages_received, bytes_received, .. } = far.statistics();
        assert_eq!((messages_sent, messages_received), (3, 3));
        assert_eq!(bytes_taken, bytes_received);
        assert!(bytes_taken > 3_000);
        near.close(CloseReason::NORMAL);
        let sender = near.sender();
        tokio::join!(until_closed(&mut near), until_closed(&mut far));
        drop(near);
        assert_eq!(sender.statistics().messages_sent, 3);
    })
    .await;
}

/// Changes one byte of each row of marked ones that it reads: the last, since the checksum in front of them may end with the same.
struct Damaging {
    below: DuplexStream,
    mark: u8,
}

impl AsyncRead for Damaging {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let start = buffer.filled().len();
        ready!(Pin::new(&mut self.below).poll_read(context, buffer))?;
        let row = [self.mark; 8];
        let read = &mut buffer.filled_mut()[start..];
        if let Some(place) = read.windows(row.len()).position(|bytes| bytes == row) {
            read[place + row.len() - 1] ^= 1;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Damaging {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.below).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.below).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.below).poll_shutdown(context)
    }
}
