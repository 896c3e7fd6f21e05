//! Events that other threads have for the handler.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::inbox::Inbox;

/// Hands events of any type to the handler, from any thread. To be cloned and kept by anybody.
#[derive(Clone)]
pub struct Poster {
    inbox: Arc<Inbox>,
}

impl Poster {
    #[cfg(any(windows, test))]
    pub(crate) fn new(inbox: &Arc<Inbox>) -> Self {
        Self { inbox: Arc::clone(inbox) }
    }

    /// Has [`Handler::posted`](crate::Handler::posted) called with the event, on the thread that calls the handler, which wakes up for
    /// it. Events come in the order in which they were posted.
    ///
    /// # Errors
    ///
    /// The event itself: 65,536 wait already, or the endpoint has ended.
    pub fn post<E: Any + Send>(&self, event: E) -> Result<(), E> {
        let posted = self.inbox.post(Box::new(event));
        posted.map_err(|refused| match refused.downcast() {
            Ok(event) => *event,
            Err(_) => unreachable!("it is what was posted"),
        })
    }
}

impl fmt::Debug for Poster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Poster").finish_non_exhaustive()
    }
}
