//! Pulsewire over TCP on tokio.
