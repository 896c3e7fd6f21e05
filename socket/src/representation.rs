//! How settings are written by means of serde: times as milliseconds, everything checked while it is read.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::OutOfRange;
use crate::keepalive::Keepalive;
use crate::linger::Linger;
use crate::traffic_class::Dscp;
use crate::user_timeout::UserTimeout;

/// A time as milliseconds; a part of one is a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Milliseconds {
    Whole(u64),
    Fraction(f64),
}

impl From<Duration> for Milliseconds {
    fn from(time: Duration) -> Self {
        match u64::try_from(time.as_millis()) {
            Ok(whole) if time.subsec_nanos().is_multiple_of(1_000_000) => Self::Whole(whole),
            _ => Self::Fraction(time.as_secs_f64() * 1000.0),
        }
    }
}

impl TryFrom<Milliseconds> for Duration {
    type Error = OutOfRange;

    fn try_from(time: Milliseconds) -> Result<Self, OutOfRange> {
        match time {
            Milliseconds::Whole(whole) => Ok(Self::from_millis(whole)),
            Milliseconds::Fraction(fraction) => Self::try_from_secs_f64(fraction / 1000.0).map_err(|_| {
                OutOfRange::new("a number of milliseconds", fraction, "not negative, and no more than fit 64 bits")
            }),
        }
    }
}

/// For a time that is a field.
pub(crate) mod milliseconds {
    use super::{Duration, Milliseconds};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        Milliseconds::from(*time).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Milliseconds::deserialize(deserializer)?.try_into().map_err(de::Error::custom)
    }
}

impl From<UserTimeout> for Milliseconds {
    fn from(timeout: UserTimeout) -> Self {
        timeout.duration().into()
    }
}

impl TryFrom<Milliseconds> for UserTimeout {
    type Error = OutOfRange;

    fn try_from(time: Milliseconds) -> Result<Self, OutOfRange> {
        Self::new(time.try_into()?)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeepaliveFields {
    #[serde(rename = "idle_ms", with = "milliseconds")]
    idle: Duration,
    #[serde(rename = "interval_ms", with = "milliseconds")]
    interval: Duration,
    probes: u32,
}

impl From<Keepalive> for KeepaliveFields {
    fn from(keepalive: Keepalive) -> Self {
        Self { idle: keepalive.idle(), interval: keepalive.interval(), probes: keepalive.probes() }
    }
}

impl TryFrom<KeepaliveFields> for Keepalive {
    type Error = OutOfRange;

    fn try_from(fields: KeepaliveFields) -> Result<Self, OutOfRange> {
        Self::new(fields.idle, fields.interval, fields.probes)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LingerForm {
    Background,
    WaitMs(Milliseconds),
    Reset,
}

impl From<Linger> for LingerForm {
    fn from(linger: Linger) -> Self {
        match linger {
            Linger::Background => Self::Background,
            Linger::Wait(time) => Self::WaitMs(time.into()),
            Linger::Reset => Self::Reset,
        }
    }
}

impl TryFrom<LingerForm> for Linger {
    type Error = OutOfRange;

    fn try_from(form: LingerForm) -> Result<Self, OutOfRange> {
        let linger = match form {
            LingerForm::Background => Self::Background,
            LingerForm::WaitMs(time) => Self::Wait(time.try_into()?),
            LingerForm::Reset => Self::Reset,
        };
        linger.check().map(|()| linger)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum NumberOrName {
    Number(u8),
    Name(String),
}

impl TryFrom<NumberOrName> for Dscp {
    type Error = OutOfRange;

    fn try_from(value: NumberOrName) -> Result<Self, OutOfRange> {
        match value {
            NumberOrName::Number(number) => Self::new(number),
            NumberOrName::Name(name) => name.parse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{from_value, json, to_value};

    use super::*;
    use crate::ListenOptions;

    fn refusal<T: DeserializeOwned + std::fmt::Debug>(value: serde_json::Value) -> String {
        from_value::<T>(value).unwrap_err().to_string()
    }

    #[test]
    fn settings_are_written_as_documented_and_read_back() {
        let keepalive = Keepalive::new(Duration::from_secs(5), Duration::from_micros(1_500_500), 3).unwrap();
        let written = json!({ "idle_ms": 5000, "interval_ms": 1500.5, "probes": 3 });
        assert_eq!(to_value(keepalive).unwrap(), written);
        assert_eq!(from_value::<Keepalive>(written).unwrap(), keepalive);

        let timeout = UserTimeout::new(Duration::from_secs(9)).unwrap();
        assert_eq!(to_value(timeout).unwrap(), json!(9000));
        assert_eq!(from_value::<UserTimeout>(json!(9000)).unwrap(), timeout);

        assert_eq!(to_value(Dscp::AF41).unwrap(), json!("AF41"));
        assert_eq!(from_value::<Dscp>(json!("af41")).unwrap(), Dscp::AF41);
        assert_eq!(from_value::<Dscp>(json!(34)).unwrap(), Dscp::AF41);

        for (linger, written) in [
            (Linger::Background, json!("background")),
            (Linger::Reset, json!("reset")),
            (Linger::Wait(Duration::from_secs(2)), json!({ "wait_ms": 2000 })),
        ] {
            assert_eq!(to_value(linger).unwrap(), written);
            assert_eq!(from_value::<Linger>(written).unwrap(), linger);
        }

        let options: ListenOptions = from_value(json!({ "dual_stack": true })).unwrap();
        assert_eq!(options, ListenOptions { dual_stack: true, backlog: None });
    }

    #[test]
    fn what_no_socket_takes_is_refused_where_it_is_read() {
        let error = refusal::<Keepalive>(json!({ "idle_ms": 40_000_000, "interval_ms": 1000, "probes": 3 }));
        assert!(error.contains("idle time of 40000s is out of range"), "{error}");
        assert!(refusal::<Keepalive>(json!({ "idle": 5, "interval_ms": 1000, "probes": 3 })).contains("unknown field"));
        assert!(refusal::<UserTimeout>(json!(0)).contains("out of range"));
        assert!(refusal::<UserTimeout>(json!(-0.5)).contains("not negative"));
        assert!(refusal::<UserTimeout>(json!(1e300)).contains("64 bits"));
        assert!(refusal::<Dscp>(json!(184)).contains("0 to 63"));
        assert!(refusal::<Dscp>(json!("urgent")).contains("a name"));
        assert!(refusal::<Linger>(json!({ "wait_ms": 0 })).contains("Linger::Reset"));
        assert!(refusal::<Linger>(json!({ "wait_ms": 40_000_000 })).contains("32767s"));
        refusal::<ListenOptions>(json!({ "backlog": 0 }));
    }
}
