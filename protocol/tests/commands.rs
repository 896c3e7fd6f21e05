//! Random commands, packets and moments: what holds always, in any order of calls.

use proptest::prelude::*;
use pulsewire_protocol::{
    Admission, Class, CloseReason, Connection, Damage, Disconnect, Event, Flags, Header, Instant, Kind, Message,
    Shutdown,
};

use crate::pair::*;

#[derive(Debug, Clone)]
enum Call {
    Send(usize),
    Close(u16),
    Drain,
    Pause,
    Resume,
    Accept,
    Refuse(u16),
    Abort,
    Disconnect(Disconnect),
    /// The peer sends this.
    Receive(Packet),
    /// Time passes; everything that is due happens.
    Wait(u64),
    /// Everything that waits is handed out.
    HandOut,
    /// The transport takes a part of it.
    Take(prop::sample::Index),
}

#[derive(Debug, Clone)]
enum Packet {
    Data { flags: u8, size: usize },
    Damaged { flags: u8 },
    Counted { kind: u8, count: u64 },
    Busy(u32),
    Reject(u64),
    Close { reason: u16, received: u64 },
    Ignorable,
}

fn packet() -> impl Strategy<Value = Packet> {
    let reason = || prop_oneof![4 => Just(1u16), 1 => Just(19), 1 => any::<u16>()];
    prop_oneof![
        8 => (prop_oneof![Just(1u8), Just(3), Just(2), Just(0)], 0usize..600).prop_map(|(flags, size)| Packet::Data { flags, size }),
        1 => (0u8..4).prop_map(|flags| Packet::Damaged { flags }),
        4 => (prop_oneof![Just(5u8), Just(6), Just(8), Just(10)], 0u64..6).prop_map(|(kind, count)| Packet::Counted { kind, count }),
        3 => (0u32..5_000).prop_map(Packet::Busy),
        1 => (0u64..4).prop_map(Packet::Reject),
        1 => (reason(), 0u64..3).prop_map(|(reason, received)| Packet::Close { reason, received }),
        1 => Just(Packet::Ignorable),
    ]
}

/// Of an application: good ones, those about the registry's holes, and any.
fn reason() -> impl Strategy<Value = u16> {
    prop_oneof![4 => Just(1u16), 2 => 0u16..300, 1 => any::<u16>()]
}

fn call() -> impl Strategy<Value = Call> {
    let how = prop_oneof![Just(Disconnect::EndOfStream), Just(Disconnect::Reset)];
    prop_oneof![
        6 => (0usize..3_000).prop_map(Call::Send),
        1 => reason().prop_map(Call::Close),
        2 => Just(Call::Drain),
        3 => Just(Call::Pause),
        3 => Just(Call::Resume),
        2 => Just(Call::Accept),
        1 => reason().prop_map(Call::Refuse),
        1 => prop_oneof![Just(Call::Abort), how.prop_map(Call::Disconnect)],
        16 => packet().prop_map(Call::Receive),
        6 => prop_oneof![4 => 0u64..400, 1 => 0u64..20_000].prop_map(Call::Wait),
        6 => Just(Call::HandOut),
        6 => any::<prop::sample::Index>().prop_map(Call::Take),
    ]
}

impl Packet {
    fn encode(&self) -> Vec<u8> {
        match *self {
            Self::Data { flags, size } => data(Flags(flags) | Flags::CHECKSUM, 4, &payload(size), SERVER_KEY),
            Self::Damaged { flags } => {
                let mut packet = data(Flags(flags) | Flags::CHECKSUM, 4, b"damaged", SERVER_KEY);
                packet[12] ^= 1;
                packet
            }
            Self::Counted { kind, count } => numbered(Kind(kind), count, SERVER_KEY),
            Self::Busy(pause) => busy(pause, SERVER_KEY),
            Self::Reject(ordinal) => reject(ordinal, 1, SERVER_KEY),
            Self::Close { reason, received } => close(CloseReason(reason), received, 0, b"", SERVER_KEY),
            Self::Ignorable => control(Kind(0xC0), b"", SERVER_KEY),
        }
    }
}

/// Makes one call. [`End`] asserts meanwhile that nothing follows `Closed`, and that no deadline stays in the past.
fn make(end: &mut End, call: &Call) {
    match call {
        Call::Send(size) => {
            let message = Message::new(Class::BUSINESS, payload(*size));
            if let Err(refused) = end.connection.send(end.now, message.clone()) {
                assert_eq!(refused.message, message, "what is refused comes back");
            }
        }
        Call::Close(reason) => end.connection.close(end.now, CloseReason(*reason)),
        Call::Drain => end.connection.drain(end.now),
        Call::Pause => end.connection.pause(end.now),
        Call::Resume => end.connection.resume(end.now),
        Call::Accept => end.connection.accept(end.now),
        Call::Refuse(reason) => end.connection.refuse(end.now, CloseReason(*reason)),
        Call::Abort => end.connection.abort(end.now),
        Call::Disconnect(how) => end.connection.disconnected(end.now, *how),
        Call::Receive(packet) => drop(end.receive(&packet.encode())),
        Call::Wait(time) => {
            let until = end.now + ms(*time);
            while let Some(deadline) = end.connection.poll_timeout().filter(|deadline| *deadline <= until) {
                end.now = end.now.max(deadline);
                end.pass_time();
            }
            end.now = until;
        }
        Call::HandOut => end.hand_out(),
        Call::Take(count) => drop(end.take(count.index(end.handed.len() + 1))),
    }
    end.poll_events();
    assert_eq!(end.connection.poll_timeout().is_none(), end.connection.shutdown() == Shutdown::Close);
}

/// PW-CLS-001, PW-CLS-002, PW-CLS-013, PW-CLS-016, PW-HB-024, PW-REJ-005: what may follow what.
fn check_order(kinds: &[Kind]) {
    let place = |kind| kinds.iter().position(|sent| *sent == kind).unwrap_or(kinds.len());
    let count = |kind| kinds.iter().filter(|sent| **sent == kind).count();
    assert!(count(Kind::CLOSE) <= 1 && count(Kind::CLOSE_ACK) <= 1 && count(Kind::DRAIN) <= 1, "{kinds:?}");
    for kind in kinds.iter().skip(place(Kind::CLOSE) + 1) {
        assert!(matches!(*kind, Kind::PING | Kind::PONG | Kind::REJECT | Kind::CLOSE_ACK), "{kind:?} in {kinds:?}");
    }
    assert!(place(Kind::CLOSE_ACK) + 1 >= kinds.len(), "{kinds:?}");
}

/// PW-VER-001: nothing that version 1 does not define, but for what is private.
fn check_defined((header, payload): (&Header, &[u8])) {
    const DEFINED: [Kind; 10] = [
        Kind::HELLO,
        Kind::HELLO_ACK,
        Kind::REJECT,
        Kind::DATA,
        Kind::PING,
        Kind::PONG,
        Kind::BUSY,
        Kind::DRAIN,
        Kind::CLOSE,
        Kind::CLOSE_ACK,
    ];
    assert!(DEFINED.contains(&header.kind), "{header:?}");
    let data = header.kind == Kind::DATA;
    assert!(
        header.flags.0 & !0x0F == 0 && (data || header.flags.without(Flags::CHECKSUM) == Flags::NONE),
        "{header:?}"
    );
    assert!(matches!(header.class.0, 0 | 1..=4 | 128..) && (data || header.class.0 == 0), "{header:?}");
    match header.kind {
        Kind::HELLO | Kind::HELLO_ACK => {
            assert!(
                item_ids(payload).iter().all(|id| matches!(id, 1..=5) || (*id, header.kind) == (0x8006, Kind::HELLO))
            );
        }
        Kind::CLOSE => {
            let (CloseReason(reason), _) = close_fields(payload);
            assert!(matches!(reason, 1..=4 | 16..=29 | 32..=36 | 48..=55 | 32_768..), "reason {reason}");
            assert!(item_ids(&payload[14..]).iter().all(|id| matches!(id, 0x8010 | 0x8011)));
        }
        Kind::REJECT => assert!(matches!(reject_fields(payload).2, 1 | 2 | 32_768..)),
        _ => {}
    }
}

proptest! {
    #[test]
    fn any_order_of_calls_is_harmless(calls in prop::collection::vec(call(), 1..120), asks: bool, resync: bool) {
        let mut config = config();
        config.admission = if asks { Admission::Ask } else { Admission::Automatic };
        config.damage = if resync { Damage::Resynchronise } else { Damage::Close };
        config.limits.frame = 1_000;
        config.limits.message = 1_200;
        config.limits.send_queue = 5_000;
        let mut end = End::new(Connection::server(Instant::ZERO, &valid(config), seed(SERVER_KEY)), PEER_KEY);
        end.receive(&hello_packet(Kind::HELLO, &hello(PEER_KEY))).unwrap();
        calls.iter().for_each(|call| make(&mut end, call));
        end.hand_out();
        make(&mut end, &Call::Abort);
        end.hand_out();
        prop_assert!(end.closed.is_some() && end.connection.is_over() && !end.connection.is_paused());
        check_order(&end.sent_kinds());
        end.sent.iter().for_each(|(_, header, payload)| check_defined((header, payload)));
        // Suspect and recovered take turns.
        let told = end.events.iter().filter_map(|event| match event {
            Event::Suspect(_) => Some(true),
            Event::Recovered(_) => Some(false),
            _ => None,
        });
        prop_assert!(told.enumerate().all(|(index, suspect)| suspect == (index % 2 == 0)));
    }
}
