//! Senders that wait for room, whatever the receiving task does meanwhile.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use crate::support::{bounded, message, ms, next_message, pair, until_closed};
use pulsewire_transport_tokio::Connection;
use pulsewire_transport_tokio::protocol::{CloseReason, Config, Message, SendError, SendRefused};
use tokio::task::JoinHandle;

const MESSAGES: u64 = 20;

/// A stream and a queue that are full after a few messages.
async fn narrow_pair() -> (Connection, Connection) {
    let mut config = Config::default();
    config.limits.send_queue = 1_000;
    pair(config, 1_000).await
}

/// One task is told when much waits, and when little does again.
#[tokio::test]
async fn marks_are_told_both_ways() {
    bounded(async {
        let (mut near, mut far) = narrow_pair().await;
        let (sender, sending) = (near.sender(), send_all(&near));
        let driving = tokio::spawn(async move { while near.recv().await.is_some() {} });
        assert!(sender.until_queued(500).await.unwrap() >= 500);
        let receiving = tokio::spawn(async move {
            for _ in 0..MESSAGES {
                next_message(&mut far).await;
            }
            far
        });
        sending.await.unwrap().unwrap();
        assert_eq!(sender.until_drained(0).await, Ok(0));
        let watching = tokio::spawn({
            let sender = sender.clone();
            async move { sender.until_queued(1).await }
        });
        tokio::task::yield_now().await;
        sender.abort();
        assert_eq!(watching.await.unwrap(), Err(SendRefused::Closed(CloseReason::ABORTED)));
        drop((receiving.await.unwrap(), driving));
    })
    .await;
}

/// Sends until it is refused, in a task of its own.
fn send_all(connection: &Connection) -> JoinHandle<Result<(), SendError<'static>>> {
    let sender = connection.sender();
    tokio::spawn(async move {
        for number in 0..MESSAGES {
            sender.send(message(number, 500)).await?;
        }
        Ok(())
    })
}

/// Receives until the time is up: then the sender waits for room, and nobody is in `recv`.
async fn fill(near: &mut Connection, patience: Duration) {
    assert!(tokio::time::timeout(patience, near.recv()).await.is_err(), "nothing to report");
}

/// The sender finishes while nobody is in `recv` at its end, and what it sent arrives when somebody is again.
async fn finish(mut near: Connection, mut far: Connection, sending: JoinHandle<Result<(), SendError<'static>>>) {
    let receiving = tokio::spawn(async move {
        for number in 0..MESSAGES {
            assert_eq!(next_message(&mut far).await, message(number, 500));
        }
        far
    });
    sending.await.unwrap().unwrap();
    tokio::select! {
        event = near.recv() => panic!("{event:?}"),
        received = receiving => drop(received.unwrap()),
    }
}

fn reason(refused: Result<(), SendError<'static>>) -> SendRefused {
    refused.expect_err("refused").reason
}

/// The receiving task hands a message to a worker and waits for it, and the worker waits for room.
#[tokio::test(start_paused = true)]
async fn a_sender_goes_on_when_the_receiver_leaves_with_an_event() {
    bounded(async {
        let (mut near, far) = narrow_pair().await;
        let sending = send_all(&near);
        let filled = near.sender();
        let word = async {
            // Until there is no room for another message.
            while filled.statistics().queued <= 500 {
                tokio::task::yield_now().await;
            }
            far.sender().try_send(message(99, 10)).unwrap();
        };
        let (received, ()) = tokio::join!(next_message(&mut near), word);
        assert_eq!(received, message(99, 10));
        finish(near, far, sending).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_sender_goes_on_when_the_receiver_is_cancelled() {
    bounded(async {
        let (mut near, far) = narrow_pair().await;
        let sending = send_all(&near);
        fill(&mut near, ms(10)).await;
        finish(near, far, sending).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_waiting_sender_is_refused_at_once_when_the_connection_is_closed_or_cut() {
    bounded(async {
        let (mut near, _far) = narrow_pair().await;
        let sending = send_all(&near);
        fill(&mut near, ms(10)).await;
        near.close(CloseReason::NORMAL);
        assert_eq!(reason(sending.await.unwrap()), SendRefused::Closed(CloseReason::NORMAL));

        let (mut near, _far) = narrow_pair().await;
        let sending = send_all(&near);
        fill(&mut near, ms(10)).await;
        near.sender().abort();
        assert_eq!(reason(sending.await.unwrap()), SendRefused::Closed(CloseReason::ABORTED));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_waiting_sender_is_refused_when_the_stream_breaks() {
    bounded(async {
        let (mut near, far) = narrow_pair().await;
        let sending = send_all(&near);
        fill(&mut near, ms(10)).await;
        far.sender().abort();
        assert_eq!(reason(sending.await.unwrap()), SendRefused::Closed(CloseReason::RESET));
    })
    .await;
}

/// An echo server sends from the receiving task. While it waits there, no clock runs in `recv`.
#[tokio::test(start_paused = true)]
async fn a_peer_that_never_reads_holds_a_sender_no_longer_than_a_write_may_stall() {
    bounded(async {
        let mut config = Config::default();
        config.limits.send_queue = 1_000;
        config.timeouts.write_stall = ms(300);
        let (mut near, _far) = pair(config, 1_000).await;
        let start = tokio::time::Instant::now();
        let refused: SendError<'_> = loop {
            if let Err(refused) = near.sender().send(Message::new(Default::default(), &[7; 500])).await {
                break refused;
            }
        };
        assert_eq!(refused.reason, SendRefused::Closed(CloseReason::WRITE_STALL));
        assert!(start.elapsed() >= ms(300) && start.elapsed() < ms(320), "{:?}", start.elapsed());
        assert_eq!(until_closed(&mut near).await.1.reason, CloseReason::WRITE_STALL);
    })
    .await;
}

/// One task that receives and sends at once rests while neither can go on.
#[tokio::test(start_paused = true)]
async fn a_task_that_receives_and_waits_for_room_is_not_busy() {
    bounded(async {
        let (mut near, _far) = narrow_pair().await;
        let sender = near.sender();
        let mut both = pin!(async {
            let filling = async {
                for number in 0..MESSAGES {
                    sender.send(message(number, 500)).await.unwrap();
                }
            };
            tokio::select! {
                biased;
                event = near.recv() => panic!("{event:?}"),
                () = filling => panic!("there is no room"),
            }
        });
        let mut polls = 0;
        let counted = poll_fn(|context| {
            polls += 1;
            assert!(polls < 100, "the task wakes itself");
            both.as_mut().poll(context)
        });
        assert!(tokio::time::timeout(ms(10), counted).await.is_err());
    })
    .await;
}
