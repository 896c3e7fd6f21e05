//! What users saw, and what must hold of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Arguments;

use tokio::time::Instant;

use crate::messages::Event;

/// One connection of a user, as long as it lives: by the name that others call it.
#[derive(Debug, Default)]
struct Session {
    /// Its rooms, with the lists that it has.
    rooms: BTreeMap<String, Vec<String>>,
    heard: BTreeSet<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Whether anybody wants to read what happened.
    traces: bool,
    began: Option<Instant>,
    sessions: BTreeMap<String, Session>,
    /// What was said, by whom and where. Nothing is said twice.
    said: BTreeMap<String, (String, String)>,
    /// Who has to hear what at the end.
    last_words: Vec<(String, String)>,
    pub(crate) violations: Vec<String>,
    pub(crate) trace: Vec<String>,
    pub(crate) seen: BTreeMap<String, u64>,
}

impl Ledger {
    pub(crate) fn new(traces: bool) -> Self {
        Self { traces, ..Self::default() }
    }

    pub(crate) fn note(&mut self, what: Arguments<'_>) {
        if !self.traces {
            return;
        }
        let elapsed = self.began.get_or_insert_with(Instant::now).elapsed();
        self.trace.push(format!("{:6.3} {what}", elapsed.as_secs_f64()));
    }

    pub(crate) fn saw(&mut self, what: &str) {
        *self.seen.entry(what.to_owned()).or_default() += 1;
    }

    fn violation(&mut self, what: String) {
        self.note(format_args!("VIOLATION: {what}"));
        self.violations.push(what);
    }

    /// What is said next, with `more` behind it.
    pub(crate) fn say(&mut self, member: &str, room: &str, more: &str) -> String {
        let text = format!("word {} {more}", self.said.len());
        self.said.insert(text.clone(), (member.to_owned(), room.to_owned()));
        text
    }

    /// In each of the rooms of this member.
    pub(crate) fn say_last_words(&mut self, member: &str) -> Vec<(String, String)> {
        let rooms = self.sessions.get(member).map(|session| session.rooms.clone()).unwrap_or_default();
        let say = |(room, members): (String, Vec<String>)| {
            let text = self.say(member, &room, "at last");
            self.last_words.extend(members.into_iter().map(|hears| (hears, text.clone())));
            (room, text)
        };
        rooms.into_iter().map(say).collect()
    }

    /// The members of a room as this one knows them.
    pub(crate) fn members(&self, member: &str, room: &str) -> Vec<String> {
        self.sessions.get(member).and_then(|session| session.rooms.get(room)).cloned().unwrap_or_default()
    }

    pub(crate) fn heard(&mut self, member: &str, event: Event) {
        self.note(format_args!("{member} got {event:?}"));
        match event {
            Event::Welcome { you } => {
                if self.sessions.insert(you.clone(), Session::default()).is_some() {
                    self.violation(format!("two are called {you}"));
                }
            }
            Event::Members { room, members } => self.has_list(member, room, members),
            Event::Said { room, by, text } => self.has_heard(member, room, by, text),
            Event::Out { room, why } => {
                self.saw(match &*why {
                    "left" => "left",
                    "kicked" => "kicked",
                    "dissolved" => "dissolved",
                    _ => "out for no reason",
                });
                if self.session(member).rooms.remove(&room).is_none() {
                    self.violation(format!("{member} is out of {room}, where it was not"));
                }
            }
            Event::Refused { .. } => self.saw("refused"),
        }
    }

    fn session(&mut self, member: &str) -> &mut Session {
        self.sessions.get_mut(member).expect("the welcome comes first")
    }

    fn has_list(&mut self, member: &str, room: String, members: Vec<String>) {
        let servers: BTreeSet<_> = members.iter().filter_map(|member| member.split('@').nth(1)).collect();
        if servers.len() > 1 {
            self.saw("members of two servers");
        }
        if !members.iter().any(|one| one == member) {
            self.violation(format!("{member} is no member of {room}, and has its list: {members:?}"));
        }
        if members.iter().collect::<BTreeSet<_>>().len() < members.len() {
            self.violation(format!("{member}: somebody is twice in {room}: {members:?}"));
        }
        self.session(member).rooms.insert(room, members);
    }

    fn has_heard(&mut self, member: &str, room: String, by: String, text: String) {
        self.saw("said");
        if !self.session(member).rooms.contains_key(&room) {
            self.violation(format!("the stranger {member} heard in {room}: {text}"));
        }
        if self.said.get(&text) != Some(&(by.clone(), room.clone())) {
            self.violation(format!("{member} heard of {by} in {room} what was never said there: {text}"));
        }
        if !self.session(member).heard.insert(text.clone()) {
            self.violation(format!("{member} heard twice: {text}"));
        }
    }

    pub(crate) fn ended(&mut self, member: &str, how: String) {
        self.note(format_args!("{member} ended: {how}"));
        self.sessions.remove(member);
    }

    /// All have the same list of each room, and those who are there are in it.
    pub(crate) fn judge_lists(&mut self) {
        self.note(format_args!("all is quiet"));
        let mut rooms = BTreeMap::<&String, BTreeMap<&String, &Vec<String>>>::new();
        for (member, session) in &self.sessions {
            for (room, list) in &session.rooms {
                rooms.entry(room).or_default().insert(member, list);
            }
        }
        let mut wrong = Vec::new();
        for (room, lists) in rooms {
            let there: BTreeSet<&String> = lists.keys().copied().collect();
            for (member, list) in &lists {
                if list.iter().collect::<BTreeSet<_>>() != there {
                    wrong.push(format!("in {room} are {there:?}, and {member} has {list:?}"));
                }
            }
            // The first one is the owner.
            if lists.values().collect::<BTreeSet<_>>().len() > 1 {
                wrong.push(format!("in {room} not all have the same list: {lists:?}"));
            }
        }
        wrong.into_iter().for_each(|what| self.violation(what));
    }

    pub(crate) fn judge_last_words(&mut self) {
        for (member, text) in std::mem::take(&mut self.last_words) {
            if !self.sessions.get(&member).is_some_and(|session| session.heard.contains(&text)) {
                self.violation(format!("{member} did not hear: {text}"));
            }
        }
    }
}
