//! One controller, and many screens that show the same page. The controller says within seconds which screen is gone, and how; one that
//! comes back shows the current page at once.
//!
//! ```text
//! cargo run -p pulsewire-transport-tokio --example screens -- controller
//! cargo run -p pulsewire-transport-tokio --example screens -- screen kitchen
//! cargo run -p pulsewire-transport-tokio --example screens -- screen hall
//! ```
//!
//! Each line that is typed at the controller is a page. The end of its input ends it, and Ctrl-C ends each of them.

use std::collections::HashMap;
use std::error::Error;
use std::io::BufRead;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::{Parser, Subcommand};
use pulsewire_transport_tokio::protocol::{
    Admission, Class, CloseReason, Closed, Config, ConnectionId, Event, Message,
};
use pulsewire_transport_tokio::{
    Client, ClientEvent, ClientOptions, Connection, Endpoint, Group, GroupConfig, ReconnectConfig, Sender, Server,
    SlowMember,
};
use tokio::sync::mpsc;

/// Screens that show the same page.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Says what all screens show.
    Controller {
        /// Where to listen; port 0 lets the system choose.
        #[arg(long, default_value = "127.0.0.1:7702")]
        listen: String,
    },
    /// Shows what the controller says.
    Screen {
        /// How the controller calls it.
        name: String,
        /// Name and port of the controller.
        #[arg(long, default_value = "127.0.0.1:7702")]
        controller: String,
    },
}

/// For both sides: who is gone without a word is missed after two seconds, four if the network is slow.
fn config() -> Config {
    let mut config = Config::default();
    config.heartbeat.idle = Duration::from_secs(1);
    config.heartbeat.interval = Duration::from_millis(500);
    config.heartbeat.probes = 2;
    // The other side's too: the larger of both holds.
    config.heartbeat.ping_floor = Duration::from_millis(200);
    config
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    match Arguments::parse().role {
        Role::Controller { listen } => control(&listen).await,
        Role::Screen { name, controller } => show(name, controller).await,
    }
}

async fn control(listen: &str) -> Result<(), Box<dyn Error>> {
    // The handler is to see each screen's name, which is its token.
    let mut config = Config { admission: Admission::Ask, ..config() };
    // What waits for a slow screen waits in the group, where a newer page takes its place.
    config.limits.send_queue = 64 << 10;
    let endpoint = Endpoint::new(config.validate()?);
    let mut server = Server::new(endpoint.clone());
    let listener = server.listen(listen).await?;
    let wall = Arc::new(Wall::new(endpoint));
    let (handle, attended) = (server.handle(), Arc::clone(&wall));
    tokio::spawn(server.serve(move |connection| Arc::clone(&attended).attend(connection)));
    println!("listening on {}", listener.address().map_or_else(String::new, |address| address.to_string()));
    let mut pages = typed();
    loop {
        tokio::select! {
            page = pages.recv() => match page {
                Some(page) => wall.show(page).await,
                None => break,
            },
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                break;
            }
        }
    }
    println!("{}", handle.shutdown().await);
    Ok(())
}

/// What is typed, line by line. Read by a thread of its own, which nobody waits for.
fn typed() -> mpsc::Receiver<String> {
    let (typed, lines) = mpsc::channel(16);
    std::thread::spawn(move || {
        std::io::stdin().lock().lines().map_while(Result::ok).try_for_each(|line| typed.blocking_send(line))
    });
    lines
}

/// All screens, and what they show.
struct Wall {
    endpoint: Endpoint,
    group: Group,
    /// Locked while it goes out, so that a screen which comes gets it once, and none older behind it.
    page: tokio::sync::Mutex<String>,
    /// By name, the present connection of each.
    screens: Mutex<HashMap<String, ConnectionId>>,
}

impl Wall {
    fn new(endpoint: Endpoint) -> Self {
        let group = Group::new(GroupConfig { slow_member: SlowMember::KeepNewest, time_to_live: None });
        Self { endpoint, group, page: tokio::sync::Mutex::default(), screens: Mutex::default() }
    }

    async fn show(&self, page: String) {
        let mut current = self.page.lock().await;
        *current = page;
        let delivery = self.group.send(message(&current)).await;
        println!("sent to {} screens; {} are slow", delivery.sent + delivery.waiting, delivery.waiting);
    }

    async fn attend(self: Arc<Self>, mut connection: Connection) {
        let (id, sender) = (connection.id(), connection.sender());
        let mut name = String::new();
        while let Some(event) = connection.recv().await {
            match event {
                Event::Admission(request) => {
                    name = String::from_utf8_lossy(request.token.as_deref().unwrap_or(b"without a name")).into_owned();
                    connection.accept();
                }
                Event::Established(_) => self.came(&name, id, &sender).await,
                Event::Closed(closed) => self.went(&name, id, &closed),
                // Screens have nothing to say.
                _ => {}
            }
        }
    }

    async fn came(&self, name: &str, id: ConnectionId, sender: &Sender) {
        let page = self.page.lock().await;
        if self.group.join(sender).is_err() || sender.try_send(message(&page)).is_err() {
            // It ended, or it will when its next page does not go out.
            return;
        }
        println!("screen {} is there", name.escape_debug());
        let before = self.screens.lock().expect("nothing panics while it is held").insert(name.to_owned(), id);
        // It is back before it was missed.
        if let Some(before) = before {
            self.endpoint.abort(before);
        }
    }

    fn went(&self, name: &str, id: ConnectionId, closed: &Closed) {
        self.group.leave(id);
        let mut screens = self.screens.lock().expect("nothing panics while it is held");
        if screens.get(name) == Some(&id) {
            screens.remove(name);
            let reason = closed.reason.name().map_or_else(|| closed.reason.to_string(), str::to_owned);
            println!("screen {} is gone: {reason}", name.escape_debug());
        }
    }
}

fn message(page: &str) -> Message<'_> {
    Message::new(Class::BUSINESS, page.as_bytes())
}

/// A screen shows its last page until there is a newer one, also while it has no controller.
async fn show(name: String, controller: String) -> Result<(), Box<dyn Error>> {
    let endpoint = Endpoint::new(Config { token: Some(name.into()), ..config() }.validate()?);
    let reconnect = ReconnectConfig {
        first_delay: Duration::from_millis(200),
        max_delay: Duration::from_secs(2),
        settled_after: Duration::from_secs(5),
        ..ReconnectConfig::default()
    };
    let options = ClientOptions { reconnect: reconnect.validate()?, ..ClientOptions::default() };
    let mut client = Client::new(&endpoint, controller, options);
    let sender = client.sender();
    loop {
        tokio::select! {
            event = client.recv() => match event {
                Some(ClientEvent::Event(Event::Message(page))) => {
                    println!("showing: {}", String::from_utf8_lossy(&page.payload).escape_debug());
                }
                Some(ClientEvent::Disconnected(lost)) => println!("no controller: {}", lost.closed),
                Some(ClientEvent::Failed(failed)) => println!("no controller: {}", failed.error),
                Some(ClientEvent::Over(over)) => println!("{}", over.reason),
                Some(_) => {}
                None => return Ok(()),
            },
            interrupted = tokio::signal::ctrl_c(), if sender.is_open() => {
                interrupted?;
                sender.close(CloseReason::NORMAL);
            }
        }
    }
}
