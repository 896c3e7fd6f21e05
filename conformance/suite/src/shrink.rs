//! Makes a failure smaller: fewer connections, writes, cuts and bytes, and plain values, as long as the same goes wrong.
//!
//! A change counts only if the [oracle](crate::oracle) passes the changed case: else the suite itself would be what is wrong.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::case::Case;
use crate::cases::cases;
use crate::clock;
use crate::edits::{Edits, Place};
use crate::options::Options;
use crate::oracle::Oracle;
use crate::profile::Profile;
use crate::report::{CaseReport, generalised};
use crate::run::run_case;
use crate::subject::{Running, Subject, SubjectError};
use crate::trace::{Trace, TraceHead};
use crate::transcript::{Action, Step};
use crate::verdict::Verdict;

/// When to stop, if nothing smaller is found that goes wrong.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Runs of the case on the subject.
    pub tries: usize,
    /// The time for all of them; one that is under way is not broken off.
    pub time: Duration,
}

impl Default for Effort {
    /// 200 tries, one minute.
    fn default() -> Self {
        Self { tries: 200, time: Duration::from_secs(60) }
    }
}

/// How much a trace holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Connections to the subject.
    pub connections: usize,
    /// All steps.
    pub steps: usize,
    /// Writes of the suite, answers to PINGs included.
    pub writes: usize,
    /// Bytes that the suite sent.
    pub bytes: usize,
}

impl Size {
    /// The size of these steps.
    #[must_use]
    pub fn of(steps: &[Step]) -> Self {
        let sent = || steps.iter().filter(|step| step.action == Action::Sent);
        Self {
            connections: connections(steps).len(),
            steps: steps.len(),
            writes: sent().count(),
            bytes: sent().map(|step| step.bytes.length).sum(),
        }
    }
}

/// A failure that was made smaller, or was small already.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// Of the smallest run that still went wrong; its head has the edits that made it so.
    pub trace: Trace,
    /// The failure as it shows without edits.
    pub before: Size,
    /// What is left of it.
    pub after: Size,
    /// How often the case ran on the subject.
    pub tries: usize,
    /// Whether everything was tried that could make it smaller.
    pub is_complete: bool,
}

/// Makes the failure of a trace smaller. `options` has the manifest; seed and case are those of the trace.
///
/// # Errors
///
/// A sentence, if this suite has no such case, if it does not fail in the same way again, or if the oracle does not pass it with the
/// subject's numbers.
pub fn shrink(subject: &Arc<dyn Subject>, trace: &Trace, options: &Options, effort: Effort) -> Result<Shrunk, String> {
    let TraceHead { case: id, seed, verdict, .. } = &trace.head;
    let case = cases().find(|case| case.id == id).ok_or_else(|| format!("this suite has no case {id}"))?;
    let mut search = Search {
        subject,
        oracle: Arc::new(Numbered { oracle: Oracle::clean().in_memory(), profile: subject.fixed_profile() }),
        case,
        trace,
        options: Options { seed: *seed, ..options.clone() },
        left: effort.tries.max(1),
        until: clock::now() + effort.time,
        sentence: String::new(),
        best: Best { edits: trace.head.edits.clone(), report: None },
        is_complete: true,
    };
    let tried_before = search.left;
    let first = search.run(&search.best.edits.clone());
    if !first.verdict.is_worth_a_trace() {
        return Err(format!("{id} does not fail again: {} (before: {verdict})", first.verdict.word()));
    }
    search.sentence = generalised(first.verdict.reason());
    if !search.oracle_passes(&search.best.edits.clone()) {
        return Err(format!("the oracle does not pass {id} with the numbers of the subject: nothing can be compared"));
    }
    let before = Size::of(&first.steps);
    search.best.report = Some(first);
    search.everything();
    let report = search.best.report.take().expect("the first run is one");
    let mut smaller = Trace::of(&report, *seed);
    smaller.head.edits = search.best.edits.clone();
    let (after, tries) = (Size::of(&report.steps), tried_before - search.left);
    Ok(Shrunk { trace: smaller, before, after, tries, is_complete: search.is_complete })
}

/// The oracle with the numbers of a subject whose own are fixed.
struct Numbered {
    oracle: Oracle,
    profile: Option<Profile>,
}

impl Subject for Numbered {
    fn name(&self) -> &str {
        self.oracle.name()
    }

    fn serve(&self, profile: &Profile) -> Result<Box<dyn Running>, SubjectError> {
        self.oracle.serve(profile)
    }

    fn connect(&self, profile: &Profile, address: SocketAddr) -> Result<Box<dyn Running>, SubjectError> {
        self.oracle.connect(profile, address)
    }

    fn fixed_profile(&self) -> Option<Profile> {
        self.profile.clone()
    }

    fn seeded(&self, seed: u64) -> Option<Arc<dyn Subject>> {
        let oracle = Oracle::clean().in_memory().with_seed(seed);
        Some(Arc::new(Self { oracle, profile: self.profile.clone() }))
    }

    fn in_memory(&self) -> bool {
        true
    }
}

/// The smallest so far.
struct Best {
    edits: Edits,
    /// Its run.
    report: Option<CaseReport>,
}

struct Search<'s> {
    subject: &'s Arc<dyn Subject>,
    oracle: Arc<dyn Subject>,
    case: &'static Case,
    trace: &'s Trace,
    options: Options,
    /// Tries.
    left: usize,
    until: Instant,
    /// How the failure ends, but for numbers.
    sentence: String,
    best: Best,
    is_complete: bool,
}

impl Search<'_> {
    fn everything(&mut self) {
        self.fewer_cuts();
        loop {
            let before = self.best.edits.clone();
            self.fewer_connections();
            self.fewer_writes();
            self.fewer_bytes();
            if self.best.edits == before || !self.is_complete {
                break;
            }
        }
        if !self.best.edits.plain {
            self.attempt(Edits { plain: true, ..self.best.edits.clone() });
        }
    }

    /// Whole writes; or else as few cuts as possible.
    fn fewer_cuts(&mut self) {
        if self.best.edits.cuts.is_none() && self.trace.head.chunking == crate::Chunking::Whole {
            return;
        }
        let with = |edits: &Edits, cuts: &[(Place, usize)]| Edits { cuts: Some(cuts.to_vec()), ..edits.clone() };
        if self.attempt(with(&self.best.edits, &[])) {
            return;
        }
        let all = self.best.edits.cuts.clone().unwrap_or_else(|| cuts(self.steps()));
        if !self.attempt(with(&self.best.edits, &all)) {
            return;
        }
        let mut kept = all.clone();
        self.without(&all, |search, chunk| {
            let fewer: Vec<_> = kept.iter().filter(|cut| !chunk.contains(cut)).copied().collect();
            let is_taken = search.attempt(with(&search.best.edits, &fewer));
            if is_taken {
                kept = fewer;
            }
            is_taken
        });
    }

    /// Connections that the oracle can answer as well.
    fn fewer_connections(&mut self) {
        let mut all = Vec::from_iter(connections(self.steps()));
        // Over the last one it goes wrong; without it, the same might over a later one.
        all.pop();
        self.without(&all, |search, chunk| {
            let elsewhere = search.best.edits.elsewhere.iter().chain(chunk).copied().collect();
            search.attempt(Edits { elsewhere, ..search.best.edits.clone() })
        });
    }

    fn fewer_writes(&mut self) {
        let all: Vec<Place> = places(self.steps()).map(|(place, _)| place).collect();
        self.without(&all, |search, chunk| {
            let omitted = search.best.edits.omitted.iter().chain(chunk).copied().collect();
            search.attempt(Edits { omitted, ..search.best.edits.clone() })
        });
    }

    /// The shortest payload of each write, as far as halving finds it.
    fn fewer_bytes(&mut self) {
        let all: Vec<(Place, usize)> = places(self.steps()).map(|(place, step)| (place, step.bytes.length)).collect();
        for (place, length) in all {
            let (mut too_short, mut enough) = (None, length.min(self.best.edits.most(place)));
            while self.is_allowed() {
                let most = too_short.map_or(0, |short| usize::midpoint(short, enough));
                if Some(most) == too_short || most == enough {
                    break;
                }
                let others = self.best.edits.shortened.iter().filter(|(at, _)| *at != place).copied();
                let shortened = others.chain([(place, most)]).collect();
                if self.attempt(Edits { shortened, ..self.best.edits.clone() }) {
                    enough = most;
                } else {
                    too_short = Some(most);
                }
            }
        }
    }

    /// Tries to do without parts of `all`, first large ones, at last each by itself.
    fn without<T>(&mut self, all: &[T], mut attempt: impl FnMut(&mut Self, &[T]) -> bool) {
        let mut parts: Vec<&[T]> = if all.is_empty() { Vec::new() } else { vec![all] };
        while let Some(part) = parts.pop() {
            if !self.is_allowed() {
                return;
            }
            if !attempt(self, part) && part.len() > 1 {
                let (front, back) = part.split_at(part.len() / 2);
                // What comes last is likelier to be what matters, so that the front is tried first.
                parts.extend([back, front]);
            }
        }
    }

    /// Takes these edits for the best if the same goes wrong with them.
    fn attempt(&mut self, edits: Edits) -> bool {
        if !self.is_allowed() || !self.oracle_passes(&edits) {
            return false;
        }
        let report = self.run(&edits);
        let is_same = report.verdict.is_worth_a_trace() && generalised(report.verdict.reason()) == self.sentence;
        if is_same {
            self.best = Best { edits, report: Some(report) };
        }
        is_same
    }

    fn is_allowed(&mut self) -> bool {
        let is_allowed = self.left > 0 && clock::now() < self.until && !self.options.stop.is_wanted();
        self.is_complete &= is_allowed;
        is_allowed
    }

    fn oracle_passes(&self, edits: &Edits) -> bool {
        self.run_on(&self.oracle, edits).verdict == Verdict::Pass
    }

    fn run(&mut self, edits: &Edits) -> CaseReport {
        self.left -= 1;
        self.run_on(self.subject, edits)
    }

    fn run_on(&self, subject: &Arc<dyn Subject>, edits: &Edits) -> CaseReport {
        let options = Options { edits: edits.clone(), ..self.options.clone() };
        run_case(subject, self.case, self.trace.head.variant(), &options)
    }

    fn steps(&self) -> &[Step] {
        self.best.report.as_ref().map_or(&[], |report| &report.steps)
    }
}

fn connections(steps: &[Step]) -> BTreeSet<u32> {
    steps.iter().map(|step| step.connection).filter(|connection| *connection > 0).collect()
}

/// The writes of the case.
fn places(steps: &[Step]) -> impl Iterator<Item = (Place, &Step)> {
    steps.iter().filter_map(|step| Some((Place { connection: step.connection, write: step.write? }, step)))
}

/// Where the writes of the case were cut, as far as steps keep that.
fn cuts(steps: &[Step]) -> Vec<(Place, usize)> {
    places(steps).flat_map(|(place, step)| step.cuts.iter().map(move |cut| (place, *cut))).collect()
}
