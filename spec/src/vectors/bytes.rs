//! The notation for bytes in the vector files.

use std::fmt;

use serde::Deserialize;

/// Bytes of a vector, expanded from their notation in the file.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Notation")]
pub struct VectorBytes(Vec<u8>);

impl VectorBytes {
    /// The bytes, with every repetition written out.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for VectorBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for VectorBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// Bytes in a vector file that are not pairs of hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedBytes(
    /// What stands there instead.
    pub String,
);

impl fmt::Display for MalformedBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} is not pairs of hexadecimal digits", self.0)
    }
}

impl std::error::Error for MalformedBytes {}

#[derive(Deserialize)]
#[serde(untagged)]
enum Notation {
    One(Part),
    Joined(Vec<Part>),
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Part {
    Hex(String),
    Repetition { repeat: String, times: usize },
}

impl TryFrom<Notation> for VectorBytes {
    type Error = MalformedBytes;

    fn try_from(notation: Notation) -> Result<Self, MalformedBytes> {
        let parts = match notation {
            Notation::One(part) => vec![part],
            Notation::Joined(parts) => parts,
        };
        let mut bytes = Vec::new();
        for part in parts {
            match part {
                Part::Hex(digits) => bytes.extend(decode(&digits)?),
                Part::Repetition { repeat, times } => bytes.extend(decode(&repeat)?.repeat(times)),
            }
        }
        Ok(Self(bytes))
    }
}

fn decode(digits: &str) -> Result<Vec<u8>, MalformedBytes> {
    let malformed = || MalformedBytes(digits.to_owned());
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return Err(malformed());
    }
    pairs.iter().map(|[high, low]| Some(value(*high)? << 4 | value(*low)?)).collect::<Option<_>>().ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<VectorBytes, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn every_notation_expands() {
        let cases: [(&str, &[u8]); 5] = [
            (r#""""#, &[]),
            (r#""00f79A""#, &[0x00, 0xF7, 0x9A]),
            (r#"{"repeat": "61", "times": 3}"#, b"aaa"),
            (r#"["62", {"repeat": "6163", "times": 2}, "64"]"#, b"bacacd"),
            ("[]", &[]),
        ];
        for (json, expected) in cases {
            assert_eq!(parse(json).expect(json).bytes(), expected, "{json}");
        }
    }

    #[test]
    fn malformed_bytes_are_refused() {
        for json in [r#""0""#, r#""0g""#, r#""+1""#, r#""é""#, r#"{"repeat": "61"}"#, "7"] {
            assert!(parse(json).is_err(), "{json}");
        }
    }
}
