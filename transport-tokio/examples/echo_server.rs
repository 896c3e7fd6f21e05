//! Sends every message back, until Enter or Ctrl-C.
//!
//! ```text
//! cargo run --release -p pulsewire-transport-tokio --example echo_server -- --listen 127.0.0.1:7700
//! ```

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use pulsewire_transport_tokio::protocol::{Config, Damage, Event};
use pulsewire_transport_tokio::{Connection, Endpoint, Server, ServerConfig, ShutdownTimes};

/// Somebody waits for the end.
const SHUTDOWN: ShutdownTimes = ShutdownTimes { drain: Duration::from_secs(2), close: Duration::from_secs(5) };

/// A Pulsewire server that sends every message back.
#[derive(Parser)]
struct Arguments {
    /// Where to listen; port 0 lets the system choose.
    #[arg(long, default_value = "127.0.0.1:7700")]
    listen: SocketAddr,
    /// Silence before the first PING, in milliseconds.
    #[arg(long, default_value_t = 5_000)]
    idle: u64,
    /// Between PINGs, in milliseconds.
    #[arg(long, default_value_t = 2_000)]
    interval: u64,
    /// Unanswered PINGs until the peer is given up.
    #[arg(long, default_value_t = 3)]
    probes: u32,
    /// The shortest time between PINGs that is tolerated, in milliseconds.
    #[arg(long, default_value_t = 1_000)]
    ping_floor: u64,
    /// Close at the first damaged byte instead of resynchronising.
    #[arg(long)]
    no_resync: bool,
}

impl Arguments {
    fn config(&self) -> Config {
        let mut config = Config::default();
        config.heartbeat.idle = Duration::from_millis(self.idle);
        config.heartbeat.interval = Duration::from_millis(self.interval);
        config.heartbeat.probes = self.probes;
        config.heartbeat.ping_floor = Duration::from_millis(self.ping_floor);
        config.damage = if self.no_resync { Damage::Close } else { Damage::Resynchronise };
        config
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let config = ServerConfig { shutdown: SHUTDOWN, ..ServerConfig::default() };
    let mut server = Server::with_config(Endpoint::new(arguments.config().validate()?), config.validate()?);
    let listener = server.listen(arguments.listen).await?;
    let address = listener.address().map_or_else(String::new, |address| address.to_string());
    println!("listening on {address}; press Enter or Ctrl-C to stop");
    let handle = server.handle();
    tokio::spawn(server.serve(echo));

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
    println!("{}", handle.shutdown().await);
    Ok(())
}

async fn echo(mut connection: Connection) {
    let sender = connection.sender();
    let peer = connection.peer_address().map_or_else(|| String::from("a peer"), |address| address.to_string());
    while let Some(event) = connection.recv().await {
        match event {
            Event::Message(message) => {
                // A client that reads its answers slowly is not read from meanwhile, and told so.
                if let Err(refused) = sender.busy_while(sender.send(message)).await {
                    eprintln!("{peer}: {refused}");
                }
            }
            Event::Closed(closed) => println!("{peer}: {closed}"),
            Event::Gap(gap) => println!("{peer}: {gap:?}"),
            // Nothing else needs an answer.
            _ => {}
        }
    }
}
