//! Connections that come and go.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use pulsewire_transport_tokio::Endpoint;
use pulsewire_transport_tokio::protocol::{CloseReason, Event, Role};
use socket2::SockRef;

use crate::raw;
use crate::server::config;

/// At a time.
const TOGETHER: usize = 64;

/// How they go.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Leaving {
    Orderly,
    Reset,
    BeforeHello,
}

/// Does it `count` times, and until then again. Gives how often it was done.
pub(crate) async fn churn(address: SocketAddr, leaving: Leaving, count: usize, until: Option<Instant>) -> usize {
    let (done, begun) = (Cell::new(0), Cell::new(0));
    let endpoint = Endpoint::new(config());
    let worker = async || {
        loop {
            let goes_on = match until {
                Some(until) => Instant::now() < until,
                None => begun.get() < count,
            };
            if !goes_on {
                return;
            }
            begun.set(begun.get() + 1);
            match come_and_go(&endpoint, address, leaving).await {
                Ok(()) => done.set(done.get() + 1),
                // The server's queue of connections is full for a moment, or a flood is in the way.
                Err(_) => {
                    begun.set(begun.get() - 1);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
    };
    let workers: Vec<_> = (0..TOGETHER).map(|_| worker()).collect();
    futures_util::future::join_all(workers).await;
    done.get()
}

async fn come_and_go(endpoint: &Endpoint, address: SocketAddr, leaving: Leaving) -> io::Result<()> {
    let stream = raw::connect(address).await?;
    if !matches!(leaving, Leaving::Orderly) {
        // Closing it resets it.
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    }
    if matches!(leaving, Leaving::BeforeHello) {
        return Ok(());
    }
    let mut connection = endpoint.connection(stream, Role::Client)?;
    loop {
        match connection.recv().await {
            Some(Event::Established(_)) if matches!(leaving, Leaving::Reset) => {
                connection.sender().abort();
                return Ok(());
            }
            Some(Event::Established(_)) => connection.close(CloseReason::NORMAL),
            Some(Event::Closed(closed)) if closed.orderly => return Ok(()),
            Some(Event::Closed(closed)) => return Err(io::Error::other(closed.to_string())),
            Some(_) => {}
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
