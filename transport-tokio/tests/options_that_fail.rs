//! Configurations that no socket takes fail where they are given, not at each connection.

use std::io::ErrorKind;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::support::{bounded, valid};
use pulsewire_transport_tokio::protocol::{Config, ConfigError};
use pulsewire_transport_tokio::{ConnectError, Endpoint, Server, SocketOptions};

fn wrong() -> [(&'static str, SocketOptions); 3] {
    [
        ("connect_timeout", SocketOptions { connect_timeout: Duration::ZERO, ..SocketOptions::default() }),
        ("connect_timeout", SocketOptions { connect_timeout: Duration::MAX, ..SocketOptions::default() }),
        ("unsent_max", SocketOptions { unsent_max: NonZeroU32::new(1 << 31), ..SocketOptions::default() }),
    ]
}

#[test]
fn options_say_which_field_is_wrong_and_what_it_may_hold() {
    SocketOptions::default().validate().unwrap();
    for (field, options) in wrong() {
        let error = options.validate().unwrap_err();
        let ConfigError::OutOfRange { name, value, range } = &error else { panic!("{error}") };
        assert_eq!(*name, field);
        assert!(error.to_string().contains(value) && error.to_string().contains(range), "{error}");
    }
}

#[tokio::test]
async fn nobody_listens_or_connects_with_options_that_are_wrong() {
    bounded(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        for (field, options) in wrong() {
            let endpoint = Endpoint::with_options(valid(Config::default()), options.clone());
            let error = endpoint.listen("127.0.0.1:0").await.unwrap_err();
            assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains(field), "{error}");
            assert!(Server::new(endpoint.clone()).listen("127.0.0.1:0").await.is_err());
            assert!(Server::new(endpoint.clone()).listen_with(listener.try_clone().unwrap()).is_err());
            assert!(endpoint.listen_with(listener.try_clone().unwrap()).is_err());
            // A time of nothing has passed before the options matter.
            let error = endpoint.connect(address).await.unwrap_err();
            assert!(matches!(error, ConnectError::Tcp { .. } | ConnectError::Timeout { .. }), "{error}");
        }
    })
    .await;
}

#[cfg(feature = "serde")]
#[test]
fn options_are_read_and_what_no_system_takes_is_refused_then() {
    use pulsewire_transport_tokio::{Keepalive, UserTimeout};
    use serde_json::{from_value, json, to_value};

    let written = json!({
        "keepalive": { "idle_ms": 5000, "interval_ms": 2000, "probes": 3 },
        "user_timeout_ms": 9000,
        "listen": { "dual_stack": true },
        "connect_timeout_ms": 2500,
    });
    let options: SocketOptions = from_value(written).unwrap();
    assert_eq!(options.keepalive, Some(Keepalive::new(Duration::from_secs(5), Duration::from_secs(2), 3).unwrap()));
    assert_eq!(options.user_timeout, Some(UserTimeout::new(Duration::from_secs(9)).unwrap()));
    assert_eq!(options.connect_timeout, Duration::from_millis(2_500));
    assert!(options.listen.dual_stack && options.no_delay, "what is left out is the default");
    assert_eq!(from_value::<SocketOptions>(to_value(&options).unwrap()).unwrap(), options);

    let refusal = |value| from_value::<SocketOptions>(value).unwrap_err().to_string();
    let keepalive = json!({ "keepalive": { "idle_ms": 40_000_000, "interval_ms": 1000, "probes": 3 } });
    assert!(refusal(keepalive).contains("idle time of 40000s is out of range"));
    assert!(refusal(json!({ "user_timeout_ms": 1e300 })).contains("64 bits"));
    assert!(refusal(json!({ "no_dealy": true })).contains("unknown field"));
}
