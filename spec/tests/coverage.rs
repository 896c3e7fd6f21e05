//! Everything that the registries of section 11 name occurs in some vector.

use std::collections::BTreeSet;

use pulsewire_spec::vectors::{
    self, ConversationAction, ConversationEvent, Expectation, FramingEnd, FramingEvent, FramingVector,
};
use pulsewire_spec::{TEXT, close_reasons};

const MAGIC: [u8; 2] = [0xF7, 0x9A];
const HEADER: usize = 12;
const CLOSE: u8 = 0x09;
/// The fields of CLOSE before its items.
const CLOSE_FIXED: usize = 14;

/// The first cells of the table below a heading, with the other cells.
fn table(heading: &str) -> Vec<(String, String)> {
    let section = TEXT.split(heading).nth(1).expect(heading);
    let rows = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = rows.skip(2).map(|row| row.trim_matches('|').split_once('|').expect("two cells"));
    cells.map(|(first, others)| (first.trim().to_owned(), others.trim().to_owned())).collect()
}

fn hexadecimal(cell: &str) -> Option<u16> {
    u16::from_str_radix(cell.strip_prefix("0x")?, 16).ok()
}

fn numbers(heading: &str) -> BTreeSet<u16> {
    let found: BTreeSet<u16> = table(heading).iter().filter_map(|(first, _)| hexadecimal(first)).collect();
    assert!(!found.is_empty(), "{heading} has no numbers");
    found
}

fn streams() -> impl Iterator<Item = &'static FramingVector> {
    vectors::framing().iter().chain(vectors::control())
}

/// Received bytes, and sent ones.
fn every_stream() -> Vec<&'static [u8]> {
    let steps = vectors::conversations().iter().flat_map(|conversation| &conversation.steps);
    let received = steps.clone().filter_map(|step| match &step.action {
        ConversationAction::Receive(bytes) => Some(bytes.bytes()),
        _ => None,
    });
    let sent = steps.map(|step| step.out.bytes());
    streams().map(|vector| vector.stream.bytes()).chain(received).chain(sent).collect()
}

/// What looks like a whole header, and all bytes from it on.
fn packets() -> Vec<&'static [u8]> {
    let at_header = |stream: &'static [u8], offset: usize| {
        (stream[offset..].starts_with(&MAGIC) && stream.len() - offset >= HEADER).then(|| &stream[offset..])
    };
    every_stream()
        .into_iter()
        .flat_map(|stream| (0..stream.len()).filter_map(move |offset| at_header(stream, offset)))
        .collect()
}

fn item_ids(mut items: &[u8]) -> Vec<u16> {
    let mut ids = Vec::new();
    while let [a, b, high, low, rest @ ..] = items {
        ids.push(u16::from_be_bytes([*a, *b]));
        items = rest.get(usize::from(u16::from_be_bytes([*high, *low]))..).unwrap_or_default();
    }
    ids
}

#[test]
fn every_kind_is_judged_and_comes() {
    let judged: BTreeSet<u16> = vectors::header()
        .iter()
        .filter(|vector| matches!(vector.expect, Expectation::Accepted(_)))
        .map(|vector| vector.header.bytes()[2].into())
        .collect();
    let come: BTreeSet<u16> = packets().iter().map(|packet| packet[2].into()).collect();
    for kind in numbers("### 11.1 Kinds") {
        assert!(judged.contains(&kind) && come.contains(&kind), "kind {kind:#04x}");
    }
    assert!(judged.contains(&0xC0) && judged.contains(&0xFF), "ignorable kinds");
}

#[test]
fn every_flag_is_judged_and_comes() {
    for flag in [0x01, 0x02, 0x04, 0x08] {
        let judged = vectors::header().iter().any(|vector| vector.header.bytes()[3] & flag != 0);
        assert!(judged && packets().iter().any(|packet| packet[3] & flag != 0), "flag {flag:#04x}");
    }
    let refused = |flag: u8| vectors::header().iter().any(|vector| vector.header.bytes()[3] & flag != 0);
    assert!([0x10, 0x20, 0x40, 0x80].into_iter().all(refused), "reserved flags");
}

#[test]
fn every_class_comes() {
    let come: BTreeSet<u8> = packets().iter().map(|packet| packet[4]).collect();
    for class in [0, 1, 2, 3, 4, 200, 255] {
        assert!(come.contains(&class), "class {class}");
    }
}

#[test]
fn every_item_comes() {
    let hellos = vectors::hello().iter().flat_map(|vector| item_ids(vector.payload.bytes()));
    let closes = packets().into_iter().filter(|packet| packet[2] == CLOSE);
    let closes = closes.flat_map(|packet| {
        let length = usize::from(u16::from_be_bytes([packet[6], packet[7]]));
        packet.get(HEADER + CLOSE_FIXED..HEADER + length).map(item_ids).unwrap_or_default()
    });
    let come: BTreeSet<u16> = hellos.chain(closes).collect();
    for item in numbers("## 7. Handshake").into_iter().chain(numbers("## 9. Closing")) {
        assert!(come.contains(&item), "item {item:#06x}");
    }
}

#[test]
fn every_close_reason_ends_something() {
    let mut ends: BTreeSet<u16> = BTreeSet::new();
    ends.extend(vectors::header().iter().filter_map(|vector| close_of(&vector.expect)));
    ends.extend(vectors::hello().iter().filter_map(|vector| close_of(&vector.expect)));
    ends.extend(streams().filter_map(|vector| match vector.end {
        FramingEnd::Closed(reason) => Some(reason.value),
        FramingEnd::Open | FramingEnd::PeerClosed | FramingEnd::PeerFailed => None,
    }));
    ends.extend(conversation_events().filter_map(|event| match event {
        ConversationEvent::Closed { reason, .. } => Some(*reason),
        _ => None,
    }));
    let come: BTreeSet<u16> = streams()
        .flat_map(|vector| &vector.events)
        .filter_map(|event| match event {
            FramingEvent::Close { reason, .. } => Some(*reason),
            _ => None,
        })
        .collect();
    for reason in close_reasons() {
        assert!(ends.contains(&reason.value), "{} ends nothing", reason.name);
        assert!(reason.value > 255 || come.contains(&reason.value), "{} never comes", reason.name);
    }
}

fn close_of<T>(expectation: &Expectation<T>) -> Option<u16> {
    match expectation {
        Expectation::Accepted(_) => None,
        Expectation::Close(reason) => Some(reason.value),
    }
}

fn conversation_events() -> impl Iterator<Item = &'static ConversationEvent> {
    vectors::conversations().iter().flat_map(|conversation| &conversation.steps).flat_map(|step| &step.events)
}

#[test]
fn every_reason_of_reject_is_given_and_comes() {
    let given: BTreeSet<u16> = streams()
        .flat_map(|vector| &vector.events)
        .filter_map(|event| match event {
            FramingEvent::Refused { reason, .. } => Some(reason.value()),
            _ => None,
        })
        .collect();
    let come: BTreeSet<u16> = streams()
        .flat_map(|vector| &vector.events)
        .filter_map(|event| match event {
            FramingEvent::Rejected { reason, .. } => Some(*reason),
            _ => None,
        })
        .collect();
    let named: BTreeSet<u16> =
        table("### 11.4 Reasons of REJECT").iter().filter_map(|(value, _)| value.parse().ok()).collect();
    assert!(!named.is_empty() && named.is_subset(&given) && named.is_subset(&come), "{named:?}");
}
