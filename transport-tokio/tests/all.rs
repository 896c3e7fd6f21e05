//! Most of the tests, as one program that is linked once. The other files here are programs of their own: each of them runs as several
//! processes, simulates hosts, or counts what its whole process does.

mod adapters;
mod admission;
mod back_pressure;
mod batches;
mod chat;
mod chat_rooms;
mod client;
mod client_chaos;
mod client_messages;
mod door;
mod echo;
mod ends;
mod examples;
mod fair_senders;
mod farewell;
mod flood;
mod flushing;
mod groups;
mod ids;
mod in_time;
mod keeper;
mod last_words;
mod leaving;
mod memory;
#[path = "../examples/chat/messages.rs"]
mod messages;
mod observing;
mod options_that_fail;
mod pausing;
mod peer_timeout;
mod programs;
mod proxied;
#[path = "../examples/chat/rooms.rs"]
mod rooms;
mod screens;
mod server;
mod server_limits;
mod shutdown;
#[cfg(target_os = "linux")]
mod slow_reader;
#[cfg(target_os = "linux")]
mod socket_options;
mod support;
mod telling;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod tls_example;
