//! The real port, on the loopback interface.
