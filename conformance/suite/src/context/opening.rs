//! How a case comes to connections: it dials the subject's server, or a client of the subject dials the suite.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::{Context, describe, failure};
use crate::chunking::Cutter;
use crate::clock;
use crate::oracle::Oracle;
use crate::peer::{PATIENCE, Peer};
use crate::profile::Profile;
use crate::role::Role;
use crate::sockets;
use crate::subject::{Command, Id, Reply, Running, Subject, SubjectError};
use crate::verdict::{Failure, Outcome, in_vain};
use crate::world::Stream;

/// How often other connections answer PINGs while the next one is waited for.
const BETWEEN_PINGS: Duration = Duration::from_millis(20);

impl Context<'_> {
    /// A connection on which nothing was sent yet.
    pub(crate) fn open(&mut self) -> Result<Peer, Failure> {
        self.open_beside(&mut [])
    }

    /// As [`open`](Self::open), while `others` answer PINGs: a client may take long to start.
    fn open_beside(&mut self, others: &mut [Peer]) -> Result<Peer, Failure> {
        let mut transcript = self.transcript.connection();
        let is_elsewhere = self.edits.elsewhere.contains(&transcript.number());
        if is_elsewhere {
            transcript = transcript.aside();
        }
        let (stream, runner) = match self.role {
            Role::Server => self.dial(is_elsewhere)?,
            Role::Client => (self.accept(others, is_elsewhere)?, self.running.len() - 1),
        };
        let sync_key = self.random.sync_key();
        let mut peer = Peer::new(stream, self.role, runner, sync_key, transcript);
        peer.edits = Arc::clone(&self.edits);
        let Profile { idle, interval, .. } = self.profile;
        peer.setting = self.setting;
        self.setting.announce(&mut peer.hello);
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
        self.establish_with_beside(&mut [], change)
    }

    /// As [`establish`](Self::establish), while `others`, to which nothing else is to come, answer PINGs.
    pub(crate) fn establish_beside(&mut self, others: &mut [Peer]) -> Result<Peer, Failure> {
        self.establish_with_beside(others, |_| {})
    }

    /// As [`establish_beside`](Self::establish_beside), after a change to what the peer announces.
    pub(crate) fn establish_with_beside(
        &mut self,
        others: &mut [Peer],
        change: impl FnOnce(&mut Peer),
    ) -> Result<Peer, Failure> {
        let mut peer = self.open_beside(others)?;
        change(&mut peer);
        let mut prove = || {
            peer.handshake()?;
            peer.alive()
        };
        // A subject may take long for either.
        if others.is_empty() || self.subject.in_memory() {
            prove()?;
        } else {
            beside(others, prove)??;
        }
        Ok(peer)
    }

    /// As [`establish`](Self::establish), with the id of the connection.
    pub(crate) fn establish_with_id(&mut self) -> Result<(Peer, Id), Failure> {
        self.establish_with_id_beside(&mut [])
    }

    /// As [`establish_beside`](Self::establish_beside), with the id of the connection.
    pub(crate) fn establish_with_id_beside(&mut self, others: &mut [Peer]) -> Result<(Peer, Id), Failure> {
        let peer = self.establish_beside(others)?;
        let id = self.youngest(&peer)?;
        Ok((peer, id))
    }

    /// As [`establish`](Self::establish), with a peer that leaves the answers to PINGs to the case.
    pub(crate) fn establish_mute(&mut self) -> Result<Peer, Failure> {
        let mut peer = self.establish()?;
        peer.answers_pings = false;
        Ok(peer)
    }

    /// A connection to the server of the subject, or to one of the oracle; with its place among those that run.
    fn dial(&mut self, is_elsewhere: bool) -> Result<(Stream, usize), Failure> {
        // Case by case the subject's server is the first.
        if self.running.is_empty() {
            let server = self.subject.serve(&self.profile).map(with_reply_to_nonsense);
            self.keep(server)?;
        }
        let runner = match self.elsewhere {
            _ if !is_elsewhere => 0,
            Some(runner) => runner,
            None => {
                let server = self.oracle().serve(&self.profile).map(with_reply_to_nonsense);
                self.keep(server)?;
                *self.elsewhere.insert(self.running.len() - 1)
            }
        };
        let address = self.running[runner].address();
        let stream = sockets::dial(address, PATIENCE)
            .map_err(|error| Failure::Harness(format!("no connection to {address}: {error}")))?;
        Ok((stream, runner))
    }

    /// What answers where the subject need not.
    fn oracle(&self) -> Oracle {
        let oracle = Oracle::clean().with_seed(0);
        if self.subject.in_memory() { oracle.in_memory() } else { oracle }
    }

    fn accept(&mut self, others: &mut [Peer], is_elsewhere: bool) -> Result<Stream, Failure> {
        let harness = |error: std::io::Error| Failure::Harness(format!("the suite cannot listen: {error}"));
        if self.listener.is_none() {
            self.listener = Some(sockets::listen().map_err(harness)?);
        }
        let listener = self.listener.as_ref().expect("it was made just now");
        let address: SocketAddr = listener.address().map_err(harness)?;
        self.start_client(others, is_elsewhere, address)?;
        let patience = self.subject.connect_patience();
        let listener = self.listener.as_ref().expect("it was made just now");
        let began = clock::now();
        // In virtual time nothing else happens meanwhile.
        let look = if self.subject.in_memory() { patience } else { BETWEEN_PINGS };
        loop {
            // Before the last look: it may have connected, and ended then.
            let ended = self.running.last_mut().and_then(|running| running.ended());
            match listener.accept(Some(look)) {
                Ok(stream) => return Ok(stream),
                Err(error) if error.kind() != ErrorKind::TimedOut => return Err(harness(error)),
                Err(_) if ended.is_some() => {
                    let how = ended.unwrap_or_default();
                    return Err(Failure::Harness(format!("the client ended without connecting ({how})")));
                }
                Err(_) if clock::elapsed(began) < patience => others.iter_mut().try_for_each(Peer::answer_pings)?,
                Err(_) => {
                    return in_vain(patience, format!("the client did not connect within {} s", patience.as_secs()));
                }
            }
        }
    }

    /// Starts a client, while `others` answer PINGs: its program may take long to start, and to answer.
    fn start_client(&mut self, others: &mut [Peer], is_elsewhere: bool, address: SocketAddr) -> Outcome {
        let oracle = is_elsewhere.then(|| self.oracle());
        let subject = oracle.as_ref().map_or(self.subject, |oracle| oracle);
        let start = || subject.connect(&self.profile, address).map(with_reply_to_nonsense);
        // In virtual time nothing takes any, and all is on one thread.
        let client = if others.is_empty() || self.subject.in_memory() { start() } else { beside(others, start)? };
        self.keep(client)
    }

    /// Keeps what the subject started, unless its adapter takes a command that does not exist: its other replies would prove nothing.
    fn keep(&mut self, started: Result<Started, SubjectError>) -> Outcome {
        let (running, reply) = started.map_err(failure)?;
        self.running.push(running);
        match reply {
            Err(error) if error.is_unsupported() => Ok(()),
            Err(error) => Err(failure(error)),
            Ok(reply) => {
                let sentence = format!("the adapter replied {} where there is no such command", describe(&reply));
                Err(Failure::Harness(sentence))
            }
        }
    }
}

/// What the subject started, and its reply to a command that does not exist.
type Started = (Box<dyn Running>, Result<Reply, SubjectError>);

fn with_reply_to_nonsense(mut started: Box<dyn Running>) -> Started {
    let reply = started.control(Command::Unknown { verb: "flibbertigibbet" });
    (started, reply)
}

/// What comes of `work`, which may take long: `others` answer PINGs meanwhile.
fn beside<T: Send>(others: &mut [Peer], work: impl FnOnce() -> T + Send) -> Result<T, Failure> {
    thread::scope(|scope| {
        let (works, done) = mpsc::channel::<()>();
        let work = scope.spawn(move || {
            let _works = works;
            work()
        });
        while done.recv_timeout(BETWEEN_PINGS) == Err(RecvTimeoutError::Timeout) {
            others.iter_mut().try_for_each(Peer::answer_pings)?;
        }
        Ok(work.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}
