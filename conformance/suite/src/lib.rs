//! The Pulsewire conformance suite as a library.
