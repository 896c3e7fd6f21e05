//! Writes the seeds, in the formats of the targets: the vectors of the specification, and what connections do in practice.
//!
//! `cargo run --example seed`, in this folder.

use std::io::Result;
use std::path::Path;

use pulsewire_protocol::{Class, Flags, HEADER_SIZE, Header, Kind};
use pulsewire_spec::vectors::{self, HelloPacket};

/// Longer ones are slow, and the fuzzer makes them by itself.
const STREAM_MAX: usize = 2_048;

fn main() -> Result<()> {
    for vector in vectors::framing() {
        let stream = vector.stream.bytes();
        if stream.len() <= STREAM_MAX {
            let greeted = 1 | if vector.resync { 2 } else { 0 };
            write(
                "receive",
                "framing",
                &vector.name,
                &[&receive_options(greeted, vector.key, 0)[..], stream].concat(),
            )?;
            write("split", "framing", &vector.name, &split_case(vector.resync, vector.key, stream))?;
        }
    }
    for vector in vectors::hello() {
        let payload = vector.payload.bytes();
        let (kind, client) = match vector.packet {
            HelloPacket::Hello => (Kind::HELLO, 0),
            HelloPacket::HelloAck => (Kind::HELLO_ACK, 4),
        };
        let header = Header { kind, flags: Flags::NONE, class: Class::UNCLASSIFIED, length: payload.len() as u32 };
        let stream = [&header.encode(0), payload].concat();
        write("receive", "hello", &vector.name, &[&receive_options(client, 7, 0)[..], &stream].concat())?;
        let tagged = [&[2, u8::from(client == 0)][..], &stream[HEADER_SIZE..]].concat();
        write("round_trip", "hello", &vector.name, &tagged)?;
    }
    for (name, input) in round_trips() {
        write("round_trip", "made", name, &input)?;
    }
    for (name, options, steps) in operations() {
        write("operations", "made", name, &[&[options, 7, 0, 0, 0][..], &steps.concat()].concat())?;
    }
    for (name, options, steps) in differentials() {
        write("differential", "made", name, &[&[options, 7, 0, 0, 0][..], &steps.concat()].concat())?;
    }
    for vector in vectors::framing().iter().chain(vectors::control()) {
        let stream = vector.stream.bytes();
        if stream.len() <= STREAM_MAX {
            let options = 4 | if vector.resync { 2 } else { 0 };
            let front =
                [&[options][..], &vector.key.to_le_bytes(), &[0, 0], &(stream.len() as u16).to_le_bytes()].concat();
            write("differential", "vector", &vector.name, &[&front[..], stream, &[6]].concat())?;
        }
    }
    for (name, options, transitions) in pairs() {
        write("pair", "made", name, &[&[options, 0, 0][..], &transitions.concat()].concat())?;
    }
    Ok(())
}

/// Inputs of `round_trip`: a tag, and the fields as `round_trip.rs` reads them.
fn round_trips() -> Vec<(&'static str, Vec<u8>)> {
    let text = b"closed by hand".as_slice();
    vec![
        ("header", [&[0, 4, 5, 4][..], &[1, 2, 0, 0], &[7, 0, 0, 0], &[8, 0, 0, 0]].concat()),
        ("hello", [&[1, 1][..], &[0, 2, 0, 0], &[1], &[7, 0, 0, 0], &[9, 0, 0, 0], &[100, 0, 1, 1], text].concat()),
        ("whole_message", [&[3, 4, 0, 0, 0][..], b"hello"].concat()),
        ("fragments", [&[3, 4, 1, 1, 255][..], b"a message in frames"].concat()),
        ("close", [&[4, 1, 0][..], &[0, 0, 0, 0], text].concat()),
        ("close_never", [&[4, 0, 128][..], &[255, 255, 255, 255], text].concat()),
        ("refusal", [&[5, 3, 0][..], &[1, 0, 0, 0], text].concat()),
        ("reject", vec![6, 3, 1, 0]),
        ("numbers", vec![7, 3, 1, 0, 0, 0, 0, 0, 0, 0]),
    ]
}

/// Inputs of `operations`: options, and operations as `operations.rs` reads them.
fn operations() -> Vec<(&'static str, u8, Vec<Vec<u8>>)> {
    const GREETED: u8 = 8;
    const EXCHANGE: u8 = 16;
    const NEXT_DEADLINE: u8 = 15;
    let send = |size: u16| [&[5, 4, 0][..], &size.to_le_bytes()].concat();
    let message = |size: u16| [&[0, 1, 4][..], &size.to_le_bytes()].concat();
    let frame = |flags: u8, size: u16| [&[0, 2, flags][..], &size.to_le_bytes()].concat();
    let control = |kind: u8, number: u16| [&[0, 8, kind][..], &number.to_le_bytes(), &[0]].concat();
    let damaged = |size: u16| [message(size), vec![0, 6, 9, 0, 3]].concat();
    let bare = |tags: &[u8]| tags.to_vec();
    let (client, resync, asks, large) = (1, 2, 16, 32);
    vec![
        ("handshake", 0, vec![control(1, 9), bare(&[EXCHANGE])]),
        ("handshake_of_a_client", client, vec![bare(&[EXCHANGE]), control(2, 9), bare(&[EXCHANGE])]),
        ("judged", asks, vec![control(1, 9), bare(&[10, EXCHANGE])]),
        ("refused", asks, vec![control(1, 9), bare(&[11, 3, 0, EXCHANGE])]),
        ("messages", GREETED, vec![message(5), send(100), message(3_000), send(9_000), bare(&[EXCHANGE])]),
        ("fragments", GREETED, vec![frame(3, 8_000), frame(2, 8_000), frame(0, 100), bare(&[EXCHANGE])]),
        ("too_large", GREETED, vec![frame(3, 8_000), frame(2, 8_000), frame(2, 8_000), bare(&[EXCHANGE])]),
        ("damage", GREETED | resync, vec![damaged(50), message(5), vec![0, 0, 20, 0], vec![1; 20], message(5)]),
        ("promised", GREETED | large, vec![[vec![0, 0, 12, 0], promise()].concat(), bare(&[EXCHANGE])]),
        ("close", GREETED, vec![send(9), bare(&[6, 1, 0, EXCHANGE]), control(10, 0)]),
        ("closed_by_peer", GREETED, vec![send(9), control(9, 0), bare(&[EXCHANGE])]),
        ("crossed", GREETED, vec![bare(&[6, 1, 0, EXCHANGE]), control(9, 0), bare(&[EXCHANGE]), control(10, 0)]),
        ("drain", GREETED, vec![bare(&[7, EXCHANGE, 7]), control(8, 0), bare(&[EXCHANGE])]),
        ("pause", GREETED, vec![bare(&[8, EXCHANGE, NEXT_DEADLINE, EXCHANGE, 9, EXCHANGE]), control(7, 500)]),
        ("silence", GREETED, vec![bare(&[NEXT_DEADLINE, EXCHANGE]).repeat(6)]),
        ("write_stall", GREETED, vec![send(9_000), bare(&[3, 0, 9, 2, 5, 0]), bare(&[NEXT_DEADLINE]).repeat(8)]),
        ("cut", GREETED, vec![send(9_000), bare(&[3, 0, 2, 13, 1])]),
        (
            "lent_memory",
            GREETED | large,
            vec![begun(), bare(&[21, 2, 19]), given_back(1), bare(&[19, 21, 1]), given_back(1)],
        ),
        ("memory_lent_before", GREETED | large, vec![begun(), bare(&[19]), raw(&[7; 9]), bare(&[19]), given_back(0)]),
        ("memory_of_others", GREETED | large, vec![begun(), bare(&[19, 21, 0]), raw(&[7; 9])[1..].to_vec()]),
        (
            "acknowledged",
            GREETED,
            vec![bare(&[17, 0]), send(9_000), bare(&[EXCHANGE, 17, 3, 99, 0, NEXT_DEADLINE, 17, 1])],
        ),
        (
            "clock_set_back",
            GREETED,
            vec![bare(&[NEXT_DEADLINE, EXCHANGE, 18, 0, 9, NEXT_DEADLINE, EXCHANGE]), message(5)],
        ),
        ("prepared", GREETED, vec![vec![22, 4, 0, 0xE8, 3], vec![22, 3, 1, 0x40, 0x1F], bare(&[EXCHANGE, 23])]),
        ("last_words", GREETED, vec![send(9_000), bare(&[6, 20, 0, 3, 0, 9]), bare(&[NEXT_DEADLINE]).repeat(2)]),
        (
            "last_words_late",
            GREETED,
            vec![send(9_000), bare(&[3, 0, 9, 13, 0, 14, 0xFF, 0xFF, 4]), bare(&[NEXT_DEADLINE])],
        ),
        (
            "held_ping",
            GREETED,
            vec![bare(&[NEXT_DEADLINE, 14, 0xFF, 0xFF, EXCHANGE, NEXT_DEADLINE, 14, 0xFF, 0xFF, 4])],
        ),
    ]
}

/// Bytes come as they are: an operation of `operations`, and of `differential`.
fn raw(bytes: &[u8]) -> Vec<u8> {
    [&[0, 0][..], &(bytes.len() as u16).to_le_bytes(), bytes].concat()
}

/// A frame of 16 MB begins.
fn begun() -> Vec<u8> {
    raw(&[&promise()[..], &[7; 9]].concat())
}

/// Lent memory comes back, what was lent last or first.
fn given_back(latest: u8) -> Vec<u8> {
    [&[20, latest][..], &raw(&[7; 50])[1..]].concat()
}

/// Inputs of `differential`: options, and steps as `differential.rs` reads them.
fn differentials() -> Vec<(&'static str, u8, Vec<Vec<u8>>)> {
    const GREETED: u8 = 4;
    const COME: u8 = 6;
    let message = |size: u16| [&[0, 1, 4][..], &size.to_le_bytes()].concat();
    let frame = |flags: u8, size: u16| [&[0, 2, flags][..], &size.to_le_bytes()].concat();
    let control = |kind: u8, number: u16| [&[0, 8, kind][..], &number.to_le_bytes(), &[0]].concat();
    let send = |size: u16| [&[11, 4][..], &size.to_le_bytes()].concat();
    let close = |reason: u16| [&[0, 5][..], &reason.to_le_bytes()].concat();
    let wait = |ticks: u8| vec![9, ticks];
    let bare = |tags: &[u8]| tags.to_vec();
    let part = |count: u16| [&[7][..], &count.to_le_bytes()].concat();
    let sleep = |ticks: u8| vec![10, ticks * 2];
    let (client, resync, asks, peer_resyncs, many_probes) = (1, 2, 8, 16, 128);
    let pinged = |number: u16| [control(5, number), bare(&[COME]), wait(59)].concat();
    vec![
        ("handshake", 0, vec![control(1, 9), bare(&[COME])]),
        ("handshake_of_a_client", client, vec![control(2, 9), bare(&[COME])]),
        ("nobody_greets", 0, vec![wait(50)]),
        ("judged", GREETED | asks, vec![message(5), bare(&[COME])]),
        ("refused", asks, vec![control(1, 9), bare(&[COME, 15, 1])]),
        ("messages", GREETED, vec![message(5), send(100), message(3_000), part(9), send(9_000), bare(&[COME])]),
        ("fragments", GREETED, vec![frame(3, 8_000), frame(2, 8_000), frame(0, 100), bare(&[COME])]),
        ("too_large", GREETED, vec![frame(3, 8_000), frame(2, 8_000), frame(2, 8_000), bare(&[COME])]),
        (
            "damage",
            GREETED | resync | peer_resyncs,
            vec![
                message(50),
                vec![0, 6, 9, 0, 3],
                message(5),
                vec![0, 0, 20, 0],
                vec![1; 20],
                message(5),
                bare(&[COME]),
            ],
        ),
        ("silence", GREETED, vec![wait(59), wait(59)]),
        ("suspect", GREETED, vec![wait(45), message(5), bare(&[COME]), wait(45)]),
        ("pongs", GREETED, vec![wait(21), control(6, 1), bare(&[COME]), wait(21), control(6, 2), bare(&[COME])]),
        ("pings", GREETED, vec![control(5, 1), control(5, 2), part(25), wait(1), control(5, 3), bare(&[COME])]),
        ("busy", GREETED, vec![control(7, 500), bare(&[COME]), wait(60), control(7, 0), bare(&[COME]), wait(60)]),
        ("pause", GREETED, vec![bare(&[14]), wait(60), bare(&[14]), message(5), bare(&[COME]), wait(60)]),
        ("close", GREETED, vec![send(9), bare(&[12, 0]), control(10, 0), bare(&[COME])]),
        ("closed_by_peer", GREETED, vec![send(9), close(1), bare(&[COME])]),
        ("crossed", GREETED, vec![bare(&[12, 0]), close(1), bare(&[COME]), control(10, 0), bare(&[COME])]),
        ("unanswered", GREETED, vec![bare(&[12, 0]), wait(40)]),
        ("drain", GREETED, vec![bare(&[13, 13]), control(8, 0), bare(&[COME]), control(8, 0), bare(&[COME])]),
        ("stall", GREETED, vec![message(900), part(20), wait(60)]),
        (
            "rejected",
            GREETED,
            // The first message of class 4, and the second, which there is not.
            vec![send(9), control(3, 8 + 4), bare(&[COME]), control(3, 16 + 4), bare(&[COME])],
        ),
        ("open_for_long", GREETED, vec![frame(3, 100), bare(&[COME]), wait(59), pinged(1), pinged(2), pinged(3)]),
        (
            "open_and_fed",
            GREETED,
            vec![frame(3, 100), bare(&[COME]), wait(59), frame(2, 900), pinged(1), pinged(2), frame(2, 900), pinged(3)],
        ),
        ("budget_of_bytes", GREETED | resync, vec![[vec![0, 0, 0xFF, 0xFF], bare(&[COME])].concat(); 4]),
        ("many_probes", GREETED | many_probes, vec![wait(59), wait(59), wait(59), wait(59)]),
        (
            "unanswered_pings",
            GREETED | many_probes,
            vec![[wait(21), message(5), bare(&[COME])].concat().repeat(16), wait(45), control(6, 14), bare(&[COME])],
        ),
        ("overslept", GREETED, vec![wait(21), sleep(127), wait(59), wait(59)]),
        ("overslept_stall", GREETED, vec![message(900), part(20), sleep(127), wait(59)]),
        ("overslept_close", GREETED, vec![bare(&[12, 0]), sleep(127), wait(40)]),
        ("clock_set_back", GREETED, vec![wait(30), vec![15, 2 + 4 * 20], wait(50)]),
        ("long_text", GREETED, vec![bare(&[12, 3 * 4])]),
        ("refused_with_text", asks, vec![control(1, 9), bare(&[COME, 15, 1 + 4])]),
    ]
}

/// The header of a frame of 16 MB, for the key of all these.
fn promise() -> Vec<u8> {
    let flags = Flags::FIRST | Flags::MORE;
    Header { kind: Kind::DATA, flags, class: Class::BUSINESS, length: 0xFF_FFFF }.encode(7).to_vec()
}

/// Inputs of `pair`: options, and transitions as `link_case.rs` reads them.
fn pairs() -> Vec<(&'static str, u8, Vec<Vec<u8>>)> {
    /// The other end.
    const SERVER: u8 = 0x80;
    let (damage, stalls, cuts) = (3 | 4 | 32, 8, 16);
    let send = |end: u8, size: u16| [&[end, 4, 0][..], &size.to_le_bytes()].concat();
    let wait = |millis: u8| vec![6, millis];
    let begin = || wait(10);
    vec![
        ("clean", 0, vec![begin(), send(0, 10), send(SERVER, 9_000), wait(20), vec![1, 0, 0]]),
        ("crossed", 0, vec![begin(), send(0, 10), send(SERVER, 10), vec![1, 0, 0, 1 | SERVER, 0, 0]]),
        ("closed_early", 0, vec![vec![1, 0, 0]]),
        ("drain", 0, vec![begin(), vec![2, 2 | SERVER], send(0, 10), wait(9)]),
        ("split", 0, vec![vec![9, 1, 0], begin(), send(0, 9_000), vec![8, 40], send(SERVER, 100), wait(90)]),
        ("corrupted", damage, vec![send(SERVER, 9_000), vec![10, 99, 0, 3], wait(90), send(SERVER, 5)]),
        ("inserted", damage, vec![send(0, 9_000), vec![11 | SERVER, 99, 0, 30, 7, 7], wait(90)]),
        (
            "header_corrupted",
            damage,
            vec![send(SERVER, 9_000), vec![10, 0x23, 0x80, 3], wait(90), send(SERVER, 5), wait(9)],
        ),
        ("header_parted", damage, vec![send(SERVER, 9_000), vec![11, 0x35, 0x80, 30, 7, 7], wait(90)]),
        ("stalled", stalls, vec![begin(), vec![12, 1], send(0, 9_000), vec![13, 200, 0], wait(50), vec![12, 0]]),
        ("paused", stalls, vec![begin(), vec![3], send(SERVER, 9_000), wait(90), vec![4], wait(50)]),
        ("write_stall", stalls, vec![begin(), vec![12, 1], send(0, 9_000), vec![7, 64, 156]]),
        ("cut", cuts, vec![begin(), send(0, 9_000), vec![13, 255, 255], wait(90), vec![7, 64, 156]]),
        ("aborted", cuts, vec![begin(), send(0, 9_000), vec![5], wait(90)]),
    ]
}

/// The front of an input of `receive`.
fn receive_options(options: u8, key: u32, chunk: u8) -> [u8; 6] {
    let [a, b, c, d] = key.to_be_bytes();
    [options, a, b, c, d, chunk]
}

/// An input of `split`: three cuts, the stream as one piece of raw bytes.
fn split_case(resync: bool, key: u32, stream: &[u8]) -> Vec<u8> {
    let mut input = vec![u8::from(resync)];
    input.extend(key.to_le_bytes());
    input.push(3);
    for (cut, direct) in [(1u16, 0u16), (13, 1), (stream.len() as u16 / 2, 1)] {
        input.extend((cut << 1 | direct).to_le_bytes());
    }
    input.push(0);
    input.extend((stream.len() as u16).to_le_bytes());
    input.extend(stream);
    input
}

fn write(target: &str, sort: &str, name: &str, input: &[u8]) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    std::fs::create_dir_all(&folder)?;
    let name: String = name.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '_' }).collect();
    std::fs::write(folder.join(format!("{sort}-{name}")), input)
}
