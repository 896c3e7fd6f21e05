//! How values are printed: nothing secret, and nothing that a peer chose without an escape.

use alloc::string::String;
use core::fmt;

/// Bytes of which only the number is printed: payloads, tokens, what is on the wire.
pub(crate) struct Length(pub(crate) usize);

impl fmt::Debug for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0)
    }
}

/// Something that is not printed at all: keys, and what they are made of.
pub(crate) struct Secret;

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// A text of the peer, as it may stand in a log: on one line, with control characters and those that change the direction of
/// writing escaped.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '"' | '\'' => escaped.push(character),
            _ => escaped.extend(character.escape_debug()),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    #[test]
    fn what_is_secret_shows_that_it_is_there() {
        assert_eq!(format!("{:?} {Secret:?}", Length(3)), "3 bytes …");
    }

    #[test]
    fn a_text_stays_on_its_line_and_does_nothing_to_the_terminal() {
        assert_eq!(escaped("gone \"for\" lunch, it's 12:00 — até já"), "gone \"for\" lunch, it's 12:00 — até já");
        let forged = escaped("bye\n2030 INFO admin\r\x1b[2J\u{202e}desrever\u{85}\u{2028}\0");
        assert_eq!(forged, "bye\\n2030 INFO admin\\r\\u{1b}[2J\\u{202e}desrever\\u{85}\\u{2028}\\0");
    }
}
