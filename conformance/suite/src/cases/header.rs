//! Section 3: the header and the trailer.

use super::{BOTH, refuses};
use crate::case::{Case, Need};
use crate::codec::registry::{flag, kind, reason};
use crate::codec::{Header, Packet, crc32c};
use crate::context::Context;
use crate::peer::Message;
use crate::profile::Profile;
use crate::verdict::{Failure, Outcome, require};

pub(super) const CASES: &[Case] = &[
    case!(
        "PW-HDR-001/empty-and-full",
        "takes packets with the smallest and the largest payload",
        BOTH,
        Profile::calm,
        empty_and_full
    ),
    case!(
        "PW-HDR-002/wrong-magic",
        "takes nothing for a packet whose magic is wrong, although its check is right",
        BOTH,
        Profile::calm,
        wrong_magic,
        [Need::NoResync]
    ),
    case!(
        "PW-HDR-003/wrong-check",
        "takes nothing for a packet whose check has one wrong bit",
        BOTH,
        Profile::calm,
        wrong_check,
        [Need::NoResync]
    ),
    case!(
        "PW-HDR-003/damaged-field",
        "notices a damaged bit in every byte that the check covers",
        BOTH,
        Profile::calm,
        damaged_field,
        [Need::NoResync]
    ),
    case!(
        "PW-HDR-004/fields-not-believed",
        "does not act on the flags, kind and length of a header that does not verify",
        BOTH,
        Profile::calm,
        fields_not_believed,
        [Need::NoResync]
    ),
    case!(
        "PW-HDR-005/unknown-flag",
        "closes with UNKNOWN_FLAG on each undefined flag bit",
        BOTH,
        Profile::calm,
        unknown_flag
    ),
    case!(
        "PW-HDR-006/data-flags-on-control",
        "closes with BAD_PACKET on FIRST, MORE or ENCRYPTED on a control packet",
        BOTH,
        Profile::calm,
        data_flags_on_control
    ),
    case!(
        "PW-HDR-007/unknown-kind",
        "closes with UNKNOWN_KIND on a kind below 0x80 that is not defined",
        BOTH,
        Profile::calm,
        unknown_kind
    ),
    case!(
        "PW-HDR-008/ignorable-kind",
        "passes over packets of unknown kinds of 0x80 and above",
        BOTH,
        Profile::calm,
        ignorable_kind
    ),
    case!(
        "PW-HDR-008/packet-inside",
        "passes over such a packet whole, also where it contains a packet",
        BOTH,
        Profile::calm,
        packet_inside_ignorable
    ),
    case!(
        "PW-HDR-009/flags-on-ignorable-kind",
        "closes with BAD_PACKET on a flag other than CHECKSUM on such a packet",
        BOTH,
        Profile::calm,
        flags_on_ignorable_kind
    ),
    case!(
        "PW-HDR-010/class-on-control",
        "closes with BAD_PACKET on a class other than 0 on a packet other than DATA",
        BOTH,
        Profile::calm,
        class_on_control
    ),
    case!(
        "PW-HDR-011/reserved-class",
        "closes with BAD_PACKET on the reserved classes, and takes their neighbours",
        BOTH,
        Profile::calm,
        reserved_class
    ),
    case!(
        "PW-HDR-012/trailer-not-counted",
        "keeps the trailer out of the payload and of the length, of empty payloads too",
        BOTH,
        Profile::calm,
        trailer_not_counted
    ),
    case!(
        "PW-HDR-013/wrong-trailer",
        "closes with PAYLOAD_CHECKSUM on a wrong trailer",
        BOTH,
        Profile::calm,
        wrong_trailer,
        [Need::NoResync]
    ),
    case!(
        "PW-HDR-014/control-length",
        "closes with BAD_LENGTH at the header of a control packet that is too short or too long",
        BOTH,
        Profile::calm,
        control_length
    ),
    case!(
        "PW-HDR-015/ignorable-too-long",
        "closes with FRAME_TOO_LARGE and LIMIT on an ignorable packet above the frame limit",
        BOTH,
        Profile::calm,
        ignorable_too_long
    ),
    case!(
        "PW-HDR-017/order-of-rules",
        "names the first broken rule where several are broken",
        BOTH,
        Profile::calm,
        order_of_rules
    ),
];

fn empty_and_full(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let limit = peer.announced().frame_limit as usize;
    for size in [0, 1, limit - 1, limit] {
        let payload = context.random.bytes(size);
        peer.echo(&Message::new(0, payload))?;
    }
    Ok(())
}

fn wrong_magic(context: &mut Context<'_>) -> Outcome {
    let good = Message::new(0, *b"magic").frames(512).remove(0);
    for (byte, bit) in [(0, 1), (0, 0x80), (1, 1), (1, 0x80)] {
        let mut peer = context.establish()?;
        let mut bytes = good.encode(peer.key());
        bytes[byte] ^= bit;
        let check = crc32c(&bytes[..8]) ^ peer.key();
        bytes[8..Header::SIZE].copy_from_slice(&check.to_be_bytes());
        peer.send_raw(&bytes)?;
        peer.expect_rejection(reason::BAD_HEADER)?;
    }
    context.establish()?.echo(&Message::new(0, *b"magic"))
}

fn wrong_check(context: &mut Context<'_>) -> Outcome {
    let message = Message::new(0, *b"check");
    for byte in 8..Header::SIZE {
        let mut peer = context.establish()?;
        let mut bytes = message.frames(512)[0].encode(peer.key());
        bytes[byte] ^= 0x10;
        peer.send_raw(&bytes)?;
        peer.expect_rejection(reason::BAD_HEADER)?;
    }
    context.establish()?.echo(&message)
}

fn damaged_field(context: &mut Context<'_>) -> Outcome {
    for byte in 2..8 {
        let mut peer = context.establish()?;
        let mut bytes = Message::new(0, *b"field").frames(512)[0].encode(peer.key());
        bytes[byte] ^= 1;
        peer.send_raw(&bytes)?;
        peer.expect_rejection(reason::BAD_HEADER)?;
    }
    context.establish()?.echo(&Message::new(0, *b"field"))
}

fn fields_not_believed(context: &mut Context<'_>) -> Outcome {
    let hostile = [
        Header { kind: kind::DATA, flags: 0xFF, class: 0, length: 0 },
        Header { kind: 0x7F, flags: 0, class: 0, length: 0 },
        Header { kind: kind::DATA, flags: flag::FIRST | flag::CHECKSUM, class: 0, length: 0xFF_FFFF },
        Header { kind: kind::PING, flags: 0, class: 0, length: 0 },
    ];
    for header in hostile {
        let mut peer = context.establish()?;
        let wrong_key = peer.key() ^ 0x0100_0000;
        peer.send_raw(&header.encode(wrong_key))?;
        peer.expect_rejection(reason::BAD_HEADER)?;
    }
    let mut peer = context.establish()?;
    peer.send(&Packet::ping(1))?;
    peer.expect_pong(1)
}

fn unknown_flag(context: &mut Context<'_>) -> Outcome {
    let good = Packet::data(flag::FIRST, 0, *b"flags");
    for bit in [0x10, 0x20, 0x40, 0x80] {
        let mut peer = context.establish()?;
        peer.send(&Packet { flags: good.flags | bit, ..good.clone() })?;
        peer.expect_rejection(reason::UNKNOWN_FLAG)?;
    }
    context.establish()?.echo(&Message::new(0, *b"flags"))
}

fn data_flags_on_control(context: &mut Context<'_>) -> Outcome {
    let good = Packet { flags: flag::CHECKSUM, ..Packet::control(kind::BUSY, [0; 4]) };
    for bit in [flag::FIRST, flag::MORE, flag::ENCRYPTED] {
        refuses(context, reason::BAD_PACKET, &Packet { flags: bit, ..good.clone() }, &good)?;
    }
    Ok(())
}

fn unknown_kind(context: &mut Context<'_>) -> Outcome {
    for kind in [0x00, 0x0B, 0x7F] {
        let good = Packet::control(0x80 | kind, *b"eight by");
        refuses(context, reason::UNKNOWN_KIND, &Packet { kind, ..good.clone() }, &good)?;
    }
    Ok(())
}

fn ignorable_kind(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    for kind in [0x80, 0xBF, kind::FIRST_PRIVATE, 0xFF] {
        for flags in [0, flag::CHECKSUM] {
            peer.send(&Packet { flags, ..Packet::control(kind, *b"passed over") })?;
            peer.send(&Packet { flags, ..Packet::control(kind, []) })?;
        }
        peer.alive()?;
    }
    Ok(())
}

fn packet_inside_ignorable(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let inside = Packet::data(flag::FIRST, 0, *b"not a message").encode(peer.key());
    peer.send(&Packet::control(kind::FIRST_PRIVATE, inside))?;
    peer.alive()
}

fn flags_on_ignorable_kind(context: &mut Context<'_>) -> Outcome {
    let good = Packet { flags: flag::CHECKSUM, ..Packet::control(kind::FIRST_PRIVATE, *b"flags") };
    for bit in [flag::FIRST, flag::MORE, flag::ENCRYPTED] {
        refuses(context, reason::BAD_PACKET, &Packet { flags: good.flags | bit, ..good.clone() }, &good)?;
    }
    Ok(())
}

fn class_on_control(context: &mut Context<'_>) -> Outcome {
    for good in [Packet::control(kind::BUSY, [0; 4]), Packet::control(kind::FIRST_PRIVATE, *b"class")] {
        for class in [1, 200] {
            refuses(context, reason::BAD_PACKET, &Packet { class, ..good.clone() }, &good)?;
        }
    }
    Ok(())
}

fn reserved_class(context: &mut Context<'_>) -> Outcome {
    for class in [5, 64, 127] {
        let mut peer = context.establish()?;
        peer.send(&Packet::data(flag::FIRST, class, *b"class"))?;
        peer.expect_rejection(reason::BAD_PACKET)?;
    }
    let mut peer = context.establish()?;
    for class in [0, 1, 2, 3, 4, 128, 255] {
        peer.echo(&Message::new(class, *b"class"))?;
    }
    Ok(())
}

fn trailer_not_counted(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    peer.echo(&Message::new(0, *b"1234"))?;
    peer.echo(&Message::new(0, []))?;
    peer.send(&Packet { flags: flag::CHECKSUM, ..Packet::ping(1) })?;
    peer.expect_pong(1)?;
    peer.alive()
}

fn wrong_trailer(context: &mut Context<'_>) -> Outcome {
    let packet = Packet { flags: flag::CHECKSUM, ..Packet::control(kind::FIRST_PRIVATE, *b"trailer") };
    for packet in [Packet::data(flag::FIRST, 0, *b"trailer"), packet] {
        let mut peer = context.establish()?;
        peer.send_raw(&peer.with_wrong_trailer(&packet))?;
        peer.expect_rejection(reason::PAYLOAD_CHECKSUM)?;
    }
    context.establish()?.echo(&Message::new(0, *b"trailer"))
}

fn control_length(context: &mut Context<'_>) -> Outcome {
    let lengths = [
        (kind::PING, 7),
        (kind::PING, 9),
        (kind::PONG, 0),
        (kind::CLOSE, 13),
        (kind::CLOSE, 513),
        (kind::CLOSE_ACK, 9),
        (kind::REJECT, 12),
        (kind::BUSY, 3),
        (kind::DRAIN, 0xFF_FFFF),
    ];
    for (kind, length) in lengths {
        let mut peer = context.establish()?;
        // The payload never comes: the header alone decides.
        peer.send_header(&Packet::control(kind, []), length)?;
        peer.expect_rejection(reason::BAD_LENGTH)?;
    }
    context.establish()?.barrier()
}

fn ignorable_too_long(context: &mut Context<'_>) -> Outcome {
    let mut peer = context.establish()?;
    let limit = peer.announced().frame_limit;
    if limit == 0xFF_FFFF {
        return Err(Failure::NotApplicable("no length is above the subject's frame limit".into()));
    }
    peer.send_header(&Packet::control(kind::FIRST_PRIVATE, []), limit + 1)?;
    let close = peer.expect_rejection(reason::FRAME_TOO_LARGE)?;
    let due = Some((u64::from(limit), u64::from(limit) + 1));
    require(close.limit() == due, format!("the item LIMIT holds {:?} instead of {due:?}", close.limit()))?;
    let mut peer = context.establish()?;
    peer.send(&Packet::control(kind::FIRST_PRIVATE, vec![0; limit as usize]))?;
    peer.alive()
}

fn order_of_rules(context: &mut Context<'_>) -> Outcome {
    let limit = context.establish()?.announced().frame_limit;
    let (first, more, marked) = (flag::FIRST, flag::MORE, flag::FIRST | flag::ENCRYPTED);
    let orders = [
        (0x7F, 0xF0, 9, 0, reason::UNKNOWN_FLAG),
        (0x7F, marked, 9, 0, reason::UNKNOWN_KIND),
        (kind::PING, first, 9, 9, reason::BAD_PACKET),
        (kind::PING, 0, 9, 9, reason::BAD_PACKET),
        (kind::HELLO, 0, 0, 13, reason::BAD_LENGTH),
        (kind::CLOSE_ACK, 0, 0, 7, reason::BAD_LENGTH),
        (kind::DATA, flag::CHECKSUM | more, 5, 0, reason::BAD_PACKET),
    ];
    for (kind, flags, class, length, code) in orders {
        let mut peer = context.establish()?;
        peer.send_header(&Packet { kind, flags, class, payload: Vec::new() }, length)?;
        peer.expect_rejection(code)?;
    }
    if limit < 0xFF_FFFF {
        let mut peer = context.establish()?;
        // A continuation without a beginning that is also too long.
        peer.send_header(&Packet::data(more, 0, []), limit + 1)?;
        peer.expect_rejection(reason::FRAME_TOO_LARGE)?;
    }
    Ok(())
}
