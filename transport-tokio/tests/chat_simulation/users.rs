//! Users that do at random what there is to do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use pulsewire_transport_tokio::protocol::{Class, CloseReason, Config, Event, Message, Role};
use pulsewire_transport_tokio::{Connection, Sender};
use tokio::time::{Instant, sleep, sleep_until};

use super::ledger::Ledger;
use super::servers::{Servers, config, endpoint};
use crate::Until;
use crate::messages::{self, Action, Command};

const ROOMS: [&str; 2] = ["tea", "coffee"];

/// Comes again and again, until all is to be quiet. Whoever is there then stays.
pub(crate) async fn user(
    number: usize,
    mut random: Rng,
    servers: Arc<Servers>,
    ledger: Arc<Mutex<Ledger>>,
    until: Until,
) {
    let config = Config { token: Some(format!("u{number}").into()), ..config() };
    let endpoint = endpoint(config.validate().unwrap(), &mut random);
    while Instant::now() < until.quiet {
        sleep(Duration::from_millis(random.u64(1..400))).await;
        let Some(stream) = servers.connect(&mut random).await else { continue };
        let connection = endpoint.connection(stream, Role::Client).unwrap();
        let session = Session { sender: connection.sender(), member: String::new(), ledger: Arc::clone(&ledger) };
        session.run(connection, &mut random, until).await;
    }
}

struct Session {
    sender: Sender,
    /// Empty until the welcome.
    member: String,
    ledger: Arc<Mutex<Ledger>>,
}

impl Session {
    async fn run(mut self, mut connection: Connection, random: &mut Rng, until: Until) {
        let (mut next, mut silent) = (Instant::now(), true);
        loop {
            tokio::select! {
                biased;
                event = connection.recv() => match event {
                    Some(Event::Message(message)) => self.heard(serde_json::from_slice(&message.payload).unwrap()),
                    Some(Event::Closed(closed)) => {
                        let mut ledger = self.ledger.lock().unwrap();
                        if closed.reason == CloseReason::OVERLOADED {
                            ledger.saw("too slow");
                        }
                        return ledger.ended(&self.member, closed.to_string());
                    }
                    Some(_) => {}
                    None => return,
                },
                () = sleep_until(until.last_words), if silent => {
                    silent = false;
                    self.say_last_words();
                }
                () = sleep_until(next), if next < until.quiet && !self.member.is_empty() => {
                    next = Instant::now() + Duration::from_millis(random.u64(1..1_000));
                    self.act(random).await;
                }
            }
        }
    }

    fn heard(&mut self, event: messages::Event) {
        if let messages::Event::Welcome { you } = &event {
            self.member.clone_from(you);
        }
        self.ledger.lock().unwrap().heard(&self.member, event);
    }

    async fn act(&self, random: &mut Rng) {
        let room = ROOMS[random.usize(..ROOMS.len())];
        let others = self.ledger.lock().unwrap().members(&self.member, room);
        let is_owner = others.first() == Some(&self.member);
        let other = random.choice(&others).cloned().unwrap_or_else(|| "nobody".to_owned());
        let action = match random.u8(0..40) {
            // A stranger mostly joins, and is refused else.
            _ if others.is_empty() && random.u8(..) < 200 => Action::Join,
            0..8 => Action::Join,
            8..11 => Action::Leave,
            11..13 => Action::Kick { member: other },
            13..16 => {
                if is_owner && other != self.member {
                    self.ledger.lock().unwrap().saw("owner handed over");
                }
                Action::HandOver { to: other }
            }
            16 => Action::Dissolve,
            17 => return self.sender.close(CloseReason::NORMAL),
            18 => {
                self.sender.abort();
                return;
            }
            // Reads nothing meanwhile.
            19..21 => return sleep(Duration::from_millis(random.u64(1..3_000))).await,
            // So much that whoever reads nothing falls behind.
            21..23 => return (0..8).for_each(|_| self.say(room, "so to say ".repeat(60))),
            _ => return self.say(room, String::new()),
        };
        self.send(room, action);
    }

    fn say(&self, room: &str, more: String) {
        let text = self.ledger.lock().unwrap().say(&self.member, room, &more);
        self.send(room, Action::Say { text });
    }

    fn say_last_words(&self) {
        let words = self.ledger.lock().unwrap().say_last_words(&self.member);
        words.into_iter().for_each(|(room, text)| self.send(&room, Action::Say { text }));
    }

    /// Where there is no room for it, it was not said.
    fn send(&self, room: &str, action: Action) {
        self.ledger.lock().unwrap().note(format_args!("{} in {room}: {action:?}", self.member));
        let command = serde_json::to_vec(&Command { room: room.to_owned(), action }).unwrap();
        let _ = self.sender.try_send(Message::new(Class::ROOM, command));
    }
}
