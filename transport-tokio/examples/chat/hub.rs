//! Tells the rooms what happens, and does what they decide: in one task, and so in one order.

use std::collections::HashMap;
use std::time::Duration;

use pulsewire_transport_tokio::protocol::{Class, CloseReason, Event, Message};
use pulsewire_transport_tokio::{Connection, Endpoint, Group, GroupConfig, SlowMember};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::{Instant, interval};

use crate::messages;
use crate::rooms::{Effect, Input, Notice, Rooms};

/// Whoever falls behind begins anew: no list of members is ever out of step.
const GROUP: GroupConfig = GroupConfig { slow_member: SlowMember::Close, time_to_live: None };

/// `started`: the time, in milliseconds.
pub(crate) async fn run(endpoint: Endpoint, started: i64, mut inputs: Receiver<Input>, bus: Sender<Notice>) {
    let (mut rooms, mut groups) = (Rooms::default(), HashMap::<String, Group>::new());
    let (beginning, mut seconds) = (Instant::now(), interval(Duration::from_secs(1)));
    loop {
        let input = tokio::select! {
            biased; // A simulation goes the same way each time.
            _ = seconds.tick() => Input::EachSecond,
            Some(input) = inputs.recv() => input,
        };
        for effect in rooms.take(started + beginning.elapsed().as_millis() as i64, input) {
            match effect {
                Effect::Enter(user, room) => {
                    let group = groups.entry(room).or_insert_with(|| Group::new(GROUP));
                    endpoint.sender(user).map(|user| group.join(&user));
                }
                Effect::Exit(user, room) => {
                    groups.get(&room).map(|group| group.leave(user));
                    groups.retain(|_, group| !group.members().is_empty());
                }
                Effect::ToUser(user, event) => {
                    if let (Err(_), Some(user)) = (endpoint.try_send(user, message(&event)), endpoint.sender(user)) {
                        user.close(CloseReason::OVERLOADED);
                    }
                }
                Effect::ToRoom(room, event) => {
                    if let Some(group) = groups.get(&room) {
                        group.send(message(&event)).await;
                    }
                }
                // Where there are none, or they are slow: in a second they are told all again.
                Effect::ToServers(notice) => drop(bus.try_send(notice)),
            }
        }
    }
}

/// All in one class: what comes from a room keeps its order.
fn message(event: &messages::Event) -> Message<'static> {
    Message::new(Class::ROOM, serde_json::to_vec(event).expect("strings can be written"))
}

/// A user, whose name is the token. With a number and the server's name nobody else is ever called so.
pub(crate) async fn attend(mut connection: Connection, server: String, hub: Sender<Input>) {
    let (user, sender, mut member) = (connection.id(), connection.sender(), String::new());
    while let Some(event) = connection.recv().await {
        let input = match event {
            Event::Admission(request) => {
                let name = String::from_utf8_lossy(request.token.as_deref().unwrap_or(b"nobody"));
                member = format!("{name:.32}.{}@{server}", user.cookie());
                connection.accept();
                continue;
            }
            Event::Established(_) => Input::Came { member: member.clone(), user },
            Event::Message(said) => match serde_json::from_slice(&said.payload) {
                Ok(command) => Input::Command { by: member.clone(), command },
                Err(error) => {
                    drop(sender.try_send(message(&messages::Event::Refused { why: error.to_string() })));
                    continue;
                }
            },
            Event::Closed(_) => Input::Gone { member: member.clone() },
            _ => continue,
        };
        drop(sender.busy_while(hub.send(input)).await);
    }
}
