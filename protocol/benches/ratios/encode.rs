//! From messages to bytes, in memory.

use pulsewire_protocol::Damage;

use crate::goal::Goal;
use crate::measure::Group;
use crate::workload::SIZES;
use crate::workload::encoders::{ConnectionEncoder, LengthDelimitedEncoder, Nowhere};

const BORROWED: &str = "Connection, borrowed payloads";
const OWNED: &str = "Connection, owned payloads";
const CHECKED: &str = "Connection, checksums";
const CODEC: &str = "LengthDelimitedCodec";

pub(crate) fn groups() -> Vec<Group> {
    SIZES.into_iter().map(group).collect()
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
        0..=64 => 3.0,
        65..=256 => 2.0,
        257..=1_024 => 1.5,
        _ => return group,
    };
    group.goal(Goal::faster(BORROWED, CODEC, factor))
}
