//! Subjects whose functions are async.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::profile::Profile;
use crate::subject::{Command, Reply, Running, Subject, SubjectError};

/// A [`Subject`] whose functions are async, on whatever runtime: [`OnRuntime`] makes a `Subject` of it.
///
/// The cases themselves wait in threads, so the futures need not be [`Send`].
pub trait AsyncSubject: Send + Sync {
    /// What it starts.
    type Running: AsyncRunning + 'static;

    /// As [`Subject::name`].
    fn name(&self) -> &str;

    /// As [`Subject::serve`].
    ///
    /// # Errors
    ///
    /// As there.
    fn serve(&self, profile: &Profile) -> impl Future<Output = Result<Self::Running, SubjectError>>;

    /// As [`Subject::connect`].
    ///
    /// # Errors
    ///
    /// As there.
    fn connect(
        &self,
        profile: &Profile,
        address: SocketAddr,
    ) -> impl Future<Output = Result<Self::Running, SubjectError>>;

    /// As [`Subject::is_complete`].
    fn is_complete(&self) -> bool {
        false
    }

    /// As [`Subject::connect_patience`].
    fn connect_patience(&self) -> Duration {
        Duration::from_secs(5)
    }
}

/// A server or client that an [`AsyncSubject`] started.
pub trait AsyncRunning: Send {
    /// As [`Running::address`].
    fn address(&self) -> SocketAddr;

    /// As [`Running::control`].
    ///
    /// # Errors
    ///
    /// As there.
    fn control(&mut self, command: Command) -> impl Future<Output = Result<Reply, SubjectError>>;

    /// As [`Running::stop`].
    fn stop(self) -> impl Future<Output = ()>;
}

/// Something to be run to its end.
pub type Work<'f> = Pin<Box<dyn Future<Output = ()> + 'f>>;

type BlockOn = Arc<dyn for<'f> Fn(Work<'f>) + Send + Sync>;

/// An [`AsyncSubject`] and the runtime that its futures are run on.
///
/// ```
/// # use std::net::SocketAddr;
/// # use pulsewire_conformance::Profile;
/// # use pulsewire_conformance::async_subject::{AsyncRunning, AsyncSubject, OnRuntime};
/// # use pulsewire_conformance::subject::{Command, Reply, Subject, SubjectError};
/// # struct Mine;
/// # struct Started;
/// # impl AsyncSubject for Mine {
/// #     type Running = Started;
/// #     fn name(&self) -> &str { "mine" }
/// #     async fn serve(&self, _: &Profile) -> Result<Started, SubjectError> { Ok(Started) }
/// #     async fn connect(&self, _: &Profile, _: SocketAddr) -> Result<Started, SubjectError> { Ok(Started) }
/// # }
/// # impl AsyncRunning for Started {
/// #     fn address(&self) -> SocketAddr { ([127, 0, 0, 1], 7).into() }
/// #     async fn control(&mut self, _: Command) -> Result<Reply, SubjectError> { Err(SubjectError::unknown_command()) }
/// #     async fn stop(self) {}
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // `block_on` of any runtime: with tokio, `move |work| runtime.block_on(work)`.
/// # use std::{pin::pin, task::{Context, Waker}};
/// # let block_on = |mut work: pulsewire_conformance::async_subject::Work<'_>| {
/// #     while pin!(&mut work).poll(&mut Context::from_waker(Waker::noop())).is_pending() {}
/// # };
/// let subject = OnRuntime::new(Mine, move |work| block_on(work));
/// assert_eq!(subject.name(), "mine");
/// # subject.serve(&Profile::calm())?.stop();
/// # Ok(())
/// # }
/// ```
pub struct OnRuntime<S> {
    subject: S,
    block_on: BlockOn,
}

impl<S: AsyncSubject> OnRuntime<S> {
    /// `block_on` runs what it is given to its end and returns then. It is called from many threads.
    pub fn new(subject: S, block_on: impl for<'f> Fn(Work<'f>) + Send + Sync + 'static) -> Self {
        Self { subject, block_on: Arc::new(block_on) }
    }

    fn running(&self, started: Result<S::Running, SubjectError>) -> Result<Box<dyn Running>, SubjectError> {
        Ok(Box::new(RunningOnRuntime { running: started?, block_on: Arc::clone(&self.block_on) }))
    }
}

/// What the future gives, once it is run to its end.
///
/// # Panics
/// If `block_on` returned before that.
fn output<T>(block_on: &BlockOn, future: impl Future<Output = T>) -> T {
    let mut output = None;
    block_on(Box::pin(async { output = Some(future.await) }));
    output.expect("block_on returns when its future is at its end")
}

impl<S: AsyncSubject> Subject for OnRuntime<S> {
    fn name(&self) -> &str {
        self.subject.name()
    }

    fn serve(&self, profile: &Profile) -> Result<Box<dyn Running>, SubjectError> {
        self.running(output(&self.block_on, self.subject.serve(profile)))
    }

    fn connect(&self, profile: &Profile, address: SocketAddr) -> Result<Box<dyn Running>, SubjectError> {
        self.running(output(&self.block_on, self.subject.connect(profile, address)))
    }

    fn is_complete(&self) -> bool {
        self.subject.is_complete()
    }

    fn connect_patience(&self) -> Duration {
        self.subject.connect_patience()
    }
}

struct RunningOnRuntime<R> {
    running: R,
    block_on: BlockOn,
}

impl<R: AsyncRunning> Running for RunningOnRuntime<R> {
    fn address(&self) -> SocketAddr {
        self.running.address()
    }

    fn control(&mut self, command: Command) -> Result<Reply, SubjectError> {
        output(&self.block_on, self.running.control(command))
    }

    fn stop(self: Box<Self>) {
        let Self { running, block_on } = *self;
        output(&block_on, running.stop());
    }
}
