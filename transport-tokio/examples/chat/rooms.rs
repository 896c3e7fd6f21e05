//! Who is in which room, and who may do what. It does no I/O: inputs and the time go in, effects come out.
//!
//! Each server decides about its own members, and tells the others all of them, at each change and each second. So what is lost on the
//! way does no lasting harm, and a server that is silent for three seconds was killed, with all its members.

use std::collections::BTreeMap;

use pulsewire_transport_tokio::protocol::ConnectionId;
use serde::{Deserialize, Serialize};

use crate::messages::{Action, Command, Event};

const SILENCE_MS: i64 = 3_000;
const ROOM_NAME_MAX: usize = 64;
const ROOMS_MAX: usize = 20;

/// The members of each room, with their places. Whoever has the lowest one is the owner.
type Lists = BTreeMap<String, BTreeMap<String, i64>>;

/// From one server to all others.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Notice {
    Here(Lists),
    /// The member may do that. Each server does what concerns its own.
    Allowed(String, Command),
}

pub(crate) enum Input {
    Came { member: String, user: ConnectionId },
    Command { by: String, command: Command },
    Gone { member: String },
    Heard { from: String, notice: Notice },
    EachSecond,
}

pub(crate) enum Effect {
    Enter(ConnectionId, String),
    Exit(ConnectionId, String),
    ToUser(ConnectionId, Event),
    /// To the members that this server has.
    ToRoom(String, Event),
    ToServers(Notice),
}

#[derive(Default)]
pub(crate) struct Rooms {
    users: BTreeMap<String, ConnectionId>,
    here: Lists,
    /// What each other server said last, and when.
    elsewhere: BTreeMap<String, (i64, Lists)>,
    /// The lists that the members here have.
    told: BTreeMap<String, Event>,
    effects: Vec<Effect>,
}

impl Rooms {
    /// `now`: in milliseconds, and about the same on all servers.
    pub(crate) fn take(&mut self, now: i64, input: Input) -> Vec<Effect> {
        let (is_second, before) = (matches!(input, Input::EachSecond), self.here.clone());
        match input {
            Input::Came { member, user } => {
                self.users.insert(member.clone(), user);
                self.effects.push(Effect::ToUser(user, Event::Welcome { you: member }));
            }
            Input::Command { by, command } => match self.refusal(&by, &command) {
                Some(why) => self.effects.push(Effect::ToUser(self.users[&by], Event::Refused { why: why.to_owned() })),
                None => {
                    self.effects.push(Effect::ToServers(Notice::Allowed(by.clone(), command.clone())));
                    self.apply(now, by, command);
                }
            },
            Input::Gone { member } => {
                self.part("left", |_, one| one == member);
                self.users.remove(&member);
            }
            Input::Heard { from, notice: Notice::Here(lists) } => drop(self.elsewhere.insert(from, (now, lists))),
            Input::Heard { notice: Notice::Allowed(by, command), .. } => self.apply(now, by, command),
            Input::EachSecond => self.elsewhere.retain(|_, (heard, _)| now < *heard + SILENCE_MS),
        }
        self.tell_lists();
        if is_second || self.here != before {
            self.effects.push(Effect::ToServers(Notice::Here(self.here.clone())));
        }
        std::mem::take(&mut self.effects)
    }

    fn refusal(&self, by: &str, Command { room, action }: &Command) -> Option<&'static str> {
        let members = self.members(room);
        let is_member = |who: &str| members.iter().any(|(_, member)| *member == who);
        match action {
            Action::Join if is_member(by) => Some("you are in this room"),
            Action::Join if room.len() > ROOM_NAME_MAX => Some("the name of this room is too long"),
            Action::Join if self.here.values().filter(|members| members.contains_key(by)).count() == ROOMS_MAX => {
                Some("you are in too many rooms")
            }
            Action::Join => None,
            _ if !is_member(by) => Some("you are not in this room"),
            Action::Leave | Action::Say { .. } => None,
            _ if members[0].1 != by => Some("you are not the owner of this room"),
            Action::Kick { member } | Action::HandOver { to: member } if !is_member(member) => {
                Some("nobody of that name is in this room")
            }
            Action::Kick { .. } | Action::HandOver { .. } | Action::Dissolve => None,
        }
    }

    /// What concerns members of this server.
    fn apply(&mut self, now: i64, by: String, Command { room, action }: Command) {
        match action {
            Action::Join => {
                let Some(user) = self.users.get(&by) else { return };
                // Behind all others, also where their servers' clocks are fast.
                let place = self.members(&room).last().map_or(now, |(last, _)| now.max(last + 1));
                self.effects.push(Effect::Enter(*user, room.clone()));
                self.here.entry(room).or_default().insert(by, place);
            }
            Action::Leave => self.part("left", |of, one| of == room && one == by),
            Action::Say { text } => self.effects.push(Effect::ToRoom(room.clone(), Event::Said { room, by, text })),
            Action::Kick { member } => self.part("kicked", |of, one| of == room && one == member),
            Action::HandOver { to } => {
                let front = self.members(&room).first().map_or(now, |(first, _)| first - 1);
                if let Some(place) = self.here.get_mut(&room).and_then(|members| members.get_mut(&to)) {
                    *place = front;
                }
            }
            Action::Dissolve => self.part("dissolved", |of, _| of == room),
        }
    }

    fn part(&mut self, why: &str, parts: impl Fn(&str, &str) -> bool) {
        for (room, members) in &mut self.here {
            for (member, _) in members.extract_if(.., |member, _| parts(room, member)) {
                let (user, room, why) = (self.users[&member], room.clone(), why.to_owned());
                self.effects.push(Effect::Exit(user, room.clone()));
                self.effects.push(Effect::ToUser(user, Event::Out { room, why }));
            }
        }
        self.here.retain(|_, members| !members.is_empty());
    }

    /// To the members here, where they changed.
    fn tell_lists(&mut self) {
        let mut lists = BTreeMap::new();
        for room in self.here.keys() {
            let members = self.members(room).into_iter().map(|(_, member)| member.to_owned()).collect();
            let list = Event::Members { room: room.clone(), members };
            if self.told.get(room) != Some(&list) {
                self.effects.push(Effect::ToRoom(room.clone(), list.clone()));
            }
            lists.insert(room.clone(), list);
        }
        self.told = lists;
    }

    /// Of all servers, in their order.
    fn members(&self, room: &str) -> Vec<(i64, &str)> {
        let lists = std::iter::once(&self.here).chain(self.elsewhere.values().map(|(_, lists)| lists));
        let members = lists.filter_map(|lists| lists.get(room)).flatten();
        let mut members: Vec<_> = members.map(|(member, place)| (*place, member.as_str())).collect();
        members.sort_unstable();
        members
    }
}
