//! What a case works with: the subject in one role, and connections to it.

mod opening;
mod sending;

use std::sync::Arc;
use std::time::Duration;

use crate::chunking::Chunking;
use crate::clock;
use crate::edits::Edits;
use crate::peer::{PATIENCE, Peer};
use crate::profile::Profile;
use crate::random::Random;
use crate::role::Role;
use crate::setting::Setting;
use crate::subject::{CloseFrame, Command, Event, Happening, Id, Origin, Reply, Running, Subject, SubjectError};
use crate::transcript::Transcript;
use crate::variant::Variant;
use crate::verdict::{Failure, Outcome, in_vain, require, violation};
use crate::world::Listener;

/// The longest that a case may wait for one timer of a subject whose profile is fixed.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// One run of one case.
pub(crate) struct Context<'s> {
    subject: &'s dyn Subject,
    pub(crate) role: Role,
    chunking: Chunking,
    /// What differs from what cases are written for, and must not matter.
    setting: Setting,
    /// Draws the seed for the cuts of each connection. Apart from the rest, which is the same however it is cut.
    cuts: Random,
    /// The numbers that the subject runs with.
    pub(crate) profile: Profile,
    pub(crate) random: Random,
    transcript: Transcript,
    edits: Arc<Edits>,
    running: Vec<Box<dyn Running>>,
    /// Which of them is the oracle's server, once a connection was to go elsewhere.
    elsewhere: Option<usize>,
    listener: Option<Listener>,
    /// The connections that the application was asked about.
    judged: Vec<Id>,
}

impl<'s> Context<'s> {
    /// `wanted` is what the case wants to run with, where the subject can be told.
    pub(crate) fn new(
        subject: &'s dyn Subject,
        seed: u64,
        wanted: Profile,
        variant: Variant,
        transcript: Transcript,
        edits: &Edits,
    ) -> Self {
        let profile = subject.fixed_profile().unwrap_or_else(|| variant.setting.applied_to(wanted));
        Self {
            subject,
            role: variant.role,
            chunking: variant.chunking,
            setting: variant.setting,
            cuts: Random::from_seed(!seed),
            profile,
            random: Random::from_seed(seed).made_plain(edits.plain),
            transcript,
            edits: Arc::new(edits.clone()),
            running: Vec::new(),
            elsewhere: None,
            listener: None,
            judged: Vec::new(),
        }
    }

    /// Not applicable if the subject's numbers make the case wait this long.
    pub(crate) fn takes(&self, duration: Duration) -> Outcome {
        if duration <= LONGEST_WAIT {
            return Ok(());
        }
        let seconds = duration.as_secs();
        Err(Failure::NotApplicable(format!("with the subject's numbers it would take {seconds} s")))
    }

    /// Not applicable if one of these times of the subject, each behind its name, may end the connection within `duration`, for which the
    /// case needs it.
    pub(crate) fn lasts(&self, duration: Duration, times: &[(&str, Duration)]) -> Outcome {
        match times.iter().find(|(_, time)| *time <= duration) {
            None => Ok(()),
            Some((name, _)) => {
                let needed = duration.as_millis();
                Err(Failure::NotApplicable(format!("the subject's {name} is not above {needed} ms")))
            }
        }
    }

    /// The shortest silence behind which the subject may give its peer up, for [`lasts`](Self::lasts).
    pub(crate) fn silence(&self) -> (&'static str, Duration) {
        ("0.8 * idle + interval * probes", self.profile.shortest_silence())
    }

    /// Gives the implementation at the other end of `peer` a command.
    pub(crate) fn control(&mut self, peer: &Peer, command: Command) -> Result<Reply, Failure> {
        let reply = self.ask(peer.runner, command)?;
        self.transcript.note(describe(&reply));
        Ok(reply)
    }

    /// As [`control`](Self::control), but leaves no trace in the transcript, so that it may be repeated.
    fn ask(&mut self, runner: usize, command: Command) -> Result<Reply, Failure> {
        self.running[runner].control(command).map_err(failure)
    }

    /// The ids that live at a server or client of the subject, oldest first.
    pub(crate) fn connections(&mut self, runner: usize) -> Result<Vec<Id>, Failure> {
        match self.ask(runner, Command::Connections)? {
            Reply::Connections(ids) => Ok(ids),
            reply => Err(Failure::Harness(format!("the adapter replied {} to Connections", describe(&reply)))),
        }
    }

    /// The id of the youngest connection at the other end of `peer`.
    pub(crate) fn youngest(&mut self, peer: &Peer) -> Result<Id, Failure> {
        match self.connections(peer.runner)?.last() {
            Some(id) => {
                self.transcript.note(format!("youngest connection: slot {} cookie {}", id.slot, id.cookie));
                Ok(*id)
            }
            None => violation("PW-CK-002: a connection that works has no id"),
        }
    }

    /// Gives a command that the subject has to obey.
    pub(crate) fn obeyed(&mut self, peer: &Peer, command: Command) -> Outcome {
        let what = format!("{command:?}");
        let reply = self.control(peer, command)?;
        let name = what.split([' ', '(']).next().unwrap_or_default();
        require(reply == Reply::Done, format!("{name} for a live connection gave {}", describe(&reply)))
    }

    /// Tells the subject to close.
    pub(crate) fn close_from(&mut self, peer: &Peer, connection: Id, reason: u16) -> Outcome {
        self.obeyed(peer, Command::Close { connection, frame: CloseFrame::from(reason) })
    }

    /// Waits until the subject no longer lists the connection.
    pub(crate) fn await_gone(&mut self, runner: usize, id: Id) -> Outcome {
        self.poll(&format!("the connection is still listed after {} s", PATIENCE.as_secs()), PATIENCE, |context| {
            Ok((!context.connections(runner)?.contains(&id)).then_some(()))
        })
    }

    /// What the application at the other end of `peer` was told so far, oldest first.
    pub(crate) fn events(&mut self, peer: &Peer) -> Result<Vec<Event>, Failure> {
        match self.ask(peer.runner, Command::Events)? {
            Reply::Events(events) => Ok(events),
            reply => Err(Failure::Harness(format!("the adapter replied {} to Events", describe(&reply)))),
        }
    }

    /// Waits until the application was told so many things that `wanted` picks, and gives them.
    pub(crate) fn await_events<T>(
        &mut self,
        peer: &Peer,
        count: usize,
        within: Duration,
        sentence: &str,
        wanted: impl Fn(&Event) -> Option<T>,
    ) -> Result<Vec<T>, Failure> {
        let found = self.poll(sentence, within, |context| {
            let found: Vec<T> = context.events(peer)?.iter().filter_map(&wanted).collect();
            Ok((found.len() >= count).then_some(found))
        })?;
        self.transcript.note(format!("events: {count} as expected"));
        Ok(found)
    }

    /// Waits until the application was told `what` about a connection.
    pub(crate) fn await_happening(&mut self, peer: &Peer, id: Id, what: &Happening) -> Outcome {
        let sentence = format!("the application was not told {what:?}");
        let wanted = |event: &Event| (event.connection == Some(id) && event.what == *what).then_some(());
        self.await_events(peer, 1, PATIENCE, &sentence, wanted).map(|_| ())
    }

    /// Waits until the application of a server has a HELLO to judge, and gives the connection.
    pub(crate) fn await_admission(&mut self, peer: &Peer) -> Result<Id, Failure> {
        let known = self.judged.clone();
        let new =
            |event: &Event| event.connection.filter(|id| event.what == Happening::Admission && !known.contains(id));
        let sentence = "PW-HS-020: the application was not asked about HELLO";
        let ids = self.await_events(peer, 1, PATIENCE, sentence, new)?;
        self.judged.push(ids[0]);
        Ok(ids[0])
    }

    /// Waits until the application was told of the peer's CLOSE, and gives what it was told.
    pub(crate) fn await_closing(&mut self, peer: &Peer, id: Id) -> Result<CloseFrame, Failure> {
        let closing = |event: &Event| match &event.what {
            Happening::Closing(frame) if event.connection == Some(id) => Some(frame.clone()),
            _ => None,
        };
        let sentence = "the application was not told of the peer's CLOSE";
        let frame = self.await_events(peer, 1, PATIENCE, sentence, closing)?.remove(0);
        self.transcript.note(format!("cookie {} closing with {}: {:?}", id.cookie, frame.reason, frame.text));
        Ok(frame)
    }

    /// Waits until the subject reports how the connection ended.
    pub(crate) fn await_ending(
        &mut self,
        peer: &Peer,
        id: Id,
        within: Duration,
    ) -> Result<(CloseFrame, Origin), Failure> {
        let ending = |event: &Event| {
            let Happening::Closed { frame, origin, orderly } = &event.what else {
                return None;
            };
            (event.connection == Some(id)).then(|| (frame.clone(), *origin, *orderly))
        };
        let mut found = self.await_events(peer, 1, within, "the end of the connection was not reported", ending)?;
        let (frame, origin, orderly) = found.remove(0);
        self.transcript
            .note(format!("cookie {} ended with {} by {origin:?}, orderly: {orderly}", id.cookie, frame.reason));
        Ok((frame, origin))
    }

    /// Asks again and again; a command has no other way to tell that something happened.
    fn poll<T>(
        &mut self,
        sentence: &str,
        within: Duration,
        mut ask: impl FnMut(&mut Self) -> Result<Option<T>, Failure>,
    ) -> Result<T, Failure> {
        let deadline = clock::now() + within;
        loop {
            if let Some(answer) = ask(self)? {
                return Ok(answer);
            }
            if clock::now() >= deadline {
                return in_vain(within, sentence);
            }
            clock::sleep(Duration::from_millis(2));
        }
    }

    /// Puts the subject to sleep, for so long: what was written lies there meanwhile, and it wakes up late.
    pub(crate) fn sleep_of_subject(&mut self, time: Duration) -> Outcome {
        self.transcript.note(format!("the subject sleeps for {} ms", time.as_millis()));
        let asleep = clock::pass_asleep(time);
        if asleep { Ok(()) } else { Err(Failure::Harness("only in virtual time a subject sleeps".into())) }
    }

    /// Ends what the case started.
    pub(crate) fn stop(self) {
        for running in self.running {
            running.stop();
        }
    }
}

fn failure(error: SubjectError) -> Failure {
    let sentence = error.to_string();
    if error.is_unsupported() { Failure::Unsupported(sentence) } else { Failure::Harness(sentence) }
}

/// The reply as text for a transcript, without the domain, which differs from run to run.
pub(crate) fn describe(reply: &Reply) -> String {
    match reply {
        Reply::Connections(ids) => {
            let ids: Vec<String> = ids.iter().map(|id| format!("slot {} cookie {}", id.slot, id.cookie)).collect();
            format!("connections [{}]", ids.join(", "))
        }
        Reply::Events(events) => format!("{} events", events.len()),
        Reply::Done => "done".into(),
        Reply::Refused { reason, payload } => format!("refused as {reason:?}, {} bytes back", payload.len()),
    }
}
