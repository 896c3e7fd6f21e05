//! Connections whose task is in a handler that waits: nothing hangs on how that is written.

use std::pin::pin;
use std::time::Duration;

use crate::support::{bounded, brisk, message, next_message, pair, until_closed, valid};
use pulsewire_transport_tokio::Connection;
use pulsewire_transport_tokio::protocol::{CloseReason, Config, Event};
use tokio::time::{Instant, sleep, timeout};

/// Far longer than a silent peer is borne.
fn long() -> Duration {
    brisk().heartbeat.bound() * 10
}

/// Receives in a task of its own, and gives how the connection ended.
fn receive(mut connection: Connection) -> tokio::task::JoinHandle<CloseReason> {
    tokio::spawn(async move { until_closed(&mut connection).await.1.reason })
}

/// `a.recv()` with `b.send().await` inside: A is slowed, and nobody is given up.
#[tokio::test(start_paused = true)]
async fn a_relay_to_a_slow_reader_slows_its_source() {
    bounded(async {
        const MESSAGES: u64 = 6;
        let mut config = brisk();
        config.limits.send_queue = 1_000;
        let (near, mut source) = pair(config.clone(), 1_000).await;
        let (sink, mut far) = pair(config, 1_000).await;
        let sender = sink.sender();
        let sinking = receive(sink);
        let relaying = tokio::spawn(async move {
            let mut near = near;
            loop {
                match near.recv().await {
                    Some(Event::Message(message)) => drop(sender.send(message).await.unwrap()),
                    Some(_) => {}
                    None => return,
                }
            }
        });
        let feeding = tokio::spawn(async move {
            let sender = source.sender();
            for number in 0..MESSAGES {
                while let Err(refused) = sender.try_send(message(number, 900)) {
                    assert_eq!(refused.reason, pulsewire_transport_tokio::protocol::SendRefused::Full);
                    // It goes on to serve its connection.
                    if let Ok(event) = timeout(Duration::from_millis(5), source.recv()).await {
                        panic!("{event:?}");
                    }
                }
            }
            until_closed(&mut source).await.1.reason
        });
        // The reader takes one message, then does something else in its handler.
        for number in 0..MESSAGES {
            assert_eq!(next_message(&mut far).await, message(number, 900));
            sleep(long()).await;
        }
        assert!(!relaying.is_finished() && !sinking.is_finished());
        assert!(!feeding.is_finished());
        relaying.abort();
    })
    .await;
}

/// What a handler answered before it began long work leaves at once, though more messages came together with the one it answers.
#[tokio::test(start_paused = true)]
async fn an_answer_leaves_before_long_work() {
    bounded(async {
        let (mut near, mut far) = pair(Config::default(), 1 << 16).await;
        for number in 0..3 {
            far.sender().try_send(message(number, 100)).unwrap();
        }
        let sender = near.sender();
        next_message(&mut near).await;
        sender.try_send(message(7, 100)).unwrap();
        let began = Instant::now();
        let working = tokio::spawn(async move {
            sleep(Duration::from_secs(3)).await;
            near
        });
        assert_eq!(next_message(&mut far).await, message(7, 100));
        assert!(began.elapsed() <= Duration::from_millis(100), "{:?}", began.elapsed());
        // Another task's message is held back no longer either.
        let sent = Instant::now();
        sender.try_send(message(8, 100)).unwrap();
        assert_eq!(next_message(&mut far).await, message(8, 100));
        assert_eq!(sent.elapsed(), Duration::ZERO);
        drop(working.await.unwrap());
    })
    .await;
}

/// PW-HB-021: a task that never comes back is found by the peer.
#[tokio::test(start_paused = true)]
async fn a_task_that_never_comes_back_is_found() {
    bounded(async {
        let mut config = brisk();
        config.heartbeat.busy_max = Duration::from_secs(2);
        let (mut near, far) = pair(config, 1 << 16).await;
        far.sender().try_send(message(1, 100)).unwrap();
        let ending = receive(far);
        next_message(&mut near).await;
        let began = Instant::now();
        assert_eq!(ending.await.unwrap(), CloseReason::PEER_TIMEOUT);
        assert!((Duration::from_secs(2)..Duration::from_secs(3)).contains(&began.elapsed()), "{:?}", began.elapsed());
        drop(near);
    })
    .await;
}

/// PW-CLS-015: the peer takes nothing, and nobody is there to notice but the keeper. The socket is let go.
#[tokio::test(start_paused = true)]
async fn a_stalled_write_ends_a_connection_whose_task_is_away() {
    bounded(async {
        let mut config = Config::default();
        config.timeouts.write_stall = Duration::from_secs(3);
        let (near, far) = tokio::io::duplex(1_000);
        let endpoint = pulsewire_transport_tokio::Endpoint::new(valid(config));
        let mut near = endpoint.connection(near, pulsewire_transport_tokio::protocol::Role::Client).unwrap();
        let mut far = endpoint.connection(far, pulsewire_transport_tokio::protocol::Role::Server).unwrap();
        tokio::join!(near.recv(), far.recv());
        far.sender().try_send(message(1, 100)).unwrap();
        // Its task is not seen again.
        drop(timeout(Duration::from_millis(1), far.recv()).await);
        next_message(&mut near).await;
        near.sender().try_send(message(2, 50_000)).unwrap();
        let id = near.id();
        let began = Instant::now();
        while endpoint.connections().contains(&id) {
            sleep(Duration::from_millis(100)).await;
        }
        assert!((Duration::from_secs(3)..Duration::from_secs(60)).contains(&began.elapsed()), "{:?}", began.elapsed());
        assert_eq!(until_closed(&mut near).await.1.reason, CloseReason::WRITE_STALL);
    })
    .await;
}

/// A `recv` that another branch of a `select!` cut short leaves the connection to the keeper too; and a quiet time before an event does
/// not count as time away.
#[tokio::test(start_paused = true)]
async fn a_cancelled_recv_is_looked_after_and_quiet_time_does_not_count() {
    bounded(async {
        let (mut near, far) = pair(Config::default(), 1 << 16).await;
        let back = far.sender();
        let ending = receive(far);
        // Nothing is read for some seconds.
        assert!(timeout(Duration::from_secs(3), near.recv()).await.is_err());
        sleep(Duration::from_millis(500)).await;
        assert!(!near.is_paused(), "it is away for half a second only");
        sleep(Duration::from_secs(30)).await;
        assert!(near.is_paused());
        back.try_send(message(1, 100)).unwrap();
        assert_eq!(next_message(&mut near).await, message(1, 100));
        assert!(!near.is_paused() && !ending.is_finished());
    })
    .await;
}

/// PW-HS-012: a client whose connection nobody receives from is not held for ever.
#[tokio::test(start_paused = true)]
async fn a_handshake_that_nobody_receives_from_ends() {
    bounded(async {
        let (_client, stream) = tokio::io::duplex(1_000);
        let config = Config::default();
        let limit = config.timeouts.handshake;
        let endpoint = pulsewire_transport_tokio::Endpoint::new(valid(config));
        let forgotten = endpoint.connection(stream, pulsewire_transport_tokio::protocol::Role::Server).unwrap();
        let began = Instant::now();
        while endpoint.connections().contains(&forgotten.id()) {
            sleep(Duration::from_millis(100)).await;
        }
        assert!((limit..limit + Duration::from_secs(2)).contains(&began.elapsed()), "{:?}", began.elapsed());
    })
    .await;
}

/// PW-CLS-007: a connection that somebody else closes, while its own task is gone for long, is not held longer for that.
#[tokio::test(start_paused = true)]
async fn a_close_from_elsewhere_has_its_limit_while_the_task_is_away() {
    bounded(async {
        let config = Config::default();
        let limit = config.timeouts.close;
        let endpoint = pulsewire_transport_tokio::Endpoint::new(valid(config));
        let (near, far) = tokio::io::duplex(1 << 16);
        let mut near = endpoint.connection(near, pulsewire_transport_tokio::protocol::Role::Client).unwrap();
        let mut far = endpoint.connection(far, pulsewire_transport_tokio::protocol::Role::Server).unwrap();
        tokio::join!(near.recv(), far.recv());
        // Both tasks are away for so long that the keeper looks seldom; nobody answers.
        sleep(Duration::from_millis(2_500)).await;
        let began = Instant::now();
        near.sender().close(CloseReason::NORMAL);
        while endpoint.connections().contains(&near.id()) {
            sleep(Duration::from_millis(50)).await;
        }
        assert!((limit..limit + Duration::from_secs(1)).contains(&began.elapsed()), "{:?}", began.elapsed());
    })
    .await;
}

/// A future that nobody polls is as little in `recv` as none.
#[tokio::test(start_paused = true)]
async fn a_recv_that_lives_while_its_task_is_in_another_branch_keeps_its_peer() {
    bounded(async {
        let (mut near, far) = pair(brisk(), 1 << 16).await;
        let sender = far.sender();
        let ending = receive(far);
        {
            let mut recv = pin!(near.recv());
            tokio::select! {
                event = &mut recv => panic!("{event:?}"),
                () = sleep(Duration::from_millis(1)) => sleep(long()).await,
            }
            assert!(!ending.is_finished(), "{:?}", ending.await);
            // It goes on where it was.
            sender.send(message(1, 10)).await.unwrap();
            assert!(matches!(recv.await, Some(Event::Message(_))));
        }
        near.close(CloseReason::NORMAL);
        until_closed(&mut near).await;
        assert_eq!(ending.await.unwrap(), CloseReason::NORMAL);
    })
    .await;
}
