//! From bytes to packets.

use pulsewire_protocol::Damage;

use crate::goal::Goal;
use crate::measure::Group;
use crate::workload::decoders::{
    ConnectionDecoder, DirectDecoder, HeaderLoop, LengthDelimited, Memcpy, Nom, WebSocketClient,
};
use crate::workload::{BATCH, SIZES, Source, packets, streams};

const MEMCPY: &str = "memcpy";
const MEMCPY_CHECKED: &str = "memcpy, checksums";
const FRAMER: &str = "Header::verify in a loop";
const CONNECTION: &str = "Connection";
const CHECKED: &str = "Connection, checksums";
const DIRECT: &str = "Connection, direct buffers";
const DIRECT_CHECKED: &str = "Connection, direct buffers, checksums";
const NOM: &str = "nom, no check";
const CODEC: &str = "LengthDelimitedCodec";
const WEBSOCKET: &str = "tungstenite";

pub(crate) fn groups() -> Vec<Group> {
    let mut groups: Vec<Group> = SIZES.into_iter().map(whole_reads).collect();
    groups.extend([trickle(), resynchronise()]);
    groups
}

/// Reads of 64 KiB.
fn whole_reads(size: usize) -> Group {
    let packets = packets(size);
    let count = packets as u64;
    let ours = Source::new(streams::pulsewire(size, packets, Damage::Close), BATCH);
    let checked = Source::new(streams::pulsewire(size, packets, Damage::Resynchronise), BATCH);
    let direct = [(DIRECT, ours.clone(), Damage::Close), (DIRECT_CHECKED, checked.clone(), Damage::Resynchronise)];
    let mut memcpy = Memcpy::new(ours.clone(), count);
    let mut memcpy_checked = Memcpy::new(ours.clone(), count);
    let mut framer = HeaderLoop::new(ours.clone());
    let mut nom = Nom::new(ours.clone());
    let mut connection = ConnectionDecoder::new(ours, Damage::Close);
    let mut checksums = ConnectionDecoder::new(checked, Damage::Resynchronise);
    let mut codec = LengthDelimited::new(Source::new(streams::length_delimited(size, packets), BATCH));
    let mut websocket = WebSocketClient::new(Source::new(streams::websocket(size, packets), BATCH), count);
    for cut in [framer.pass(), nom.pass(), connection.pass(), checksums.pass(), codec.pass()] {
        assert_eq!(cut, count, "not every packet of {size} bytes was cut");
    }
    let group = Group::new(format!("decode/{size}"))
        .contender(MEMCPY, move || memcpy.pass())
        .contender(FRAMER, move || framer.pass())
        .contender(CONNECTION, move || connection.pass())
        .contender(CHECKED, move || checksums.pass())
        .contender(NOM, move || nom.pass())
        .contender(CODEC, move || codec.pass())
        .contender(WEBSOCKET, move || websocket.pass());
    // Smaller packets have no buffers of their own.
    let direct = direct.into_iter().filter(|_| size >= BATCH);
    let group =
        if size >= BATCH { group.contender(MEMCPY_CHECKED, move || memcpy_checked.pass_checked()) } else { group };
    let group = direct.fold(group, |group, (name, source, damage)| {
        let mut decoder = DirectDecoder::new(source, damage);
        assert_eq!(decoder.pass(), count, "not every packet of {size} bytes was cut");
        group.contender(name, move || decoder.pass())
    });
    goals(size).into_iter().fold(group, Group::goal)
}

fn goals(size: usize) -> Vec<Goal> {
    let framer = |factor| Goal::faster(FRAMER, CODEC, factor);
    let limit = |factor| Goal::within(FRAMER, MEMCPY, factor);
    match size {
        0..=64 => vec![framer(5.0), Goal::faster(CONNECTION, CODEC, 1.6), Goal::faster(CHECKED, CODEC, 1.0)],
        65..=256 => vec![framer(3.5)],
        257..=1_024 => vec![framer(1.8), limit(1.35)],
        1_025..=4_096 => vec![framer(1.2), limit(1.35)],
        _ => {
            vec![limit(1.35), Goal::within(DIRECT, MEMCPY, 1.4), Goal::within(DIRECT_CHECKED, MEMCPY_CHECKED, 1.4)]
        }
    }
}

/// Reads of 1 to 100 bytes.
fn trickle() -> Group {
    const SIZE: usize = 64;
    let ours = Source::trickling(streams::pulsewire(SIZE, packets(SIZE), Damage::Close));
    let mut framer = HeaderLoop::new(ours.clone());
    let mut connection = ConnectionDecoder::new(ours, Damage::Close);
    let mut codec = LengthDelimited::new(Source::trickling(streams::length_delimited(SIZE, packets(SIZE))));
    Group::new("decode/64 in reads of 1 to 100 bytes")
        .contender(FRAMER, move || framer.pass())
        .contender(CONNECTION, move || connection.pass())
        .contender(CODEC, move || codec.pass())
        .goal(Goal::faster(FRAMER, CODEC, 1.2))
        .goal(Goal::faster(CONNECTION, CODEC, 0.95))
}

/// Finding the next header in random bytes; an operation is a byte.
fn resynchronise() -> Group {
    /// Less than may be skipped within a minute, and one read.
    const SIZE: usize = 60_000;
    let mut connection = ConnectionDecoder::new(Source::new(streams::garbage(SIZE), BATCH), Damage::Resynchronise);
    assert_eq!(connection.pass(), 2, "a gap and a message");
    Group::new("resync, ns per byte")
        .contender(CONNECTION, move || connection.pass() / 2 * SIZE as u64)
        // 5 GB/s.
        .goal(Goal::below(CONNECTION, 0.2))
}
