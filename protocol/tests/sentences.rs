//! What people read: each reason and refusal is a sentence of its own, and the registries' names are those of the text.

use std::collections::HashSet;

use pulsewire_protocol::{Class, Clock, CloseReason, Message, Payload, RejectReason, SendError, SendRefused};
use pulsewire_spec::close_reasons;

/// No two of them say the same.
fn assert_apart(sentences: impl IntoIterator<Item = String>) {
    let mut seen = HashSet::new();
    for sentence in sentences {
        assert!(sentence.len() > 10, "{sentence:?}");
        assert!(seen.insert(sentence.clone()), "{sentence:?} occurs twice");
    }
}

/// Section 11.3: all that the text names, unknown ones, and the application's own.
#[test]
fn every_close_reason_has_a_name_and_a_sentence() {
    for reason in close_reasons() {
        assert_eq!(format!("{:?}", CloseReason(reason.value)), reason.name);
    }
    let values = close_reasons().iter().map(|reason| reason.value).chain([5, 200, 300, 40_000]);
    assert_apart(values.map(|value| CloseReason(value).to_string()));
    assert_eq!(format!("{:?}", CloseReason(40_000)), "CloseReason(40000)");
}

/// Section 11.4.
#[test]
fn every_reason_of_reject_has_a_name_and_a_sentence() {
    assert_apart([1, 2, 3, 40_000].map(|value| RejectReason(value).to_string()));
    let named = [RejectReason::TOO_LARGE, RejectReason::DAMAGED, RejectReason(3)].map(|reason| format!("{reason:?}"));
    assert_eq!(named, ["TOO_LARGE", "DAMAGED", "RejectReason(3)"]);
}

/// PW-CK-003: the reason of a refusal says what to do.
#[test]
fn every_refusal_is_a_sentence() {
    let refusals = [
        SendRefused::Stale,
        SendRefused::NotEstablished,
        SendRefused::Closed(CloseReason::GOING_AWAY),
        SendRefused::Full,
        SendRefused::TooLarge { limit: 512 },
        SendRefused::ReservedClass,
    ];
    assert_apart(refusals.map(|reason| reason.to_string()));
    let error = SendError { reason: SendRefused::Full, message: Message::new(Class::BUSINESS, b"12345") };
    assert!(error.to_string().contains("5 bytes") && error.to_string().contains("full"), "{error}");
}

/// Payloads compare by their bytes, wherever those live.
#[test]
fn payloads_are_made_of_what_people_have() {
    let owned: Payload<'_> = vec![1, 2].into();
    for same in [Payload::from(&[1, 2]), Payload::from(&[1, 2][..]), Payload::from(bytes::Bytes::from_static(&[1, 2]))]
    {
        assert_eq!(same, owned);
        assert_eq!(same.into_bytes(), owned.clone().into_bytes());
    }
}

#[test]
fn a_clock_goes_forward_and_counts_down() {
    let clock = Clock::default();
    let now = clock.now();
    assert!(clock.now() >= now);
    let deadline = now + std::time::Duration::from_secs(3_600);
    assert!(clock.until(deadline) <= deadline - now);
    assert!(clock.until(now).is_zero());
}
