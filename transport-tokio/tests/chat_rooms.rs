//! The rooms of the example `chat`, which do no I/O: rules one by one, and what holds whatever servers and users do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU64;

use crate::messages::{Action, Command, Event};
use crate::rooms::{Effect, Input, Notice, Rooms};
use proptest::prelude::*;
use pulsewire_transport_tokio::protocol::ConnectionId;

const ROOMS: [&str; 2] = ["tea", "coffee"];

/// A server whose effects are looked at.
#[derive(Default)]
struct Server {
    rooms: Rooms,
    now: i64,
    name: String,
    users: BTreeMap<ConnectionId, String>,
    /// Who is in which group.
    groups: BTreeMap<String, BTreeSet<String>>,
    /// What each member has got, and not been asked about.
    got: BTreeMap<String, Vec<Event>>,
    /// The list of each member and room.
    lists: BTreeMap<(String, String), Vec<String>>,
    notices: VecDeque<Notice>,
}

impl Server {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), now: 1_000_000, ..Self::default() }
    }

    fn take(&mut self, input: Input) {
        for effect in self.rooms.take(self.now, input) {
            match effect {
                Effect::Enter(user, room) => {
                    let member = self.users[&user].clone();
                    assert!(self.groups.entry(room).or_default().insert(member), "enters once");
                }
                Effect::Exit(user, room) => {
                    let member = &self.users[&user];
                    assert!(self.groups.get_mut(&room).is_some_and(|group| group.remove(member)), "was there");
                }
                Effect::ToUser(user, event) => self.tell(self.users[&user].clone(), event),
                Effect::ToRoom(room, event) => {
                    let group = self.groups.get(&room).cloned().unwrap_or_default();
                    group.into_iter().for_each(|member| self.tell(member, event.clone()));
                }
                Effect::ToServers(notice) => self.notices.push_back(notice),
            }
        }
    }

    fn tell(&mut self, member: String, event: Event) {
        match &event {
            Event::Members { room, members } => {
                assert!(members.contains(&member), "{member} is in the list that it gets: {members:?}");
                self.lists.insert((member.clone(), room.clone()), members.clone());
            }
            Event::Out { room, .. } => {
                assert!(
                    self.lists.remove(&(member.clone(), room.clone())).is_some(),
                    "{member} had the list of {room}"
                );
            }
            Event::Welcome { .. } | Event::Said { .. } | Event::Refused { .. } => {}
        }
        self.got.entry(member).or_default().push(event);
    }

    /// A user comes; the name says which one it is.
    fn come(&mut self, number: u32) -> String {
        let member = format!("u{number}@{}", self.name);
        let user = ConnectionId::new(number, 1, NonZeroU64::new(u64::from(number) + 1).unwrap());
        self.users.insert(user, member.clone());
        self.take(Input::Came { member: member.clone(), user });
        member
    }

    fn ask(&mut self, by: &str, room: &str, action: Action) -> Vec<Event> {
        self.got.clear();
        self.take(Input::Command { by: by.to_owned(), command: Command { room: room.to_owned(), action } });
        self.got.get(by).cloned().unwrap_or_default()
    }

    fn list(&self, member: &str, room: &str) -> Vec<String> {
        self.lists.get(&(member.to_owned(), room.to_owned())).cloned().unwrap_or_default()
    }
}

/// All that was said on its way to all.
fn exchange(servers: &mut [Server]) {
    while let Some(from) = servers.iter().position(|server| !server.notices.is_empty()) {
        let (notice, name) = (servers[from].notices.pop_front().unwrap(), servers[from].name.clone());
        for to in (0..servers.len()).filter(|to| *to != from) {
            servers[to].take(Input::Heard { from: name.clone(), notice: notice.clone() });
        }
    }
}

fn refused(why: &str) -> Vec<Event> {
    vec![Event::Refused { why: why.to_owned() }]
}

fn say() -> Action {
    Action::Say { text: "hello".to_owned() }
}

#[test]
fn who_may_not_is_told_why() {
    let mut server = Server::new("s");
    let (anna, bert) = (server.come(1), server.come(2));
    server.ask(&anna, "tea", Action::Join);
    assert_eq!(server.ask(&anna, "tea", Action::Join), refused("you are in this room"));
    assert_eq!(server.ask(&bert, "tea", say()), refused("you are not in this room"));
    assert_eq!(server.ask(&bert, "tea", Action::Leave), refused("you are not in this room"));
    assert_eq!(server.ask(&bert, "tea", Action::Dissolve), refused("you are not in this room"));
    server.ask(&bert, "tea", Action::Join);
    for action in [Action::Kick { member: anna.clone() }, Action::HandOver { to: bert.clone() }, Action::Dissolve] {
        assert_eq!(server.ask(&bert, "tea", action), refused("you are not the owner of this room"));
    }
    assert_eq!(server.ask(&bert, &"t".repeat(65), Action::Join), refused("the name of this room is too long"));
    for room in 1..20 {
        assert!(!server.ask(&anna, &format!("room {room}"), Action::Join).is_empty());
    }
    assert_eq!(server.ask(&anna, "one more", Action::Join), refused("you are in too many rooms"));
    let nobody = Action::Kick { member: "nobody".to_owned() };
    assert_eq!(server.ask(&anna, "tea", nobody), refused("nobody of that name is in this room"));
}

#[test]
fn the_owner_is_whom_the_last_hand_over_named_and_is_there_or_the_longest_standing() {
    let mut servers = [Server::new("s"), Server::new("t")];
    // The clock of one is late: places are given behind those that are there.
    servers[1].now -= 5_000;
    let (anna, bert, cleo) = (servers[0].come(1), servers[1].come(2), servers[0].come(3));
    for (server, member) in [(0, &anna), (1, &bert), (0, &cleo)] {
        servers[server].ask(member, "tea", Action::Join);
        exchange(&mut servers);
    }
    let lists = |servers: &[Server; 2]| {
        let lists = [servers[0].list(&anna, "tea"), servers[1].list(&bert, "tea"), servers[0].list(&cleo, "tea")];
        lists.into_iter().filter(|list| !list.is_empty()).collect::<Vec<_>>()
    };
    let order = [anna.clone(), bert.clone(), cleo.clone()];
    assert_eq!(lists(&servers), vec![order.to_vec(); 3]);

    servers[0].ask(&anna, "tea", Action::HandOver { to: bert.clone() });
    exchange(&mut servers);
    assert_eq!(lists(&servers), vec![vec![bert.clone(), anna.clone(), cleo.clone()]; 3]);
    servers[1].ask(&bert, "tea", Action::HandOver { to: cleo.clone() });
    exchange(&mut servers);
    assert_eq!(lists(&servers), vec![vec![cleo.clone(), bert.clone(), anna.clone()]; 3]);
    servers[0].take(Input::Gone { member: cleo.clone() });
    exchange(&mut servers);
    assert_eq!(lists(&servers), vec![vec![bert.clone(), anna.clone()]; 2]);
    // Whoever comes back is no owner any more.
    servers[1].ask(&bert, "tea", Action::Leave);
    servers[1].ask(&bert, "tea", Action::Join);
    exchange(&mut servers);
    assert_eq!(lists(&servers), vec![vec![anna.clone(), bert.clone()]; 2]);
}

#[test]
fn kicked_and_dissolved_on_other_servers_too() {
    let mut servers = [Server::new("s"), Server::new("t")];
    let (anna, bert) = (servers[0].come(1), servers[1].come(2));
    for (server, member) in [(0, &anna), (1, &bert)] {
        servers[server].ask(member, "tea", Action::Join);
        exchange(&mut servers);
    }
    servers[0].ask(&anna, "tea", Action::Kick { member: bert.clone() });
    exchange(&mut servers);
    assert_eq!((servers[0].list(&anna, "tea"), servers[1].list(&bert, "tea")), (vec![anna.clone()], vec![]));
    servers[1].ask(&bert, "tea", Action::Join);
    exchange(&mut servers);
    servers[0].ask(&anna, "tea", Action::Dissolve);
    exchange(&mut servers);
    assert!(servers.iter().all(|server| server.lists.is_empty()));
}

#[test]
fn a_server_that_is_silent_for_three_seconds_is_forgotten_and_no_sooner() {
    let mut servers = [Server::new("s"), Server::new("t")];
    let (anna, bert) = (servers[0].come(1), servers[1].come(2));
    servers[0].ask(&anna, "tea", Action::Join);
    servers[1].ask(&bert, "tea", Action::Join);
    exchange(&mut servers);
    for (passed, count) in [(2_999, 2), (1, 1)] {
        servers[0].now += passed;
        servers[0].take(Input::EachSecond);
        assert_eq!(servers[0].list(&anna, "tea").len(), count);
    }
    // It was only slow.
    servers[1].take(Input::EachSecond);
    exchange(&mut servers);
    assert_eq!(servers[0].list(&anna, "tea"), [anna, bert]);
}

#[derive(Debug, Clone)]
enum Step {
    Ask {
        server: usize,
        user: u32,
        room: usize,
        action: Action,
    },
    Gone {
        server: usize,
        user: u32,
    },
    /// One letter arrives, of the first to the second.
    Letter {
        from: usize,
        to: usize,
    },
    Second {
        server: usize,
    },
}

fn action() -> impl Strategy<Value = Action> {
    let member = || (0..3_u32, 0..3_usize).prop_map(|(user, server)| format!("u{user}@s{server}"));
    prop_oneof![
        5 => Just(Action::Join),
        1 => Just(Action::Leave),
        3 => Just(say()),
        2 => member().prop_map(|member| Action::Kick { member }),
        2 => member().prop_map(|to| Action::HandOver { to }),
        1 => Just(Action::Dissolve),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let (server, user) = (|| 0..3_usize, || 0..3_u32);
    prop_oneof![
        6 => (server(), user(), 0..2_usize, action())
            .prop_map(|(server, user, room, action)| Step::Ask { server, user, room, action }),
        1 => (server(), user()).prop_map(|(server, user)| Step::Gone { server, user }),
        8 => (server(), server()).prop_map(|(from, to)| Step::Letter { from, to }),
        1 => server().prop_map(|server| Step::Second { server }),
    ]
}

proptest! {
    /// Whatever order letters of several servers come in. That nobody gets what is not for them, `Server` checks all the time.
    #[test]
    fn all_agree_when_all_letters_have_come(steps in prop::collection::vec(step(), 1..80)) {
        let mut servers: Vec<Server> = (0..3).map(|number| Server::new(&format!("s{number}"))).collect();
        let mut ways: BTreeMap<(usize, usize), VecDeque<Notice>> = BTreeMap::new();
        for server in &mut servers {
            (0..3).for_each(|user| drop(server.come(user)));
        }
        for step in steps {
            match step {
                Step::Ask { server, user, room, action } => {
                    let by = format!("u{user}@s{server}");
                    let said = matches!(action, Action::Say { .. });
                    let events = servers[server].ask(&by, ROOMS[room], action);
                    let heard = events.iter().filter(|event| matches!(event, Event::Said { .. })).count();
                    prop_assert!(heard <= usize::from(said), "{:?}", events);
                }
                Step::Gone { server, user } => {
                    let member = format!("u{user}@s{server}");
                    servers[server].take(Input::Gone { member });
                    servers[server].come(user);
                }
                Step::Letter { from, to } => {
                    if let Some(notice) = ways.get_mut(&(from, to)).and_then(VecDeque::pop_front) {
                        servers[to].take(Input::Heard { from: format!("s{from}"), notice });
                    }
                }
                Step::Second { server } => {
                    servers[server].now += 10;
                    servers[server].take(Input::EachSecond);
                }
            }
            for (from, server) in servers.iter_mut().enumerate() {
                for notice in server.notices.drain(..) {
                    for to in (0..3).filter(|to| *to != from) {
                        ways.entry((from, to)).or_default().push_back(notice.clone());
                    }
                }
            }
        }
        for ((from, to), notices) in ways {
            notices.into_iter().for_each(|notice| servers[to].take(Input::Heard { from: format!("s{from}"), notice }));
        }
        servers.iter_mut().for_each(|server| server.take(Input::EachSecond));
        exchange(&mut servers);
        for room in ROOMS {
            let there: BTreeSet<&String> = servers.iter().flat_map(|server| server.groups.get(room)).flatten().collect();
            let lists: BTreeSet<&Vec<String>> = servers.iter().flat_map(|server| &server.lists)
                .filter(|((_, of), _)| of == room).map(|(_, list)| list).collect();
            prop_assert!(lists.len() <= 1, "{:?}", lists);
            let listed: BTreeSet<&String> = lists.into_iter().flatten().collect();
            prop_assert_eq!(listed, there);
        }
    }
}
