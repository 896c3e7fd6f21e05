//! What can be typed: a message, or a command that begins with a slash.

use std::time::Duration;

use pulsewire_conformance::wire::{self, Packet, flags};

/// The commands, for people.
pub(crate) const HELP: &str = "\
A line is sent as a message. What begins with a slash is a command; // sends a message that begins with a slash.
  /ping              a PING               /class N          the class of messages from here on
  /busy MS           a BUSY               /encrypted        whether messages are marked ENCRYPTED (again: no longer)
  /drain             a DRAIN              /checksum         whether messages have a trailer (again: no longer)
  /close [REASON [TEXT]]                  /bytes N          a message of N bytes
  /packet KIND [HEX] any packet; KIND is a name or a number as 0xc0; /flags 0x10 before it sets the flags of the next one
  /damage header     a wrong check for the next packet; /damage trailer a wrong trailer; /damage length one byte too few
  /raw HEX           bytes as they are    /garbage N        N bytes that are no packet
  /split N           what is sent goes in writes of N bytes (0: whole)
  /silent            leaves PINGs without an answer (again: answers)
  /pause, /resume    stops reading, and reads on, so that the server cannot write
  /wait MS           waits                /await KIND [MS]  waits for a packet of this kind, 5 s at most
  /end               ends this direction  /cut              resets the connection
  /quit              closes in order; so does the end of the input
";

/// Bytes that a message from the keyboard may have: what a frame of the default limit takes many times.
const BYTES_MOST: usize = 1 << 24;

/// What a line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Say(Vec<u8>),
    Ping,
    Busy(u32),
    Drain,
    Close { reason: u16, text: String },
    Class(u8),
    Encrypted,
    Checksum,
    Packet(Packet),
    Flags(u8),
    Damage(Damage),
    Raw(Vec<u8>),
    Split(usize),
    Silent,
    Pause,
    Resume,
    Wait(Duration),
    Await { kind: u8, within: Duration },
    End,
    Cut,
    Quit,
    Help,
}

/// What is made wrong about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// One bit of the check.
    Header,
    /// One bit of the trailer.
    Trailer,
    /// The last byte is missing.
    Length,
}

/// What a line asks for, or what is wrong with it.
pub(crate) fn parse(line: &str) -> Result<Line, String> {
    let Some(command) = line.strip_prefix('/') else { return Ok(Line::Say(line.into())) };
    if command.starts_with('/') {
        return Ok(Line::Say(command.into()));
    }
    let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
    let (first, more) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
    match name {
        "ping" => Ok(Line::Ping),
        "busy" => Ok(Line::Busy(number(first)?)),
        "drain" => Ok(Line::Drain),
        "close" => Ok(Line::Close { reason: reason(first)?, text: more.into() }),
        "class" => Ok(Line::Class(number(first)?)),
        "encrypted" => Ok(Line::Encrypted),
        "checksum" => Ok(Line::Checksum),
        "bytes" => Ok(Line::Say(vec![b'x'; size(first)?])),
        "packet" => Ok(Line::Packet(Packet { kind: kind(first)?, flags: 0, class: 0, payload: bytes(more)? })),
        "flags" => Ok(Line::Flags(number(first)?)),
        "damage" => Ok(Line::Damage(damage(first)?)),
        "raw" => Ok(Line::Raw(bytes(rest)?)),
        "garbage" => Ok(Line::Raw(vec![0xAA; size(first)?])),
        "split" => Ok(Line::Split(number(first)?)),
        "silent" => Ok(Line::Silent),
        "pause" => Ok(Line::Pause),
        "resume" => Ok(Line::Resume),
        "wait" => Ok(Line::Wait(Duration::from_millis(number(first)?))),
        "await" => {
            let within = if more.is_empty() { 5_000 } else { number(more)? };
            Ok(Line::Await { kind: kind(first)?, within: Duration::from_millis(within) })
        }
        "end" => Ok(Line::End),
        "cut" => Ok(Line::Cut),
        "quit" => Ok(Line::Quit),
        "help" => Ok(Line::Help),
        _ => Err(format!("there is no command /{name}; /help shows them")),
    }
}

/// The packet of a message in one frame.
pub(crate) fn message(payload: Vec<u8>, class: u8, is_encrypted: bool, has_trailer: bool) -> Packet {
    let mark = if is_encrypted { flags::ENCRYPTED } else { 0 };
    let trailer = if has_trailer { flags::CHECKSUM } else { 0 };
    Packet { flags: flags::FIRST | mark | trailer, ..Packet::data(0, class, payload) }
}

/// A number, decimal or with 0x.
fn number<N: TryFrom<u64>>(text: &str) -> Result<N, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    let fits = parsed.ok().and_then(|number| N::try_from(number).ok());
    fits.ok_or_else(|| format!("{text:?} is no number that is possible here"))
}

fn size(text: &str) -> Result<usize, String> {
    match number(text)? {
        size if size < BYTES_MOST => Ok(size),
        size => Err(format!("{size} bytes are too many: less than {BYTES_MOST} go into a frame")),
    }
}

fn kind(text: &str) -> Result<u8, String> {
    wire::kind_named(text).map_or_else(|| number(text).map_err(|_| format!("{text:?} is no kind of packet")), Ok)
}

fn reason(text: &str) -> Result<u16, String> {
    match text {
        "" => Ok(1),
        _ => wire::reason_named(text).map_or_else(|| number(text).map_err(|_| format!("{text:?} is no reason")), Ok),
    }
}

fn damage(text: &str) -> Result<Damage, String> {
    match text {
        "header" => Ok(Damage::Header),
        "trailer" => Ok(Damage::Trailer),
        "length" => Ok(Damage::Length),
        _ => Err("what is to be damaged: header, trailer or length?".into()),
    }
}

fn bytes(digits: &str) -> Result<Vec<u8>, String> {
    let digits: String = digits.split_whitespace().collect();
    let pair = |at: usize| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes = (0..digits.len()).step_by(2).map(pair).collect::<Option<Vec<u8>>>();
    bytes.ok_or_else(|| format!("{digits:?} are no bytes in hex"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_messages_and_commands() {
        assert_eq!(parse("hello"), Ok(Line::Say(b"hello".to_vec())));
        assert_eq!(parse("//hello"), Ok(Line::Say(b"/hello".to_vec())));
        assert_eq!(parse("/close going_away see you"), Ok(Line::Close { reason: 2, text: "see you".into() }));
        assert_eq!(parse("/close"), Ok(Line::Close { reason: 1, text: String::new() }));
        let packet = Packet { kind: 0xC0, flags: 0, class: 0, payload: vec![1, 255] };
        assert_eq!(parse("/packet 0xc0 01 ff"), Ok(Line::Packet(packet)));
        let waits = Line::Await { kind: 6, within: Duration::from_secs(5) };
        assert_eq!(parse("/await pong"), Ok(waits));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for line in
            ["/nonsense", "/raw 123", "/raw zz", "/class 256", "/busy", "/packet what", "/bytes 16777216", "/damage me"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
        assert!(parse("/raw äöü").is_err(), "no bytes, and no panic");
    }
}
