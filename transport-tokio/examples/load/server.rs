//! The server: sends every message back, and answers what it is asked.

use std::io::stdin;
use std::net::SocketAddr;
use std::time::Duration;

use pulsewire_transport_tokio::protocol::{Config, Damage, Event, ValidConfig};
use pulsewire_transport_tokio::{Connection, Endpoint, Listener};

use crate::{descriptors, memory};

/// The default but for what makes a peer's end come sooner: time limits, and no checksums, so that those who lie need none.
pub(crate) fn config() -> ValidConfig {
    let mut config = Config { damage: Damage::Close, ..Config::default() };
    config.timeouts.handshake = Duration::from_secs(3);
    config.timeouts.write_stall = Duration::from_secs(5);
    config.timeouts.assembly_base = Duration::from_secs(5);
    config.timeouts.assembly_rate = 1 << 20;
    config.heartbeat.busy_max = Duration::from_secs(10);
    config.validate().expect("valid")
}

pub(crate) fn serve() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let (endpoint, listener) = runtime.block_on(async {
        let endpoint = Endpoint::new(config());
        let listener = endpoint.listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("an address");
        (endpoint, listener)
    });
    println!("{}", listener.address().expect("it is bound"));
    runtime.spawn(accept(listener));
    for question in stdin().lines().map_while(Result::ok) {
        match question.as_str() {
            "held" => println!("{}", memory::held()),
            "resident" => {
                descriptors::trim();
                println!("{}", memory::resident());
            }
            "descriptors" => println!("{}", descriptors::open()),
            "connections" => println!("{}", endpoint.connections().len()),
            other => panic!("nobody asks {other}"),
        }
    }
    std::process::exit(0);
}

async fn accept(listener: Listener) {
    loop {
        match listener.accept().await {
            Ok(connection) => drop(tokio::spawn(echo(connection))),
            // That peer left early, or there are too many.
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

async fn echo(mut connection: Connection) {
    let sender = connection.sender();
    while let Some(event) = connection.recv().await {
        if let Event::Message(message) = event {
            drop(sender.busy_while(sender.send(message)).await);
        }
    }
}
