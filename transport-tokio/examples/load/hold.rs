//! Connections that stay, and what they do meanwhile.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use pulsewire_transport_tokio::Endpoint;
use pulsewire_transport_tokio::protocol::{Class, CloseReason, Event, Flags, Kind, Message, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::raw::{self, Greeted};
use crate::server::config;

/// What a peer does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Doing {
    Nothing,
    /// A message, and another when its answer is here.
    Busy,
    /// A byte of HELLO each 200 ms.
    SlowHello,
    /// Messages, whose answers are not read.
    NeverReading,
    /// Half a megabyte of a message that does not end.
    OpenMessage,
    /// Messages of one byte.
    FloodOfMessages,
    /// Empty packets of a kind that is ignored.
    FloodOfIgnorable,
    /// A message in fragments of one byte.
    FloodOfFragments,
}

const BETWEEN_STARTS: Duration = Duration::from_micros(800);

/// So many peers do it until then, and whoever is thrown out begins again. Gives how often one did something.
pub(crate) async fn hold(address: SocketAddr, doing: Doing, count: usize, until: Instant) -> usize {
    let endpoint = Endpoint::new(config());
    // A task each: those of one task share what tokio lets a task do in a row.
    let mut peers = JoinSet::new();
    for number in 0..count {
        let endpoint = endpoint.clone();
        peers.spawn_local(async move {
            // Not all in one moment, which no queue of a listener holds.
            sleep(BETWEEN_STARTS * u32::try_from(number).expect("not that many")).await;
            again_and_again(&endpoint, address, doing, until).await
        });
    }
    peers.join_all().await.into_iter().sum()
}

async fn again_and_again(endpoint: &Endpoint, address: SocketAddr, doing: Doing, until: Instant) -> usize {
    let mut count = 0;
    // None that would have to leave right away.
    while Instant::now() + Duration::from_secs(1) < until {
        let left = until.saturating_duration_since(Instant::now());
        // One that gives up drops its socket, read or not.
        let once = async {
            match doing {
                Doing::Nothing | Doing::Busy => stay(endpoint, address, doing, until, &mut count).await,
                Doing::SlowHello => slow_hello(address, &mut count).await,
                Doing::NeverReading => never_reading(address, &mut count).await,
                Doing::OpenMessage => open_message(address, &mut count).await,
                Doing::FloodOfMessages | Doing::FloodOfIgnorable | Doing::FloodOfFragments => {
                    flood(address, doing, &mut count).await
                }
            }
        };
        let _ = timeout(left, once).await;
        // The server threw it out, or has no room just now.
        sleep(Duration::from_millis(5)).await;
    }
    count
}

async fn stay(
    endpoint: &Endpoint,
    address: SocketAddr,
    doing: Doing,
    until: Instant,
    count: &mut usize,
) -> io::Result<()> {
    let mut connection = endpoint.connection(raw::connect(address).await?, Role::Client)?;
    let sender = connection.sender();
    let ask = || drop(sender.try_send(Message::new(Class::BUSINESS, &[7; 256])));
    loop {
        let left = until.saturating_duration_since(Instant::now()).saturating_sub(Duration::from_millis(500));
        match timeout(left, connection.recv()).await {
            Ok(Some(Event::Established(_) | Event::Message(_))) => {
                *count += 1;
                if matches!(doing, Doing::Busy) {
                    ask();
                }
            }
            Ok(Some(Event::Closed(closed))) => return Err(io::Error::other(closed.to_string())),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => {
                connection.close(CloseReason::NORMAL);
                while connection.recv().await.is_some() {}
                return Ok(());
            }
        }
    }
}

async fn slow_hello(address: SocketAddr, count: &mut usize) -> io::Result<()> {
    let mut stream = raw::connect(address).await?;
    for byte in raw::hello() {
        stream.write_all(&[byte]).await?;
        *count += 1;
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

async fn never_reading(address: SocketAddr, count: &mut usize) -> io::Result<()> {
    let mut peer = Greeted::connect(address).await?;
    let message = peer.packet(Kind::DATA, Flags::FIRST, &[7; 4_096]);
    loop {
        peer.stream.write_all(&message).await?;
        *count += 1;
    }
}

async fn open_message(address: SocketAddr, count: &mut usize) -> io::Result<()> {
    let mut peer = Greeted::connect(address).await?;
    let frame = [7; 32 << 10];
    for number in 0..16 {
        let flags = if number == 0 { Flags::FIRST | Flags::MORE } else { Flags::MORE };
        let packet = peer.packet(Kind::DATA, flags, &frame);
        peer.stream.write_all(&packet).await?;
    }
    *count += 1;
    read_until_the_end(&mut peer).await
}

async fn read_until_the_end(peer: &mut Greeted) -> io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    while peer.stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// Writes and reads as fast as it goes.
async fn flood(address: SocketAddr, doing: Doing, count: &mut usize) -> io::Result<()> {
    let mut peer = Greeted::connect(address).await?;
    const PACKETS: usize = 1_000;
    let once = match doing {
        Doing::FloodOfMessages => peer.packet(Kind::DATA, Flags::FIRST, b"?"),
        Doing::FloodOfFragments => peer.packet(Kind::DATA, Flags::MORE, b"?"),
        _ => peer.packet(Kind(0xC0), Flags::NONE, b""),
    };
    if matches!(doing, Doing::FloodOfFragments) {
        let first = peer.packet(Kind::DATA, Flags::FIRST | Flags::MORE, b"?");
        peer.stream.write_all(&first).await?;
    }
    let packets = once.repeat(PACKETS);
    let (mut reading, mut writing) = peer.stream.split();
    let read = async {
        let mut buffer = vec![0; 64 << 10];
        while reading.read(&mut buffer).await? > 0 {}
        Err::<(), _>(io::ErrorKind::UnexpectedEof.into())
    };
    let write = async {
        loop {
            writing.write_all(&packets).await?;
            *count += PACKETS;
            tokio::task::yield_now().await;
        }
    };
    futures_util::future::try_join(read, write).await.map(|((), ())| ())
}
