//! The Pulsewire specification, its numbered requirements and its test vectors, as data.
