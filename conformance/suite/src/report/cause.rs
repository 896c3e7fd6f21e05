//! Which failures look alike: one fault of a subject shows in many cases, and in many ways to run each.

use std::collections::BTreeMap;

use super::{CaseReport, Report};
use crate::verdict::Verdict;

/// Runs of one case on one subject that ended in the same way.
#[derive(Clone, Debug)]
pub struct Group<'r> {
    /// The runs, at least one, in the order of the report.
    pub runs: Vec<&'r CaseReport>,
}

/// Groups that ended with the same sentence, but for its numbers: likely they have one cause.
#[derive(Clone, Debug)]
pub struct Cause<'r> {
    /// The sentence, with `…` for its numbers and what it quotes where they differ.
    pub sentence: String,
    /// At least one. The first is the one to begin with: of the requirement that is broken most thoroughly, the shortest. The others
    /// follow in the order of the report.
    pub groups: Vec<Group<'r>>,
}

impl<'r> Group<'r> {
    /// The run that stands for all.
    #[must_use]
    pub fn first(&self) -> &'r CaseReport {
        self.runs[0]
    }

    /// The roles and chunkings of its runs, such as `server whole, bytes; client whole`.
    #[must_use]
    pub fn variants(&self) -> String {
        let roles = self.runs.chunk_by(|one, next| one.role == next.role);
        let mut by_role: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for run in roles.flatten() {
            let chunkings = by_role.entry(run.role.name()).or_default();
            if !chunkings.contains(&run.chunking.name()) {
                chunkings.push(run.chunking.name());
            }
        }
        // The server comes first everywhere.
        let texts = by_role.iter().rev().map(|(role, chunkings)| format!("{role} {}", chunkings.join(", ")));
        Vec::from_iter(texts).join("; ")
    }
}

impl Cause<'_> {
    /// The runs of all groups.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.groups.iter().map(|group| group.runs.len()).sum()
    }
}

impl Report {
    /// What needs an explanation, by likely causes: violations first, and among them the cause of most cases first. What is known to
    /// fail is left out.
    #[must_use]
    pub fn causes(&self) -> Vec<Cause<'_>> {
        let mut causes: Vec<Cause<'_>> = Vec::new();
        let mut places: BTreeMap<(&str, &str, String), usize> = BTreeMap::new();
        for case in self.cases.iter().filter(|case| case.needs_explanation()) {
            let sentence = generalised(case.verdict.reason());
            let key = (case.subject.as_str(), case.verdict.word(), sentence.clone());
            let place = *places.entry(key).or_insert_with(|| {
                causes.push(Cause { sentence, groups: Vec::new() });
                causes.len() - 1
            });
            let groups = &mut causes[place].groups;
            match groups.iter_mut().find(|group| group.first().id == case.id) {
                Some(group) => group.runs.push(case),
                None => groups.push(Group { runs: vec![case] }),
            }
        }
        for cause in &mut causes {
            self.move_clearest_to_front(&mut cause.groups);
        }
        for cause in &mut causes {
            // What does not differ is worth saying.
            let mut reasons = cause.groups.iter().flat_map(|group| &group.runs).map(|run| run.verdict.reason());
            if let Some(first) = reasons.next()
                && reasons.all(|reason| reason == first)
            {
                cause.sentence = first.to_owned();
            }
        }
        causes.sort_by_key(|cause| (rank(&cause.groups[0].first().verdict), usize::MAX - cause.groups.len()));
        causes
    }

    /// Of a requirement whose cases mostly pass, a failure says less: something else went wrong on the way.
    fn move_clearest_to_front(&self, groups: &mut Vec<Group<'_>>) {
        let clearness = |group: &Group<'_>| {
            let first = group.first();
            let is_of_this =
                |case: &&CaseReport| case.requirement == first.requirement && case.subject == first.subject;
            let of_this = || self.cases.iter().filter(is_of_this);
            let ran = of_this().filter(|case| !matches!(case.verdict, Verdict::NotApplicable(_))).count();
            let broken = of_this().filter(|case| case.needs_explanation()).count();
            (broken * 100 / ran.max(1), broken, usize::MAX - first.steps.len())
        };
        let clearest = (0..groups.len()).rev().max_by_key(|index| clearness(&groups[*index]));
        let first = groups.remove(clearest.expect("a cause has a group"));
        groups.insert(0, first);
    }
}

/// The order of verdicts in a report.
fn rank(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Fail(_) => 0,
        Verdict::HarnessError(_) => 1,
        Verdict::Inconclusive(_) => 2,
        Verdict::Warn(_) => 3,
        Verdict::Info(_) => 4,
        Verdict::NotApplicable(_) | Verdict::Unimplemented(_) | Verdict::Pass => 5,
    }
}

/// The sentence with `…` in place of numbers, of what is quoted and of what stands in brackets. Ids of requirements stay.
pub(crate) fn generalised(sentence: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in without_quoted(sentence).split_whitespace() {
        let (core, mark) = match word.strip_suffix([',', ';', ':']) {
            Some(core) => (core, &word[core.len()..]),
            None => (word, ""),
        };
        let is_id = core.starts_with("PW-");
        let is_number = core.starts_with(|c: char| c.is_ascii_digit());
        words.push(if is_number && !is_id { format!("…{mark}") } else { word.to_owned() });
    }
    words.join(" ")
}

fn without_quoted(sentence: &str) -> String {
    let (mut text, mut until) = (String::new(), None);
    for c in sentence.chars() {
        match (until, c) {
            (Some(end), c) if c == end => until = None,
            (Some(_), _) => {}
            (None, '"' | '[') => {
                until = Some(if c == '[' { ']' } else { c });
                text.push('…');
            }
            (None, c) => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::generalised;

    #[test]
    fn sentences_that_differ_in_numbers_are_one() {
        assert_eq!(
            generalised("PW-HB-008: PONG 3 came instead of PONG 12"),
            "PW-HB-008: PONG … came instead of PONG …"
        );
        assert_eq!(generalised("closed after 20 ms, \"a ] b\" [1, 2] 0x10"), "closed after … ms, … … …");
        assert_eq!(generalised("PING came instead of the end"), "PING came instead of the end");
    }
}
