//! Writes the seeds: the vectors of the specification, in the formats of the targets.
//!
//! `cargo run --example seed`, in this folder.

use std::io::Result;
use std::path::Path;

use pulsewire_protocol::{Class, Flags, Header, Kind};
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
    }
    Ok(())
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
