//! Senders that wait for room get it in the order in which they came, and nobody overtakes them.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::{bounded, message, next_message, pair};
use pulsewire_transport_tokio::protocol::{Class, Config, Message, SendRefused};
use tokio::task::yield_now;

fn narrow() -> Config {
    let mut config = Config::default();
    config.limits.send_queue = 10_000;
    config
}

/// Eight tasks that send as fast as they can: each gets its share.
#[tokio::test]
async fn those_that_send_in_a_loop_take_turns() {
    bounded(async {
        const SENDERS: u64 = 8;
        const EACH: u64 = 200;
        let (mut near, mut far) = pair(narrow(), 10_000).await;
        let counts: Vec<_> = (0..SENDERS).map(|_| Arc::new(AtomicU64::new(0))).collect();
        for count in &counts {
            let (sender, count) = (near.sender(), Arc::clone(count));
            tokio::spawn(async move {
                while sender.send(message(0, 1_000)).await.is_ok() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let serving = tokio::spawn(async move { while near.recv().await.is_some() {} });
        for _ in 0..SENDERS * EACH {
            next_message(&mut far).await;
        }
        let sent: Vec<_> = counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        assert!(sent.iter().all(|count| count.abs_diff(EACH) <= EACH / 4), "{sent:?}");
        serving.abort();
    })
    .await;
}

/// A large message waits beside somebody who tries in a loop to send small ones of its class.
#[tokio::test]
async fn a_large_message_is_not_overtaken() {
    bounded(async {
        let (mut near, mut far) = pair(narrow(), 1_000).await;
        let (large, small) = (near.sender(), near.sender());
        while small.try_send(message(1, 1_000)).is_ok() {}
        let sending = tokio::spawn(async move { large.send(message(2, 9_000)).await.is_ok() });
        yield_now().await;
        let trying = tokio::spawn(async move {
            loop {
                let _ = small.try_send(message(3, 10));
                yield_now().await;
            }
        });
        let serving = tokio::spawn(async move { while near.recv().await.is_some() {} });
        loop {
            let size = next_message(&mut far).await.payload.len();
            assert_ne!(size, 10, "a small message overtook the large one");
            if size == 9_000 {
                break;
            }
        }
        assert!(sending.await.unwrap());
        trying.abort();
        serving.abort();
    })
    .await;
}

/// PW-DAT-015: a class that is full holds up no other.
#[tokio::test]
async fn another_class_is_not_held_up() {
    bounded(async {
        let (near, _far) = pair(narrow(), 1_000).await;
        let sender = near.sender();
        while sender.try_send(message(1, 1_000)).is_ok() {}
        let waiting = tokio::spawn({
            let sender = sender.clone();
            async move { sender.send(message(2, 1_000)).await.is_ok() }
        });
        yield_now().await;
        assert_eq!(sender.try_send(message(3, 1)).unwrap_err().reason, SendRefused::Full);
        sender.try_send(Message::new(Class::SYSTEM, b"at once")).unwrap();
        waiting.abort();
    })
    .await;
}

/// Whoever gives up leaves the line.
#[tokio::test]
async fn a_sender_that_is_cancelled_holds_up_nobody() {
    bounded(async {
        let (mut near, mut far) = pair(narrow(), 1_000).await;
        let sender = near.sender();
        while sender.try_send(message(1, 1_000)).is_ok() {}
        let waiting: Vec<_> = (0..3)
            .map(|number| {
                let sender = sender.clone();
                tokio::spawn(async move { sender.send(message(number, 2_000)).await.is_ok() })
            })
            .collect();
        yield_now().await;
        waiting[0].abort();
        waiting[1].abort();
        let serving = tokio::spawn(async move { while near.recv().await.is_some() {} });
        while next_message(&mut far).await.payload.len() != 2_000 {}
        sender.try_send(message(3, 1)).unwrap();
        serving.abort();
    })
    .await;
}

#[tokio::test]
async fn a_thread_waits_for_room() {
    bounded(async {
        let (mut near, mut far) = pair(narrow(), 1_000).await;
        let sender = near.sender();
        let thread =
            std::thread::spawn(move || (0..50).all(|number| sender.send_blocking(message(number, 1_000)).is_ok()));
        let serving = tokio::spawn(async move { while near.recv().await.is_some() {} });
        for number in 0..50 {
            assert_eq!(next_message(&mut far).await, message(number, 1_000));
        }
        assert!(thread.join().unwrap());
        serving.abort();
    })
    .await;
}

/// Who reserves waits in the same line, holds its place and the room, and loses no message where it gives up waiting.
#[tokio::test(start_paused = true)]
async fn a_permit_holds_a_place_and_the_room() {
    bounded(async {
        let (mut near, mut far) = pair(narrow(), 1_000).await;
        let sender = near.sender();
        while sender.try_send(message(1, 1_000)).is_ok() {}
        let given_up = tokio::time::timeout(std::time::Duration::from_secs(1), sender.reserve(Class::BUSINESS, 9_000));
        assert!(given_up.await.is_err());
        let serving = tokio::spawn(async move { while near.recv().await.is_some() {} });
        let reading = tokio::spawn(async move {
            while next_message(&mut far).await != message(2, 9_000) {}
            tokio::spawn(async move { while far.recv().await.is_some() {} });
        });
        let permit = sender.reserve(Class::BUSINESS, 9_000).await.unwrap();
        // Nobody of the class goes first, and no other class is held up.
        let refused = sender.try_send(message(3, 10)).unwrap_err();
        assert_eq!((refused.reason, refused.message), (SendRefused::Full, message(3, 10)));
        sender.try_send(Message::new(Class::ROOM, b"passes")).unwrap();
        permit.send(message(2, 9_000)).unwrap();
        reading.await.unwrap();
        // What it was not reserved for is refused, and comes back; a permit that is dropped holds up nobody.
        for other in [message(4, 11), Message::new(Class::ROOM, b"other")] {
            let permit = sender.reserve(Class::BUSINESS, 10).await.unwrap();
            assert_eq!(permit.send(other.clone()).unwrap_err().message, other);
        }
        drop(sender.reserve(Class::BUSINESS, 10).await.unwrap());
        sender.try_send(message(5, 10)).unwrap();
        let too_large = sender.reserve(Class::BUSINESS, usize::MAX).await.unwrap_err();
        assert!(matches!(too_large, SendRefused::TooLarge { .. }));
        sender.abort();
        assert!(matches!(sender.reserve(Class::BUSINESS, 1).await.unwrap_err(), SendRefused::Closed(_)));
        serving.await.unwrap();
    })
    .await;
}

/// How often the tasks of so many senders are polled for each message that they send, each of them one.
async fn polls_for_a_message(senders: u64) -> f64 {
    let (mut near, mut far) = pair(narrow(), 1_000).await;
    let polls = Arc::new(AtomicU64::new(0));
    while near.sender().try_send(message(0, 1_000)).is_ok() {}
    let sending: Vec<_> = (0..senders)
        .map(|number| {
            let (sender, polls) = (near.sender(), Arc::clone(&polls));
            tokio::spawn(async move {
                let mut sending = pin!(sender.send(message(number, 1_000)));
                let counted = poll_fn(|context| {
                    polls.fetch_add(1, Ordering::Relaxed);
                    sending.as_mut().poll(context)
                });
                counted.await.map(drop).unwrap();
            })
        })
        .collect();
    yield_now().await;
    let serving = tokio::spawn(async move { while near.recv().await.is_some() {} });
    let receiving = tokio::spawn(async move { while far.recv().await.is_some() {} });
    for sending in sending {
        sending.await.unwrap();
    }
    serving.abort();
    receiving.abort();
    polls.load(Ordering::Relaxed) as f64 / senders as f64
}

/// Who waits behind others costs nothing until it is its turn.
#[tokio::test]
async fn two_thousand_that_wait_cost_no_more_than_twenty() {
    bounded(async {
        let (few, many) = (polls_for_a_message(20).await, polls_for_a_message(2_000).await);
        assert!(many <= few * 1.5, "{many} polls for each message instead of {few}");
    })
    .await;
}

/// Whoever has the turn may keep it for long; those behind learn of the end at once.
#[tokio::test]
async fn a_sender_behind_a_permit_learns_that_the_connection_is_over() {
    bounded(async {
        let (near, _far) = pair(narrow(), 10_000).await;
        let sender = near.sender();
        let permit = sender.reserve(Class::BUSINESS, 10).await.unwrap();
        let waiting = sender.clone();
        let sending = tokio::spawn(async move { waiting.send(message(1, 10)).await.map_err(|refused| refused.reason) });
        let waiting = sender.clone();
        let reserving = tokio::spawn(async move { waiting.reserve(Class::BUSINESS, 10).await.map(drop) });
        while !sending.is_finished() && !reserving.is_finished() && sender.is_open() {
            yield_now().await;
            sender.abort();
        }
        assert!(matches!(sending.await.unwrap(), Err(SendRefused::Closed(_))));
        assert!(matches!(reserving.await.unwrap(), Err(SendRefused::Closed(_))));
        drop(permit);
        assert!(matches!(sender.send(message(2, 10)).await.unwrap_err().reason, SendRefused::Closed(_)));
    })
    .await;
}
