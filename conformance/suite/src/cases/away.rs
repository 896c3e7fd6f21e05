//! Section 8.4, where the application is elsewhere or pauses, and messages wait in both directions.

use std::time::{Duration, Instant};

use super::{BOTH, waiting};
use crate::case::Case;
use crate::clock;
use crate::codec::Packet;
use crate::codec::registry::kind;
use crate::context::Context;
use crate::peer::{Arrival, Message, PATIENCE, Peer};
use crate::profile::Profile;
use crate::subject::Command;
use crate::verdict::{Failure, Outcome, require, violation};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-HB-019/application-elsewhere",
        "says BUSY or answers PING while its application is elsewhere, and loses nothing of what comes meanwhile",
        BOTH,
        lasting_pauses,
        application_elsewhere
    )
    .whole_only(),
    case!(
        "PW-TCP-001/writes-while-it-pauses",
        "sends the messages that wait while it pauses",
        BOTH,
        Profile::calm,
        writes_while_it_pauses
    )
    .whole_only(),
    case!(
        "PW-TCP-001/writes-while-elsewhere",
        "sends the messages that wait while its application is elsewhere",
        BOTH,
        Profile::calm,
        writes_while_elsewhere
    )
    .whole_only(),
];

/// A peer with these numbers gives a silent side up after 1.5 s, and an application may be elsewhere for longer.
fn lasting_pauses() -> Profile {
    let (idle, interval) = (Duration::from_millis(600), Duration::from_millis(300));
    Profile { idle, interval, ..Profile::brisk() }
}

/// When a peer with the numbers of the subject gives this side up: it asks after each `idle`, and believes BUSY (PW-HB-013, PW-HB-020).
struct Patience {
    silence: Duration,
    given_up_at: Instant,
}

impl Patience {
    fn new(silence: Duration) -> Self {
        Self { silence, given_up_at: clock::now() + silence }
    }

    fn evidence(&mut self, packet: &Packet) {
        let pause = if packet.kind == kind::BUSY { packet.pause() } else { 0 };
        self.given_up_at = clock::now() + Duration::from_millis(pause.into()) + self.silence;
    }
}

fn application_elsewhere(context: &mut Context<'_>) -> Outcome {
    const COUNT: u32 = 300;
    let (idle, silence) = (context.profile.idle, context.profile.longest_silence());
    let (mut peer, id) = context.establish_with_id()?;
    context.obeyed(&peer, Command::Hold(id))?;
    let mut patience = Patience::new(silence);
    let began = clock::now();
    let messages = |number: u32| Message::new((number % 4) as u8, format!("{number} for an application elsewhere"));
    for number in 0..COUNT {
        peer.send_message(&messages(number))?;
    }
    let mut waiting = Vec::new();
    // The subject reads them all at once, and bears sixteen (PW-HB-017).
    let step = idle.max(context.profile.ping_floor).max(silence / 4);
    let mut asks_at = clock::now();
    while clock::elapsed(began) < silence * 5 / 2 {
        if clock::now() >= asks_at {
            let number = peer.next_ping_number();
            peer.send(&Packet::ping(number))?;
            asks_at += step;
        }
        match peer.receive_by(clock::now() + idle / 8)? {
            Some(Arrival::Packet(packet)) => {
                patience.evidence(&packet);
                waiting.push(packet);
            }
            Some(other) => return violation(format!("{other:?} came while the application was elsewhere")),
            None => {}
        }
        let sentence = "the subject said nothing for so long that its peer would have given it up";
        require(clock::now() < patience.given_up_at, sentence)?;
    }
    context.obeyed(&peer, Command::Release(id))?;
    let mut next = [0, 1, 2, 3];
    let mut come = 0;
    while come < COUNT {
        let packet = match waiting.is_empty() {
            false => waiting.remove(0),
            true => next_packet(&mut peer)?,
        };
        if packet.kind == kind::BUSY || packet.kind == kind::PONG {
            continue;
        }
        let Some(message) = peer.take_frame(packet)? else { continue };
        let due = &mut next[usize::from(message.class % 4)];
        require(message == messages(*due), format!("another message of class {} came than the next", message.class))?;
        (*due, come) = (*due + 4, come + 1);
    }
    settle(&mut peer)
}

fn next_packet(peer: &mut Peer) -> Result<Packet, Failure> {
    match peer.receive()? {
        Arrival::Packet(packet) => Ok(packet),
        other => violation(format!("{other:?} came before all the messages")),
    }
}

/// What waited to be said about the pause may come behind the messages; then all is as ever.
fn settle(peer: &mut Peer) -> Outcome {
    let last = Message::new(0, *b"the last one");
    peer.send_message(&last)?;
    loop {
        let packet = next_packet(peer)?;
        if packet.kind != kind::BUSY && packet.kind != kind::PONG {
            let came = peer.take_frame(packet)?;
            return require(came == Some(last), "another message came than was sent last");
        }
    }
}

fn writes_while_it_pauses(context: &mut Context<'_>) -> Outcome {
    all_is_written(context, Command::Pause, Command::Resume)
}

fn writes_while_elsewhere(context: &mut Context<'_>) -> Outcome {
    all_is_written(context, Command::Hold, Command::Release)
}

/// What waits behind a peer that does not read goes out when that reads, though this side does not.
fn all_is_written(
    context: &mut Context<'_>,
    leave: fn(crate::subject::Id) -> Command,
    come_back: fn(crate::subject::Id) -> Command,
) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    let count = waiting::fill(context, &mut peer, id)?;
    context.obeyed(&peer, leave(id))?;
    let asked = Message::new(0, *b"for when it is back");
    peer.send_message(&asked)?;
    let came = waiting::read_all(&mut peer, count)?;
    let odd = came.iter().find(|packet| packet.kind != kind::BUSY);
    require(odd.is_none(), format!("{odd:?} came between the messages"))?;
    context.obeyed(&peer, come_back(id))?;
    let began = clock::now();
    while clock::elapsed(began) < PATIENCE {
        let packet = next_packet(&mut peer)?;
        if packet.kind != kind::BUSY {
            let came = peer.take_frame(packet)?;
            require(came == Some(asked), "another message came than the one that was sent meanwhile")?;
            return settle(&mut peer);
        }
    }
    violation("nothing but BUSY came when the subject was back")
}
