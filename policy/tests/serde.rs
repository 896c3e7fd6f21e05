//! Configurations as files have them.
#![cfg(feature = "serde")]

use std::time::Duration;

use pulsewire_policy::{ReconnectConfig, ValidReconnectConfig};

#[test]
fn times_are_milliseconds_and_what_is_left_out_is_the_default() {
    let read: ReconnectConfig = serde_json::from_str(r#"{"first_delay_ms": 250, "give_up_after_ms": 1.5}"#).unwrap();
    let (first_delay, give_up_after) = (Duration::from_millis(250), Some(Duration::from_micros(1_500)));
    assert_eq!(read, ReconnectConfig { first_delay, give_up_after, ..ReconnectConfig::default() });
    let written = serde_json::to_string(&read).unwrap();
    assert_eq!(serde_json::from_str::<ReconnectConfig>(&written).unwrap(), read);
    assert_eq!(serde_json::to_value(&read).unwrap()["settled_after_ms"], 30_000);
}

#[test]
fn what_is_unknown_or_out_of_range_is_an_error() {
    let unknown = serde_json::from_str::<ReconnectConfig>(r#"{"first_delay": 250}"#).unwrap_err();
    assert!(unknown.to_string().contains("unknown field `first_delay`"), "{unknown}");
    let wrong = serde_json::from_str::<ValidReconnectConfig>(r#"{"growth": 11}"#).unwrap_err();
    assert!(wrong.to_string().contains("growth is 11; it must be 1 to 10"), "{wrong}");
}
