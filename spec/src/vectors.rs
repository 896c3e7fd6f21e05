//! The test vectors, typed.
//!
//! `README.md` describes the JSON files that they are read from.

mod bytes;
mod conversation;
mod framing;
mod header;
mod hello;

use std::sync::LazyLock;

use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use bytes::{MalformedBytes, VectorBytes};
pub use conversation::{
    Conversation, ConversationAction, ConversationConfig, ConversationDisconnect, ConversationEvent,
    ConversationFarewell, ConversationKeys, ConversationOrigin, ConversationRole, ConversationStep,
};
pub use framing::{ExceededLimit, FramingEnd, FramingEvent, FramingVector, RejectReason};
pub use header::{HeaderFields, HeaderVector};
pub use hello::{HelloPacket, HelloValues, HelloVector};

use crate::CloseReason;

const HEADER_JSON: &str = include_str!("../vectors/header.json");
const HELLO_JSON: &str = include_str!("../vectors/hello.json");
const FRAMING_JSON: &str = include_str!("../vectors/framing.json");
const CONTROL_JSON: &str = include_str!("../vectors/control.json");
/// By area.
const CONVERSATIONS_JSON: [(&str, &str); 7] = [
    ("handshake.json", include_str!("../vectors/conversations/handshake.json")),
    ("heartbeat.json", include_str!("../vectors/conversations/heartbeat.json")),
    ("pausing.json", include_str!("../vectors/conversations/pausing.json")),
    ("messages.json", include_str!("../vectors/conversations/messages.json")),
    ("closing.json", include_str!("../vectors/conversations/closing.json")),
    ("limits.json", include_str!("../vectors/conversations/limits.json")),
    ("acknowledged.json", include_str!("../vectors/conversations/acknowledged.json")),
];

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

/// Packets other than DATA, after the handshake (sections 6.1, 8 and 9), in the order of `vectors/control.json`.
#[must_use]
pub fn control() -> &'static [FramingVector] {
    static VECTORS: LazyLock<Vec<FramingVector>> = LazyLock::new(|| parse(CONTROL_JSON));
    &VECTORS
}

/// Whole connections of one side, in the order of the files `handshake.json`, `heartbeat.json`, `pausing.json`,
/// `messages.json`, `closing.json`, `limits.json` and `acknowledged.json` in `vectors/conversations`.
#[must_use]
pub fn conversations() -> &'static [Conversation] {
    static CONVERSATIONS: LazyLock<Vec<Conversation>> =
        LazyLock::new(|| CONVERSATIONS_JSON.iter().flat_map(|(_, json)| parse::<Conversation>(json)).collect());
    &CONVERSATIONS
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
        let control = control().iter().map(|vector| ("control", vector.name.as_str(), &vector.requirements[..]));
        let conversations =
            conversations().iter().map(|talk| ("conversations", talk.name.as_str(), &talk.requirements[..]));
        header.chain(hello).chain(framing).chain(control).chain(conversations).collect()
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
    fn no_file_has_shrunk() {
        let counts = [header().len(), hello().len(), framing().len(), control().len(), conversations().len()];
        for (count, least) in counts.into_iter().zip([109, 68, 119, 132, 260]) {
            assert!(count >= least, "{counts:?}");
        }
    }

    #[test]
    fn every_vector_file_is_embedded() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
        let embedded = [
            ("control.json", CONTROL_JSON),
            ("framing.json", FRAMING_JSON),
            ("header.json", HEADER_JSON),
            ("hello.json", HELLO_JSON),
        ];
        assert_eq!(on_disk(&directory), by_name(&embedded));
        assert_eq!(on_disk(&directory.join("conversations")), by_name(&CONVERSATIONS_JSON));
    }

    fn on_disk(directory: &Path) -> BTreeMap<String, String> {
        fs::read_dir(directory)
            .expect("the folder of vectors")
            .map(|entry| entry.expect("an entry of the folder").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .map(|path| {
                let name = path.file_name().expect("a file").to_string_lossy().into_owned();
                (name, fs::read_to_string(&path).expect("a readable vector file"))
            })
            .collect()
    }

    fn by_name(embedded: &[(&str, &str)]) -> BTreeMap<String, String> {
        embedded.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect()
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
    fn streams_have_the_close_that_their_end_names() {
        for vector in framing().iter().chain(control()) {
            let closes = vector.events.iter().any(|event| matches!(event, FramingEvent::Close { .. }));
            match vector.end {
                FramingEnd::PeerClosed | FramingEnd::PeerFailed => assert!(closes, "{}", vector.name),
                FramingEnd::Open => assert!(!closes, "{}", vector.name),
                FramingEnd::Closed(_) => {}
            }
        }
    }

    #[test]
    fn conversations_start_at_0_and_go_on() {
        for conversation in conversations() {
            let first = conversation.steps.first().map(|step| (step.at, &step.action));
            assert_eq!(first, Some((0, &ConversationAction::Start)), "{}", conversation.name);
            assert!(conversation.steps.is_sorted_by_key(|step| step.at), "{}", conversation.name);
        }
    }

    #[test]
    fn both_outcomes_occur_in_every_file() {
        let header_closes = header().iter().filter(|vector| matches!(vector.expect, Expectation::Close(_))).count();
        let hello_closes = hello().iter().filter(|vector| matches!(vector.expect, Expectation::Close(_))).count();
        let stream_closes = |vectors: &[FramingVector]| {
            vectors.iter().filter(|vector| matches!(vector.end, FramingEnd::Closed(_))).count()
        };
        for (closes, all) in [
            (header_closes, header().len()),
            (hello_closes, hello().len()),
            (stream_closes(framing()), framing().len()),
            (stream_closes(control()), control().len()),
        ] {
            assert!(0 < closes && closes < all);
        }
    }
}
