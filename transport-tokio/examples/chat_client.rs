//! Talks in a room of the example `chat`. It stays connected, and joins again whenever its connection was lost. What is typed is said;
//! the end of the input, or Ctrl-C, ends it.
//!
//! ```text
//! cargo run -p pulsewire-transport-tokio --example chat
//! cargo run -p pulsewire-transport-tokio --example chat_client -- 127.0.0.1:7700 anna tea
//! cargo run -p pulsewire-transport-tokio --example chat_client -- 127.0.0.1:7700 bert tea
//! ```
//!
//! Beside that there is `/leave` and `/join`, and for the owner `/kick MEMBER`, `/owner MEMBER` (who is it from now on) and
//! `/dissolve`.

#[path = "chat/messages.rs"]
mod messages;

use std::error::Error;
use std::io::BufRead;

use clap::Parser;
use pulsewire_transport_tokio::protocol::{self, Class, CloseReason, Config, Message};
use pulsewire_transport_tokio::{Client, ClientEvent, ClientOptions, ClientSender, Endpoint};
use tokio::sync::mpsc;

use messages::{Action, Command, Event};

/// A user of a Pulsewire chat server.
#[derive(Parser)]
struct Arguments {
    /// Name and port of the server.
    server: String,
    /// What others are to call you.
    name: String,
    /// The room to join.
    room: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { server, name, room } = Arguments::parse();
    let config = Config { token: Some(name.into()), ..Config::default() };
    let endpoint = Endpoint::new(config.validate()?);
    let mut client = Client::new(&endpoint, server, ClientOptions::default());
    let sender = client.sender();
    let mut typed = lines();
    loop {
        tokio::select! {
            event = client.recv() => match event {
                Some(ClientEvent::Connected(_)) => send(&sender, &room, Action::Join),
                Some(event) => tell(&event),
                None => return Ok(()),
            },
            line = typed.recv(), if sender.is_open() => match line.as_deref().map(action) {
                Some(Some(action)) => send(&sender, &room, action),
                Some(None) => println!("there is /join, /leave, /kick MEMBER, /owner MEMBER, and /dissolve"),
                None => sender.close(CloseReason::NORMAL),
            },
            interrupted = tokio::signal::ctrl_c(), if sender.is_open() => {
                interrupted?;
                sender.close(CloseReason::NORMAL);
            }
        }
    }
}

/// What is typed, line by line. Read by a thread of its own, which nobody waits for.
fn lines() -> mpsc::Receiver<String> {
    let (typed, lines) = mpsc::channel(16);
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines().map_while(Result::ok);
        lines.filter(|line| !line.trim().is_empty()).try_for_each(|line| typed.blocking_send(line))
    });
    lines
}

/// `None`: no such command.
fn action(line: &str) -> Option<Action> {
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    let member = || rest.trim().to_owned();
    Some(match first {
        "/join" => Action::Join,
        "/leave" => Action::Leave,
        "/kick" => Action::Kick { member: member() },
        "/owner" => Action::HandOver { to: member() },
        "/dissolve" => Action::Dissolve,
        _ if first.starts_with('/') => return None,
        _ => Action::Say { text: line.to_owned() },
    })
}

/// Now or never: in a conversation what comes late is no answer any more.
fn send(sender: &ClientSender, room: &str, action: Action) {
    let command = Command { room: room.to_owned(), action };
    let text = serde_json::to_vec(&command).expect("strings can be written");
    if let Err(refused) = sender.try_send(Message::new(Class::ROOM, text)) {
        println!("not sent: {}", refused.reason);
    }
}

fn tell(event: &ClientEvent<'_>) {
    match event {
        ClientEvent::Event(protocol::Event::Message(message)) => match serde_json::from_slice(&message.payload) {
            Ok(event) => tell_of_room(&event),
            Err(error) => println!("the server says what this client does not know: {error}"),
        },
        ClientEvent::Failed(failed) => println!("{}", failed.error),
        ClientEvent::Disconnected(lost) => println!("disconnected: {}", lost.closed),
        ClientEvent::Over(over) => println!("over: {}", over.reason),
        // Trying, and what later versions may tell.
        _ => {}
    }
}

/// Strangers' words go to a terminal: without what steers it.
fn tell_of_room(event: &Event) {
    let line = match event {
        Event::Welcome { you } => format!("you are {you}"),
        Event::Members { room, members } => format!("in {room}: {}", members.join(", ")),
        Event::Said { room, by, text } => format!("{by} in {room}: {text}"),
        Event::Out { room, why } => format!("out of {room}: {why}"),
        Event::Refused { why } => format!("refused: {why}"),
    };
    println!("{}", line.escape_debug());
}
