//! Raw bytes from the peer, in any state: nothing panics, and what must hold always does (see `Watched`).
//!
//! Input: options, sync key (4 bytes), bytes per read (0: all at once), then the stream.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use pulsewire_fuzz::{Watched, config, repair};
use pulsewire_protocol::{Class, CloseReason, Message, Role};

/// The bits of the first byte.
const GREETED: u8 = 1;
const RESYNC: u8 = 2;
const CLIENT: u8 = 4;
const SENDS: u8 = 8;
const CLOSES: u8 = 16;
const DIRECT: u8 = 32;
const TIME_PASSES: u8 = 64;
const REPAIRED: u8 = 128;

fuzz_target!(|input: &[u8]| {
    let Some((&[options, a, b, c, d, chunk], stream)) = input.split_first_chunk() else { return };
    let is = |option| options & option != 0;
    let key = u32::from_be_bytes([a, b, c, d]).max(1);
    let role = if is(CLIENT) { Role::Client } else { Role::Server };
    let mut watched = if is(GREETED) {
        Watched::greeted(config(is(RESYNC)), role, key, is(SENDS))
    } else {
        Watched::new(config(is(RESYNC)), role, key)
    };
    let mut stream = stream.to_vec();
    if is(REPAIRED) {
        repair(&mut stream, key, !is(GREETED));
    }
    let chunk = if chunk == 0 { usize::MAX } else { chunk.into() };
    for (index, bytes) in stream.chunks(chunk).enumerate() {
        if is(SENDS) && index < 16 {
            let message = Message::new(Class::ROOM, vec![1; index % 3 * 1_000]);
            let now = watched.now();
            if let Err(refused) = watched.connection().send(now, message.clone()) {
                assert_eq!(refused.message, message);
            }
        }
        if is(CLOSES) && index == 1 {
            let now = watched.now();
            watched.connection().close(now, CloseReason::NORMAL);
            watched.poll_events();
        }
        if is(DIRECT) {
            watched.receive_direct(bytes)
        } else {
            watched.receive(bytes)
        }
        if is(TIME_PASSES) {
            watched.pass_time(Duration::from_millis(900));
        }
        // Not always, so that things pile up.
        if index % 2 == 0 {
            watched.transmit();
        }
    }
    watched.finish();
});
