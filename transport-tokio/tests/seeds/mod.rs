//! Runs of a simulation, of which a seed decides everything.

use std::collections::BTreeMap;
use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// A simulation, and how it is called.
pub(crate) struct Simulation<Run> {
    /// `{name}_SEED=17` in the environment shows one run, `{name}_SEEDS=10000` asks for so many.
    pub(crate) name: &'static str,
    /// The program of its tests.
    pub(crate) test: &'static str,
    /// Seeds of an ordinary run.
    pub(crate) seeds: u64,
    /// What must have happened somewhere among these, or they would prove little.
    pub(crate) seen: &'static [&'static str],
    /// Runs a seed; told whether somebody wants to see what happens.
    pub(crate) run: Run,
}

/// What came of a seed.
pub(crate) struct Outcome {
    /// What happened, line by line, where somebody wants to see it.
    pub(crate) trace: Vec<String>,
    /// What must not have happened.
    pub(crate) violations: Vec<String>,
    /// How often what happened.
    pub(crate) seen: BTreeMap<String, u64>,
}

impl<Run: Fn(u64, bool) -> Outcome + Sync> Simulation<Run> {
    /// Runs the seed that the environment names, or as many as it asks for, on all processors.
    pub(crate) fn run_all(&self) {
        if let Some(seed) = number(&format!("{}_SEED", self.name)) {
            let outcome = (self.run)(seed, true);
            println!("{}", outcome.trace.join("\n"));
            return self.judge(seed, &outcome);
        }
        let seeds = number(&format!("{}_SEEDS", self.name)).unwrap_or(self.seeds);
        let (next, seen) = (AtomicU64::new(0), Mutex::new(BTreeMap::<String, u64>::new()));
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= seeds {
                            return;
                        }
                        let outcome = (self.run)(seed, false);
                        self.judge(seed, &outcome);
                        let mut seen = seen.lock().unwrap();
                        outcome.seen.into_iter().for_each(|(what, count)| *seen.entry(what).or_default() += count);
                    }
                });
            }
        });
        let seen = seen.into_inner().unwrap();
        println!("{seeds} seeds: {seen:?}");
        if seeds >= self.seeds {
            let missing: Vec<_> = self.seen.iter().filter(|what| !seen.contains_key(**what)).collect();
            assert!(missing.is_empty(), "never happened, so nothing is known about it: {missing:?}");
        }
    }

    /// Runs each of these seeds twice: the same has to happen, and something else with another seed.
    pub(crate) fn repeat(&self, seeds: std::ops::Range<u64>) {
        let mut before: Option<Vec<String>> = None;
        for seed in seeds {
            let [first, second] = [(); 2].map(|()| (self.run)(seed, true));
            self.judge(seed, &first);
            assert!(first.trace.len() > 100, "seed {seed}: little happened");
            for (line, (one, other)) in first.trace.iter().zip(&second.trace).enumerate() {
                assert_eq!(one, other, "seed {seed}, line {line}");
            }
            assert_eq!(first.trace.len(), second.trace.len(), "seed {seed}");
            assert_ne!(before.as_ref(), Some(&first.trace), "another seed, another trace");
            before = Some(first.trace);
        }
    }

    fn judge(&self, seed: u64, outcome: &Outcome) {
        let Self { name, test, .. } = self;
        assert!(
            outcome.violations.is_empty(),
            "seed {seed}:\n  {}\nTo see all of it: {name}_SEED={seed} cargo test -p pulsewire-transport-tokio --test {test} -- --nocapture",
            outcome.violations.join("\n  "),
        );
    }
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}
