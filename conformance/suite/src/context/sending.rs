//! What a case has the subject send, until its queue is full perhaps; and what the suite sends without end.

use super::{Context, describe, failure};
use crate::clock;
use crate::peer::{Flood, Flooding, Peer};
use crate::subject::{Command, Id, Refusal, Reply};
use crate::verdict::{Failure, Outcome, require, violation};

impl Context<'_> {
    /// Queues a message at the subject, which must take it.
    pub(crate) fn send_from(&mut self, peer: &Peer, to: Id, class: u8, payload: &[u8]) -> Outcome {
        self.obeyed(peer, Command::Send { to, class, payload: payload.to_vec() })
    }

    /// Queues a message and leaves no trace in the transcript; a connection that just ended is no failure.
    pub(crate) fn send_quietly(&mut self, peer: &Peer, to: Id, payload: &[u8]) -> Outcome {
        self.ask(peer.runner, Command::Send { to, class: 0, payload: payload.to_vec() }).map(|_| ())
    }

    /// Queues a message, which the subject must take, and leaves no trace in the transcript.
    pub(crate) fn accept_quietly(&mut self, peer: &Peer, to: Id, class: u8, payload: &[u8]) -> Outcome {
        let reply = self.ask(peer.runner, Command::Send { to, class, payload: payload.to_vec() })?;
        require(reply == Reply::Done, format!("a send to a live connection gave {}", describe(&reply)))
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

    /// A flood that the other end of `peer` gets, a part at a time: more than it can handle, where it has the machine to itself. It only
    /// comes all the time where that is virtual, or where the subject is one process that other cases use too, and want answers from.
    pub(crate) fn flood(&self, peer: &Peer, of: Flooding) -> Flood {
        let part = if self.subject.is_slow_at_floods() {
            128
        } else if self.subject.in_memory() {
            512
        } else {
            256 << 10
        };
        peer.flood(of, part)
    }

    /// Queues `message` again and again, until the subject's queue is full or more is queued than the transport takes; tells how
    /// many. Not applicable if that took so long that the subject had to give its transport up meanwhile.
    pub(crate) fn fill_queue(&mut self, peer: &Peer, to: Id, message: &[u8]) -> Result<usize, Failure> {
        let began = clock::now();
        match self.fill(peer, to, message)? {
            (count, None | Some(Refusal::Full)) => Ok(count),
            (count, Some(Refusal::Stale | Refusal::Closed)) if clock::elapsed(began) >= self.profile.write_stall => {
                let stall = self.profile.write_stall.as_millis();
                let sentence = format!(
                    "the subject gave its transport up (write_stall is {stall} ms) with {count} messages queued, too few to wait"
                );
                Err(Failure::Unsupported(sentence))
            }
            (_, Some(reason)) => violation(format!("a send to a live connection was refused as {reason:?}")),
        }
    }

    /// As [`fill_queue`](Self::fill_queue), where a timer of the subject may end the connection meanwhile: nobody knows how long a
    /// busy machine takes. `None` if it did.
    pub(crate) fn fill_queue_or_end(&mut self, peer: &Peer, to: Id, message: &[u8]) -> Result<Option<usize>, Failure> {
        match self.fill(peer, to, message)? {
            (count, None | Some(Refusal::Full)) => Ok(Some(count)),
            (_, Some(Refusal::Stale | Refusal::Closed)) => Ok(None),
            (_, Some(reason)) => violation(format!("a send to a live connection was refused as {reason:?}")),
        }
    }

    /// Queues `message` until more is queued than the transport takes, or one is refused; tells how many were taken, and why not more.
    fn fill(&mut self, peer: &Peer, to: Id, message: &[u8]) -> Result<(usize, Option<Refusal>), Failure> {
        let most = self.enough_to_wait() / message.len();
        let at_once = self.running[peer.runner].commands_at_once();
        let (mut count, mut refusal) = (0, None);
        while count < most && refusal.is_none() {
            let send = Command::Send { to, class: 0, payload: message.to_vec() };
            let sends = vec![send; at_once.min(most - count)];
            for reply in self.running[peer.runner].control_all(sends).map_err(failure)? {
                match reply {
                    Reply::Done => count += 1,
                    Reply::Refused { reason, .. } => refusal = Some(reason),
                    reply => return Err(Failure::Harness(format!("the adapter replied {} to Send", describe(&reply)))),
                }
            }
        }
        Ok((count, refusal))
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
}
