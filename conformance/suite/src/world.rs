//! What a subject and a case wait for: the clock, threads and connections, real ones or those of a world.
//!
//! A world has a clock of its own and runs one of its threads at a time. Whatever waits, by the functions here, hands over to the
//! next thread that can go on, in a fixed order; where none can, the clock jumps to the earliest deadline. So nothing waits
//! in vain, and everything happens in the same order at the same times whenever it is done again.
//!
//! Which of the two a thread gets depends on the thread alone: on one that belongs to no world the clock is the
//! system's, and connections are TCP. A [`Subject`](crate::subject::Subject) that waits for nothing else, and takes its
//! time from nowhere else, says so by [`in_memory`](crate::subject::Subject::in_memory); each case then runs in a world of
//! its own.

mod memory;
mod schedule;
mod stream;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use memory::Network;
pub(crate) use schedule::Over;
use schedule::{Condition, Schedule, Wait};
pub use stream::{Listener, Stream, dial, listen};
pub(crate) use stream::{dial_in_world, listen_in_world};

pub use crate::clock::{now, sleep};

thread_local! {
    static MEMBERSHIP: RefCell<Option<Membership>> = const { RefCell::new(None) };
}

/// A thread of a world.
#[derive(Clone)]
struct Membership {
    world: World,
    number: u64,
}

/// A clock, threads and connections that nothing outside has an influence on.
#[derive(Clone)]
pub(crate) struct World {
    schedule: Arc<Schedule>,
    network: Arc<Network>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { schedule: Arc::new(Schedule::new()), network: Arc::default() }
    }

    /// The time at which its clock began.
    pub(crate) fn start(&self) -> Instant {
        self.schedule.start()
    }

    /// Makes this thread the first one of the world, until `act` is done; the world is over then.
    pub(crate) fn run<T>(&self, act: impl FnOnce() -> T) -> T {
        let number = self.schedule.enlist(thread::current().name().unwrap_or("the first thread"));
        let _entered = Entered::new(Membership { world: self.clone(), number });
        let _ending = Ending(self);
        self.schedule.await_turn(number);
        act()
    }

    /// Ends the world: each of its threads unwinds as soon as it waits for something.
    pub(crate) fn end(&self, sentence: &str) {
        self.schedule.end(sentence);
    }
}

/// Ends a world with its first thread, however that ends.
struct Ending<'w>(&'w World);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end("its first thread is done");
    }
}

/// While it lives, its thread belongs to a world.
struct Entered;

impl Entered {
    fn new(membership: Membership) -> Self {
        MEMBERSHIP.set(Some(membership));
        Self
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some(Membership { world, number }) = MEMBERSHIP.take() {
            world.schedule.discharge(number);
        }
    }
}

fn membership() -> Option<Membership> {
    MEMBERSHIP.with_borrow(Clone::clone)
}

/// The time of the world that this thread belongs to.
pub(crate) fn time() -> Option<Instant> {
    MEMBERSHIP.with_borrow(|membership| Some(membership.as_ref()?.world.schedule.now()))
}

/// Waits in the world that this thread belongs to, and tells whether there is one.
pub(crate) fn rest(duration: Duration) -> bool {
    let Some(Membership { world, number }) = membership() else {
        return false;
    };
    let until = Some(world.schedule.now() + duration);
    world.schedule.wait(number, Wait { what: "to sleep", until, condition: Condition::Never });
    true
}

/// Lets time pass in the world that this thread belongs to while none of its threads has a turn; tells whether there is one.
pub(crate) fn pass(time: Duration) -> bool {
    let world = MEMBERSHIP.with_borrow(|membership| Some(membership.as_ref()?.world.clone()));
    world.map(|world| world.schedule.pass(time)).is_some()
}

/// Waits until `ready` or the deadline; tells whether it is ready.
///
/// # Panics
///
/// On a thread that belongs to no world.
fn wait(what: &'static str, until: Option<Instant>, ready: impl Fn() -> bool + Send + 'static) -> bool {
    let Membership { world, number } = membership().expect("what lies in the memory of a world is used by its threads");
    world.schedule.wait(number, Wait { what, until, condition: Condition::Met(Box::new(ready)) })
}

/// A thread that [`spawn`] started.
pub struct Joiner {
    handle: JoinHandle<()>,
    /// In a world.
    number: Option<u64>,
}

impl Joiner {
    /// Waits until the thread has ended.
    ///
    /// # Errors
    ///
    /// What it panicked with.
    pub fn join(self) -> thread::Result<()> {
        if let (Some(other), Some(Membership { world, number })) = (self.number, membership()) {
            let condition = Condition::Ended(other);
            world.schedule.wait(number, Wait { what: "for a thread to end", until: None, condition });
        }
        self.handle.join()
    }
}

/// Starts a thread, in the world that this one belongs to if there is one.
///
/// # Errors
///
/// If the system starts no more threads.
pub fn spawn(name: &str, act: impl FnOnce() + Send + 'static) -> io::Result<Joiner> {
    let builder = thread::Builder::new().name(name.into());
    let Some(Membership { world, .. }) = membership() else {
        return Ok(Joiner { handle: builder.spawn(act)?, number: None });
    };
    let number = world.schedule.enlist(name);
    let member = Membership { world: world.clone(), number };
    let started = builder.spawn(move || {
        let schedule = Arc::clone(&member.world.schedule);
        let _entered = Entered::new(member);
        schedule.await_turn(number);
        act();
    });
    match started {
        Ok(handle) => Ok(Joiner { handle, number: Some(number) }),
        Err(error) => {
            world.schedule.discharge(number);
            Err(error)
        }
    }
}
