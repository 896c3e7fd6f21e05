//! What was sent leaves, though the receiving task is slow and whatever the stream below buffers.

use crate::support::{bounded, message, ms, next_message, pair, until_closed, valid};
use bytes::Bytes;
use pulsewire_transport_tokio::Endpoint;
use pulsewire_transport_tokio::protocol::{CloseReason, Config, Event, Role};
use tokio::io::BufWriter;

/// TLS and buffered streams take bytes that leave only with a flush.
#[tokio::test(start_paused = true)]
async fn a_stream_with_a_buffer_is_flushed() {
    bounded(async {
        let (near, far) = tokio::io::duplex(1 << 20);
        let endpoint = Endpoint::new(valid(Config::default()));
        let mut client = endpoint.connection(BufWriter::new(near), Role::Client).unwrap();
        let mut server = endpoint.connection(BufWriter::new(far), Role::Server).unwrap();
        let (first, second) = tokio::join!(client.recv(), server.recv());
        assert!(matches!((first, second), (Some(Event::Established(_)), Some(Event::Established(_)))));
        client.sender().send(message(1, 100)).await.unwrap();
        assert_eq!(next_message(&mut server).await, message(1, 100));
        server.close(CloseReason::NORMAL);
        let (near, far) = tokio::join!(until_closed(&mut client), until_closed(&mut server));
        assert!(near.1.orderly && far.1.orderly);
    })
    .await;
}

/// HELLO_ACK doesn't wait for a server that looks up a token, however HELLO was cut.
#[tokio::test(start_paused = true)]
async fn a_long_hello_in_parts_is_answered_at_once() {
    bounded(async {
        let (near, far) = tokio::io::duplex(1_000);
        let config = Config { token: Some(Bytes::from_static(&[7; 2_048])), ..Config::default() };
        let mut client = Endpoint::new(valid(config)).connection(near, Role::Client).unwrap();
        let mut server = Endpoint::new(valid(Config::default())).connection(far, Role::Server).unwrap();
        let greeted = tokio::spawn(async move { matches!(client.recv().await, Some(Event::Established(_))) });
        assert!(matches!(server.recv().await, Some(Event::Established(_))));
        assert!(greeted.await.unwrap());
    })
    .await;
}

/// Many small requests that are read together, each of which takes a while: their answers don't wait for the last of them.
#[tokio::test(start_paused = true)]
async fn answers_of_a_slow_handler_leave_one_by_one() {
    bounded(async {
        let (mut near, mut far) = pair(Config::default(), 1 << 20).await;
        for number in 0..1_000 {
            near.sender().try_send(message(number, 20)).unwrap();
        }
        tokio::spawn(async move {
            let sender = far.sender();
            while let Some(event) = far.recv().await {
                if let Event::Message(message) = event {
                    tokio::time::advance(ms(20)).await;
                    sender.send(message).await.unwrap();
                }
            }
        });
        for number in 0..1_000 {
            let asked = tokio::time::Instant::now();
            assert_eq!(next_message(&mut near).await, message(number, 20));
            assert!(asked.elapsed() <= ms(100), "{:?}", asked.elapsed());
        }
    })
    .await;
}
