//! Servers on libraries.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::thread;

use compio::BufResult;
use compio::io::{AsyncRead, AsyncWriteExt};
use pulsewire_transport_iocp::protocol::{Config, Damage, Event, SendError};
use pulsewire_transport_iocp::{Context, Endpoint, Handler, SocketOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// What is read at once, as the transport reads when much comes.
const BUFFER: usize = 64 << 10;

pub(crate) fn compio() {
    compio::runtime::Runtime::new().expect("a runtime").block_on(async {
        let listener = compio::net::TcpListener::bind(LOCAL).await.expect("an address");
        println!("{}", listener.local_addr().expect("it is bound"));
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            compio::runtime::spawn(async move {
                let mut buffer = Vec::with_capacity(BUFFER);
                loop {
                    let BufResult(read, full) = stream.read(buffer).await;
                    if !matches!(read, Ok(1..)) {
                        return;
                    }
                    let BufResult(written, mut used) = stream.write_all(full).await;
                    if written.is_err() {
                        return;
                    }
                    used.clear();
                    buffer = used;
                }
            })
            .detach();
        }
    });
}

pub(crate) fn tokio() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(LOCAL).await.expect("an address");
        println!("{}", listener.local_addr().expect("it is bound"));
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("it is a TCP socket");
            tokio::spawn(async move {
                let mut buffer = vec![0; BUFFER];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    if stream.write_all(&buffer[..read]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
}

struct Echo;

impl Handler for Echo {
    fn event(&mut self, connection: &mut Context<'_>, event: Event<'_>) {
        if let Event::Message(message) = event {
            // The load has no more under way than the queue takes.
            connection.send(message).expect("there is room");
        }
    }

    fn unsent(&mut self, _: &mut Context<'_>, _: SendError<'static>) {}
}

pub(crate) fn pulsewire(skip_on_success: Option<NonZeroU32>) {
    // As the load: answers are as long as what they answer.
    let config = Config { damage: Damage::Close, ..Config::default() }.validate().expect("valid");
    let options = SocketOptions { skip_on_success, ..SocketOptions::default() };
    let endpoint = Endpoint::start(config, options, Echo).expect("a completion port");
    println!("{}", endpoint.listen(LOCAL).expect("an address"));
    thread::park();
}
