//! A client that stays connected: it sends a number now and then, and prints what comes back and whatever happens to its connection.
//! Start an echo server, stop it, start it again, and watch. Enter or Ctrl-C ends it.
//!
//! ```text
//! cargo run -p pulsewire-transport-tokio --example echo_server -- --listen 127.0.0.1:7700
//! cargo run -p pulsewire-transport-tokio --example stay_connected -- 127.0.0.1:7700
//! ```

use std::error::Error;
use std::time::Duration;

use clap::Parser;
use pulsewire_transport_tokio::protocol::{Class, CloseReason, Config, Event, Message};
use pulsewire_transport_tokio::{Client, ClientEvent, ClientOptions, ClientSender, Endpoint, ReconnectConfig, Unsent};
use tokio::time::Instant;

/// A client that stays connected to a Pulsewire echo server.
#[derive(Parser)]
struct Arguments {
    /// Name and port of the server.
    server: String,
    /// Between two messages, in milliseconds.
    #[arg(long, default_value_t = 1_000)]
    interval: u64,
    /// The longest wait between two tries, in milliseconds.
    #[arg(long, default_value_t = 30_000)]
    max_delay: u64,
    /// How many bytes of messages to keep while there is no connection.
    #[arg(long, default_value_t = 1 << 20)]
    keep: usize,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let max_delay = Duration::from_millis(arguments.max_delay);
    let default = ReconnectConfig::default();
    let reconnect = ReconnectConfig { first_delay: default.first_delay.min(max_delay), max_delay, ..default };
    let options = ClientOptions {
        reconnect: reconnect.validate()?,
        unsent: Unsent::Keep { bytes: arguments.keep },
        ..ClientOptions::default()
    };
    let endpoint = Endpoint::new(Config::default().validate()?);
    let mut client = Client::new(&endpoint, arguments.server, options);
    let sending = tokio::spawn(send(client.sender(), Duration::from_millis(arguments.interval)));
    tokio::spawn(close_when_asked(client.sender()));
    while let Some(event) = client.recv().await {
        tell(&event);
    }
    sending.await?;
    Ok(())
}

/// One number after the other, until the client is over. While it has no connection they are kept.
async fn send(sender: ClientSender, interval: Duration) {
    for number in 1_u64.. {
        let message = Message::new(Class::BUSINESS, number.to_string().into_bytes());
        if let Err(refused) = sender.send(message).await {
            println!("{number} was not sent: {}", refused.reason);
            return;
        }
        tokio::time::sleep(interval).await;
    }
}

async fn close_when_asked(sender: ClientSender) {
    let (entered, enter) = tokio::sync::oneshot::channel();
    // A thread of its own, which nobody waits for. Without a standard input only Ctrl-C stops.
    std::thread::spawn(move || {
        if matches!(std::io::stdin().read_line(&mut String::new()), Ok(1..)) {
            let _ = entered.send(());
        }
    });
    tokio::select! {
        Ok(()) = enter => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    sender.close(CloseReason::NORMAL);
}

fn tell(event: &ClientEvent<'_>) {
    match event {
        ClientEvent::Connecting { attempt } => println!("connecting, try {attempt}"),
        ClientEvent::Failed(failed) => println!("{}; {}", chain(&failed.error), next_try(failed.next_try_at)),
        ClientEvent::Connected(connected) => match connected.address {
            Some(address) => println!("connected to {address}"),
            None => println!("connected"),
        },
        ClientEvent::Event(Event::Message(message)) => {
            println!("{} came back", String::from_utf8_lossy(&message.payload).escape_debug());
        }
        ClientEvent::Event(other) => println!("{other:?}"),
        ClientEvent::Disconnected(lost) => {
            let (closed, doubt) = (&lost.closed, lost.in_doubt);
            println!("{closed}; the server did not confirm {doubt} messages; {}", next_try(lost.next_try_at));
        }
        ClientEvent::Refused(refused) => println!("{refused}"),
        ClientEvent::Over(over) => println!("over: {}; {} messages were never sent", over.reason, over.unsent.len()),
        // Later versions may tell more.
        other => println!("{other:?}"),
    }
}

fn next_try(at: Option<Instant>) -> String {
    match at {
        Some(at) => format!("next try in {:.1} s", at.saturating_duration_since(Instant::now()).as_secs_f64()),
        None => String::from("no further try"),
    }
}

/// An error, and what it came from.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
