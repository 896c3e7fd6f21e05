//! Sections 6 and 9, where much waits to be sent, of several classes: all of it arrives, once and in order.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::BOTH;
use super::drain::ended_with;
use crate::case::{Case, Need};
use crate::clock;
use crate::codec::registry::{kind, reason};
use crate::codec::{Close, Packet};
use crate::context::Context;
use crate::peer::{Arrival, Message, PATIENCE, Peer};
use crate::profile::Profile;
use crate::subject::Id;
use crate::verdict::{Failure, Outcome, require, violation};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-DAT-011/many-writers",
        "keeps the order of each class on many connections, whose applications and echoes send at once in every class",
        BOTH,
        Profile::calm,
        many_writers
    )
    .whole_only(),
    case!(
        "PW-CLS-001/everything-before-close-ack",
        "sends all that it accepted of every class before CLOSE_ACK, and counts every message that came",
        BOTH,
        Profile::calm,
        everything_before_close_ack
    )
    .whole_only(),
    case!(
        "PW-CLS-015/reads-twice-as-fast",
        "sends all that waits of every class, and CLOSE behind it, to a peer that reads twice as fast as it has to",
        BOTH,
        slow_link,
        reads_twice_as_fast,
        [Need::OwnNumbers]
    )
    .whole_only(),
];

/// More classes than anybody would have thought of, some of them private.
const CLASSES: [u8; 7] = [0, 1, 2, 3, 4, 128, 255];

/// Bytes have 3 s to be acknowledged, and a second more for each 256 KiB of them.
fn slow_link() -> Profile {
    Profile { write_stall: Duration::from_secs(3), assembly_rate: 256 << 10, ..Profile::calm() }
}

/// A payload that begins with who sent it and with its number.
fn numbered(writer: u8, number: u32, size: usize) -> Vec<u8> {
    let mut payload = vec![writer; size.max(5)];
    payload[1..5].copy_from_slice(&number.to_be_bytes());
    payload
}

/// What came of each class and writer: how many, which is the number of the next.
#[derive(Default)]
struct Came(BTreeMap<(u8, u8), u32>);

impl Came {
    fn note(&mut self, message: &Message) -> Outcome {
        let Some((writer, number)) = message
            .payload
            .split_first()
            .zip(message.payload.get(1..5))
            .map(|((writer, _), number)| (*writer, number.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))))
        else {
            return violation(format!("a message of {} bytes came that nobody sent", message.payload.len()));
        };
        let next = self.0.entry((message.class, writer)).or_default();
        let class = message.class;
        require(
            number == *next,
            format!("message {number} of class {class} by writer {writer} came where {next} was due"),
        )?;
        *next += 1;
        Ok(())
    }

    fn of(&self, class: u8, writer: u8) -> u32 {
        self.0.get(&(class, writer)).copied().unwrap_or_default()
    }

    fn in_all(&self) -> u32 {
        self.0.values().sum()
    }
}

/// The application, and the peer whose messages are returned.
const APPLICATION: u8 = 1;
const ECHO: u8 = 2;

/// Messages up to so many bytes fit into the frames of these cases; larger ones need several.
const FRAME: u32 = 2_048;

/// The size of a message: mostly small, now and then several frames.
fn size(number: u32) -> usize {
    if number.is_multiple_of(8) { FRAME as usize * 2 + 7 } else { 5 + number as usize % 90 }
}

fn many_writers(context: &mut Context<'_>) -> Outcome {
    const CONNECTIONS: usize = 6;
    const EACH: u32 = 40;
    let mut peers: Vec<(Peer, Id)> = Vec::new();
    for _ in 0..CONNECTIONS {
        let peer = context.establish_with(|peer| peer.hello.frame_limit = FRAME)?;
        let id = context.youngest(&peer)?;
        peers.push((peer, id));
    }
    for number in 0..EACH {
        for (peer, id) in &mut peers {
            for class in CLASSES {
                context.accept_quietly(peer, *id, class, &numbered(APPLICATION, number, size(number)))?;
                peer.send_message(&Message::new(class, numbered(ECHO, number, size(number + 3).min(FRAME as usize))))?;
            }
        }
    }
    for (peer, _) in &mut peers {
        let mut came = Came::default();
        while came.in_all() < EACH * CLASSES.len() as u32 * 2 {
            came.note(&peer.next_message()?)?;
        }
        for (class, writer) in CLASSES.iter().flat_map(|class| [(*class, APPLICATION), (*class, ECHO)]) {
            let count = came.of(class, writer);
            require(count == EACH, format!("{count} messages of class {class} by writer {writer} came, not {EACH}"))?;
        }
        peer.alive()?;
    }
    Ok(())
}

fn everything_before_close_ack(context: &mut Context<'_>) -> Outcome {
    const EACH: u32 = 200;
    let mut peer = context.establish_with(|peer| peer.hello.frame_limit = FRAME)?;
    let id = context.youngest(&peer)?;
    let mut sent = 1;
    for number in 0..EACH {
        for class in CLASSES {
            context.accept_quietly(&peer, id, class, &numbered(APPLICATION, number, size(number)))?;
        }
        peer.send_message(&Message::new(2, numbered(ECHO, number, 50)))?;
        sent += 1;
    }
    peer.send(&Close::new(reason::NORMAL, peer.received).to_packet())?;
    let mut came = Came::default();
    let count = loop {
        match peer.receive()? {
            Arrival::Packet(packet) if packet.kind == kind::DATA => {
                peer.take_frame(packet)?.map_or(Ok(()), |message| came.note(&message))?;
            }
            Arrival::Packet(packet) if packet.kind == kind::CLOSE_ACK => break packet.number(),
            other => return violation(format!("{other:?} came between messages")),
        }
    };
    for class in CLASSES {
        let arrived = came.of(class, APPLICATION);
        require(arrived == EACH, format!("{arrived} of {EACH} messages of class {class} came before CLOSE_ACK"))?;
    }
    require(count == sent, format!("PW-CLS-004: CLOSE_ACK counts {count} messages instead of {sent}"))?;
    peer.expect_end()
}

fn reads_twice_as_fast(context: &mut Context<'_>) -> Outcome {
    /// Between two reads.
    const STEP: Duration = Duration::from_millis(100);
    /// So many of them take longer than any byte alone may wait.
    const STEPS: usize = 60;
    let (mut peer, id) = context.establish_with_id()?;
    let each = context.enough_to_wait() / 20_000 / CLASSES.len();
    let mut pace = Pace::new(u64::from(context.profile.assembly_rate) * 2);
    // To queue all of it may take a busy machine longer than bytes may wait.
    for number in 0..each {
        for class in CLASSES {
            context.accept_quietly(&peer, id, class, &numbered(APPLICATION, number as u32, 20_000))?;
        }
        pace.read(&mut peer)?;
    }
    context.close_from(&peer, id, 0x8001)?;
    let (mut came, mut steps) = (Came::default(), 0);
    let close = loop {
        if steps < STEPS {
            clock::sleep(STEP);
            steps += 1;
            pace.read(&mut peer)?;
        }
        let patience = if steps < STEPS { Duration::ZERO } else { PATIENCE };
        match next_but_messages(&mut peer, &mut came, patience)? {
            Some(Arrival::Packet(packet)) => break peer.check_close(&packet, 0x8001)?,
            Some(other) => return violation(format!("{other:?} came between messages, after {steps} slow reads")),
            None if steps < STEPS => {}
            None => return violation(format!("nothing came for {} s", PATIENCE.as_secs())),
        }
    };
    for class in CLASSES {
        let arrived = came.of(class, APPLICATION);
        require(arrived as usize == each, format!("{arrived} of {each} messages of class {class} came before CLOSE"))?;
    }
    require(close.received == 1, format!("PW-CLS-004: CLOSE counts {} messages instead of 1", close.received))?;
    peer.send(&Packet::close_ack(peer.received))?;
    peer.expect_end()?;
    peer.half_close();
    ended_with(context, &peer, id, 0x8001)
}

/// Reads at so many bytes a second, whenever it is asked to, and what was due before where it is asked late. What was not there is not
/// made up for.
struct Pace {
    rate: u64,
    began: Instant,
    taken: usize,
}

impl Pace {
    fn new(rate: u64) -> Self {
        Self { rate, began: clock::now(), taken: 0 }
    }

    fn read(&mut self, peer: &mut Peer) -> Outcome {
        let due = (self.rate * clock::elapsed(self.began).as_millis() as u64 / 1_000) as usize;
        let wanted = due.saturating_sub(self.taken);
        let read = peer.read_some(wanted)?.unwrap_or_default();
        self.taken = if read < wanted { due } else { self.taken + read };
        Ok(())
    }
}

/// Notes messages until another packet comes, or none for so long.
fn next_but_messages(peer: &mut Peer, came: &mut Came, patience: Duration) -> Result<Option<Arrival>, Failure> {
    while let Some(arrival) = peer.receive_by(clock::now() + patience)? {
        match arrival {
            Arrival::Packet(packet) if packet.kind == kind::DATA => {
                peer.take_frame(packet)?.map_or(Ok(()), |message| came.note(&message))?;
            }
            other => return Ok(Some(other)),
        }
    }
    Ok(None)
}
