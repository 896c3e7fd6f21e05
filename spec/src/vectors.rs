//! The test vectors, typed.
//!
//! `README.md` describes the JSON files that they are read from.

mod bytes;
mod framing;
mod header;
mod hello;

use std::sync::LazyLock;

use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use bytes::{MalformedBytes, VectorBytes};
pub use framing::{ExceededLimit, FramingEnd, FramingEvent, FramingVector};
pub use header::{HeaderFields, HeaderVector};
pub use hello::{HelloPacket, HelloValues, HelloVector};

use crate::CloseReason;

const HEADER_JSON: &str = include_str!("../vectors/header.json");
const HELLO_JSON: &str = include_str!("../vectors/hello.json");
const FRAMING_JSON: &str = include_str!("../vectors/framing.json");

/// What a receiver makes of the bytes of a vector.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expectation<T> {
    /// It takes them, with these values.
    Accepted(T),
    /// It closes the connection for this reason.
    Close(CloseReason),
}

/// Single headers (section 3), in the order of `vectors/header.json`.
#[must_use]
pub fn header() -> &'static [HeaderVector] {
    static VECTORS: LazyLock<Vec<HeaderVector>> = LazyLock::new(|| parse(HEADER_JSON));
    &VECTORS
}

/// Payloads of HELLO and HELLO_ACK (section 7), in the order of `vectors/hello.json`.
#[must_use]
pub fn hello() -> &'static [HelloVector] {
    static VECTORS: LazyLock<Vec<HelloVector>> = LazyLock::new(|| parse(HELLO_JSON));
    &VECTORS
}

/// Streams after the handshake (sections 5 and 6), in the order of `vectors/framing.json`.
#[must_use]
pub fn framing() -> &'static [FramingVector] {
    static VECTORS: LazyLock<Vec<FramingVector>> = LazyLock::new(|| parse(FRAMING_JSON));
    &VECTORS
}

fn parse<T: DeserializeOwned>(json: &str) -> Vec<T> {
    serde_json::from_str(json).expect("the embedded vectors are parsed by the tests of this crate")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::requirement;

    /// The file, the name and the requirements of every vector.
    fn every_vector() -> Vec<(&'static str, &'static str, &'static [String])> {
        let header = header().iter().map(|vector| ("header", vector.name.as_str(), &vector.requirements[..]));
        let hello = hello().iter().map(|vector| ("hello", vector.name.as_str(), &vector.requirements[..]));
        let framing = framing().iter().map(|vector| ("framing", vector.name.as_str(), &vector.requirements[..]));
        header.chain(hello).chain(framing).collect()
    }

    #[test]
    fn every_vector_cites_requirements_that_exist() {
        for (file, name, requirements) in every_vector() {
            assert!(!requirements.is_empty(), "{file}/{name} cites nothing");
            for id in requirements {
                assert!(requirement(id).is_some(), "{file}/{name} cites {id}, which does not exist");
            }
        }
    }

    #[test]
    fn names_are_unique_in_their_file_and_plain() {
        let mut seen = HashSet::new();
        for (file, name, _) in every_vector() {
            assert!(seen.insert((file, name)), "{file}/{name} occurs twice");
            let plain = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-';
            assert!(!name.is_empty() && name.bytes().all(plain), "{file}/{name}");
        }
    }

    #[test]
    fn every_vector_file_is_embedded() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
        let on_disk: BTreeMap<String, String> = fs::read_dir(&directory)
            .expect("the folder of vectors")
            .map(|entry| entry.expect("an entry of the folder").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .map(|path| {
                let name = path.file_name().expect("a file").to_string_lossy().into_owned();
                (name, fs::read_to_string(&path).expect("a readable vector file"))
            })
            .collect();
        let embedded =
            [("framing.json", FRAMING_JSON), ("header.json", HEADER_JSON), ("hello.json", HELLO_JSON)].into_iter();
        assert_eq!(on_disk, embedded.map(|(name, text)| (name.to_owned(), text.to_owned())).collect());
    }

    #[test]
    fn header_vectors_are_single_headers() {
        for vector in header() {
            assert_eq!(vector.header.bytes().len(), 12, "{}", vector.name);
        }
    }

    #[test]
    fn hello_vectors_have_a_length_that_the_header_allows() {
        for vector in hello() {
            assert!((14..=4096).contains(&vector.payload.bytes().len()), "{}", vector.name);
        }
    }

    #[test]
    fn framing_vectors_end_with_the_close_that_they_received() {
        for vector in framing() {
            let closes = vector.events.iter().filter(|event| matches!(event, FramingEvent::Close { .. })).count();
            let expected = usize::from(vector.end == FramingEnd::PeerClosed);
            assert_eq!(closes, expected, "{}", vector.name);
        }
    }

    #[test]
    fn both_outcomes_occur_in_every_file() {
        let header_closes = header().iter().filter(|vector| matches!(vector.expect, Expectation::Close(_))).count();
        let hello_closes = hello().iter().filter(|vector| matches!(vector.expect, Expectation::Close(_))).count();
        let framing_closes = framing().iter().filter(|vector| matches!(vector.end, FramingEnd::Closed(_))).count();
        for (closes, all) in
            [(header_closes, header().len()), (hello_closes, hello().len()), (framing_closes, framing().len())]
        {
            assert!(0 < closes && closes < all);
        }
    }
}
