//! Checks an echo server: many connections, messages of many sizes, all numbered; then an orderly close. Exits with 1 if
//! anything is lost, changed or out of order.
//!
//! ```text
//! cargo run --release -p pulsewire-transport-tokio --example check_echo -- 127.0.0.1:7700
//! ```

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use pulsewire_transport_tokio::protocol::{Class, CloseReason, Closed, Config, Event, Message};
use pulsewire_transport_tokio::{Connection, Endpoint, Sender};
use tokio::task::JoinSet;

/// A client that checks a Pulsewire echo server.
#[derive(Parser)]
struct Arguments {
    /// Where the server listens.
    server: SocketAddr,
    /// How many connections at once.
    #[arg(long, default_value_t = 100)]
    connections: u32,
    /// How often each connection goes through the sizes from 0 B to 1 MiB.
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// Give up after this many seconds.
    #[arg(long, default_value_t = 300)]
    patience: u64,
}

const SIZES: [usize; 12] = [0, 1, 11, 64, 1_000, 2_047, 2_048, 4_096, 65_535, 65_537, 300_000, 1 << 20];

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = Arguments::parse();
    let endpoint = Endpoint::new(Config::default().validate()?);
    let mut clients = JoinSet::new();
    for client in 0..arguments.connections {
        clients.spawn(check(endpoint.clone(), arguments.server, client, arguments.rounds));
    }
    let (mut messages, mut bytes) = (0, 0);
    let patience = tokio::time::sleep(Duration::from_secs(arguments.patience));
    tokio::pin!(patience);
    loop {
        tokio::select! {
            outcome = clients.join_next() => match outcome {
                None => break,
                Some(outcome) => match outcome? {
                    Ok(checked) => {
                        messages += checked.messages;
                        bytes += checked.bytes;
                    }
                    Err(fault) => {
                        println!("{fault}");
                        return Ok(ExitCode::FAILURE);
                    }
                },
            },
            () = &mut patience => {
                println!("{} connections are not done after {} s", clients.len(), arguments.patience);
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    let connections = arguments.connections;
    println!(
        "{connections} connections, {messages} messages, {bytes} bytes: all came back whole, and every end was orderly"
    );
    Ok(ExitCode::SUCCESS)
}

struct Checked {
    messages: u64,
    bytes: u64,
}

async fn check(endpoint: Endpoint, server: SocketAddr, client: u32, rounds: u32) -> Result<Checked, String> {
    let mut connection = endpoint.connect(server).await.map_err(|error| format!("client {client}: {error}"))?;
    let sending = tokio::spawn(send_all(connection.sender(), client, rounds));
    let (mut messages, mut bytes) = (0, 0);
    let closed = receive_all(&mut connection, |payload| {
        let expected = payload_of(client, messages as u32);
        if payload != expected {
            let (length, wanted) = (payload.len(), expected.len());
            return Err(format!(
                "client {client}: message {messages} came back changed: {length} bytes, sent {wanted}"
            ));
        }
        messages += 1;
        bytes += payload.len() as u64;
        Ok(())
    })
    .await?;
    sending.await.map_err(|error| error.to_string())?.map_err(|refused| format!("client {client}: {refused}"))?;
    let sent = u64::from(rounds) * SIZES.len() as u64;
    if messages != sent || closed.acknowledged != Some(sent) || !closed.orderly {
        return Err(format!("client {client}: {sent} sent, {messages} came back, {closed:?}"));
    }
    Ok(Checked { messages, bytes })
}

/// Sends all messages, then asks to close behind them.
async fn send_all(sender: Sender, client: u32, rounds: u32) -> Result<(), String> {
    for number in 0..rounds * SIZES.len() as u32 {
        let message = Message::new(Class::BUSINESS, payload_of(client, number));
        sender.send(message).await.map_err(|refused| refused.to_string())?;
    }
    sender.close(CloseReason::NORMAL);
    Ok(())
}

async fn receive_all(
    connection: &mut Connection,
    mut check: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<Closed, String> {
    while let Some(event) = connection.recv().await {
        match event {
            Event::Message(message) => check(&message.payload)?,
            Event::Closed(closed) => return Ok(*closed),
            Event::Gap(gap) => return Err(format!("{gap:?} on a clean link")),
            // Nothing else happens on a clean link, or needs an answer.
            _ => {}
        }
    }
    Err(String::from("the connection ended without a word"))
}

/// The same bytes for the same client and number, and others for any other.
fn payload_of(client: u32, number: u32) -> Vec<u8> {
    let mut state = (u64::from(client) << 32 | u64::from(number)).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..SIZES[number as usize % SIZES.len()])
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}
