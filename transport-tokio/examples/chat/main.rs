//! A chat server: rooms with an owner, who may kick, hand over and dissolve. All members of a room have its list of members, in step.
//! With `--nats` rooms span all servers at that address. Ctrl-C ends it.
//!
//! ```text
//! cargo run -p pulsewire-transport-tokio --example chat
//! cargo run -p pulsewire-transport-tokio --example chat_client -- 127.0.0.1:7700 anna tea
//! cargo run -p pulsewire-transport-tokio --example chat_client -- 127.0.0.1:7700 bert tea
//! ```
//!
//! Several servers, of which a user takes any; the members that one has must fit into a NATS message, which some 20,000 do:
//!
//! ```text
//! cargo run -p pulsewire-transport-tokio --example chat -- --listen 127.0.0.1:7701 --nats nats://127.0.0.1:4222
//! cargo run -p pulsewire-transport-tokio --example chat -- --listen 127.0.0.1:7702 --nats nats://127.0.0.1:4222
//! ```

mod bus;
mod hub;
mod messages;
mod rooms;

use std::error::Error;
use std::net::SocketAddr;
use std::time::SystemTime;

use clap::Parser;
use pulsewire_transport_tokio::protocol::{Admission, Config};
use pulsewire_transport_tokio::{Endpoint, Server};
use tokio::sync::mpsc;

/// A Pulsewire chat server.
#[derive(Parser)]
struct Arguments {
    /// Where to listen; port 0 lets the system choose.
    #[arg(long, default_value = "127.0.0.1:7700")]
    listen: SocketAddr,
    /// The NATS server through which rooms span several chat servers, as nats://127.0.0.1:4222.
    #[arg(long)]
    nats: Option<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments = Arguments::parse();
    // The handler is to see each user's token.
    let mut config = Config { admission: Admission::Ask, ..Config::default() };
    config.limits.message = config.limits.frame;
    let endpoint = Endpoint::new(config.validate()?);
    let mut server = Server::new(endpoint.clone());
    let listener = server.listen(arguments.listen).await?;
    let name = format!("{:08x}", fastrand::u32(..));
    let (to_hub, inputs) = mpsc::channel(256);
    let (to_servers, notices) = mpsc::channel(1_024);
    if let Some(url) = arguments.nats {
        bus::join(&url, name.clone(), notices, to_hub.clone()).await?;
    }
    let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis() as i64;
    tokio::spawn(hub::run(endpoint, started, inputs, to_servers));
    let handle = server.handle();
    tokio::spawn(server.serve(move |connection| hub::attend(connection, name.clone(), to_hub.clone())));
    println!("listening on {}; Ctrl-C stops it", listener.address().map_or_else(String::new, |at| at.to_string()));
    tokio::signal::ctrl_c().await?;
    println!("{}", handle.shutdown().await);
    Ok(())
}
