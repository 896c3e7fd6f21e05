//! One connection through the proxy, with both its directions.

use std::io;
use std::sync::Mutex;
use std::time::Duration;

use pulsewire_conformance::wire::{Observer, Side};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Shown;
use super::faults::Faults;
use super::way::Way;

/// What both directions share.
pub(crate) struct Shared {
    pub(crate) observer: Mutex<Observer>,
    pub(crate) shown: Shown,
    pub(crate) number: u32,
    pub(crate) began: Instant,
    /// Somebody wants the connection to be reset.
    pub(crate) cut: Notify,
}

/// Passes bytes on until both directions have ended, or the connection is cut.
pub(crate) async fn pass(mut client: TcpStream, mut server: TcpStream, faults: &Faults, shown: Shown, number: u32) {
    shown.tell(number, "connected", "connected");
    let shared = Shared { observer: Mutex::default(), shown, number, began: Instant::now(), cut: Notify::new() };
    for stream in [&client, &server] {
        // Else the system joins what was split.
        let _ = stream.set_nodelay(true);
    }
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let until_cut = async {
        match faults.ends.cut_at {
            Some(age) => sleep_until(shared.began + age).await,
            None => std::future::pending().await,
        }
    };
    let there = Way::new(Side::Client, faults, &shared);
    let back = Way::new(Side::Server, faults, &shared);
    let ended = async { tokio::try_join!(there.pass(from_client, to_server), back.pass(from_server, to_client)) };
    let (word, sentence) = tokio::select! {
        ended = ended => match ended {
            Ok(_) => ("over", "both directions have ended".to_owned()),
            Err(error) => {
                reset(&client, &server);
                ("broken", format!("the connection broke: {error}"))
            }
        },
        () = shared.cut.notified() => {
            reset(&client, &server);
            ("cut", "cut by the proxy".into())
        }
        () = until_cut => {
            reset(&client, &server);
            ("cut", "cut by the proxy".into())
        }
    };
    shown.tell(number, word, &sentence);
}

/// Has both sockets reset when they are dropped.
fn reset(client: &TcpStream, server: &TcpStream) {
    for stream in [client, server] {
        // One that is gone is reset already.
        let _: io::Result<()> = SockRef::from(stream).set_linger(Some(Duration::ZERO));
    }
}
