//! A subject that is gone in the middle of a run, so that whatever else is tried on it proves nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// More cases that were under way are not named.
const NAMED: usize = 8;

/// What is under way on one subject, and whether that is gone.
#[derive(Default)]
pub(crate) struct Presence(Mutex<State>);

#[derive(Default)]
struct State {
    /// The cases that run now, in the order in which they began.
    under_way: BTreeMap<usize, String>,
    /// Why it is gone, and what was under way then.
    gone: Option<Gone>,
}

struct Gone {
    reason: String,
    under_way: Vec<String>,
}

impl Presence {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the subject is there, as far as anybody has noticed.
    pub(crate) fn is_there(&self) -> bool {
        self.lock().gone.is_none()
    }

    pub(crate) fn begin(&self, position: usize, run: String) {
        self.lock().under_way.insert(position, run);
    }

    /// The case at `position` has ended; `absence` says why the subject is gone, if it is.
    pub(crate) fn end(&self, position: usize, absence: Option<String>) {
        let mut state = self.lock();
        if let (Some(reason), None) = (absence, &state.gone) {
            let under_way = state.under_way.values().cloned().collect();
            state.gone = Some(Gone { reason, under_way });
        }
        state.under_way.remove(&position);
    }

    /// The one sentence about a subject that is gone.
    pub(crate) fn fault(&self, subject: &str) -> Option<String> {
        let state = self.lock();
        let Gone { reason, under_way } = state.gone.as_ref()?;
        let (first, others) = under_way.split_first()?;
        let more = match others.len() {
            0 => String::new(),
            count => {
                let named = others.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
                let rest = if count > NAMED { format!("; and {} more", count - NAMED) } else { String::new() };
                format!(" Under way beside it were {named}{rest}. --jobs 1 tells which of them it is.")
            }
        };
        Some(format!(
            "{subject} is gone since {first}: {reason}. What was under way or came later has no verdict.{more}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::Presence;

    #[test]
    fn what_was_under_way_is_named_once() {
        let presence = Presence::default();
        presence.begin(4, "A (server, whole)".into());
        presence.begin(7, "B (server, whole)".into());
        presence.end(7, Some("connection refused".into()));
        presence.end(4, Some("connection refused".into()));
        assert!(!presence.is_there());
        let fault = presence.fault("x").expect("it is gone");
        assert!(fault.starts_with("x is gone since A (server, whole): connection refused"), "{fault}");
        assert!(fault.contains("Under way beside it were B (server, whole)."), "{fault}");
    }
}
