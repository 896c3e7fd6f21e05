//! The input of the target `pair`: two connections, and what happens to them and to the link between them.

use arbitrary::{Result, Unstructured};
use pulsewire_protocol::CloseReason;

use crate::pair::{Reference, Setup, Spot, Transition, WatchedPair};

/// The bits of the first byte.
const CLIENT_RESYNC: u8 = 1;
const SERVER_RESYNC: u8 = 2;
const DAMAGE: u8 = 4;
const STALLS: u8 = 8;
const CUTS: u8 = 16;
const ESTABLISHED: u8 = 32;

/// More would make runs slow, and shows nothing new.
const TRANSITIONS_MAX: usize = 120;

/// Does to a pair what the input says: `options u8, frame limit u16`, then transitions until the input ends. All
/// little-endian; a transition is a tag and its fields. What does not fit to the options is passed over.
///
/// # Errors
/// The input ended within the options.
///
/// # Panics
/// If something that must hold does not.
pub fn run_pair(u: &mut Unstructured<'_>) -> Result<()> {
    let options: u8 = u.arbitrary()?;
    let is = |option| options & option != 0;
    let setup = Setup {
        frame: 512 + u32::from(u.arbitrary::<u16>()?) % 3_000,
        established: is(ESTABLISHED),
        resync: [is(CLIENT_RESYNC), is(SERVER_RESYNC)],
        damage: is(DAMAGE),
        stalls: is(STALLS),
        cuts: is(CUTS),
    };
    let mut pair = WatchedPair::new(&setup);
    let mut reference = Reference::new(setup);
    for _ in 0..TRANSITIONS_MAX {
        if u.is_empty() {
            break;
        }
        let Ok(transition) = transition(u) else { break };
        if reference.permits(&transition) {
            reference.apply(&transition);
            pair.apply(&reference, &transition);
        }
    }
    pair.finish(&mut reference);
    Ok(())
}

/// The highest bit of the tag is the end that it is about.
fn transition(u: &mut Unstructured<'_>) -> Result<Transition> {
    let tag: u8 = u.arbitrary()?;
    let end = usize::from(tag >> 7);
    let number = |u: &mut Unstructured<'_>| u.arbitrary::<u16>().map(usize::from);
    Ok(match (tag & 0x7F) % 14 {
        0 => Transition::Send { end, class: u.arbitrary()?, sealed: u.arbitrary()?, size: number(u)? % 20_000 },
        1 => Transition::Close { end, reason: CloseReason(1 + u.arbitrary::<u16>()? % 4) },
        2 => Transition::Drain { end },
        3 => Transition::Pause { end },
        4 => Transition::Resume { end },
        5 => Transition::Abort { end },
        6 => Transition::Wait(u.arbitrary::<u8>()?.into()),
        7 => Transition::Wait(u64::from(u.arbitrary::<u16>()?) % 40_000),
        8 => Transition::Latency(u64::from(u.arbitrary::<u8>()?) % 45),
        9 => Transition::Step(match number(u)? % 3_000 {
            0 => usize::MAX,
            step => step,
        }),
        10 => Transition::Corrupt { to: end, spot: spot(number(u)?), bit: u.arbitrary::<u8>()? % 8 },
        11 => {
            let (spot, count) = (spot(number(u)?), 1 + usize::from(u.arbitrary::<u8>()?) % 100);
            Transition::Insert { to: end, spot, count, noise: u.arbitrary::<u16>()?.into() }
        }
        12 => Transition::Stall { end, stalled: u.arbitrary()? },
        _ => match number(u)? {
            // Seldom, or little else would happen.
            0xFFFF => Transition::Cut,
            count => Transition::Take { end, count },
        },
    })
}

/// The highest bit: a byte of a header.
fn spot(number: usize) -> Spot {
    match number & 0x8000 {
        0 => Spot::Anywhere(number),
        _ => Spot::Header { number: (number & 0x7FFF) >> 4, byte: number & 0xF },
    }
}
