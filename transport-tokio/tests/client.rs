//! A client that stays connected: what it tells, when it tries again, and how it ends.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::door::{Door, bounded, client, connected, connecting, disconnected, failed, over};
use futures_util::FutureExt;
use pulsewire_transport_tokio::protocol::{
    Admission, Class, CloseFrame, CloseReason, Config, Event, Message, Retry, SendRefused,
};
use pulsewire_transport_tokio::{
    AttemptError, Client, ClientEvent, ClientOptions, ConnectError, Endpoint, GiveUp, OverReason, ReconnectConfig,
    SocketOptions, Unsent,
};
use tokio::time::{Instant, timeout};

const SECOND: Duration = Duration::from_secs(1);
const HOLDS: usize = 1 << 16;

fn options(change: impl FnOnce(&mut ReconnectConfig)) -> ClientOptions {
    let mut config = ReconnectConfig::default();
    change(&mut config);
    ClientOptions { reconnect: config.validate().unwrap(), ..ClientOptions::default() }
}

fn hello() -> Message<'static> {
    Message::new(Class::BUSINESS, b"hello")
}

/// Connecting, connected, a message, lost, and all of it again, at the time that the server asked for.
#[tokio::test(start_paused = true)]
async fn each_change_is_told_and_advice_is_heeded() {
    bounded(async {
        let (mut door, open) = Door::new(Config::default(), HOLDS);
        let mut client = client(open, ClientOptions::default());
        assert_eq!(connecting(&mut client).await, 1);
        let (connected_to, (mut server, _)) = tokio::join!(connected(&mut client), door.welcome());
        assert_eq!(connected_to.established.version, 1);
        server.sender().try_send(hello()).unwrap();
        match client.recv().await {
            Some(ClientEvent::Event(Event::Message(message))) => assert_eq!(message, hello()),
            other => panic!("{other:?}"),
        }

        let told = 20 * SECOND;
        let going = CloseFrame::from(CloseReason::GOING_AWAY).with_retry(Retry::After(told)).with_text("back soon");
        server.close(going);
        let server = tokio::spawn(async move { while server.recv().await.is_some() {} });
        match client.recv().await {
            Some(ClientEvent::Event(Event::Closing(said))) => assert_eq!(said.text, "back soon"),
            other => panic!("{other:?}"),
        }
        let lost = disconnected(&mut client).await;
        let now = Instant::now();
        assert_eq!(
            (lost.id, lost.closed.reason, lost.closed.orderly),
            (connected_to.id, CloseReason::GOING_AWAY, true)
        );
        let next = lost.next_try_at.unwrap();
        assert!(next >= now + told && next <= now + 2 * told, "{:?}", next - now);
        server.await.unwrap();

        assert_eq!(connecting(&mut client).await, 2, "it did not last");
        let came = Instant::now();
        assert!(came >= next && came <= next + Duration::from_millis(2), "{:?} late", came - next);
        let (again, (_server, _)) = tokio::join!(connected(&mut client), door.welcome());
        assert_ne!(again.id, connected_to.id);
    })
    .await;
}

/// A server that accepts and fails at once is tried less and less; one that a connection lasted with is not.
#[tokio::test(start_paused = true)]
async fn only_a_connection_that_lasted_makes_it_begin_anew() {
    bounded(async {
        let (mut door, open) = Door::new(Config::default(), HOLDS);
        let mut client = client(open, options(|c| (c.settled_after, c.growth) = (10 * SECOND, 10)));
        let mut longest = SECOND;
        for attempt in 1..5 {
            assert_eq!(connecting(&mut client).await, attempt);
            let (_, (server, _)) = tokio::join!(connected(&mut client), door.welcome());
            server.sender().close(CloseReason::NORMAL);
            drop(server);
            let lost = disconnected(&mut client).await;
            assert!(lost.next_try_at.unwrap() <= Instant::now() + longest + Duration::from_millis(2));
            longest = (10 * longest).min(30 * SECOND);
        }
        connecting(&mut client).await;
        let (_, (server, _)) = tokio::join!(connected(&mut client), door.welcome());
        let server = tokio::spawn(async move {
            let mut server = server;
            let _ = timeout(10 * SECOND, async { while server.recv().await.is_some() {} }).await;
        });
        let lost = disconnected(&mut client).await;
        assert!(lost.next_try_at.unwrap() <= Instant::now() + SECOND + Duration::from_millis(2));
        assert_eq!(connecting(&mut client).await, 1);
        server.await.unwrap();
    })
    .await;
}

/// A server that is away: tries that fail, further and further apart, and then it is there.
#[tokio::test(start_paused = true)]
async fn it_tries_until_the_server_is_there() {
    bounded(async {
        let (mut door, open) = Door::new(Config::default(), HOLDS);
        door.shut();
        let mut client = client(open, ClientOptions { jitter_seed: Some(1), ..ClientOptions::default() });
        for attempt in 1..=20 {
            assert_eq!(connecting(&mut client).await, attempt);
            let failed = failed(&mut client).await;
            assert!(matches!(failed.error, AttemptError::Stream { .. }), "{}", failed.error);
            assert_eq!(failed.attempt, attempt);
        }
        let knocks = door.knocks();
        assert_eq!(knocks.len(), 20);
        let waits: Vec<_> = knocks.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(waits.iter().all(|wait| *wait <= 31 * SECOND), "{waits:?}");
        assert!(waits[10..].iter().sum::<Duration>() > 5 * waits[..4].iter().sum::<Duration>(), "{waits:?}");
        door.open();
        connecting(&mut client).await;
        tokio::join!(connected(&mut client), door.welcome());
    })
    .await;
}

/// Who was refused for ever does not come again, and neither does one who can't be understood.
#[tokio::test(start_paused = true)]
async fn never_is_heeded() {
    bounded(async {
        let asks = Config { admission: Admission::Ask, ..Config::default() };
        let (mut door, open) = Door::new(asks, HOLDS);
        let mut client = client(open, ClientOptions::default());
        let sender = client.sender();
        connecting(&mut client).await;
        let judging = async {
            let mut server = door.next().await;
            assert!(matches!(server.recv().await, Some(Event::Admission(_))));
            server.refuse(CloseFrame::from(CloseReason::REFUSED).with_text("friends only"));
            while server.recv().await.is_some() {}
        };
        let (failed, ()) = tokio::join!(failed(&mut client), judging);
        assert_eq!(failed.next_try_at, None);
        assert_eq!(
            failed.error.to_string(),
            "the peer did not complete the handshake: closed by the peer: friends only (REFUSED)"
        );
        let why = GiveUp::Refused { reason: CloseReason::REFUSED };
        assert_eq!(over(&mut client).await.reason, OverReason::GivenUp(why));
        assert_eq!(sender.send(hello()).await.unwrap_err().reason, SendRefused::Closed(CloseReason::REFUSED));
        assert!(!sender.is_open());
        assert_eq!(door.knocks().len(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn it_gives_up_where_it_is_told_to() {
    bounded(async {
        let (door, open) = Door::new(Config::default(), HOLDS);
        door.shut();
        let mut client = client(open, options(|c| c.tries_max = Some(2)));
        let sender = client.sender();
        let waiting = tokio::spawn(async move { sender.send(hello()).await.unwrap_err().reason });
        connecting(&mut client).await;
        assert!(failed(&mut client).await.next_try_at.is_some());
        connecting(&mut client).await;
        assert_eq!(failed(&mut client).await.next_try_at, None);
        assert_eq!(over(&mut client).await.reason, OverReason::GivenUp(GiveUp::Tries { tries: 2 }));
        assert_eq!(waiting.await.unwrap(), SendRefused::Closed(CloseReason::NETWORK_LOST));
    })
    .await;
}

/// Each connect has a token of its own, fetched when the server is there; a provider that fails costs a try.
#[tokio::test(start_paused = true)]
async fn each_try_has_a_fresh_token() {
    bounded(async {
        let (mut door, open) = Door::new(Config::default(), HOLDS);
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        let mut client = client(open, ClientOptions::default()).with_token(move || {
            let number = count.fetch_add(1, Ordering::Relaxed) + 1;
            async move {
                match number {
                    3 => Err("no token today"),
                    4 => std::future::pending().await,
                    5 => Ok(vec![0; 5_000].into()),
                    _ => Ok(format!("token {number}").into()),
                }
            }
        });
        door.shut();
        connecting(&mut client).await;
        failed(&mut client).await;
        assert_eq!(asked.load(Ordering::Relaxed), 0, "nobody is there to show it to");
        door.open();

        for number in 1..=2 {
            connecting(&mut client).await;
            let (_, (server, established)) = tokio::join!(connected(&mut client), door.welcome());
            assert_eq!(established.token.as_deref(), Some(format!("token {number}").as_bytes()));
            drop(server);
            disconnected(&mut client).await;
        }
        let wrong: [fn(&AttemptError) -> bool; 3] = [
            |error| matches!(error, AttemptError::Token { source } if source.to_string() == "no token today"),
            |error| matches!(error, AttemptError::TokenTimeout { limit } if *limit == 5 * SECOND),
            |error| matches!(error, AttemptError::TokenRefused { .. }),
        ];
        for is_right in wrong {
            connecting(&mut client).await;
            let failed = failed(&mut client).await;
            assert!(is_right(&failed.error), "{:?}", failed.error);
            assert!(failed.next_try_at.is_some());
        }
        // Three came without a word.
        for _ in 0..3 {
            drop(door.next().await);
        }
        connecting(&mut client).await;
        let (_, (_server, established)) = tokio::join!(connected(&mut client), door.welcome());
        assert_eq!(established.token.as_deref(), Some(&b"token 6"[..]));
    })
    .await;
}

/// In each of its states, and from a task that only sends.
#[tokio::test(start_paused = true)]
async fn it_can_be_closed_whatever_it_does() {
    bounded(async {
        let closed = OverReason::Closed { reason: CloseReason::NORMAL };
        let keeps = || ClientOptions { unsent: Unsent::Keep { bytes: 1_000 }, ..ClientOptions::default() };
        // Before it has begun.
        let (door, open) = Door::new(Config::default(), HOLDS);
        let mut first = client(open, keeps());
        first.sender().try_send(hello()).unwrap();
        first.close(CloseReason::NORMAL);
        let ended = over(&mut first).await;
        assert_eq!((ended.reason, ended.unsent), (closed, vec![hello()]));
        assert!(door.knocks().is_empty());

        // While it connects: nobody answers its HELLO.
        let (mut door, open) = Door::new(Config::default(), HOLDS);
        let mut second = client(open, keeps());
        connecting(&mut second).await;
        let (waited, _stream) = tokio::join!(timeout(SECOND, second.recv()), door.next());
        assert!(waited.is_err(), "it waits for the answer");
        second.sender().close(CloseReason::NORMAL);
        assert_eq!(over(&mut second).await.reason, closed);

        // While it waits for the next try.
        let (door, open) = Door::new(Config::default(), HOLDS);
        door.shut();
        let mut third = client(open, options(|c| (c.first_delay, c.max_delay) = (3_600 * SECOND, 86_400 * SECOND)));
        connecting(&mut third).await;
        failed(&mut third).await;
        let sender = third.sender();
        let began = Instant::now();
        tokio::spawn(async move {
            tokio::time::sleep(SECOND / 1_000).await;
            sender.close(CloseReason::NORMAL);
        });
        assert_eq!(over(&mut third).await.reason, closed);
        assert!(began.elapsed() < SECOND);

        // While it is connected: in order, behind what was accepted.
        let (mut door, open) = Door::new(Config::default(), HOLDS);
        let mut fourth = client(open, keeps());
        let sender = fourth.sender();
        connecting(&mut fourth).await;
        let (_, (mut server, _)) = tokio::join!(connected(&mut fourth), door.welcome());
        sender.try_send(hello()).unwrap();
        sender.close(CloseFrame::from(CloseReason::NORMAL).with_text("done"));
        assert_eq!(sender.try_send(hello()).unwrap_err().reason, SendRefused::Closed(CloseReason::NORMAL));
        let serving = tokio::spawn(async move {
            assert!(matches!(server.recv().await, Some(Event::Message(message)) if message == hello()));
            match server.recv().await {
                Some(Event::Closing(said)) => assert_eq!(said.text, "done"),
                other => panic!("{other:?}"),
            }
            while server.recv().await.is_some() {}
        });
        let lost = disconnected(&mut fourth).await;
        assert_eq!((lost.closed.orderly, lost.next_try_at, lost.in_doubt), (true, None, 0));
        assert_eq!(over(&mut fourth).await.reason, closed);
        serving.await.unwrap();
    })
    .await;
}

/// A task that waits for something else beside it loses nothing.
#[tokio::test(start_paused = true)]
async fn receiving_can_be_cancelled_everywhere() {
    bounded(async {
        let (mut door, open) = Door::new(Config::default(), HOLDS);
        let mut client = client(open, ClientOptions::default());
        let serving = tokio::spawn(async move {
            for _ in 0..3 {
                let (server, _) = door.welcome().await;
                server.sender().try_send(hello()).unwrap();
                drop(server);
            }
        });
        let mut told = Vec::new();
        let mut patience = 0_u64;
        while told.len() < 12 {
            patience = (patience + 7) % 50;
            match timeout(Duration::from_millis(patience), client.recv()).await {
                Err(_) | Ok(Some(ClientEvent::Event(Event::Closing(_)))) => {}
                Ok(Some(ClientEvent::Connecting { .. })) => told.push("connecting"),
                Ok(Some(ClientEvent::Connected(_))) => told.push("connected"),
                Ok(Some(ClientEvent::Event(Event::Message(_)))) => told.push("message"),
                Ok(Some(ClientEvent::Disconnected(_))) => told.push("disconnected"),
                Ok(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(told, ["connecting", "connected", "message", "disconnected"].repeat(3));
        serving.await.unwrap();
    })
    .await;
}

/// The first address refuses, the second one answers: real sockets.
#[tokio::test]
async fn a_dead_address_of_a_name_holds_up_no_other() {
    let endpoint = Endpoint::new(Config::default().validate().unwrap());
    let gone = endpoint.listen("127.0.0.1:0").await.unwrap();
    let dead = gone.address().unwrap();
    drop(gone);
    let listener = endpoint.listen("127.0.0.1:0").await.unwrap();
    let alive = listener.address().unwrap();
    let serving = tokio::spawn(async move {
        let mut server = listener.accept().await.unwrap();
        while server.recv().await.is_some() {}
    });
    let addresses: &'static [_] = Box::leak(Box::new([dead, alive]));
    let mut client = Client::new(&endpoint, addresses, ClientOptions::default());
    connecting(&mut client).await;
    assert_eq!(connected(&mut client).await.address, Some(alive));
    client.close(CloseReason::NORMAL);
    assert!(disconnected(&mut client).await.closed.orderly);
    over(&mut client).await;
    serving.await.unwrap();
}

/// Nobody answers, and nobody refuses: a try ends in time all the same.
#[tokio::test(start_paused = true)]
async fn a_try_has_an_end() {
    bounded(async {
        let limit = 3 * SECOND;
        let endpoint = Endpoint::with_options(
            Config::default().validate().unwrap(),
            SocketOptions { connect_timeout: limit, ..SocketOptions::default() },
        );
        let open = || std::future::pending::<std::io::Result<tokio::io::DuplexStream>>();
        let mut client = Client::with_streams(&endpoint, open, ClientOptions::default());
        connecting(&mut client).await;
        let began = Instant::now();
        match failed(&mut client).await.error {
            AttemptError::Connect(ConnectError::Timeout { limit: after }) => assert_eq!(after, limit),
            other => panic!("{other:?}"),
        }
        assert!(began.elapsed() < limit + SECOND / 100);

        // Somebody accepts, and says nothing.
        let (mut door, open) = Door::new(Config::default(), HOLDS);
        let mut client = crate::door::client(open, ClientOptions::default());
        connecting(&mut client).await;
        let (failed, _silent) = tokio::join!(failed(&mut client), door.next());
        match failed.error {
            AttemptError::Handshake { closed, .. } => assert_eq!(closed.reason, CloseReason::HANDSHAKE_TIMEOUT),
            other => panic!("{other:?}"),
        }
        assert!(failed.next_try_at.is_some());
    })
    .await;
}

/// A panic of the application's own code is its own.
#[tokio::test(start_paused = true)]
#[should_panic(expected = "on purpose")]
async fn a_panic_while_connecting_is_passed_on() {
    let (_door, open) = Door::new(Config::default(), HOLDS);
    let fetch = || async { panic!("on purpose") as Result<_, std::io::Error> };
    let mut client = client(open, ClientOptions::default()).with_token(fetch);
    while client.recv().await.is_some() {}
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_panic_was_caught_is_over() {
    bounded(async {
        let (_door, open) = Door::new(Config::default(), HOLDS);
        let fetch = || async { panic!("on purpose") as Result<_, std::io::Error> };
        let mut client = client(open, ClientOptions::default()).with_token(fetch);
        assert!(AssertUnwindSafe(async { while client.recv().await.is_some() {} }).catch_unwind().await.is_err());
        assert_eq!(over(&mut client).await.reason, OverReason::Closed { reason: CloseReason::ABORTED });
        assert!(client.recv().await.is_none());
    })
    .await;
}
