//! What the suite and an adapter say to each other: `conformance/docs/adapter.md` describes it for people.

use std::net::SocketAddr;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::process::shortened;
use crate::profile::Profile;
use crate::role::Role;
use crate::subject::{CloseFrame, Command, Event, Id, Refusal, Reply, SubjectError};

/// What a program is to begin with.
#[derive(Clone, Copy)]
pub(super) enum Opening {
    Listen,
    Connect(SocketAddr),
}

/// What a program says about itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    /// For reports.
    pub(super) name: String,
    pub(super) roles: Roles,
    /// Whether it takes the numbers of section 10 from the suite.
    pub(super) numbers: bool,
}

/// The roles that it plays.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub(super) struct Roles(&'static [Role]);

impl Roles {
    pub(super) fn as_slice(&self) -> &'static [Role] {
        self.0
    }
}

impl TryFrom<Vec<String>> for Roles {
    type Error = String;

    fn try_from(names: Vec<String>) -> Result<Self, String> {
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.sort_unstable();
        Ok(Self(match names[..] {
            ["client", "server"] => &[Role::Server, Role::Client],
            ["server"] => &[Role::Server],
            ["client"] => &[Role::Client],
            _ => return Err("roles are \"server\", \"client\" or both".into()),
        }))
    }
}

/// An answer: what it has in it depends on the command.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Answer {
    address: Option<SocketAddr>,
    connections: Option<Vec<Id>>,
    events: Option<Vec<Event>>,
    refused: Option<Refusal>,
    /// Of a refused message, in hexadecimal digits.
    payload: Option<String>,
    unsupported: Option<String>,
    error: Option<String>,
}

pub(super) fn describe() -> String {
    json!({"do": "describe"}).to_string()
}

pub(super) fn stop() -> String {
    json!({"do": "stop"}).to_string()
}

/// With the numbers of section 10, for a program that takes them.
pub(super) fn opening(opening: Opening, profile: Option<&Profile>) -> String {
    let mut line = match opening {
        Opening::Listen => json!({"do": "listen"}),
        Opening::Connect(address) => json!({"do": "connect", "address": address}),
    };
    if let Some(profile) = profile {
        line["numbers"] = Value::Object(numbers(profile));
        line["resync"] = profile.resync.into();
        line["admission"] = profile.admission.into();
    }
    line.to_string()
}

/// Times in milliseconds, sizes in bytes. What has no value of its own is left out.
fn numbers(profile: &Profile) -> Map<String, Value> {
    let milliseconds = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let times = [
        ("idle", Some(profile.idle)),
        ("interval", Some(profile.interval)),
        ("extension_max", profile.extension_max),
        ("detect_within", profile.detect_within),
        ("ping_floor", Some(profile.ping_floor)),
        ("handshake_timeout", Some(profile.handshake_timeout)),
        ("close_timeout", Some(profile.close_timeout)),
        ("write_stall", Some(profile.write_stall)),
        ("linger", Some(profile.linger)),
        ("assembly_base", Some(profile.assembly_base)),
        ("busy_max", Some(profile.busy_max)),
    ];
    let others = [
        ("probes", profile.probes),
        ("frame_limit", profile.frame_limit),
        ("message_limit", profile.message_limit),
        ("frame_sent", profile.frame_sent),
        ("assembly_rate", profile.assembly_rate),
    ];
    let times = times.into_iter().filter_map(|(name, time)| Some((name.into(), milliseconds(time?).into())));
    times.chain(others.map(|(name, number)| (name.into(), number.into()))).collect()
}

pub(super) fn command(command: &Command) -> String {
    let about = |verb: &str, id: &Id| json!({"do": verb, "connection": [id.slot, id.domain, id.cookie]});
    let saying = |verb: &str, id: &Id, frame: &CloseFrame| {
        let mut line = about(verb, id);
        line["reason"] = frame.reason.into();
        line["retry_after"] = frame.retry_after.into();
        line["text"] = frame.text.as_str().into();
        line
    };
    let line = match command {
        Command::Connections => json!({"do": "connections"}),
        Command::Events => json!({"do": "events"}),
        Command::Send { to, class, payload } => {
            let mut line = about("send", to);
            line["class"] = (*class).into();
            line["payload"] = hex(payload).into();
            line
        }
        Command::Close { connection, frame } => saying("close", connection, frame),
        Command::Refuse { connection, frame } => saying("refuse", connection, frame),
        Command::Drain(id) => about("drain", id),
        Command::Pause(id) => about("pause", id),
        Command::Resume(id) => about("resume", id),
        Command::Abort(id) => about("abort", id),
        Command::Hold(id) => about("hold", id),
        Command::Release(id) => about("release", id),
        Command::Accept(id) => about("accept", id),
        Command::Unknown { verb } => json!({"do": verb}),
    };
    line.to_string()
}

pub(super) fn description(line: &str) -> Result<Description, SubjectError> {
    serde_json::from_str(line).map_err(|error| misunderstood(line, &error.to_string()))
}

/// The answer to what has only been done.
pub(super) fn done(line: &str) -> Result<(), SubjectError> {
    match answer(line)? {
        Answer { address: None, connections: None, events: None, refused: None, payload: None, .. } => Ok(()),
        _ => Err(misunderstood(line, "{} is the answer to this")),
    }
}

/// The answer to `listen`.
pub(super) fn address(line: &str) -> Result<SocketAddr, SubjectError> {
    answer(line)?.address.ok_or_else(|| misunderstood(line, "an address is missing"))
}

pub(super) fn reply(command: &Command, line: &str) -> Result<Reply, SubjectError> {
    let answer = answer(line)?;
    match command {
        Command::Connections => {
            answer.connections.map(Reply::Connections).ok_or_else(|| misunderstood(line, "connections are missing"))
        }
        Command::Events => answer.events.map(Reply::Events).ok_or_else(|| misunderstood(line, "events are missing")),
        _ => match answer.refused {
            None => done(line).map(|()| Reply::Done),
            Some(reason) => {
                let payload = unhex(answer.payload.as_deref().unwrap_or_default());
                let payload = payload.ok_or_else(|| misunderstood(line, "a payload consists of hexadecimal digits"))?;
                Ok(Reply::Refused { reason, payload })
            }
        },
    }
}

/// The answer, unless the program could not do what it was told.
fn answer(line: &str) -> Result<Answer, SubjectError> {
    let answer: Answer = serde_json::from_str(line).map_err(|error| misunderstood(line, &error.to_string()))?;
    match (&answer.unsupported, &answer.error) {
        (Some(sentence), _) => Err(SubjectError::unsupported(format!("the adapter says: {sentence}"))),
        (None, Some(sentence)) => Err(SubjectError::failed(format!("the adapter says: {sentence}"))),
        (None, None) => Ok(answer),
    }
}

fn misunderstood(line: &str, why: &str) -> SubjectError {
    SubjectError::failed(format!("the adapter said {}: {why}", shortened(line)))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| Some(value(*pair.first()?)? << 4 | value(*pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::{Happening, Origin};

    const ID: Id = Id { slot: 1, domain: 2, cookie: 3 };

    fn json(line: &str) -> Value {
        serde_json::from_str(line).expect("JSON")
    }

    #[test]
    fn a_command_is_one_line() {
        let close =
            Command::Close { connection: ID, frame: CloseFrame { text: "two\nlines".into(), ..CloseFrame::from(2) } };
        let line = command(&close);
        assert_eq!(line.lines().count(), 1);
        let due =
            json!({"do": "close", "connection": [1, 2, 3], "reason": 2, "retry_after": null, "text": "two\nlines"});
        assert_eq!(json(&line), due);
    }

    #[test]
    fn numbers_have_the_names_of_section_10_and_no_other() {
        let profile = Profile { extension_max: None, ..Profile::calm() };
        let line = json(&opening(Opening::Listen, Some(&profile)));
        assert_eq!((&line["numbers"]["idle"], &line["numbers"]["frame_limit"]), (&60_000.into(), &4_096.into()));
        assert!(line["numbers"].get("extension_max").is_none());
        assert!(json(&opening(Opening::Listen, None)).get("numbers").is_none());
    }

    #[test]
    fn payloads_survive() {
        let payload: Vec<u8> = (0..=255).collect();
        assert_eq!(unhex(&hex(&payload)), Some(payload));
        for broken in ["0", "0g", "+1"] {
            assert_eq!(unhex(broken), None, "{broken}");
        }
    }

    #[test]
    fn events_are_read() {
        let line = r#"{"events": [{"connection": [1, 2, 3], "what": "draining", "received": 4},
            {"what": "closed", "reason": 35, "origin": "local", "orderly": false},
            {"connection": [1, 2, 3], "what": "closing", "reason": 2, "retry_after": 0, "text": "bye"}]}"#;
        let frame = CloseFrame { reason: 2, retry_after: Some(0), text: "bye".into() };
        let due = vec![
            Event { connection: Some(ID), what: Happening::Draining { received: 4 } },
            Event {
                connection: None,
                what: Happening::Closed { frame: CloseFrame::from(35), origin: Origin::Local, orderly: false },
            },
            Event { connection: Some(ID), what: Happening::Closing(frame) },
        ];
        assert_eq!(reply(&Command::Events, line), Ok(Reply::Events(due)));
    }

    #[test]
    fn what_makes_no_sense_is_a_fault_and_no_answer() {
        for (line, why) in [
            ("hello", "expected value"),
            (r#"{"conections": []}"#, "unknown field"),
            (r#"{"events": []}"#, "connections are missing"),
            (r#"{"connections": [7]}"#, "invalid type"),
            (r#"{"error": "no file"}"#, "says: no file"),
        ] {
            let error = reply(&Command::Connections, line).expect_err(line);
            assert!(!error.is_unsupported() && error.to_string().contains(why), "{error}");
        }
        assert!(reply(&Command::Drain(ID), r#"{"connections": []}"#).is_err());
        let unsupported = reply(&Command::Drain(ID), r#"{"unsupported": "no drain"}"#).expect_err("it is unsupported");
        assert_eq!(unsupported, SubjectError::unsupported("the adapter says: no drain"));
        let refused = reply(&Command::Drain(ID), r#"{"refused": "stale"}"#);
        assert_eq!(refused, Ok(Reply::Refused { reason: Refusal::Stale, payload: Vec::new() }));
    }

    #[test]
    fn a_program_says_which_roles_it_plays() {
        let describe = |roles: &str| description(&format!(r#"{{"name": "x", "roles": {roles}, "numbers": true}}"#));
        assert_eq!(describe(r#"["client", "server"]"#).expect("both").roles.as_slice(), [Role::Server, Role::Client]);
        assert_eq!(describe(r#"["client"]"#).expect("one").roles.as_slice(), [Role::Client]);
        assert!(describe("[]").is_err() && describe(r#"["proxy"]"#).is_err());
    }
}
