//! Whose turn it is in a world, and what time it is there.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What a thread of a world that is over unwinds with: why it is over.
pub(crate) struct Over(pub(crate) String);

/// What a thread waits for.
pub(super) struct Wait {
    /// In words that follow "waits".
    pub(super) what: &'static str,
    /// When it goes on in any case.
    pub(super) until: Option<Instant>,
    pub(super) condition: Condition,
}

/// When a thread that waits can go on before its time.
pub(super) enum Condition {
    Never,
    /// When the thread with this number has ended.
    Ended(u64),
    /// Asked again and again, by other threads and with the schedule locked.
    Met(Box<dyn Fn() -> bool + Send>),
}

/// The threads of a world, of which one runs at a time.
pub(super) struct Schedule {
    start: Instant,
    state: Mutex<State>,
}

struct State {
    now: Instant,
    members: BTreeMap<u64, Member>,
    /// The thread whose turn it is.
    running: Option<u64>,
    next_number: u64,
    /// Why it is over.
    over: Option<String>,
}

struct Member {
    name: String,
    turn: Arc<Condvar>,
    /// `None` if it can go on.
    wait: Option<Wait>,
}

impl Schedule {
    #[expect(clippy::disallowed_methods, reason = "virtual time begins at a real one")]
    pub(super) fn new() -> Self {
        let start = Instant::now();
        let state = State { now: start, members: BTreeMap::new(), running: None, next_number: 0, over: None };
        Self { start, state: Mutex::new(state) }
    }

    pub(super) fn start(&self) -> Instant {
        self.start
    }

    pub(super) fn now(&self) -> Instant {
        self.lock().now
    }

    /// Lets time pass while no thread has a turn, as when the whole machine sleeps.
    pub(super) fn pass(&self, time: Duration) {
        self.lock().now += time;
    }

    /// Adds a thread, and gives its number. The first one that there is has its turn at once.
    pub(super) fn enlist(&self, name: &str) -> u64 {
        let mut state = self.lock();
        let number = state.next_number;
        state.next_number += 1;
        state.members.insert(number, Member { name: name.into(), turn: Arc::default(), wait: None });
        state.running.get_or_insert(number);
        number
    }

    /// Removes a thread that has ended.
    pub(super) fn discharge(&self, number: u64) {
        let mut state = self.lock();
        state.members.remove(&number);
        if state.running == Some(number) {
            state.hand_over();
        }
    }

    /// Blocks a thread that was just enlisted until its first turn.
    pub(super) fn await_turn(&self, number: u64) {
        drop(self.block(self.lock(), number));
    }

    /// Hands over until a thread can go on; tells whether that is for its condition. A thread of a world that is over unwinds.
    pub(super) fn wait(&self, number: u64, wait: Wait) -> bool {
        let mut state = self.lock();
        state.member(number).wait = Some(wait);
        state.hand_over();
        let mut state = self.block(state, number);
        let wait = state.member(number).wait.take();
        wait.is_some_and(|wait| state.is_met(&wait.condition))
    }

    /// Ends the world; the first reason counts.
    pub(super) fn end(&self, sentence: &str) {
        self.lock().end(sentence.into());
    }

    fn block<'s>(&'s self, mut state: MutexGuard<'s, State>, number: u64) -> MutexGuard<'s, State> {
        let turn = Arc::clone(&state.member(number).turn);
        loop {
            if let Some(sentence) = state.over.clone().filter(|_| !thread::panicking()) {
                drop(state);
                // Without a word on standard error: whoever runs the world is told why it is over.
                resume_unwind(Box::new(Over(sentence)));
            }
            if state.running == Some(number) || state.over.is_some() {
                return state;
            }
            state = turn.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn member(&mut self, number: u64) -> &mut Member {
        self.members.get_mut(&number).expect("a thread has its number until it ends")
    }

    fn is_met(&self, condition: &Condition) -> bool {
        match condition {
            Condition::Never => false,
            Condition::Ended(number) => !self.members.contains_key(number),
            Condition::Met(is_met) => is_met(),
        }
    }

    fn can_go_on(&self, member: &Member) -> bool {
        member
            .wait
            .as_ref()
            .is_none_or(|wait| wait.until.is_some_and(|until| until <= self.now) || self.is_met(&wait.condition))
    }

    /// Gives the turn to the next thread in a circle that can go on, after the time until one can.
    fn hand_over(&mut self) {
        let last = self.running.take();
        if self.over.is_some() || self.members.is_empty() {
            return;
        }
        loop {
            let behind = self.members.range(last.map_or(0, |last| last + 1)..);
            let mut circle = behind.chain(self.members.iter());
            if let Some((number, member)) = circle.find(|(_, member)| self.can_go_on(member)) {
                member.turn.notify_one();
                self.running = Some(*number);
                return;
            }
            let deadlines = self.members.values().filter_map(|member| member.wait.as_ref()?.until);
            match deadlines.min() {
                Some(earliest) => self.now = earliest,
                None => return self.end(self.deadlock()),
            }
        }
    }

    /// Who waits for what, where that is all.
    fn deadlock(&self) -> String {
        let waits = self.members.values().filter_map(|member| {
            let wait = member.wait.as_ref()?;
            Some(format!("{:?} waits {}", member.name, wait.what))
        });
        format!("a deadlock in virtual time: {}", waits.collect::<Vec<String>>().join(", "))
    }

    fn end(&mut self, sentence: String) {
        self.over.get_or_insert(sentence);
        self.members.values().for_each(|member| member.turn.notify_one());
    }
}
