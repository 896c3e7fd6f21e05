//! The input of the target `differential`: one peer's bytes, their cuts and the time, for the core and for the oracle of the
//! conformance suite.
//!
//! The oracle was written from the specification alone, a second time. What both do is compared after every step, as far as
//! the text fixes it; what it leaves free is said where it is left out.

mod both;
mod numbers;
mod outgoing;
mod words;

use arbitrary::{Result, Unstructured};
use both::Both;
use pulsewire_protocol::{Admission, Class, CloseReason, Kind};

use crate::packets::hello_packet;
use crate::pieces::{Pieces, hello, pattern};
use crate::watched::PEER_KEY;
use numbers::{IDLE, numbers};

/// The bits of the first byte.
const CLIENT: u8 = 1;
const RESYNC: u8 = 2;
const GREETED: u8 = 4;
const ASKS: u8 = 8;
const PEER_RESYNC: u8 = 16;
const TWO_PROBES: u8 = 32;
const DETECTS: u8 = 64;
const MANY_PROBES: u8 = 128;

/// More would make runs slow, and shows nothing new.
const STEPS_MAX: usize = 100;
const STREAM_MAX: usize = 64 << 10;

/// Does the same to the core and to the oracle, as the input says: `options u8, key u32`, then steps until the input ends. All
/// little-endian; a step is a tag and its fields.
///
/// # Errors
/// The input ended within a field: what came before was done.
///
/// # Panics
/// If they do different things, and the specification says which.
pub fn run_differential(u: &mut Unstructured<'_>) -> Result<()> {
    let options: u8 = u.arbitrary()?;
    let key = u.arbitrary::<u32>()?.max(1);
    let is = |option| options & option != 0;
    let probes = if is(MANY_PROBES) { 10 } else { 3 - u32::from(is(TWO_PROBES)) };
    let config = numbers(is(RESYNC), is(ASKS), probes, is(DETECTS));
    let mut both = Both::new(&config, is(CLIENT), key);
    let mut pieces = Pieces::new(key, is(RESYNC));
    if is(GREETED) {
        let kind = if is(CLIENT) { Kind::HELLO_ACK } else { Kind::HELLO };
        // The floor takes the jitter away (PW-HB-005), so that both probe at the same time.
        let greeting = pulsewire_protocol::Hello { ping_floor: IDLE, ..hello(PEER_KEY, is(PEER_RESYNC)) };
        both.receive(&hello_packet(kind, &greeting));
        if config.admission == Admission::Ask {
            both.accept();
        }
    }
    let mut waiting = Vec::new();
    for _ in 0..STEPS_MAX {
        if u.is_empty() || both.is_over() || step(u, &mut both, &mut pieces, &mut waiting).is_err() {
            break;
        }
    }
    both.receive(&waiting);
    both.finish();
    Ok(())
}

/// One step; `waiting` is what the peer has sent and has not come.
fn step(u: &mut Unstructured<'_>, both: &mut Both, pieces: &mut Pieces, waiting: &mut Vec<u8>) -> Result<()> {
    match u.arbitrary::<u8>()? % 16 {
        0..=5 if waiting.len() < STREAM_MAX => pieces.add_to(waiting, u)?,
        0..=6 => both.receive(&std::mem::take(waiting)),
        7 | 8 => {
            let count = usize::from(u.arbitrary::<u16>()?) % (waiting.len() + 1);
            both.receive(&waiting.drain(..count).collect::<Vec<u8>>());
        }
        9 => both.wait(u.arbitrary::<u8>()? % 60),
        10 => {
            let number: u8 = u.arbitrary()?;
            let come = if number % 2 == 1 { std::mem::take(waiting) } else { Vec::new() };
            both.sleep(number / 2, &come);
        }
        11 => {
            let (class, size) = (Class(u.arbitrary::<u8>()? % 5), u.arbitrary::<u16>()?);
            both.send(class, &pattern(usize::from(size) % 25_000));
        }
        12 => {
            let reasons = [CloseReason::NORMAL, CloseReason::GOING_AWAY, CloseReason::OVERLOADED, CloseReason(40_000)];
            let number: u8 = u.arbitrary()?;
            both.close(reasons[usize::from(number % 4)], text(number / 4));
        }
        13 => both.drain(),
        14 => both.pause_or_resume(),
        _ => match u.arbitrary::<u8>()? {
            number if number % 4 == 0 => both.accept(),
            number if number % 4 == 1 => both.refuse(CloseReason::REFUSED, text(number / 4)),
            number => both.go_back(number / 4),
        },
    }
    Ok(())
}

/// What an application says: nothing, little, as much as CLOSE has room for, or more (PW-CLS-021).
fn text(number: u8) -> String {
    match number % 4 {
        0 => String::new(),
        1 => "closed by hand".into(),
        2 => "x".repeat(488 + usize::from(number / 4)),
        _ => ["", "x"][usize::from(number / 4 % 2)].to_owned() + &"\u{e9}".repeat(300),
    }
}
