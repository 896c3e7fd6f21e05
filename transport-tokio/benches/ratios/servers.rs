//! The echo servers, as one would write them with each library.

use std::fmt;
use std::io::{self, BufRead, stdin};
use std::net::SocketAddr;

use bytes::Bytes;
use clap::ValueEnum;
use futures_util::{FutureExt, SinkExt, StreamExt};
use pulsewire_transport_tokio::Endpoint;
use pulsewire_transport_tokio::protocol::{Config, Damage, Event};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use crate::{memory, processor};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Contender {
    /// tokio without framing: what was read is written.
    Raw,
    /// `LengthDelimitedCodec`, which feeds the answers to what came together and flushes once.
    Codec,
    /// This transport, closing at the first damaged byte.
    Pulsewire,
    /// This transport, resynchronising: each message has a checksum.
    PulsewireResync,
}

impl Contender {
    /// What this transport is configured with. The load generator needs the same.
    pub(crate) fn config(self) -> Config {
        let damage = if self == Self::PulsewireResync { Damage::Resynchronise } else { Damage::Close };
        Config { damage, ..Config::default() }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().expect("none is skipped").get_name())
    }
}

/// Serves on processor 0, and answers what the bench asks.
pub(crate) fn serve(contender: Contender) {
    processor::bind(0);
    std::thread::spawn(answer_questions);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        if matches!(contender, Contender::Pulsewire | Contender::PulsewireResync) {
            return serve_pulsewire(contender, local).await;
        }
        let listener = TcpListener::bind(local).await.expect("an address");
        println!("{}", listener.local_addr().expect("it is bound"));
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("it is a TCP socket");
            match contender {
                Contender::Raw => drop(tokio::spawn(echo_raw(stream))),
                _ => drop(tokio::spawn(echo_codec(stream))),
            }
        }
    });
}

fn answer_questions() {
    for question in stdin().lock().lines().map_while(Result::ok) {
        match question.as_str() {
            "used" => println!("{}", processor::used().as_nanos()),
            "held" => println!("{}", memory::held()),
            "resident" => println!("{}", memory::resident()),
            other => panic!("nobody asks {other}"),
        }
    }
    std::process::exit(0);
}

async fn echo_raw(mut stream: TcpStream) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

async fn echo_codec(stream: TcpStream) -> io::Result<()> {
    let mut framed = Framed::new(stream, LengthDelimitedCodec::new());
    while let Some(message) = framed.next().await {
        framed.feed(message?.freeze()).await?;
        while let Some(Some(message)) = framed.next().now_or_never() {
            framed.feed(message?.freeze()).await?;
        }
        SinkExt::<Bytes>::flush(&mut framed).await?;
    }
    Ok(())
}

async fn serve_pulsewire(contender: Contender, local: SocketAddr) {
    let endpoint = Endpoint::new(contender.config().validate().expect("valid"));
    let listener = endpoint.listen(local).await.expect("an address");
    println!("{}", listener.address().expect("it is bound"));
    loop {
        let mut connection = listener.accept().await.expect("a connection");
        tokio::spawn(async move {
            let sender = connection.sender();
            while let Some(event) = connection.recv().await {
                if let Event::Message(message) = event
                    && sender.send(message).await.is_err()
                {
                    return;
                }
            }
        });
    }
}
