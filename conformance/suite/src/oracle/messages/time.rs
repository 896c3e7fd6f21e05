//! The time that an open message has (PW-DAT-013).

use std::time::{Duration, Instant};

use super::super::limit::Moment;
use super::super::{Behaviour, Bug};

/// How much is left until a message that was begun has to be complete.
pub(super) struct MessageTime {
    /// When nothing is left, if the peer has not paused since the message began.
    end: Instant,
    /// For how long pauses had been honoured when it began.
    paused_before: Duration,
    /// It has begun anew because this side was late (PW-TIM-001).
    excused: bool,
}

impl MessageTime {
    /// The first frame is complete: the whole of it is left.
    pub(super) fn new(behaviour: &Behaviour, moment: Moment) -> Self {
        let end = moment.now + behaviour.profile.message_time();
        Self { end, paused_before: moment.paused, excused: false }
    }

    /// A later frame was verified, or is complete: where nothing was left, it adds to nothing.
    pub(super) fn add(&mut self, length: u32, behaviour: &Behaviour, moment: Moment) {
        let whole = behaviour.profile.message_time();
        let share = if behaviour.has(Bug::FramesAddNoTime) {
            Duration::ZERO
        } else if behaviour.has(Bug::FramesRestartMessageTime) {
            whole
        } else {
            behaviour.profile.assembly_share(length)
        };
        let most = if behaviour.has(Bug::SavesUpMessageTime) { Duration::MAX } else { whole };
        let left = self.deadline(behaviour, moment).saturating_duration_since(moment.now);
        self.leave((left + share).min(most), behaviour, moment);
    }

    /// This side reads again: the whole of it is left (PW-HB-023).
    pub(super) fn restart(&mut self, behaviour: &Behaviour, moment: Moment) {
        self.leave(behaviour.profile.message_time(), behaviour, moment);
    }

    /// Whether nothing is left. If that is noticed more than `interval` late, the time begins anew, once (PW-TIM-001).
    pub(super) fn is_up(&mut self, interval: Duration, behaviour: &Behaviour, moment: Moment) -> bool {
        let deadline = self.deadline(behaviour, moment);
        let is_up = moment.now >= deadline;
        let late = is_up && moment.now > deadline + interval && !self.excused;
        if late {
            self.excused = true;
            self.restart(behaviour, moment);
        }
        is_up && !late
    }

    /// Sets what is left now.
    fn leave(&mut self, left: Duration, behaviour: &Behaviour, moment: Moment) {
        self.end = moment.now + left - self.rested(behaviour, moment);
    }

    fn deadline(&self, behaviour: &Behaviour, moment: Moment) -> Instant {
        self.end + self.rested(behaviour, moment)
    }

    /// For how long the time has rested since the message began, while pauses of the peer were honoured (PW-HB-020).
    fn rested(&self, behaviour: &Behaviour, moment: Moment) -> Duration {
        let most = match () {
            () if behaviour.has(Bug::MessageTimeRunsInPause) => Duration::ZERO,
            () if behaviour.has(Bug::MessageRestsForEver) => Duration::MAX,
            () => behaviour.profile.busy_max,
        };
        (moment.paused - self.paused_before).min(most)
    }
}
