//! Slow applications that say so (section 8.4 of the specification), in virtual time.

use std::future::{pending, ready};

use crate::support::{bounded, brisk, message, ms, next_message, pair, until_closed, valid};
use pulsewire_transport_tokio::protocol::{CloseReason, Closed, Config, Event, Origin, Role, Statistics};
use pulsewire_transport_tokio::{Connection, Endpoint, Sender};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

const STREAM: usize = 1 << 20;

/// Receives in a task of its own, until the end.
fn receive(mut connection: Connection) -> JoinHandle<Closed> {
    tokio::spawn(async move { until_closed(&mut connection).await.1 })
}

/// Ten times as long as a healthy peer may be silent.
fn long() -> std::time::Duration {
    brisk().heartbeat.bound() * 10
}

/// PW-HB-019, PW-HB-020, PW-HB-023.
#[tokio::test(start_paused = true)]
async fn a_paused_receiver_outlives_ten_bounds_and_then_gets_every_message() {
    bounded(async {
        let (mut near, far) = pair(brisk(), STREAM).await;
        near.pause();
        for number in 0..50 {
            far.sender().try_send(message(number, 3_000)).unwrap();
        }
        let (sender, far_sender) = (near.sender(), far.sender());
        let ending = receive(far);
        assert!(timeout(long(), near.recv()).await.is_err(), "it pauses");
        assert!(near.is_paused() && !ending.is_finished());
        tokio::join!(
            async {
                for number in 0..50 {
                    assert_eq!(next_message(&mut near).await, message(number, 3_000));
                }
            },
            // From another task, while the receiver waits in `recv`.
            async { sender.resume() },
        );
        assert_eq!((near.statistics().pauses, far_sender.statistics().peer_pauses), (1, 1));
        assert_eq!(near.statistics().messages_received, 50);
        assert!(timeout(long(), near.recv()).await.is_err(), "both answer each other again");
    })
    .await;
}

/// What was read together with the message that made it too much waits as well.
#[tokio::test(start_paused = true)]
async fn nothing_is_delivered_behind_the_message_at_which_the_receiver_pauses() {
    bounded(async {
        let (mut near, far) = pair(brisk(), STREAM).await;
        for number in 0..3 {
            far.sender().try_send(message(number, 10)).unwrap();
        }
        let ending = receive(far);
        for number in 0..3 {
            assert_eq!(next_message(&mut near).await, message(number, 10));
            near.pause();
            assert!(timeout(long(), near.recv()).await.is_err(), "it pauses");
            near.resume();
        }
        assert!(!ending.is_finished());
    })
    .await;
}

/// PW-HB-019: work that takes longer than the peer would wait.
#[tokio::test(start_paused = true)]
async fn a_handler_that_is_slow_keeps_its_connection_if_it_says_so() {
    bounded(async {
        let (mut near, far) = pair(brisk(), STREAM).await;
        let sender = near.sender();
        for number in 0..3 {
            far.sender().try_send(message(number, 100)).unwrap();
        }
        let ending = receive(far);
        for number in 0..3 {
            let Some(Event::Message(borrowed)) = near.recv().await else { panic!("a message") };
            let handled = sender.busy_while(async {
                sleep(long()).await;
                borrowed == message(number, 100)
            });
            assert!(handled.await);
        }
        near.busy_while(sleep(long())).await;
        assert!(!near.is_paused() && !ending.is_finished());
        assert_eq!(near.statistics().pauses, 4);
    })
    .await;
}

/// It says nothing of it: the keeper does.
#[tokio::test(start_paused = true)]
async fn a_handler_that_is_slow_keeps_its_connection() {
    bounded(async {
        let (mut near, far) = pair(brisk(), STREAM).await;
        let back = far.sender();
        back.try_send(message(1, 100)).unwrap();
        let ending = receive(far);
        next_message(&mut near).await;
        sleep(long()).await;
        assert!(near.is_paused());
        back.try_send(message(2, 100)).unwrap();
        assert_eq!(next_message(&mut near).await, message(2, 100));
        assert!(!near.is_paused());
        near.close(CloseReason::NORMAL);
        assert!(until_closed(&mut near).await.1.orderly);
        assert!(ending.await.unwrap().orderly);
    })
    .await;
}

/// PW-HB-027: each message takes it less than the keeper waits, and all that lies unread far longer than a peer may be silent.
#[tokio::test(start_paused = true)]
async fn a_handler_that_is_slow_with_each_of_many_messages_keeps_its_connection() {
    bounded(async {
        let (mut near, far) = pair(brisk(), STREAM).await;
        let flood = flood(far.sender());
        let ending = receive(far);
        for number in 0..200 {
            assert!(!ending.is_finished(), "given up after {number} messages");
            next_message(&mut near).await;
            sleep(ms(20)).await;
        }
        assert_eq!(near.statistics().pauses, 0, "it reads all the time");
        flood.abort();
    })
    .await;
}

/// PW-HB-027: its answers tell its peer enough, which hears nothing else.
#[tokio::test(start_paused = true)]
async fn a_handler_that_answers_each_of_many_messages_slowly_sends_nothing_else() {
    bounded(async {
        let (mut near, far) = pair(brisk(), STREAM).await;
        let flood = flood(far.sender());
        let ending = receive(far);
        let before = near.statistics().bytes_taken;
        for number in 0..200 {
            next_message(&mut near).await;
            near.sender().try_send(message(number, 10)).unwrap();
            sleep(ms(20)).await;
        }
        assert!(!ending.is_finished());
        let Statistics { bytes_taken, pings_received, .. } = near.statistics();
        assert_eq!(bytes_taken - before, 200 * (12 + 10 + 4) + 20 * pings_received);
        flood.abort();
    })
    .await;
}

/// Between two messages it comes to the end of what there is to read: nothing but PONG is sent.
#[tokio::test(start_paused = true)]
async fn a_slow_handler_that_keeps_up_says_nothing_of_it() {
    bounded(async {
        let (mut near, far) = pair(brisk(), STREAM).await;
        let sender = far.sender();
        let ending = receive(far);
        let feeding = tokio::spawn(async move {
            while sender.send(message(1, 100)).await.is_ok() {
                sleep(ms(25)).await;
            }
        });
        let before = near.statistics().bytes_taken;
        for _ in 0..200 {
            next_message(&mut near).await;
            sleep(ms(20)).await;
        }
        assert!(!ending.is_finished());
        let Statistics { bytes_taken, pings_received, .. } = near.statistics();
        assert_eq!(bytes_taken - before, 20 * pings_received);
        feeding.abort();
    })
    .await;
}

/// The keeper looks soon again when a task is no longer busy, be it that the pause was to last for long.
#[tokio::test(start_paused = true)]
async fn a_task_that_is_away_is_kept_when_another_one_was_busy() {
    bounded(async {
        let with_idle = |idle| {
            let mut config = brisk();
            (config.heartbeat.idle, config.heartbeat.interval) = (ms(idle), ms(300));
            Endpoint::new(valid(config))
        };
        let (near, far) = tokio::io::duplex(STREAM);
        let mut near = with_idle(4_000).connection(near, Role::Client).unwrap();
        let mut far = with_idle(600).connection(far, Role::Server).unwrap();
        tokio::join!(near.recv(), far.recv());
        let ending = receive(far);
        near.sender().busy_while(sleep(ms(1_900))).await;
        sleep(ms(10_000)).await;
        assert!(near.is_paused() && !ending.is_finished());
    })
    .await;
}

/// Sends as much as is taken, until it is ended.
fn flood(sender: Sender) -> JoinHandle<()> {
    tokio::spawn(async move { while sender.send(message(1, 30_000)).await.is_ok() {} })
}

/// Nobody is in `recv` while the answers of slow work wait to leave, and the stream takes little at a time.
#[tokio::test(start_paused = true)]
async fn what_is_sent_during_slow_work_leaves() {
    bounded(async {
        let (mut near, mut far) = pair(brisk(), 1_000).await;
        let sender = near.sender();
        far.sender().try_send(message(0, 100)).unwrap();
        far.sender().try_send(message(1, 100)).unwrap();
        next_message(&mut near).await;
        near.busy_while(async {
            sender.try_send(message(2, 50_000)).unwrap();
            assert_eq!(next_message(&mut far).await, message(2, 50_000));
        })
        .await;
        let ending = receive(far);
        assert_eq!(next_message(&mut near).await, message(1, 100));
        assert!(!ending.is_finished());
    })
    .await;
}

/// A third task sends while one is busy: the busy one goes on where the stream takes no more.
#[tokio::test(start_paused = true)]
async fn what_another_task_sends_during_slow_work_leaves_at_once() {
    bounded(async {
        let (mut near, mut far) = pair(brisk(), 1_000).await;
        let sender = near.sender();
        let work = tokio::spawn(async move { near.busy_while(pending::<()>()).await });
        // The work has begun, and has nothing left to write.
        assert!(timeout(ms(1), far.recv()).await.is_err());
        let before = tokio::time::Instant::now();
        sender.try_send(message(1, 50_000)).unwrap();
        assert_eq!(next_message(&mut far).await, message(1, 50_000));
        assert_eq!(before.elapsed(), ms(0));
        work.abort();
    })
    .await;
}

/// Whoever works and whoever receives may be two tasks.
#[tokio::test(start_paused = true)]
async fn a_receiver_rests_while_another_task_is_busy() {
    bounded(async {
        let (mut near, far) = pair(brisk(), STREAM).await;
        let (sender, far_sender) = (near.sender(), far.sender());
        let ending = receive(far);
        let work = tokio::spawn(async move { sender.busy_while(sleep(long())).await });
        tokio::task::yield_now().await;
        far_sender.try_send(message(1, 100)).unwrap();
        assert!(timeout(long() / 2, near.recv()).await.is_err(), "it pauses");
        assert_eq!(next_message(&mut near).await, message(1, 100));
        work.await.unwrap();
        assert!(!ending.is_finished());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_pause_lasts_until_nobody_wants_it_any_more() {
    bounded(async {
        let (mut near, _far) = pair(brisk(), STREAM).await;
        let sender = near.sender();
        let (first, second) = (sender.busy_while(sleep(ms(10))), sender.busy_while(sleep(ms(20))));
        let pauses = async {
            sleep(ms(5)).await;
            assert!(sender.is_paused());
            sender.resume();
            sleep(ms(10)).await;
            assert!(sender.is_paused(), "the second is still busy");
            sender.pause();
        };
        tokio::join!(first, second, pauses);
        assert!(sender.is_paused(), "the application wants it");
        near.busy_while(sleep(ms(1))).await;
        assert!(sender.is_paused());
        near.resume();
        assert!(!sender.is_paused());
        assert_eq!(near.statistics().pauses, 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn work_that_is_given_up_ends_its_pause_and_work_that_is_done_begins_none() {
    bounded(async {
        let (mut near, _far) = pair(brisk(), STREAM).await;
        assert_eq!(near.busy_while(ready(7)).await, 7);
        assert_eq!(near.statistics().pauses, 0);
        assert!(timeout(ms(10), near.busy_while(pending::<()>())).await.is_err());
        assert!(!near.is_paused());
        assert_eq!(near.statistics().pauses, 1);
    })
    .await;
}

/// PW-HB-024.
#[tokio::test(start_paused = true)]
async fn closing_ends_a_pause_and_none_begins_then() {
    bounded(async {
        let (mut near, far) = pair(brisk(), STREAM).await;
        far.sender().try_send(message(1, 100)).unwrap();
        let ending = receive(far);
        near.pause();
        near.close(CloseReason::NORMAL);
        assert!(!near.is_paused());
        near.pause();
        assert!(!near.is_paused());
        let (messages, closed) = until_closed(&mut near).await;
        assert!(closed.orderly && ending.await.unwrap().orderly);
        assert_eq!(messages, [message(1, 100)]);
    })
    .await;
}

/// What the peer said last is heard, though this side did not want to hear more.
#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_ends_a_pause_and_nothing_that_came_is_lost() {
    bounded(async {
        let (mut near, far) = pair(brisk(), STREAM).await;
        near.pause();
        far.sender().try_send(message(1, 100)).unwrap();
        far.sender().abort();
        let (messages, closed) = until_closed(&mut near).await;
        assert_eq!(messages, [message(1, 100)]);
        assert_eq!((closed.reason, closed.origin), (CloseReason::PEER_ENDED, Origin::Transport));
    })
    .await;
}

/// PW-HB-023: two sides that both pause do not wait for ever.
#[tokio::test(start_paused = true)]
async fn a_stalled_write_ends_a_pause_in_the_work_and_in_the_receiver() {
    bounded(async {
        let config = || {
            let mut config = brisk();
            config.timeouts.write_stall = ms(300);
            config
        };
        let (mut near, mut far) = pair(config(), 1_000).await;
        for side in [&near, &far] {
            side.sender().try_send(message(1, 10_000)).unwrap();
        }
        far.pause();
        near.busy_while(async {
            let (_, closed) = until_closed(&mut far).await;
            assert_eq!(closed.reason, CloseReason::WRITE_STALL);
            sleep(ms(10)).await;
        })
        .await;
        let (_, closed) = until_closed(&mut near).await;
        assert_eq!(closed.reason, CloseReason::WRITE_STALL);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn before_the_handshake_nothing_pauses() {
    bounded(async {
        let (near, _far) = tokio::io::duplex(STREAM);
        let endpoint = Endpoint::new(valid(Config::default()));
        let role = Role::Server;
        let mut server = endpoint.connection(near, role).unwrap();
        server.pause();
        server.busy_while(sleep(ms(10))).await;
        assert!(!server.is_paused());
    })
    .await;
}

/// A peer may be as quick as this side's `ping_floor` allows, however slow this side's own heartbeat is.
#[tokio::test(start_paused = true)]
async fn a_handler_that_is_away_pauses_in_time_for_a_peer_that_is_quicker() {
    bounded(async {
        let (mut slow, mut quick) = (Config::default(), Config::default());
        slow.heartbeat.ping_floor = ms(300);
        (quick.heartbeat.idle, quick.heartbeat.interval, quick.heartbeat.probes) = (ms(300), ms(300), 2);
        let (near, far) = tokio::io::duplex(STREAM);
        let mut near = Endpoint::new(valid(slow)).connection(near, Role::Server).unwrap();
        let mut far = Endpoint::new(valid(quick)).connection(far, Role::Client).unwrap();
        tokio::join!(near.recv(), far.recv());
        far.sender().try_send(message(1, 10)).unwrap();
        next_message(&mut near).await;
        let ending = receive(far);
        sleep(ms(5_000)).await;
        assert!(!ending.is_finished(), "{:?}", ending.await);
        near.close(CloseReason::NORMAL);
        until_closed(&mut near).await;
        assert!(ending.await.unwrap().orderly);
    })
    .await;
}
