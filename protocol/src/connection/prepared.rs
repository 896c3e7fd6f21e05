//! One message for many connections: what is the same for all of them is worked out once.

use core::fmt;

use crate::message::Message;
use crate::wire::{Flags, HEADER_SIZE, Header, Kind, TRAILER_SIZE, payload_checksum};

/// A message that is encoded but for the receiver's sync key: for [`Connection::send_prepared`](crate::Connection).
///
/// The checksum of the payload and the check of the header are computed here. What a receiver costs is a XOR, and a copy of
/// the payload where it is below 2 KiB; a larger one is shared. Where the receiver's frame limit asks for fragments they are
/// made for it alone, of the shared payload.
///
/// ```
/// use pulsewire_protocol::{Class, Connection, Instant, Message, PreparedMessage};
///
/// fn tell_all(now: Instant, connections: &mut [Connection], news: &[u8]) {
///     let message = PreparedMessage::new(Message::new(Class::ROOM, news));
///     for connection in connections {
///         if let Err(reason) = connection.send_prepared(now, &message) {
///             println!("not told: {reason}");
///         }
///     }
/// }
/// ```
#[derive(Clone)]
pub struct PreparedMessage {
    message: Message<'static>,
    /// Of the message as a single frame, for a receiver whose key is 0.
    header: [u8; HEADER_SIZE],
    /// The same with CHECKSUM.
    checked_header: [u8; HEADER_SIZE],
    trailer: [u8; TRAILER_SIZE],
}

impl fmt::Debug for PreparedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PreparedMessage").field(&self.message).finish()
    }
}

impl PreparedMessage {
    /// Prepares a message. Copies the payload where it is borrowed.
    #[must_use]
    pub fn new(message: Message<'_>) -> Self {
        let message = message.into_owned();
        let sealed = if message.encrypted { Flags::ENCRYPTED } else { Flags::NONE };
        // Used only where the payload fits the receiver's frame limit, so that its length fits the header.
        let length = message.payload.len() as u32;
        let header = |flags| Header { kind: Kind::DATA, flags, class: message.class, length }.encode(0);
        Self {
            header: header(Flags::FIRST | sealed),
            checked_header: header(Flags::FIRST | Flags::CHECKSUM | sealed),
            trailer: payload_checksum(&message.payload).to_be_bytes(),
            message,
        }
    }

    /// The message itself.
    #[must_use]
    pub fn message(&self) -> &Message<'static> {
        &self.message
    }

    /// Header, and trailer where the receiver asks for checksums, of the message as a single frame (PW-HDR-003, PW-FRM-007).
    pub(super) fn frame(&self, key: u32, checksums: bool) -> ([u8; HEADER_SIZE], Option<[u8; TRAILER_SIZE]>) {
        let [word @ .., c0, c1, c2, c3] = if checksums { self.checked_header } else { self.header };
        let [w0, w1, w2, w3, w4, w5, w6, w7] = word;
        let [c0, c1, c2, c3] = (u32::from_be_bytes([c0, c1, c2, c3]) ^ key).to_be_bytes();
        ([w0, w1, w2, w3, w4, w5, w6, w7, c0, c1, c2, c3], checksums.then_some(self.trailer))
    }
}
