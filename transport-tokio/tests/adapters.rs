//! Events as a stream, and a sender as a sink.

use crate::support::{bounded, brisk, message, ms, next_message, pair, until_closed};
use futures_util::{SinkExt, StreamExt, stream};
use pulsewire_transport_tokio::protocol::{CloseReason, Config, Event, SendRefused};
use tokio::time::timeout;

fn narrow() -> Config {
    let mut config = brisk();
    config.limits.send_queue = 2_000;
    config
}

/// More than send queue and stream hold, so that the sink waits for room.
#[tokio::test]
async fn a_sink_takes_a_stream_of_messages() {
    const MESSAGES: u64 = 50;
    bounded(async {
        let (near, mut far) = pair(narrow(), 1_000).await;
        let mut sink = near.sender().into_sink();
        let events = near.into_stream(4);
        let receiving = tokio::spawn(async move { until_closed(&mut far).await });
        sink.send_all(&mut stream::iter((0..MESSAGES).map(|number| Ok(message(number, 300))))).await.unwrap();
        assert_eq!(sink.sender().queued(), 0);
        sink.close().await.unwrap();
        assert_eq!(sink.send(message(0, 1)).await.unwrap_err().reason, SendRefused::Closed(CloseReason::NORMAL));
        let (messages, closed) = receiving.await.unwrap();
        assert_eq!((messages.len() as u64, closed.reason), (MESSAGES, CloseReason::NORMAL));
        let last = events.collect::<Vec<_>>().await.pop();
        assert!(matches!(last, Some(Event::Closed(closed)) if closed.orderly));
    })
    .await;
}

/// The peer of somebody who does not look at the stream waits, and loses nothing.
#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_polls_keeps_its_connection() {
    bounded(async {
        let (near, mut far) = pair(brisk(), 1 << 20).await;
        let mut events = near.into_stream(1);
        let sender = far.sender();
        tokio::spawn(async move { while far.recv().await.is_some() {} });
        for number in 0..10 {
            sender.send(message(number, 10)).await.unwrap();
        }
        tokio::time::sleep(ms(5_000)).await;
        for number in 0..10 {
            let Some(Event::Message(found)) = events.next().await else { panic!("a message") };
            assert_eq!(found, message(number, 10));
        }
    })
    .await;
}

#[tokio::test]
async fn dropping_a_stream_closes_its_connection() {
    bounded(async {
        let (near, mut far) = pair(brisk(), 1 << 20).await;
        let sender = near.sender();
        let events = near.into_stream(1);
        sender.send(message(1, 10)).await.unwrap();
        assert_eq!(next_message(&mut far).await, message(1, 10));
        drop(events);
        assert_eq!(until_closed(&mut far).await.1.reason, CloseReason::NORMAL);
    })
    .await;
}

/// Who gave up flushing writes no more, and then the keeper does while the task is elsewhere.
#[tokio::test(start_paused = true)]
async fn a_flush_that_is_cancelled_holds_up_no_bytes() {
    bounded(async {
        // More than the stream and one batch hold, to a peer that does not read yet.
        let (mut near, mut far) = pair(brisk(), 1 << 16).await;
        far.sender().try_send(message(9, 1)).unwrap();
        far.sender().try_send(message(9, 1)).unwrap();
        tokio::join!(next_message(&mut near), async { timeout(ms(1), far.recv()).await.unwrap_err() });
        let mut sink = near.sender().into_sink();
        for number in 0..3 {
            sink.feed(message(number, 200_000)).await.unwrap();
        }
        timeout(ms(5), sink.flush()).await.unwrap_err();
        let reading = tokio::spawn(async move {
            for number in 0..3 {
                assert_eq!(next_message(&mut far).await, message(number, 200_000));
            }
            far
        });
        // The handler does something else.
        timeout(ms(1_000), reading).await.expect("the peer reads, and all of it arrives").unwrap();
        drop(near);
    })
    .await;
}
