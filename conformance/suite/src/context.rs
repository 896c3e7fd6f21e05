//! What a case works with: the subject in one role, and connections to it.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use crate::chunking::{Chunking, Cutter};
use crate::clock;
use crate::peer::{PATIENCE, Peer};
use crate::profile::Profile;
use crate::random::Random;
use crate::role::Role;
use crate::sockets;
use crate::subject::{
    CloseFrame, Command, Event, Happening, Id, Origin, Refusal, Reply, Running, Subject, SubjectError, Unsupported,
};
use crate::transcript::Transcript;
use crate::variant::Variant;
use crate::verdict::{Failure, Outcome, require, violation};
use crate::world::{Listener, Stream};

/// The longest that a case may wait for one timer of a subject whose profile is fixed.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// One run of one case.
pub(crate) struct Context<'s> {
    subject: &'s dyn Subject,
    pub(crate) role: Role,
    chunking: Chunking,
    /// Draws the seed for the cuts of each connection. Apart from the rest, which is the same however it is cut.
    cuts: Random,
    /// The numbers that the subject runs with.
    pub(crate) profile: Profile,
    pub(crate) random: Random,
    transcript: Transcript,
    running: Vec<Box<dyn Running>>,
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
    ) -> Self {
        let profile = subject.fixed_profile().unwrap_or(wanted);
        Self {
            subject,
            role: variant.role,
            chunking: variant.chunking,
            cuts: Random::from_seed(!seed),
            profile,
            random: Random::from_seed(seed),
            transcript,
            running: Vec::new(),
            listener: None,
            judged: Vec::new(),
        }
    }

    /// A connection on which nothing was sent yet.
    pub(crate) fn open(&mut self) -> Result<Peer, Failure> {
        let (stream, runner) = match self.role {
            Role::Server => (self.dial()?, 0),
            Role::Client => (self.accept()?, self.running.len() - 1),
        };
        let sync_key = self.random.sync_key();
        let mut peer = Peer::new(stream, self.role, runner, sync_key, self.transcript.connection());
        let Profile { idle, interval, .. } = self.profile;
        peer.cutter = Cutter::new(self.chunking, self.cuts.next_u64());
        // A wait for an answer is four intervals at most.
        peer.ping_due = idle.max(interval * 4);
        Ok(peer)
    }

    /// A connection after the handshake, proved to work.
    pub(crate) fn establish(&mut self) -> Result<Peer, Failure> {
        self.establish_with(|_| {})
    }

    /// As [`establish`](Self::establish), after a change to what the peer announces.
    pub(crate) fn establish_with(&mut self, change: impl FnOnce(&mut Peer)) -> Result<Peer, Failure> {
        let mut peer = self.open()?;
        change(&mut peer);
        peer.handshake()?;
        peer.alive()?;
        Ok(peer)
    }

    /// As [`establish`](Self::establish), with the id of the connection.
    pub(crate) fn establish_with_id(&mut self) -> Result<(Peer, Id), Failure> {
        let peer = self.establish()?;
        let id = self.youngest(&peer)?;
        Ok((peer, id))
    }

    /// As [`establish`](Self::establish), with a peer that leaves the answers to PINGs to the case.
    pub(crate) fn establish_mute(&mut self) -> Result<Peer, Failure> {
        let mut peer = self.establish()?;
        peer.answers_pings = false;
        Ok(peer)
    }

    /// Not applicable if the subject's numbers make the case wait this long.
    pub(crate) fn takes(&self, duration: Duration) -> Outcome {
        if duration <= LONGEST_WAIT {
            return Ok(());
        }
        let seconds = duration.as_secs();
        Err(Failure::NotApplicable(format!("with the subject's numbers it would take {seconds} s")))
    }

    /// Gives the implementation at the other end of `peer` a command.
    pub(crate) fn control(&mut self, peer: &Peer, command: Command) -> Result<Reply, Failure> {
        let reply = self.ask(peer.runner, command)?;
        self.transcript.note(describe(&reply));
        Ok(reply)
    }

    /// As [`control`](Self::control), but leaves no trace in the transcript, so that it may be repeated.
    fn ask(&mut self, runner: usize, command: Command) -> Result<Reply, Failure> {
        let reply = self.running[runner].control(command);
        reply.map_err(|unsupported| Failure::NotApplicable(unsupported.0.into()))
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

    /// Queues a message at the subject, which must take it.
    pub(crate) fn send_from(&mut self, peer: &Peer, to: Id, class: u8, payload: &[u8]) -> Outcome {
        self.obeyed(peer, Command::Send { to, class, payload: payload.to_vec() })
    }

    /// Gives a command that the subject has to obey.
    pub(crate) fn obeyed(&mut self, peer: &Peer, command: Command) -> Outcome {
        let what = format!("{command:?}");
        let reply = self.control(peer, command)?;
        let name = what.split([' ', '(']).next().unwrap_or_default();
        require(reply == Reply::Done, format!("{name} for a live connection gave {}", describe(&reply)))
    }

    /// Queues a message and leaves no trace in the transcript; a connection that just ended is no failure.
    pub(crate) fn send_quietly(&mut self, peer: &Peer, to: Id, payload: &[u8]) -> Outcome {
        self.ask(peer.runner, Command::Send { to, class: 0, payload: payload.to_vec() }).map(|_| ())
    }

    /// More bytes than the transport takes from a sender whose peer does not read.
    pub(crate) fn enough_to_wait(&self) -> usize {
        // What systems take differs and grows; in memory it is known to be little.
        if self.subject.in_memory() { 3 << 20 } else { 12 << 20 }
    }

    /// Bytes that have to be read so that a transport which takes nothing takes something again.
    pub(crate) fn enough_for_room(&self) -> usize {
        // Systems open their windows in large steps.
        if self.subject.in_memory() { 4 << 10 } else { 512 << 10 }
    }

    /// Queues `message` again and again, until the subject's queue is full or more is queued than the transport takes; tells how
    /// many.
    pub(crate) fn fill_queue(&mut self, peer: &Peer, to: Id, message: &[u8]) -> Result<usize, Failure> {
        let most = self.enough_to_wait() / message.len();
        Ok(self.send_until_full(peer, to, most, |_| message.to_vec())?.unwrap_or(most))
    }

    /// As [`fill_queue`](Self::fill_queue), where a timer of the subject may end the connection meanwhile: nobody knows how long a
    /// busy machine takes. `None` if it did.
    pub(crate) fn fill_queue_or_end(&mut self, peer: &Peer, to: Id, message: &[u8]) -> Result<Option<usize>, Failure> {
        let most = self.enough_to_wait() / message.len();
        match self.send_until_refused(peer, to, most, |_| message.to_vec())? {
            (count, None | Some(Refusal::Full)) => Ok(Some(count)),
            (_, Some(Refusal::Stale | Refusal::Closed)) => Ok(None),
            (_, Some(reason)) => violation(format!("a send to a live connection was refused as {reason:?}")),
        }
    }

    /// Queues message after message until the subject's queue is full; tells how many it took, unless it took `most`.
    pub(crate) fn send_until_full(
        &mut self,
        peer: &Peer,
        to: Id,
        most: usize,
        message: impl Fn(usize) -> Vec<u8>,
    ) -> Result<Option<usize>, Failure> {
        match self.send_until_refused(peer, to, most, message)? {
            (_, None) => Ok(None),
            (count, Some(Refusal::Full)) => Ok(Some(count)),
            (_, Some(reason)) => violation(format!("a send to a live connection was refused as {reason:?}")),
        }
    }

    /// Queues message after message, `most` at most; tells how many were taken, and why the next one was not.
    fn send_until_refused(
        &mut self,
        peer: &Peer,
        to: Id,
        most: usize,
        message: impl Fn(usize) -> Vec<u8>,
    ) -> Result<(usize, Option<Refusal>), Failure> {
        for count in 0..most {
            match self.ask(peer.runner, Command::Send { to, class: 0, payload: message(count) })? {
                Reply::Done => {}
                Reply::Refused { reason, .. } => return Ok((count, Some(reason))),
                reply => return Err(Failure::Harness(format!("the adapter replied {} to Send", describe(&reply)))),
            }
        }
        Ok((most, None))
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
                return violation(sentence);
            }
            clock::sleep(Duration::from_millis(2));
        }
    }

    /// Ends what the case started.
    pub(crate) fn stop(self) {
        for running in self.running {
            running.stop();
        }
    }

    fn dial(&mut self) -> Result<Stream, Failure> {
        if self.running.is_empty() {
            let server = self.subject.serve(&self.profile).map_err(not_started)?;
            keep(&mut self.running, server)?;
        }
        let address = self.running[0].address();
        sockets::dial(address, PATIENCE)
            .map_err(|error| Failure::Harness(format!("no connection to {address}: {error}")))
    }

    fn accept(&mut self) -> Result<Stream, Failure> {
        let harness = |error: std::io::Error| Failure::Harness(format!("the suite cannot listen: {error}"));
        if self.listener.is_none() {
            self.listener = Some(sockets::listen().map_err(harness)?);
        }
        let listener = self.listener.as_ref().expect("it was made just now");
        let address: SocketAddr = listener.address().map_err(harness)?;
        let client = self.subject.connect(&self.profile, address).map_err(not_started)?;
        keep(&mut self.running, client)?;
        let patience = self.subject.connect_patience();
        let listener = self.listener.as_ref().expect("it was made just now");
        listener.accept(Some(patience)).map_err(|error| match error.kind() {
            ErrorKind::TimedOut => {
                Failure::Violation(format!("the client did not connect within {} s", patience.as_secs()))
            }
            _ => harness(error),
        })
    }
}

/// Keeps what the subject started, unless its adapter takes a command that does not exist: its other replies would prove
/// nothing.
fn keep(running: &mut Vec<Box<dyn Running>>, mut started: Box<dyn Running>) -> Outcome {
    let reply = started.control(Command::Unknown { verb: "flibbertigibbet" });
    running.push(started);
    match reply {
        Err(Unsupported(_)) => Ok(()),
        Ok(reply) => {
            let sentence = format!("the adapter replied {} where there is no such command", describe(&reply));
            Err(Failure::Harness(sentence))
        }
    }
}

fn not_started(error: SubjectError) -> Failure {
    let sentence = error.to_string();
    if error.is_unsupported() { Failure::NotApplicable(sentence) } else { Failure::Harness(sentence) }
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
