//! What other threads want of a connection beside messages, and who wants it to pause.

use pulsewire_protocol::{CloseFrame, Connection, Instant};

/// What is to be done with a connection at once, ahead of what waits to be sent: of each kind what was said last, so that it takes
/// the same room however often it is said.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Admits the client that waits to be judged, or refuses it. What was said first counts.
    pub(crate) admission: Option<Admission>,
    /// Whether the application wants it to pause.
    pub(crate) pause: Option<bool>,
    /// Whether a queue behind the handler does.
    pub(crate) queue_pause: Option<bool>,
    pub(crate) drain: bool,
    pub(crate) abort: bool,
}

impl Orders {
    /// Has the connection do it.
    pub(crate) fn obey(self, pausers: &mut Pausers, connection: &mut Connection, now: Instant) {
        let Self { admission, pause, queue_pause, drain, abort } = self;
        match admission {
            Some(Admission::Accept) => connection.accept(now),
            Some(Admission::Refuse(close)) => connection.refuse(now, close),
            None => {}
        }
        for (pauser, pause) in [(Pauser::Application, pause), (Pauser::Queue, queue_pause)] {
            match pause {
                Some(true) => pausers.pause(pauser, connection, now),
                Some(false) => pausers.resume(pauser, connection, now),
                None => {}
            }
        }
        if drain {
            connection.drain(now);
        }
        if abort && !connection.is_over() {
            connection.abort(now);
        }
    }
}

/// What somebody said of a client that waits to be judged.
#[derive(Debug)]
pub(crate) enum Admission {
    Accept,
    Refuse(CloseFrame),
}

/// Who may want a connection to pause. It does while one of them wants it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pauser {
    /// The application, as it said.
    Application,
    /// The queue between the handler and a thread, which is full. Where no pause may begin, nothing is read all the same.
    Queue,
    /// The driver, which has no memory to receive into.
    Driver,
}

/// Those who want it to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pausers {
    pub(crate) application: bool,
    pub(crate) queue: bool,
    pub(crate) driver: bool,
}

impl Pausers {
    fn of(&mut self, pauser: Pauser) -> &mut bool {
        match pauser {
            Pauser::Application => &mut self.application,
            Pauser::Queue => &mut self.queue,
            Pauser::Driver => &mut self.driver,
        }
    }

    pub(crate) fn pause(&mut self, pauser: Pauser, connection: &mut Connection, now: Instant) {
        if !connection.is_paused() {
            // An earlier pause has ended by itself. The queue may be full without one.
            (self.application, self.driver) = (false, false);
        }
        connection.pause(now);
        *self.of(pauser) = connection.is_paused() || pauser == Pauser::Queue;
    }

    pub(crate) fn resume(&mut self, pauser: Pauser, connection: &mut Connection, now: Instant) {
        *self.of(pauser) = false;
        let Self { application, queue, driver } = *self;
        if !(application || queue || driver) {
            connection.resume(now);
        }
    }
}
