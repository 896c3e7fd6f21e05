//! Pulsewire without I/O: framing, handshake, heartbeat and closing of long-lived connections.
