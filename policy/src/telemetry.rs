//! What a transport tells to whatever recorder of metrics the application installs, under the same names on every transport. Without
//! the feature `metrics` it tells nothing.
//!
//! - `pulsewire_connections`: a gauge.
//! - `pulsewire_connections_opened_total`, and `pulsewire_connections_ended_total` by `end`: the field of [`ShutdownReport`] that
//!   counts it.
//! - `pulsewire_connection_seconds`: a histogram.
//! - `pulsewire_messages_total` and `pulsewire_bytes_total` by `direction` (`received`, `sent`), added when a connection ends.
//!
//! All of them are by `role` (`client`, `server`).

use std::time::Duration;

use pulsewire_protocol::Role;

use crate::{ShutdownReport, Traffic};

#[cfg(feature = "metrics")]
fn name(role: Role) -> &'static str {
    match role {
        Role::Client => "client",
        Role::Server => "server",
    }
}

/// A connection begins.
pub fn opened(role: Role) {
    #[cfg(feature = "metrics")]
    {
        metrics::counter!("pulsewire_connections_opened_total", "role" => name(role)).increment(1);
        metrics::gauge!("pulsewire_connections", "role" => name(role)).increment(1);
    }
    #[cfg(not(feature = "metrics"))]
    let _nobody_watches = role;
}

/// A connection is over, and its stream closed. `lasted`: where the transport knows; `how`: the report of it alone.
pub fn ended(role: Role, lasted: Option<Duration>, how: &ShutdownReport, traffic: &Traffic) {
    #[cfg(feature = "metrics")]
    {
        let role = name(role);
        metrics::gauge!("pulsewire_connections", "role" => role).decrement(1);
        metrics::counter!("pulsewire_connections_ended_total", "role" => role, "end" => how.name()).increment(1);
        if let Some(lasted) = lasted {
            metrics::histogram!("pulsewire_connection_seconds", "role" => role).record(lasted);
        }
        let sums = [
            ("received", traffic.messages_received, traffic.bytes_received),
            ("sent", traffic.messages_sent, traffic.bytes_taken),
        ];
        for (direction, messages, bytes) in sums {
            metrics::counter!("pulsewire_messages_total", "role" => role, "direction" => direction).increment(messages);
            metrics::counter!("pulsewire_bytes_total", "role" => role, "direction" => direction).increment(bytes);
        }
    }
    #[cfg(not(feature = "metrics"))]
    let _nobody_watches = (role, lasted, how, traffic);
}
