//! Values are read from JSON as they were written, and invalid configurations are not read at all.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use core::num::NonZeroU64;
use core::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{from_str, json, to_string, to_value};

use super::*;
use crate::{
    Admission, Class, CloseFrame, Closed, Damage, Disconnect, Established, Event, Gap, Instant, Message, Operation,
    Origin, Recovered, Rejected, Request, Role, Rtt, Statistics, Step, Suspect, TooLarge, Trace, Verdict,
};

/// What is read again from what is written.
fn again<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let written = to_string(value).unwrap();
    from_str(&written).unwrap_or_else(|error| panic!("{error} in {written}"))
}

/// To the nanosecond, as long as any configuration allows.
fn time() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0..604_800_000u64).prop_map(Duration::from_millis),
        (0..604_800_000_000_000u64).prop_map(Duration::from_nanos),
    ]
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn message() -> impl Strategy<Value = Message<'static>> {
    (any::<u8>(), any::<bool>(), bytes()).prop_map(|(class, encrypted, payload)| Message {
        class: Class(class),
        encrypted,
        payload: payload.into(),
    })
}

/// Those of the registry, and any other.
fn reason() -> impl Strategy<Value = CloseReason> {
    prop_oneof![0..64u16, 250..270u16, any::<u16>()].prop_map(CloseReason)
}

fn advice() -> impl Strategy<Value = Retry> {
    prop_oneof![Just(Retry::Never), time().prop_map(Retry::After)]
}

fn said() -> impl Strategy<Value = CloseFrame> {
    (reason(), advice(), "\\PC{0,20}").prop_map(|(reason, retry, text)| CloseFrame { reason, retry, text })
}

fn config() -> impl Strategy<Value = Config> {
    let damage = prop_oneof![Just(Damage::Resynchronise), Just(Damage::Close)];
    let admission = prop_oneof![Just(Admission::Automatic), Just(Admission::Ask)];
    let optional = prop::option::of(time());
    (time(), optional, damage, admission, prop::option::of(bytes()), any::<u32>()).prop_map(
        |(time, optional, damage, admission, token, number)| {
            let mut config = Config { damage, admission, token, ..Config::default() };
            (config.heartbeat.idle, config.heartbeat.extension_max, config.heartbeat.detect_within) =
                (time, optional, optional);
            (config.timeouts.write_stall, config.limits.message, config.limits.send_queue) =
                (time, number, number as usize);
            config
        },
    )
}

fn verdict() -> impl Strategy<Value = Verdict> {
    (time(), prop::option::of(time()), any::<u32>(), any::<u64>()).prop_map(|(time, optional, unanswered, unsent)| {
        Verdict {
            silent_for: time,
            last_byte_in: time / 2,
            last_byte_out: optional,
            unanswered,
            bound: time / 3,
            for_round_trips: time / 4,
            for_slow_writes: time / 5,
            for_own_stalls: time / 6,
            unsent,
            rtt: optional,
        }
    })
}

fn rtt() -> impl Strategy<Value = Rtt> {
    (time(), time(), time()).prop_map(|(smoothed, variation, latest)| Rtt { smoothed, variation, latest })
}

fn closed() -> impl Strategy<Value = Closed> {
    let origin = prop_oneof![Just(Origin::Local), Just(Origin::Peer), Just(Origin::Transport)];
    let unsent = prop::collection::vec(message(), 0..3);
    (said(), origin, prop::option::of(verdict()), unsent, any::<u64>(), any::<Option<u64>>()).prop_map(
        |(CloseFrame { reason, retry, text }, origin, verdict, unsent, received, acknowledged)| Closed {
            reason,
            origin,
            retry,
            detail: text,
            verdict: verdict.map(Box::new),
            orderly: acknowledged.is_some(),
            heard: received > 0,
            received,
            acknowledged,
            unsent,
        },
    )
}

fn greeting_event() -> impl Strategy<Value = Event<'static>> {
    (time(), prop::option::of(bytes()), any::<u32>(), any::<bool>()).prop_map(|(time, token, limit, resync)| {
        if resync {
            Event::Admission(Box::new(Request {
                token,
                version_lowest: 1,
                version_highest: 2,
                frame_limit: limit,
                message_limit: limit,
                ping_floor: time,
                resync,
            }))
        } else {
            Event::Established(Box::new(Established {
                version: 1,
                frame_limit: limit,
                message_limit: limit,
                idle: time,
                interval: time,
                token,
            }))
        }
    })
}

fn event() -> impl Strategy<Value = Event<'static>> {
    let rejected = (any::<u64>(), 0..4u16, any::<u8>()).prop_map(|(ordinal, reason, class)| Rejected {
        class: Class(class),
        ordinal: NonZeroU64::new(ordinal),
        reason: RejectReason(reason),
    });
    let too_large = (any::<u64>(), any::<u32>()).prop_map(|(ordinal, limit)| TooLarge {
        class: Class::ROOM,
        ordinal: NonZeroU64::new(ordinal),
        limit,
        size: ordinal,
    });
    let silence = || (time(), any::<u32>());
    prop_oneof![
        greeting_event(),
        message().prop_map(Event::Message),
        (any::<u64>(), any::<bool>()).prop_map(|(skipped, message_lost)| Event::Gap(Gap { skipped, message_lost })),
        too_large.prop_map(Event::TooLarge),
        rejected.prop_map(Event::Rejected),
        silence().prop_map(|(silent_for, unanswered)| Event::Suspect(Suspect { silent_for, unanswered })),
        silence().prop_map(|(silent_for, unanswered)| Event::Recovered(Recovered { silent_for, unanswered })),
        any::<u64>().prop_map(|received| Event::Draining { received }),
        any::<u8>().prop_map(|class| Event::Writable { class: Class(class) }),
        any::<(u8, NonZeroU64)>().prop_map(|(class, ordinal)| Event::Taken { class: Class(class), ordinal }),
        said().prop_map(|said| Event::Closing(Box::new(said))),
        closed().prop_map(|closed| Event::Closed(Box::new(closed))),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let how = prop_oneof![
        Just(Disconnect::EndOfStream),
        Just(Disconnect::Reset),
        Just(Disconnect::NetworkLost),
        Just(Disconnect::Aborted)
    ];
    prop_oneof![
        bytes().prop_map(Operation::Received),
        bytes().prop_map(Operation::ReceivedDirect),
        any::<usize>().prop_map(Operation::Transmitted),
        any::<u64>().prop_map(Operation::Acknowledged),
        any::<usize>().prop_map(|max| Operation::PollTransmit { max }),
        Just(Operation::Timeout),
        message().prop_map(Operation::Send),
        said().prop_map(Operation::Close),
        Just(Operation::Drain),
        Just(Operation::Pause),
        Just(Operation::Resume),
        Just(Operation::Accept),
        said().prop_map(Operation::Refuse),
        Just(Operation::Abort),
        how.prop_map(Operation::Disconnected),
    ]
}

proptest! {
    #[test]
    fn a_configuration_is_read_as_it_was_written(config in config()) {
        prop_assert_eq!(again(&config), config.clone());
        // The valid ones as such; the others with the sentence that validating them gives.
        let read = from_str::<ValidConfig>(&to_string(&config).unwrap());
        match config.validate() {
            Ok(config) => prop_assert_eq!(again(&config), config),
            Err(error) => prop_assert!(read.unwrap_err().to_string().contains(&error.to_string())),
        }
    }

    #[test]
    fn an_event_is_read_as_it_was_written(event in event()) {
        prop_assert_eq!(again(&event), event);
    }

    #[test]
    fn a_verdict_and_a_round_trip_are_read_as_they_were_written(verdict in verdict(), rtt in rtt()) {
        prop_assert_eq!(again(&verdict), verdict);
        prop_assert_eq!(again(&rtt), rtt);
    }

    #[test]
    fn reasons_are_read_as_they_were_written(number: u16, reason in reason()) {
        prop_assert_eq!(again(&reason), reason);
        prop_assert_eq!(again(&RejectReason(number)), RejectReason(number));
        // Numbers will do for all.
        prop_assert_eq!(from_str::<CloseReason>(&number.to_string()).unwrap(), CloseReason(number));
    }

    #[test]
    fn statistics_are_read_as_they_were_written(rtt in prop::option::of(rtt()), number: u64) {
        let config = Config::default().validate().unwrap();
        let trace = Trace {
            role: Role::Client, config, seed: Seed::from_bytes([1; 12]), began: Instant::ZERO, steps: Vec::new(),
        };
        let statistics = Statistics { rtt, bytes_skipped: number, ..trace.replay().statistics };
        prop_assert_eq!(again(&statistics), statistics);
    }

    #[test]
    fn a_trace_is_read_as_it_was_written(
        operations in prop::collection::vec((any::<u64>(), operation()), 0..8), seed: [u8; 12], client: bool,
    ) {
        let trace = Trace {
            role: if client { Role::Client } else { Role::Server },
            config: Config::default().validate().unwrap(),
            seed: Seed::from_bytes(seed),
            began: Instant::from_nanos(5),
            steps: operations
                .into_iter()
                .map(|(at, operation)| Step { at: Instant::from_nanos(at), operation })
                .collect(),
        };
        prop_assert_eq!(again(&trace), trace);
    }
}

#[test]
fn the_representation_is_readable() {
    let mut config = Config::default();
    config.heartbeat.idle = Duration::from_micros(1_500_500);
    config.token = Some(Bytes::from_static(b"\x01\xAB"));
    let written = to_value(&config).unwrap();
    assert_eq!(written["heartbeat"]["idle_ms"], json!(1_500.5));
    assert_eq!(written["heartbeat"]["interval_ms"], json!(2_000));
    assert_eq!(written["heartbeat"]["extension_max_ms"], json!(null));
    assert_eq!(written["damage"], json!("resynchronise"));
    assert_eq!(written["token"], json!("01ab"));

    let event = Event::Message(Message::new(Class::BUSINESS, b"\xF7\x9A"));
    assert_eq!(to_value(event).unwrap(), json!({"message": {"class": 4, "encrypted": false, "payload": "f79a"}}));

    let said = CloseFrame::from(CloseReason::REFUSED).with_text("no");
    assert_eq!(to_value(said).unwrap(), json!({"reason": "REFUSED", "retry_after_ms": null, "text": "no"}));

    let step = Step { at: Instant::from_nanos(7), operation: Operation::PollTransmit { max: 512 } };
    assert_eq!(to_value(step).unwrap(), json!({"at_ns": 7, "operation": {"poll_transmit": {"max": 512}}}));
}

#[test]
fn what_a_configuration_leaves_out_is_the_default() {
    let config: ValidConfig = from_str(r#"{"heartbeat": {"probes": 5}}"#).unwrap();
    assert_eq!((config.heartbeat.probes, &config.limits), (5, &Config::default().limits));
}

#[test]
fn what_is_wrong_is_an_error_that_says_so() {
    let error = |text: &str| from_str::<ValidConfig>(text).map_err(|error| error.to_string()).unwrap_err();
    let probes = error(r#"{"heartbeat": {"probes": 0}}"#);
    assert!(probes.contains("heartbeat.probes is 0; it must be 1 to 10"), "{probes}");
    let misspelt = error(r#"{"heartbeat": {"idle": 5000}}"#);
    assert!(misspelt.contains("unknown field `idle`"), "{misspelt}");
    for number in ["-1", "-0.5", "1e300"] {
        let time = error(&format!(r#"{{"timeouts": {{"close_ms": {number}}}}}"#));
        assert!(time.contains("duration"), "{time}");
    }
    let reason = from_str::<CloseReason>("\"BORED\"").unwrap_err().to_string();
    assert!(reason.contains("the registry lists no reason BORED"), "{reason}");
    let bad: Vec<String> = vec!["65536".into(), "-1".into()];
    assert!(bad.iter().all(|number| from_str::<CloseReason>(number).is_err()));
    assert!(from_str::<Seed>("\"0102\"").is_err());
}
