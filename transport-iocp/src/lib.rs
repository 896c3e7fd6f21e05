//! Pulsewire over TCP on raw Windows I/O completion ports.
