//! PW-TCP-001: what came, or could be written, by the time at which a limit passes still counts, whichever of them the runtime
//! notices first.

use std::time::Duration;

use crate::support::{bounded, message, next_message, pair, valid};
use pulsewire_transport_tokio::Endpoint;
use pulsewire_transport_tokio::protocol::{Config, Event, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until};

/// HELLO comes at the very moment at which the server's patience ends, whoever the runtime wakes first.
#[tokio::test(start_paused = true)]
async fn a_greeting_at_the_last_moment_counts() {
    for server_first in [true, false] {
        bounded(greet_at_the_last_moment(server_first)).await;
    }
}

async fn greet_at_the_last_moment(server_first: bool) {
    let config = Config::default();
    let patience = config.timeouts.handshake;
    let endpoint = Endpoint::new(valid(config));
    let hello = hello_of(Config::default()).await;

    let (near, mut far) = tokio::io::duplex(1 << 10);
    let last_moment = Instant::now() + patience;
    let mut server = endpoint.connection(near, Role::Server).unwrap();
    let serve = async move { matches!(server.recv().await, Some(Event::Established(_))) };
    let relay = async move {
        sleep_until(last_moment).await;
        far.write_all(&hello).await.unwrap();
        far
    };
    let (served, relayed);
    if server_first {
        served = tokio::spawn(serve);
        tokio::task::yield_now().await;
        relayed = tokio::spawn(relay);
    } else {
        relayed = tokio::spawn(relay);
        tokio::task::yield_now().await;
        served = tokio::spawn(serve);
    }
    assert!(served.await.unwrap(), "HELLO that came in time was refused (server first: {server_first})");
    relayed.await.unwrap();
}

/// The peer makes room at the very moment at which a sender has waited long enough.
#[tokio::test(start_paused = true)]
async fn room_at_the_last_moment_counts() {
    bounded(async {
        let mut config = Config::default();
        config.limits.send_queue = 1_000;
        config.timeouts.write_stall = Duration::from_secs(3);
        let (mut near, mut far) = pair(config, 1_000).await;
        let sender = near.sender();
        let began = Instant::now();
        // Nobody is in `recv`: the one who waits judges.
        let sending = tokio::spawn(async move {
            for number in 0..8 {
                sender.send(message(number, 500)).await.map_err(|refused| refused.reason)?;
            }
            Ok::<_, pulsewire_transport_tokio::protocol::SendRefused>(())
        });
        tokio::task::yield_now().await;
        let reading = tokio::spawn(async move {
            sleep_until(began + Duration::from_secs(3)).await;
            for number in 0..8 {
                assert_eq!(next_message(&mut far).await, message(number, 500));
            }
            far
        });
        assert_eq!(sending.await.unwrap(), Ok(()));
        tokio::select! {
            event = near.recv() => panic!("{event:?}"),
            read = reading => drop(read.unwrap()),
        }
    })
    .await;
}

/// HELLO lies in the socket when the time is up, and the thread was busy elsewhere: the runtime knows nothing of it yet, and the keeper
/// is woken by something else than the time.
#[tokio::test]
async fn a_greeting_that_the_runtime_has_not_seen_counts() {
    bounded(async {
        let mut config = Config::default();
        config.timeouts.handshake = Duration::from_millis(300);
        let endpoint = Endpoint::new(valid(config.clone()));
        // Another connection of the same endpoint, which answers something while the time passes.
        let (near, far) = tokio::io::duplex(1 << 10);
        let mut asking = endpoint.connection(near, Role::Client).unwrap();
        let mut answering = endpoint.connection(far, Role::Server).unwrap();
        tokio::join!(asking.recv(), answering.recv());

        let listener = endpoint.listen("127.0.0.1:0").await.unwrap();
        let address = listener.address().unwrap();
        let socket = std::net::TcpStream::connect(address).unwrap();
        let mut server = listener.accept().await.unwrap();
        let began = std::time::Instant::now();
        let greeted = tokio::spawn(async move { matches!(server.recv().await, Some(Event::Established(_))) });
        tokio::time::sleep(Duration::from_millis(50)).await;

        for number in 0..3 {
            asking.sender().try_send(message(number, 10)).unwrap();
        }
        assert_eq!(next_message(&mut answering).await, message(0, 10));
        let hello = hello_of(config).await;
        std::io::Write::write_all(&mut &socket, &hello).unwrap();
        // A handler that blocks its thread, and answers with more messages at hand.
        std::thread::sleep(Duration::from_millis(350).saturating_sub(began.elapsed()));
        answering.sender().try_send(message(3, 10)).unwrap();
        assert!(greeted.await.unwrap(), "HELLO that came in time was refused");
    })
    .await;
}

/// What a client says first.
async fn hello_of(config: Config) -> Vec<u8> {
    let (client, mut hears) = tokio::io::duplex(1 << 10);
    let mut client = Endpoint::new(valid(config)).connection(client, Role::Client).unwrap();
    let greeting = tokio::spawn(async move { while client.recv().await.is_some() {} });
    let mut hello = vec![0; 1 << 10];
    let size = hears.read(&mut hello).await.unwrap();
    hello.truncate(size);
    greeting.abort();
    hello
}
