//! The thread that owns a driver, and waiting for its end with a limit.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A thread that ends by itself. Dropping this lets it go on alone.
#[derive(Debug)]
pub(crate) struct OwnerThread<T> {
    thread: JoinHandle<T>,
    /// Ends when the thread does. Locked by nobody: it is there to be waited for by whoever ends this.
    ended: Mutex<Receiver<()>>,
}

impl<T: Send + 'static> OwnerThread<T> {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// What the system reports when it gives no thread.
    pub(crate) fn start(run: impl FnOnce() -> T + Send + 'static) -> io::Result<Self> {
        let (runs, ended): (Sender<()>, _) = channel();
        let run = move || {
            // Also where it panics.
            let _runs = runs;
            run()
        };
        let thread = thread::Builder::new().name("pulsewire-iocp".to_owned()).spawn(run)?;
        Ok(Self { thread, ended: Mutex::new(ended) })
    }

    /// Whether the caller is that thread.
    pub(crate) fn is_current(&self) -> bool {
        self.thread.thread().id() == thread::current().id()
    }

    /// Waits for the end, and gives what came of it; `None` if it takes longer than `patience`. Then the thread goes on alone.
    pub(crate) fn join(self, patience: Duration) -> Option<thread::Result<T>> {
        let ended = self.ended.into_inner().unwrap_or_else(PoisonError::into_inner);
        match ended.recv_timeout(patience) {
            Err(RecvTimeoutError::Timeout) => None,
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Some(self.thread.join()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_ends_is_waited_for_and_one_that_does_not_is_let_go() {
        let quick = OwnerThread::start(|| true).unwrap();
        assert!(!quick.is_current());
        assert!(matches!(quick.join(Duration::MAX), Some(Ok(true))));
        let (release, released) = channel::<()>();
        let blocked = OwnerThread::start(move || released.recv().is_ok()).unwrap();
        assert!(blocked.join(Duration::from_millis(10)).is_none());
        drop(release);
        let panics = OwnerThread::<bool>::start(|| panic!("on purpose")).unwrap();
        assert!(matches!(panics.join(Duration::MAX), Some(Err(_))));
    }
}
