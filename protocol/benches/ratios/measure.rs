//! Contenders that take turns.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::goal::{Goal, Interval};

/// Rounds per group, where it says nothing else: each contender has one turn in each.
const ROUNDS: usize = 201;

/// How long a turn lasts, about. Shorter than a time slice of the scheduler, so that most turns pass undisturbed.
const TURN: Duration = Duration::from_millis(1);

/// Contenders that do the same work.
pub(crate) struct Group {
    name: String,
    contenders: Vec<Contender>,
    goals: Vec<Goal>,
    rounds: usize,
}

struct Contender {
    name: &'static str,
    /// One pass: the time it took, and the operations it did.
    pass: Box<dyn FnMut() -> (Duration, u64)>,
    /// Passes per turn.
    passes: u32,
}

/// What a group came to.
pub(crate) struct Measured {
    pub(crate) name: String,
    /// Nanoseconds per operation.
    pub(crate) times: Vec<(&'static str, Interval)>,
    /// What each goal is compared with.
    pub(crate) goals: Vec<(Goal, Interval)>,
}

/// The time that `work` takes, and the operations it says it did.
pub(crate) fn time(work: impl FnOnce() -> u64) -> (Duration, u64) {
    let start = Instant::now();
    let operations = work();
    (start.elapsed(), operations)
}

impl Group {
    /// A group without contenders. The name is what a run is filtered by.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), contenders: Vec::new(), goals: Vec::new(), rounds: ROUNDS }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Adds a contender. Each call of `pass` does some work and gives the number of operations that it was.
    pub(crate) fn contender(self, name: &'static str, mut pass: impl FnMut() -> u64 + 'static) -> Self {
        self.self_timed(name, move || time(&mut pass))
    }

    /// Adds a contender that times the interesting part of each pass with [`time`].
    pub(crate) fn self_timed(mut self, name: &'static str, pass: impl FnMut() -> (Duration, u64) + 'static) -> Self {
        self.contenders.push(Contender { name, pass: Box::new(pass), passes: 1 });
        self
    }

    /// Adds a goal. It names contenders of this group.
    pub(crate) fn goal(mut self, goal: Goal) -> Self {
        self.goals.push(goal);
        self
    }

    /// Takes this many rounds: at least 9, or the interval is not the one of 99 %. For passes that take long.
    pub(crate) fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = rounds;
        self
    }

    /// Runs all rounds.
    pub(crate) fn measure(&mut self) -> Measured {
        self.contenders.iter_mut().for_each(Contender::calibrate);
        let count = self.contenders.len();
        let rounds: Vec<HashMap<&'static str, f64>> = (0..self.rounds)
            .map(|round| {
                // Another one begins each time: nobody always follows the same neighbour's traces in the caches.
                self.contenders.rotate_left(usize::from(round > 0) % count);
                self.contenders.iter_mut().map(|contender| (contender.name, contender.turn())).collect()
            })
            .collect();
        self.contenders.rotate_right((self.rounds - 1) % count);
        let over_rounds =
            |value: &dyn Fn(&HashMap<&'static str, f64>) -> f64| Interval::of(rounds.iter().map(value).collect());
        Measured {
            times: self.contenders.iter().map(|one| (one.name, over_rounds(&|round| round[one.name]))).collect(),
            goals: self
                .goals
                .iter()
                .map(|goal| (*goal, over_rounds(&|round| goal.value(|name| round[name]))))
                .collect(),
            name: self.name.clone(),
        }
    }
}

impl Contender {
    /// Warms up, and chooses the passes per turn.
    fn calibrate(&mut self) {
        let mut fastest = Duration::MAX;
        let start = Instant::now();
        while start.elapsed() < TURN * 5 {
            fastest = fastest.min((self.pass)().0);
        }
        let passes = TURN.as_nanos() / fastest.as_nanos().max(1);
        self.passes = u32::try_from(passes).unwrap_or(u32::MAX).max(1);
    }

    /// Nanoseconds per operation in one turn.
    fn turn(&mut self) -> f64 {
        // Fills the caches with what this contender needs; the one before left them full of its own.
        (self.pass)();
        let (mut elapsed, mut operations) = (Duration::ZERO, 0);
        for _ in 0..self.passes {
            let (took, did) = (self.pass)();
            elapsed += took;
            operations += did;
        }
        elapsed.as_nanos() as f64 / operations as f64
    }
}

impl Measured {
    /// The goals that were surely missed, with a sentence about each.
    pub(crate) fn missed(&self) -> Vec<(Goal, String)> {
        let missed = self.goals.iter().filter(|(goal, interval)| goal.is_missed(*interval));
        missed
            .map(|(goal, Interval { low, median, high })| {
                (*goal, format!("{}: {goal}, but it is {median:.2} ({low:.2} to {high:.2})", self.name))
            })
            .collect()
    }
}
