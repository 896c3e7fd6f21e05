//! What can be judged only when both sides of a connection have ended.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use pulsewire_transport_tokio::protocol::{CloseReason, Closed, Role};

use super::ledger::{Fate, Side};
use super::plan::{bound, config};

/// A time in which nothing came through between a client and the server, in one direction or in both.
#[derive(Debug)]
pub(crate) struct Outage {
    pub(crate) client: IpAddr,
    pub(crate) from: Duration,
    /// `None`: until the end.
    pub(crate) until: Option<Duration>,
}

pub(crate) fn judge(sides: &[Side], outages: &[Outage], violations: &mut Vec<String>) {
    let mut connections = BTreeMap::<_, [Option<&Side>; 2]>::new();
    for side in sides {
        let place = &mut connections.entry(side.connection).or_default()[usize::from(side.role == Role::Server)];
        if place.replace(side).is_some() {
            violations.push(format!("{} has two sides of one role", side.connection));
        }
    }
    for side in sides {
        judge_end(side, violations);
        judge_outages(side, outages, violations);
    }
    for pair in connections.into_values() {
        match pair {
            [Some(one), Some(other)] => {
                for (side, peer) in [(one, other), (other, one)] {
                    judge_after(side, peer, violations);
                    judge_messages(side, peer, violations);
                    judge_dropped(side, peer, outages, violations);
                }
            }
            [Some(alone), None] | [None, Some(alone)] => {
                if lasted(alone) > config().timeouts.handshake + bound() {
                    violations.push(format!("{} went on alone for {:?}", alone.name(), lasted(alone)));
                }
            }
            [None, None] => {}
        }
    }
}

fn lasted(side: &Side) -> Duration {
    side.ended.unwrap_or(Duration::MAX).saturating_sub(side.began)
}

fn judge_end(side: &Side, violations: &mut Vec<String>) {
    if side.fate == Fate::Lives {
        violations.push(format!("{} never ended", side.name()));
    }
}

/// A side whose peer can't be heard, or can't hear, ends in time.
fn judge_outages(side: &Side, outages: &[Outage], violations: &mut Vec<String>) {
    let ended = side.ended.unwrap_or(Duration::MAX);
    for outage in outages.iter().filter(|outage| outage.client == side.connection.ip()) {
        let limit = outage.from + bound();
        let until = outage.until.unwrap_or(Duration::MAX);
        if side.began <= outage.from && until > limit && ended > limit {
            violations.push(format!("{} went on until {ended:?} in {outage:?}", side.name()));
        }
    }
}

/// A side ends in time after its peer.
fn judge_after(side: &Side, peer: &Side, violations: &mut Vec<String>) {
    let (Some(ended), Some(peer_ended)) = (side.ended, peer.ended) else { return };
    if ended > peer_ended.max(side.began) + bound() {
        violations.push(format!("{} ended at {ended:?}, its peer at {peer_ended:?}", side.name()));
    }
}

/// What `side` sent arrived where that was promised, and nothing else did.
fn judge_messages(side: &Side, peer: &Side, violations: &mut Vec<String>) {
    if side.sent.iter().zip(peer.received).any(|(sent, received)| received > *sent) {
        violations.push(format!("{} got what was never sent: {:?} of {:?}", peer.name(), peer.received, side.sent));
    }
    // What came to a side that was dropped, cut or crashed, its application did not get.
    let Some(peer_closed) = closed(peer).filter(|closed| closed.reason != CloseReason::ABORTED) else { return };
    let arrived: u64 = peer.received.iter().sum();
    let (orderly, acknowledged) = match &side.fate {
        // Who only answered CLOSE does not learn whether the answer arrived.
        Fate::Closed(closed) => (closed.orderly && peer_closed.orderly, closed.acknowledged.unwrap_or(0)),
        // What was accepted is sent, and the peer has its answer.
        Fate::Dropped => (peer_closed.orderly, 0),
        Fate::Lives | Fate::Crashed => (false, 0),
    };
    if acknowledged > arrived {
        violations.push(format!("{}: {acknowledged} were acknowledged, {arrived} arrived", side.name()));
    }
    if orderly && side.sent != peer.received {
        violations.push(format!("{} closed in order: sent {:?}, arrived {:?}", side.name(), side.sent, peer.received));
    }
}

/// What was accepted is sent though the connection is dropped, unless the network or the peer is at fault.
fn judge_dropped(side: &Side, peer: &Side, outages: &[Outage], violations: &mut Vec<String>) {
    let was_disturbed = outages.iter().any(|outage| {
        outage.client == side.connection.ip()
            && outage.until.is_none_or(|until| until >= side.began)
            && Some(outage.from) <= peer.ended
    });
    let Some(peer_closed) = closed(peer) else { return };
    // One that cut the connection, or closed before it was established, wants nothing more.
    let wanted = peer_closed.reason != CloseReason::ABORTED && peer.is_established;
    if side.fate == Fate::Dropped && !was_disturbed && wanted && side.sent != peer.received {
        violations.push(format!("{} was dropped: sent {:?}, arrived {:?}", side.name(), side.sent, peer.received));
    }
}

fn closed(side: &Side) -> Option<&Closed> {
    match &side.fate {
        Fate::Closed(closed) => Some(closed),
        Fate::Lives | Fate::Dropped | Fate::Crashed => None,
    }
}
