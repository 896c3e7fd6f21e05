//! What becomes of the messages of a client whose connections are lost: sent once at most, and never lost without a word.

use std::time::Duration;

use crate::door::{Door, bounded, client, connected, connecting, disconnected, message, number_of, over, receive};
use pulsewire_transport_tokio::protocol::{CloseReason, Config, SendRefused};
use pulsewire_transport_tokio::{Accepted, Client, ClientEvent, ClientOptions, Connection, Endpoint, Unsent};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

fn keep(bytes: usize) -> ClientOptions {
    ClientOptions { unsent: Unsent::Keep { bytes }, ..ClientOptions::default() }
}

/// Drives a client that nothing is wanted of.
fn drive(mut client: Client) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move { while client.recv().await.is_some() {} })
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_sent_first_and_in_order() {
    bounded(async {
        let (mut door, open) = Door::new(Config::default(), 1_000);
        let client = client(open, keep(1 << 20));
        let sender = client.sender();
        for number in 0..50 {
            assert_eq!(sender.try_send(message(number, 5_000)), Ok(Accepted::Kept));
        }
        let driving = drive(client);
        let (mut server, _) = door.welcome().await;
        for number in 50..60 {
            sender.send(message(number, 5_000)).await.unwrap();
        }
        assert_eq!(receive(&mut server, SECOND).await, Vec::from_iter(0..60));
        assert!(matches!(sender.try_send(message(60, 10)), Ok(Accepted::Sent(_))));
        assert_eq!(receive(&mut server, SECOND).await, [60]);
        driving.abort();
    })
    .await;
}

/// There would be room for a small one, but a larger one came first.
#[tokio::test(start_paused = true)]
async fn who_waits_is_not_overtaken() {
    bounded(async {
        let (mut door, open) = Door::new(Config::default(), 1_000);
        let client = client(open, keep(500));
        let sender = client.sender();
        sender.try_send(message(0, 200)).unwrap();
        let waiting = tokio::spawn({
            let sender = sender.clone();
            async move { sender.send(message(1, 300)).await.is_ok() }
        });
        sleep(SECOND).await;
        assert_eq!(sender.try_send(message(2, 4)).unwrap_err().reason, SendRefused::Full);
        let behind = tokio::spawn(async move { sender.send(message(2, 4)).await.is_ok() });
        let driving = drive(client);
        let (mut server, _) = door.welcome().await;
        assert_eq!(receive(&mut server, SECOND).await, [0, 1, 2]);
        assert!(waiting.await.unwrap() && behind.await.unwrap());
        driving.abort();
    })
    .await;
}

/// Kept messages cost what they are, and 64 bytes each: where there is no room, senders wait in their order.
#[tokio::test(start_paused = true)]
async fn no_more_is_kept_than_there_is_room_for() {
    bounded(async {
        let (mut door, open) = Door::new(Config::default(), 1_000);
        let client = client(open, keep(3 * (100 + 64)));
        let sender = client.sender();
        let huge = sender.try_send(message(9, 1_000)).unwrap_err();
        assert_eq!((huge.reason, huge.message), (SendRefused::NotEstablished, message(9, 1_000)));
        for number in 0..3 {
            assert_eq!(sender.try_send(message(number, 100)), Ok(Accepted::Kept));
        }
        assert_eq!(sender.try_send(message(3, 100)).unwrap_err().reason, SendRefused::Full);
        // Even the smallest takes room.
        assert_eq!(sender.try_send(message(3, 4)).unwrap_err().reason, SendRefused::Full);
        let waiting: Vec<_> = (3..10)
            .map(|number| {
                let sender = sender.clone();
                tokio::spawn(async move { sender.send(message(number, 100 * number as usize)).await.is_ok() })
            })
            .collect();
        sleep(SECOND).await;
        assert!(waiting.iter().all(|sending| !sending.is_finished()));
        // One that gives up holds up nobody.
        waiting[2].abort();
        let driving = drive(client);
        let (mut server, _) = door.welcome().await;
        assert_eq!(receive(&mut server, SECOND).await, [0, 1, 2, 3, 4, 6, 7, 8, 9]);
        driving.abort();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_unless_it_is_asked_for() {
    bounded(async {
        let (mut door, open) = Door::new(Config::default(), 1_000);
        let client = client(open, ClientOptions::default());
        let sender = client.sender();
        assert_eq!(sender.try_send(message(0, 4)).unwrap_err().reason, SendRefused::NotEstablished);
        let sending =
            tokio::spawn(async move { sender.send(message(1, 4)).await.is_ok_and(|at| at != Accepted::Kept) });
        sleep(SECOND).await;
        assert!(!sending.is_finished(), "it waits for a connection");
        let driving = drive(client);
        let (mut server, _) = door.welcome().await;
        assert_eq!(receive(&mut server, SECOND).await, [1]);
        assert!(sending.await.unwrap());
        driving.abort();
    })
    .await;
}

/// What was not handed out comes back, or goes to the next connection ahead of the rest; all else is counted.
#[tokio::test(start_paused = true)]
async fn what_a_lost_connection_did_not_send_is_returned_or_kept() {
    const COUNT: u32 = 150;
    bounded(async {
        for unsent in [Unsent::Return, Unsent::Keep { bytes: 1 << 20 }, Unsent::Keep { bytes: 50 * 5_064 }] {
            let (mut door, open) = Door::new(Config::default(), 1_000);
            let mut client = client(open, ClientOptions { unsent, ..ClientOptions::default() });
            let sender = client.sender();
            connecting(&mut client).await;
            let (_, (server, _)) = tokio::join!(connected(&mut client), door.welcome());
            for number in 0..COUNT {
                assert!(matches!(sender.try_send(message(number, 5_000)), Ok(Accepted::Sent(_))));
            }
            server.sender().abort();
            let lost = disconnected(&mut client).await;
            let returned: Vec<_> = lost.closed.unsent.iter().map(number_of).collect();
            let sent = lost.in_doubt as u32;
            assert!(sent > 0 && sent < COUNT / 2, "{sent}");
            let kept = match unsent {
                Unsent::Return => 0,
                Unsent::Keep { bytes } => (COUNT - sent).min(bytes as u32 / 5_064),
            };
            assert_eq!(returned, Vec::from_iter(sent + kept..COUNT), "{unsent:?}");

            let more = sender.try_send(message(COUNT, 4));
            let driving = drive(client);
            let (mut server, _) = door.welcome().await;
            let mut expected = Vec::from_iter(sent..sent + kept);
            match unsent {
                Unsent::Keep { bytes } if bytes == 1 << 20 => {
                    assert_eq!(more, Ok(Accepted::Kept));
                    expected.push(COUNT);
                }
                Unsent::Return => assert_eq!(more.unwrap_err().reason, SendRefused::NotEstablished),
                Unsent::Keep { .. } => assert_eq!(more.unwrap_err().reason, SendRefused::Full),
            }
            assert_eq!(receive(&mut server, SECOND).await, expected, "{unsent:?}");
            driving.abort();
        }
    })
    .await;
}

/// A connection may take less than the one before: what it can't take comes back, and holds up nothing.
#[tokio::test(start_paused = true)]
async fn a_kept_message_that_is_too_large_comes_back() {
    bounded(async {
        let mut small = Config::default();
        (small.limits.frame, small.limits.message) = (512, 1_000);
        let (mut door, open) = Door::new(small, 1_000);
        let mut client = client(open, keep(1 << 20));
        for (number, size) in [(0, 10), (1, 1_001), (2, 1_000)] {
            client.sender().try_send(message(number, size)).unwrap();
        }
        connecting(&mut client).await;
        let (_, (mut server, _)) = tokio::join!(connected(&mut client), door.welcome());
        match client.recv().await {
            Some(ClientEvent::Refused(refused)) => {
                assert_eq!(refused.reason, SendRefused::TooLarge { limit: 1_000 });
                assert_eq!(refused.message, message(1, 1_001));
            }
            other => panic!("{other:?}"),
        }
        let driving = drive(client);
        assert_eq!(receive(&mut server, SECOND).await, [0, 2]);
        driving.abort();
    })
    .await;
}

/// A client with more kept than a connection queues.
async fn with_much_kept() -> (Client, Connection) {
    let (mut door, open) = Door::new(Config::default(), 1_000);
    let mut config = Config::default();
    config.limits.send_queue = 10_000;
    let endpoint = Endpoint::new(config.validate().unwrap());
    let mut client = Client::with_streams(&endpoint, open, keep(1 << 20));
    for number in 0..100 {
        client.sender().try_send(message(number, 3_000)).unwrap();
    }
    connecting(&mut client).await;
    let (_, (server, _)) = tokio::join!(connected(&mut client), door.welcome());
    (client, server)
}

/// What was accepted goes out first, also what was only kept.
#[tokio::test(start_paused = true)]
async fn closing_and_dropping_send_what_was_kept() {
    bounded(async {
        let (client, mut server) = with_much_kept().await;
        drop(client);
        assert_eq!(receive(&mut server, 10 * SECOND).await, Vec::from_iter(0..100));
        assert!(server.recv().await.is_none(), "it was closed");

        let (mut client, mut server) = with_much_kept().await;
        client.close(CloseReason::NORMAL);
        assert_eq!(
            client.sender().try_send(message(100, 4)).unwrap_err().reason,
            SendRefused::Closed(CloseReason::NORMAL)
        );
        let serving = tokio::spawn(async move { receive(&mut server, 10 * SECOND).await });
        let closed = disconnected(&mut client).await.closed;
        assert_eq!((closed.orderly, closed.acknowledged), (true, Some(100)));
        assert!(over(&mut client).await.unsent.is_empty());
        assert_eq!(serving.await.unwrap(), Vec::from_iter(0..100));
    })
    .await;
}

/// The connection is lost while it closes: what was kept behind comes with the last event.
#[tokio::test(start_paused = true)]
async fn what_could_not_be_sent_before_the_end_comes_back() {
    bounded(async {
        let (mut client, server) = with_much_kept().await;
        client.close(CloseReason::NORMAL);
        server.sender().abort();
        let lost = disconnected(&mut client).await;
        assert_eq!(lost.next_try_at, None);
        let mut back: Vec<_> = lost.closed.unsent.iter().map(number_of).collect();
        back.extend(over(&mut client).await.unsent.iter().map(number_of));
        assert_eq!(back, Vec::from_iter(lost.in_doubt as u32..100));
    })
    .await;
}
