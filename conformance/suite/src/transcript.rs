//! What happened in a case: every byte in both directions, and what the adapter said.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::codec::Packet;
use crate::packet_text::{self, Narrator};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The time since the case began.
    #[serde(rename = "microseconds", with = "microseconds")]
    pub at: Duration,
    /// The connections of a case count from 1; 0 is what belongs to none.
    pub connection: u32,
    /// What happened.
    pub action: Action,
    /// The same in words: the packet, or the reply to a command.
    pub text: String,
    /// What was sent or received; empty for any other action.
    pub bytes: Sample,
    /// Behind which of the kept bytes a write of the suite ended, and the next one began: how what was sent was cut.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub cuts: Vec<usize>,
    /// Which write of the case over this connection it is, from 1; `None` for what was not sent, and for answers to PINGs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub write: Option<u32>,
}

/// What a [`Step`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// The suite sent bytes.
    Sent,
    /// The suite waits for this from here on.
    Expected,
    /// A packet came from the subject, or bytes that are none.
    Received,
    /// The subject ended its side of the stream.
    Ended,
    /// The connection was reset.
    Reset,
    /// A reply to a command, or a remark of the suite.
    Noted,
}

/// Bytes, or their beginning with length and fingerprint of all if there are more than 4,096.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The bytes, or the first 64 of them.
    #[serde(with = "hex")]
    pub start: Vec<u8>,
    /// How many there are.
    pub length: usize,
    /// Differs for different bytes, almost always; only where `start` is not all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fingerprint: Option<u64>,
}

impl Sample {
    /// More are not kept.
    const MOST: usize = 4_096;
    /// This much is kept then.
    const START: usize = 64;

    fn of(bytes: &[u8]) -> Self {
        if bytes.len() <= Self::MOST {
            return Self { start: bytes.to_vec(), length: bytes.len(), fingerprint: None };
        }
        let fingerprint = Some(fingerprint(bytes));
        Self { start: bytes[..Self::START].to_vec(), length: bytes.len(), fingerprint }
    }
}

/// Eight bytes at a time, since a case must not wait for its own record.
fn fingerprint(bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01B3;
    let (words, rest) = bytes.as_chunks();
    let start = rest.iter().fold(bytes.len() as u64, |sum, byte| sum << 8 ^ u64::from(*byte));
    words.iter().fold(start, |sum, word| (sum.rotate_left(29) ^ u64::from_be_bytes(*word)).wrapping_mul(PRIME))
}

/// Collects the steps of one case.
#[derive(Clone)]
pub(crate) struct Transcript {
    began: Instant,
    record: Arc<Mutex<Record>>,
}

#[derive(Default)]
struct Record {
    steps: Vec<Step>,
    connections: u32,
}

impl Transcript {
    pub(crate) fn new(began: Instant) -> Self {
        Self { began, record: Arc::default() }
    }

    /// The time since the case began, for whoever shares its clock.
    pub(crate) fn elapsed(&self) -> Duration {
        clock::elapsed(self.began)
    }

    /// For what is done on a connection of its own.
    pub(crate) fn connection(&self) -> ConnectionTranscript {
        let mut record = self.lock();
        record.connections += 1;
        ConnectionTranscript {
            case: self.clone(),
            number: record.connections,
            narrator: Arc::new(Mutex::new(Narrator::default())),
        }
    }

    /// A remark that belongs to no connection.
    pub(crate) fn note(&self, text: String) {
        self.push(0, Action::Noted, text);
    }

    pub(crate) fn steps(&self) -> Vec<Step> {
        self.lock().steps.clone()
    }

    fn push(&self, connection: u32, action: Action, text: String) {
        let at = self.elapsed();
        self.push_step(Step { at, connection, action, text, bytes: Sample::default(), cuts: Vec::new(), write: None });
    }

    fn push_step(&self, step: Step) {
        self.lock().steps.push(step);
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Collects the steps of one connection of a case.
#[derive(Clone)]
pub(crate) struct ConnectionTranscript {
    case: Transcript,
    number: u32,
    narrator: Arc<Mutex<Narrator>>,
}

impl ConnectionTranscript {
    /// The connection, counted from 1.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// For a connection whose steps are not kept. Its number is taken all the same.
    pub(crate) fn aside(self) -> Self {
        Self { case: Transcript::new(self.case.began), ..self }
    }

    /// The suite sends these bytes, in pieces of these lengths, to a receiver with this key.
    pub(crate) fn sent(&self, write: Option<u32>, bytes: &[u8], pieces: &[usize], key: u32) {
        let text = self.narrator.lock().unwrap_or_else(PoisonError::into_inner).tell(bytes, key);
        let sample = Sample::of(bytes);
        let ends = pieces.iter().scan(0, |end, length| {
            *end += length;
            Some(*end)
        });
        let cuts = ends.take_while(|end| *end < sample.start.len()).collect();
        let (at, connection) = (self.case.elapsed(), self.number);
        self.case.push_step(Step { at, connection, action: Action::Sent, text, bytes: sample, cuts, write });
    }

    /// From here on the suite waits for this.
    pub(crate) fn expected(&self, text: String) {
        self.case.push(self.number, Action::Expected, text);
    }

    /// This packet came, in these bytes.
    pub(crate) fn received(&self, packet: &Packet, bytes: &[u8]) {
        self.came(packet_text::describe(packet), bytes);
    }

    /// These bytes came, which are no packet.
    pub(crate) fn received_invalid(&self, bytes: &[u8], sentence: &str) {
        self.came(format!("invalid bytes: {sentence}"), bytes);
    }

    fn came(&self, text: String, bytes: &[u8]) {
        let (at, connection, bytes) = (self.case.elapsed(), self.number, Sample::of(bytes));
        self.case.push_step(Step {
            at,
            connection,
            action: Action::Received,
            text,
            bytes,
            cuts: Vec::new(),
            write: None,
        });
    }

    pub(crate) fn ended(&self) {
        self.case.push(self.number, Action::Ended, "end of the stream".into());
    }

    pub(crate) fn reset(&self) {
        self.case.push(self.number, Action::Reset, "reset".into());
    }

    pub(crate) fn note(&self, text: String) {
        self.case.push(self.number, Action::Noted, text);
    }
}

/// Durations as whole microseconds.
mod microseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_micros)
    }
}

/// Bytes as a string of hex digits.
mod hex {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        crate::packet_text::hex(bytes, usize::MAX).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let digits = String::deserialize(deserializer)?;
        let pair = |at: usize| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let bytes = (0..digits.len()).step_by(2).map(pair).collect::<Option<Vec<u8>>>();
        bytes.ok_or_else(|| D::Error::custom(format!("{digits:?} is not hex")))
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Sample, Transcript};
    use crate::clock;

    #[test]
    fn long_bytes_are_told_apart_by_their_fingerprint() {
        let (mut one, mut other) = (vec![0; 5_000], vec![0; 5_000]);
        (one[4_999], other[4_999]) = (1, 2);
        assert_eq!(Sample::of(&one).start, Sample::of(&other).start);
        assert_ne!(Sample::of(&one), Sample::of(&other));
        assert_eq!(Sample::of(&one[..4_096]).fingerprint, None);
    }

    #[test]
    fn steps_come_back_from_json() {
        let transcript = Transcript::new(clock::now());
        transcript.connection().sent(None, b"GET", &[1, 2], 0);
        transcript.note("sent".into());
        let steps = transcript.steps();
        assert_eq!(steps[0].cuts, [1]);
        let json = serde_json::to_string(&steps).expect("numbers and strings");
        let mut read: Vec<super::Step> = serde_json::from_str(&json).expect("what was written");
        assert_eq!(read[0].action, Action::Sent);
        for (read, step) in read.iter_mut().zip(&steps) {
            // A microsecond is exact enough.
            read.at = step.at;
        }
        assert_eq!(read, steps);
    }
}
