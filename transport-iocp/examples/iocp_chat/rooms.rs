//! Who is in which room, and who may do what.

use std::collections::{BTreeMap, HashMap};

use pulsewire_transport_iocp::protocol::{Class, ConnectionId, Message};
use pulsewire_transport_iocp::{GroupConfig, GroupId, Groups, SlowMember};

use crate::messages::{Action, Command, Event};

/// Whoever falls behind begins anew: no list of members is ever out of step.
const GROUP: GroupConfig = GroupConfig { slow_member: SlowMember::Close, time_to_live: None };

const ROOM_NAME_MAX: usize = 64;
const ROOMS_MAX: usize = 20;

struct User {
    name: String,
    /// A group with nobody else in it: what one user hears and what a room hears comes in one order.
    alone: GroupId,
}

struct Room {
    group: GroupId,
    /// The first one is the owner.
    members: Vec<ConnectionId>,
}

/// All users and rooms.
#[derive(Default)]
pub(crate) struct Rooms {
    users: HashMap<ConnectionId, User>,
    rooms: BTreeMap<String, Room>,
}

impl Rooms {
    /// A user is admitted, by a name that nobody else has.
    pub(crate) fn admit(&mut self, groups: &mut Groups, user: ConnectionId, name: String) {
        let alone = groups.create(GROUP);
        let _is_new = groups.join(alone, user);
        self.users.insert(user, User { name, alone });
    }

    /// A user has come.
    pub(crate) fn welcome(&mut self, groups: &mut Groups, user: ConnectionId) {
        self.tell(groups, user, &Event::Welcome { you: self.name(user) });
    }

    /// Obeys a command, or tells the user why not.
    pub(crate) fn obey(&mut self, groups: &mut Groups, by: ConnectionId, Command { room, action }: Command) {
        if let Some(why) = self.refusal(by, &room, &action) {
            return self.refuse(groups, by, why);
        }
        match action {
            Action::Join => {
                let make = || Room { group: groups.create(GROUP), members: Vec::new() };
                let there = self.rooms.entry(room.clone()).or_insert_with(make);
                there.members.push(by);
                let _is_new = groups.join(there.group, by);
            }
            Action::Leave => self.part(groups, &room, "left", |one, _| one == by),
            Action::Say { text } => {
                let said = Event::Said { room: room.clone(), by: self.name(by), text };
                return self.tell_room(groups, &room, &said);
            }
            Action::Kick { member } => self.part(groups, &room, "kicked", |_, name| name == member),
            Action::HandOver { to } => {
                let Self { users, rooms } = self;
                let Some(there) = rooms.get_mut(&room) else { return };
                there.members.sort_by_key(|member| users[member].name != to);
            }
            Action::Dissolve => self.part(groups, &room, "dissolved", |_, _| true),
        }
        self.tell_members(groups, &room);
    }

    pub(crate) fn refuse(&self, groups: &mut Groups, user: ConnectionId, why: &str) {
        self.tell(groups, user, &Event::Refused { why: why.to_owned() });
    }

    /// A connection is over: its user is in no room any more.
    pub(crate) fn forget(&mut self, groups: &mut Groups, gone: ConnectionId) {
        let theirs = self.rooms.iter().filter(|(_, room)| room.members.contains(&gone));
        for room in theirs.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.part(groups, &room, "left", |one, _| one == gone);
            self.tell_members(groups, &room);
        }
        if let Some(user) = self.users.remove(&gone) {
            groups.dissolve(user.alone);
        }
    }

    fn refusal(&self, by: ConnectionId, room: &str, action: &Action) -> Option<&'static str> {
        let members = self.rooms.get(room).map_or(&[][..], |there| &there.members);
        let is_member = |who: &str| members.iter().any(|member| self.users[member].name == who);
        match action {
            Action::Join if members.contains(&by) => Some("you are in this room"),
            Action::Join if room.len() > ROOM_NAME_MAX => Some("the name of this room is too long"),
            Action::Join if self.rooms.values().filter(|there| there.members.contains(&by)).count() == ROOMS_MAX => {
                Some("you are in too many rooms")
            }
            Action::Join => None,
            _ if !members.contains(&by) => Some("you are not in this room"),
            Action::Leave | Action::Say { .. } => None,
            _ if members[0] != by => Some("you are not the owner of this room"),
            Action::Kick { member } | Action::HandOver { to: member } if !is_member(member) => {
                Some("nobody of that name is in this room")
            }
            Action::Kick { .. } | Action::HandOver { .. } | Action::Dissolve => None,
        }
    }

    /// Those leave for whom `parts` says so. A room without members is gone.
    fn part(&mut self, groups: &mut Groups, room: &str, why: &str, mut parts: impl FnMut(ConnectionId, &str) -> bool) {
        let Self { users, rooms } = self;
        let Some(there) = rooms.get_mut(room) else { return };
        let group = there.group;
        let parted: Vec<_> = there.members.extract_if(.., |one| parts(*one, &users[one].name)).collect();
        if there.members.is_empty() {
            rooms.remove(room);
            groups.dissolve(group);
        }
        for member in parted {
            groups.leave(group, member);
            self.tell(groups, member, &Event::Out { room: room.to_owned(), why: why.to_owned() });
        }
    }

    fn name(&self, user: ConnectionId) -> String {
        self.users[&user].name.clone()
    }

    fn tell(&self, groups: &mut Groups, user: ConnectionId, event: &Event) {
        send(groups, self.users[&user].alone, event);
    }

    fn tell_room(&self, groups: &mut Groups, room: &str, event: &Event) {
        if let Some(there) = self.rooms.get(room) {
            send(groups, there.group, event);
        }
    }

    fn tell_members(&self, groups: &mut Groups, room: &str) {
        let Some(there) = self.rooms.get(room) else { return };
        let members = there.members.iter().map(|&member| self.name(member)).collect();
        self.tell_room(groups, room, &Event::Members { room: room.to_owned(), members });
    }
}

/// All in one class: what comes from a room keeps its order.
fn send(groups: &mut Groups, to: GroupId, event: &Event) {
    let text = serde_json::to_vec(event).expect("strings can be written");
    groups.send(to, Message::new(Class::ROOM, text)).expect("a group lasts as long as its room or its user");
}

#[cfg(test)]
mod tests {
    use pulsewire_transport_iocp::protocol::Slots;

    use super::*;

    /// Three users, and who is in the room `tea`.
    struct Tea {
        rooms: Rooms,
        groups: Groups,
        users: [ConnectionId; 3],
    }

    impl Tea {
        fn new() -> Self {
            let (mut rooms, mut groups, mut ids) = (Rooms::default(), Groups::default(), Slots::new(1));
            let users = [(); 3].map(|()| ids.insert_with(|_| ()));
            for (user, name) in users.into_iter().zip(["anna", "bert", "eve"]) {
                rooms.admit(&mut groups, user, name.to_owned());
                rooms.welcome(&mut groups, user);
            }
            Self { rooms, groups, users }
        }

        /// Whether a user may do that, and then does it.
        fn obeys(&mut self, user: usize, action: Action) -> Result<(), &'static str> {
            let by = self.users[user];
            let refusal = self.rooms.refusal(by, "tea", &action);
            self.rooms.obey(&mut self.groups, by, Command { room: "tea".to_owned(), action });
            refusal.map_or(Ok(()), Err)
        }

        fn members(&self) -> Vec<String> {
            let there = self.rooms.rooms.get("tea").map_or(&[][..], |there| &there.members);
            there.iter().map(|&member| self.rooms.name(member)).collect()
        }
    }

    #[test]
    fn only_the_owner_decides_and_a_room_outlives_who_leaves() {
        let mut tea = Tea::new();
        let say = || Action::Say { text: "hello".to_owned() };
        tea.obeys(0, Action::Join).unwrap();
        tea.obeys(1, Action::Join).unwrap();
        assert_eq!(tea.obeys(0, Action::Join), Err("you are in this room"));
        assert_eq!(tea.obeys(2, say()), Err("you are not in this room"));
        tea.obeys(2, Action::Join).unwrap();
        let kick = |member: &str| Action::Kick { member: member.to_owned() };
        assert_eq!(tea.obeys(1, kick("eve")), Err("you are not the owner of this room"));
        assert_eq!(tea.obeys(0, kick("nobody")), Err("nobody of that name is in this room"));
        tea.obeys(0, Action::HandOver { to: "bert".to_owned() }).unwrap();
        assert_eq!(tea.members(), ["bert", "anna", "eve"]);
        tea.obeys(1, kick("eve")).unwrap();
        assert_eq!(tea.obeys(2, say()), Err("you are not in this room"));
        // Bert goes, and the room is Anna's again.
        tea.obeys(1, Action::Leave).unwrap();
        assert_eq!(tea.members(), ["anna"]);
        tea.obeys(0, Action::Dissolve).unwrap();
        assert_eq!(tea.obeys(0, say()), Err("you are not in this room"));
        assert!(tea.rooms.rooms.is_empty());
    }

    #[test]
    fn nothing_is_left_of_a_user_who_is_gone() {
        let mut tea = Tea::new();
        let anna = tea.users[0];
        for number in 0..=ROOMS_MAX {
            tea.rooms.obey(&mut tea.groups, anna, Command { room: number.to_string(), action: Action::Join });
        }
        assert_eq!(tea.rooms.rooms.len(), ROOMS_MAX);
        for user in tea.users {
            tea.rooms.forget(&mut tea.groups, user);
            assert!(tea.groups.groups_of(user).is_empty());
        }
        assert!(tea.rooms.rooms.is_empty() && tea.rooms.users.is_empty());
    }
}
