//! What may have been meant.

/// Names that are less alike are not worth showing: of four letters one may be wrong.
const ALIKE: f64 = 0.75;
/// A beginning of so many letters is as good.
const BEGINNING: usize = 3;
/// So many are shown at most.
const SHOWN: usize = 3;

/// The complaint, with those of the known names that are most like the one that was written.
pub(crate) fn with_nearest<'n>(complaint: &str, written: &str, known: impl IntoIterator<Item = &'n str>) -> String {
    let written = written.to_lowercase();
    let likeness = |name: &str| {
        let name = name.to_lowercase();
        let is_beginning = written.chars().count() >= BEGINNING && name.starts_with(&written);
        strsim::normalized_damerau_levenshtein(&written, &name).max(if is_beginning { ALIKE } else { 0.0 })
    };
    let mut near: Vec<(f64, &str)> = known.into_iter().map(|name| (likeness(name), name)).collect();
    near.retain(|(likeness, _)| *likeness >= ALIKE);
    near.sort_by(|one, other| other.0.total_cmp(&one.0));
    near.dedup();
    let names: Vec<&str> = near.iter().take(SHOWN).map(|(_, name)| *name).collect();
    if names.is_empty() { complaint.into() } else { format!("{complaint}; did you mean {}?", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::with_nearest;

    #[test]
    fn the_most_alike_comes_first() {
        let known = ["no-pong", "no-close-ack", "never-stalls"];
        assert!(with_nearest("what?", "no-pnog", known).starts_with("what?; did you mean no-pong"));
        assert_eq!(with_nearest("what?", "zzz", known), "what?");
        assert_eq!(with_nearest("what?", "no-flag", known), "what?", "alike at its beginning alone");
        assert!(with_nearest("what?", "never", known).ends_with("never-stalls?"));
    }
}
