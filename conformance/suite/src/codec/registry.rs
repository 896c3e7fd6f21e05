//! The numbers of spec section 11, and their names for reports.

/// Packet kinds (section 11.1).
pub(crate) mod kind {
    pub(crate) const HELLO: u8 = 0x01;
    pub(crate) const HELLO_ACK: u8 = 0x02;
    pub(crate) const REJECT: u8 = 0x03;
    pub(crate) const DATA: u8 = 0x04;
    pub(crate) const PING: u8 = 0x05;
    pub(crate) const PONG: u8 = 0x06;
    pub(crate) const BUSY: u8 = 0x07;
    pub(crate) const DRAIN: u8 = 0x08;
    pub(crate) const CLOSE: u8 = 0x09;
    pub(crate) const CLOSE_ACK: u8 = 0x0A;
    /// From here on a receiver passes over what it does not know (PW-HDR-008).
    pub(crate) const FIRST_IGNORABLE: u8 = 0x80;
    pub(crate) const FIRST_PRIVATE: u8 = 0xC0;

    /// The name for a report.
    pub(crate) fn name(kind: u8) -> String {
        match kind {
            HELLO => "HELLO".into(),
            HELLO_ACK => "HELLO_ACK".into(),
            REJECT => "REJECT".into(),
            DATA => "DATA".into(),
            PING => "PING".into(),
            PONG => "PONG".into(),
            BUSY => "BUSY".into(),
            DRAIN => "DRAIN".into(),
            CLOSE => "CLOSE".into(),
            CLOSE_ACK => "CLOSE_ACK".into(),
            unknown => format!("kind {unknown:#04x}"),
        }
    }

    /// The payload lengths a control packet may have; `None` for DATA and for kinds this version does not define.
    pub(crate) fn control_lengths(kind: u8) -> Option<std::ops::RangeInclusive<u32>> {
        match kind {
            HELLO | HELLO_ACK => Some(14..=4_096),
            REJECT => Some(11..=11),
            PING | PONG | DRAIN | CLOSE_ACK => Some(8..=8),
            BUSY => Some(4..=4),
            CLOSE => Some(14..=512),
            _ => None,
        }
    }
}

/// Flags of the header (section 3).
pub(crate) mod flag {
    pub(crate) const FIRST: u8 = 0x01;
    pub(crate) const MORE: u8 = 0x02;
    pub(crate) const CHECKSUM: u8 = 0x04;
    pub(crate) const ENCRYPTED: u8 = 0x08;
    /// The bits that this version does not define.
    pub(crate) const UNDEFINED: u8 = 0xF0;
}

/// Items of HELLO, HELLO_ACK and CLOSE (sections 7 and 9).
pub(crate) mod item {
    pub(crate) const VERSIONS: u16 = 0x0001;
    pub(crate) const SYNC_KEY: u16 = 0x0002;
    pub(crate) const LIMITS: u16 = 0x0003;
    pub(crate) const PING_FLOOR: u16 = 0x0004;
    pub(crate) const FEATURES: u16 = 0x0005;
    pub(crate) const TOKEN: u16 = 0x8006;
    pub(crate) const TEXT: u16 = 0x8010;
    pub(crate) const LIMIT: u16 = 0x8011;
    /// An item with this bit may be passed over by who does not know it.
    pub(crate) const IGNORABLE: u16 = 0x8000;
    /// The bit of FEATURES that announces resynchronising.
    pub(crate) const FEATURE_RESYNC: u32 = 1;
}

/// Reasons of REJECT (section 11.4).
pub(crate) mod reject {
    pub(crate) const TOO_LARGE: u16 = 1;
    pub(crate) const DAMAGED: u16 = 2;
}

/// Close reasons (section 11.3).
pub(crate) mod reason {
    pub(crate) const NORMAL: u16 = 1;
    pub(crate) const GOING_AWAY: u16 = 2;
    pub(crate) const REFUSED: u16 = 3;
    pub(crate) const OVERLOADED: u16 = 4;
    pub(crate) const NOT_PULSEWIRE: u16 = 16;
    pub(crate) const BAD_HEADER: u16 = 17;
    pub(crate) const PAYLOAD_CHECKSUM: u16 = 18;
    pub(crate) const BAD_PACKET: u16 = 19;
    pub(crate) const UNKNOWN_KIND: u16 = 20;
    pub(crate) const UNKNOWN_FLAG: u16 = 21;
    pub(crate) const BAD_LENGTH: u16 = 22;
    pub(crate) const BAD_FRAGMENT: u16 = 23;
    pub(crate) const FRAME_TOO_LARGE: u16 = 24;
    pub(crate) const MESSAGE_TOO_LARGE: u16 = 25;
    pub(crate) const RESYNC_BUDGET: u16 = 26;
    pub(crate) const CHECKSUM_REQUIRED: u16 = 27;
    pub(crate) const UNEXPECTED_PACKET: u16 = 28;
    pub(crate) const BAD_COUNT: u16 = 29;
    pub(crate) const BAD_HELLO: u16 = 32;
    pub(crate) const UNSUPPORTED_VERSION: u16 = 33;
    pub(crate) const UNKNOWN_ITEM: u16 = 34;
    pub(crate) const HANDSHAKE_TIMEOUT: u16 = 35;
    pub(crate) const INCOMPATIBLE_TIMERS: u16 = 36;
    pub(crate) const PEER_TIMEOUT: u16 = 48;
    pub(crate) const WRITE_STALL: u16 = 49;
    pub(crate) const FRAME_STALL: u16 = 50;
    pub(crate) const PING_FLOOD: u16 = 51;
    pub(crate) const BAD_PING: u16 = 52;
    pub(crate) const BAD_PONG: u16 = 53;
    pub(crate) const CLOSE_TIMEOUT: u16 = 54;
    pub(crate) const MESSAGE_STALL: u16 = 55;
    pub(crate) const PEER_ENDED: u16 = 256;
    pub(crate) const RESET: u16 = 257;
    pub(crate) const ABORTED: u16 = 259;

    /// Whether it names a fault of the peer, so that a CLOSE with it is final (PW-CLS-009).
    pub(crate) fn is_fault(reason: u16) -> bool {
        (16..=255).contains(&reason)
    }

    /// Whether an application may close with it (section 9.3): one of four, a fault that the registry lists, or one of its own.
    pub(crate) fn is_for_applications(reason: u16) -> bool {
        match reason {
            NORMAL | GOING_AWAY | REFUSED | OVERLOADED | 32_768.. => true,
            fault => is_fault(fault) && !name(fault).starts_with("reason"),
        }
    }

    /// Whether it may stand in a CLOSE (section 11.3).
    pub(crate) fn is_for_the_wire(reason: u16) -> bool {
        !matches!(reason, 0 | 5..=15 | 256..=32_767)
    }

    /// The time to wait before connecting again, in milliseconds, where the application does not choose one.
    pub(crate) fn retry_after(reason: u16) -> u32 {
        match reason {
            NORMAL | BAD_HEADER | PAYLOAD_CHECKSUM | RESYNC_BUDGET | ABORTED => 0,
            GOING_AWAY
            | OVERLOADED
            | HANDSHAKE_TIMEOUT
            | PEER_TIMEOUT
            | WRITE_STALL
            | FRAME_STALL
            | CLOSE_TIMEOUT
            | MESSAGE_STALL
            | 256..=258 => 1_000,
            _ => u32::MAX,
        }
    }

    /// The name for a report.
    pub(crate) fn name(reason: u16) -> String {
        let name = match reason {
            NORMAL => "NORMAL",
            GOING_AWAY => "GOING_AWAY",
            REFUSED => "REFUSED",
            OVERLOADED => "OVERLOADED",
            NOT_PULSEWIRE => "NOT_PULSEWIRE",
            BAD_HEADER => "BAD_HEADER",
            PAYLOAD_CHECKSUM => "PAYLOAD_CHECKSUM",
            BAD_PACKET => "BAD_PACKET",
            UNKNOWN_KIND => "UNKNOWN_KIND",
            UNKNOWN_FLAG => "UNKNOWN_FLAG",
            BAD_LENGTH => "BAD_LENGTH",
            BAD_FRAGMENT => "BAD_FRAGMENT",
            FRAME_TOO_LARGE => "FRAME_TOO_LARGE",
            MESSAGE_TOO_LARGE => "MESSAGE_TOO_LARGE",
            RESYNC_BUDGET => "RESYNC_BUDGET",
            CHECKSUM_REQUIRED => "CHECKSUM_REQUIRED",
            UNEXPECTED_PACKET => "UNEXPECTED_PACKET",
            BAD_COUNT => "BAD_COUNT",
            BAD_HELLO => "BAD_HELLO",
            UNSUPPORTED_VERSION => "UNSUPPORTED_VERSION",
            UNKNOWN_ITEM => "UNKNOWN_ITEM",
            HANDSHAKE_TIMEOUT => "HANDSHAKE_TIMEOUT",
            INCOMPATIBLE_TIMERS => "INCOMPATIBLE_TIMERS",
            PEER_TIMEOUT => "PEER_TIMEOUT",
            WRITE_STALL => "WRITE_STALL",
            FRAME_STALL => "FRAME_STALL",
            PING_FLOOD => "PING_FLOOD",
            BAD_PING => "BAD_PING",
            BAD_PONG => "BAD_PONG",
            CLOSE_TIMEOUT => "CLOSE_TIMEOUT",
            MESSAGE_STALL => "MESSAGE_STALL",
            PEER_ENDED => "PEER_ENDED",
            RESET => "RESET",
            258 => "NETWORK_LOST",
            ABORTED => "ABORTED",
            _ => return format!("reason {reason}"),
        };
        name.into()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn reasons_have_the_names_of_the_specification() {
        for listed in pulsewire_spec::close_reasons() {
            assert_eq!(super::reason::name(listed.value), listed.name);
        }
    }
}
