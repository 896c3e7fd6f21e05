//! From messages to bytes, in memory.

use pulsewire_protocol::Damage;

use crate::goal::Goal;
use crate::measure::Group;
use crate::workload::SIZES;
use crate::workload::encoders::{ConnectionEncoder, Interleaved, LengthDelimitedEncoder, Nowhere};

const BORROWED: &str = "Connection, borrowed payloads";
const OWNED: &str = "Connection, owned payloads";
const CHECKED: &str = "Connection, checksums";
const CODEC: &str = "LengthDelimitedCodec";
const ALONE: &str = "Connection, nothing else";
const BESIDE: &str = "Connection, a message open";

pub(crate) fn groups() -> Vec<Group> {
    SIZES.into_iter().map(group).chain([beside()]).collect()
}

fn group(size: usize) -> Group {
    let mut borrowed = ConnectionEncoder::new(size, Damage::Close, Nowhere);
    let mut owned = ConnectionEncoder::new(size, Damage::Close, Nowhere);
    let mut checked = ConnectionEncoder::new(size, Damage::Resynchronise, Nowhere);
    let mut codec = LengthDelimitedEncoder::new(size);
    let group = Group::new(format!("encode/{size}"))
        .contender(BORROWED, move || borrowed.pass_borrowed())
        .contender(OWNED, move || owned.pass_owned())
        .contender(CHECKED, move || checked.pass_borrowed())
        .contender(CODEC, move || codec.pass());
    let factor = match size {
        0..=64 => 1.3,
        65..=256 => 0.9,
        257..=1_024 => 1.1,
        _ => return group,
    };
    group.goal(Goal::faster(BORROWED, CODEC, factor))
}

/// Messages that are queued while a large one of another class is open. Each batch has a hundred of them, and in the rest of its
/// 64 KiB a frame of the large one, whose bytes nobody copies: an operation is a small message, and also pays for its share of
/// handing out that frame.
fn beside() -> Group {
    const SIZE: usize = 64;
    let contender = |large: Option<usize>| {
        let mut sender = Interleaved::new(SIZE, large);
        for _ in 0..1_000 {
            sender.pass();
            assert!(sender.waiting() <= large.map_or(0, |_| 1), "a small message waits for the large one");
        }
        move || sender.pass()
    };
    Group::new(format!("encode/{SIZE} beside an open 16 MiB message"))
        .contender(ALONE, contender(None))
        .contender(BESIDE, contender(Some(16 << 20)))
        .goal(Goal::within(BESIDE, ALONE, 3.0))
}
