//! Relays each connection to another server: what comes on one side goes out on the other, and so do how a side closes, that it
//! drains, and the server's answer to a client's token. A side that takes nothing makes the other one wait, and nobody is given up for
//! that: those who have to wait are told so. Enter or Ctrl-C ends it.
//!
//! ```text
//! cargo run -p pulsewire-transport-tokio --example echo_server -- --listen 127.0.0.1:7700
//! cargo run -p pulsewire-transport-tokio --example relay -- --listen 127.0.0.1:7701 --to 127.0.0.1:7700
//! cargo run -p pulsewire-transport-tokio --example stay_connected -- 127.0.0.1:7701
//! ```
//!
//! Each side closes when it has all that it waits for: a CLOSE is answered by the relay, and behind it nothing more goes to that side
//! (PW-CLS-001).

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use pulsewire_transport_tokio::protocol::{Admission, CloseFrame, CloseReason, Closed, Config, Event, Request};
use pulsewire_transport_tokio::{ConnectError, Connection, Endpoint, Listener, Sender};

/// A relay in front of a Pulsewire server.
#[derive(Parser)]
struct Arguments {
    /// Where to listen; port 0 lets the system choose.
    #[arg(long, default_value = "127.0.0.1:7701")]
    listen: SocketAddr,
    /// Name and port of the server behind.
    #[arg(long)]
    to: String,
}

/// For both sides: how long one that pauses is waited for is the other one's to say.
fn config() -> Config {
    let mut config = Config::default();
    config.heartbeat.busy_max = Duration::from_secs(600);
    config
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    // The server behind judges who is admitted.
    let endpoint = Endpoint::new(Config { admission: Admission::Ask, ..config() }.validate()?);
    let listener = endpoint.listen(arguments.listen).await?;
    println!("relaying {} to {}; press Enter or Ctrl-C to stop", listener.address()?, arguments.to);
    let accepting = tokio::spawn(accept(listener, arguments.to));

    let (entered, enter) = tokio::sync::oneshot::channel();
    // A thread of its own, which nobody waits for. Without a standard input only Ctrl-C stops.
    std::thread::spawn(move || {
        if matches!(std::io::stdin().read_line(&mut String::new()), Ok(1..)) {
            let _ = entered.send(());
        }
    });
    tokio::select! {
        Ok(()) = enter => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    accepting.abort();
    // Each client that closes has the connection to the server closed.
    endpoint.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

async fn accept(listener: Listener, to: String) {
    loop {
        match listener.accept().await {
            Ok(client) => {
                tokio::spawn(relay(client, to.clone()));
            }
            // Too many open files, or a peer that left early: others go on.
            Err(error) => {
                eprintln!("cannot accept: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One client, and its connection to the server.
async fn relay(mut client: Connection, to: String) {
    let server = loop {
        match client.recv().await {
            Some(Event::Admission(request)) => match connect(*request, &to).await {
                Ok(server) => {
                    client.accept();
                    break server;
                }
                Err(error) => {
                    eprintln!("a client is refused: {error}");
                    client.refuse(refusal(&error));
                }
            },
            Some(_) => {}
            None => return,
        }
    };
    let (to_client, to_server) = (client.sender(), server.sender());
    let ((), ()) = tokio::join!(forward("the client", client, to_server), forward("the server", server, to_client));
}

/// With the client's own token. That is the configuration's, so it takes an endpoint for each.
async fn connect(request: Request, to: &str) -> Result<Connection, ConnectError> {
    let config = Config { token: request.token, ..config() };
    let config = config.validate().expect("a token that came in a HELLO fits into another one");
    Endpoint::new(config).connect(to).await
}

/// What the server said, or that it can't be reached.
fn refusal(error: &ConnectError) -> CloseFrame {
    match error {
        ConnectError::Handshake { closed, .. } => said_by(closed),
        ConnectError::Address { .. } | ConnectError::Tcp { .. } | ConnectError::Timeout { .. } => {
            CloseFrame::from(CloseReason::OVERLOADED).with_text("the server behind cannot be reached")
        }
    }
}

/// Everything that comes from one side goes to the other, until the end of the one.
async fn forward(name: &str, mut from: Connection, to: Sender) {
    let own = from.sender();
    while let Some(event) = from.recv().await {
        match event {
            // While the other side has no room this one is not read from, and is told that it has to wait.
            Event::Message(message) => {
                if let Err(refused) = own.busy_while(to.send(message)).await {
                    eprintln!("from {name}: {refused}");
                }
            }
            Event::Draining { .. } => to.drain(),
            Event::Closing(said) => to.close(*said),
            // Where it ended otherwise.
            Event::Closed(closed) => {
                if !closed.orderly {
                    eprintln!("{name}: {closed}");
                }
                to.close(said_by(&closed));
            }
            Event::Established(_) => {}
            // What concerns this side alone.
            other => eprintln!("{name}: {other:?}"),
        }
    }
}

/// The same to the other side. A fault was between this one and the relay, and is not passed on.
fn said_by(closed: &Closed) -> CloseFrame {
    let passes = closed.reason.is_on_wire() && !closed.reason.is_fault();
    let reason = if passes { closed.reason } else { CloseReason::GOING_AWAY };
    CloseFrame::from(reason).with_retry(closed.retry).with_text(closed.detail.clone())
}
