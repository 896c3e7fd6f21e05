//! What waits in a mailbox, and how much may.

use std::collections::VecDeque;

use pulsewire_protocol::{Class, CloseFrame, CloseReason, Connection, HEADER_SIZE, Message, SendRefused};

use crate::orders::{Orders, Pausers};

/// Something to be done with a connection, behind all that was asked before.
#[derive(Debug)]
pub(super) enum Request {
    Send(Message<'static>),
    Close(CloseFrame),
}

/// What the connection was when the owner thread last looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Handshake,
    Open {
        message_limit: u32,
    },
    Closing(CloseReason),
    /// The id is dead.
    Gone,
}

#[derive(Debug)]
pub(super) struct Queue {
    pub(super) standing: Standing,
    pub(super) orders: Orders,
    pub(super) pausers: Pausers,
    pub(super) requests: VecDeque<Request>,
    /// One of the requests is a close. Those behind it would change nothing.
    pub(super) closes: bool,
    /// The classes of which anything waits, or was refused.
    pub(super) lanes: Vec<Lane>,
    /// The owner thread was told to look, and has not yet.
    pub(super) announced: bool,
    /// Somebody was refused because all connections together hold too much, and is to be told when there is room.
    pub(super) short: bool,
}

/// What waits of one class: a class that is full holds up no other (PW-DAT-015).
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) class: Class,
    /// Bytes of its messages in the requests, with a header each.
    pub(super) waiting: usize,
    /// Bytes that wait in the connection itself.
    pub(super) in_connection: usize,
    /// Somebody was refused for lack of room, and is to be told when there is some.
    pub(super) refused: bool,
}

impl Lane {
    /// Whether there is room for so many bytes more. A single message of any size has it while nothing waits, as in the
    /// connection itself.
    pub(super) fn has_room(&self, bytes: usize, room: usize) -> bool {
        let total = self.waiting + self.in_connection;
        total == 0 || total + bytes <= room
    }
}

impl Queue {
    /// Whether there is room beside what waits here, which is counted by nobody else. If not, somebody is to be told when there is.
    pub(super) fn has_room_now(&mut self, class: Class, bytes: usize, room: usize) -> bool {
        let lane = self.lane(class);
        let full = lane.waiting > 0 && !lane.has_room(bytes, room);
        lane.refused |= full;
        !full
    }

    /// Whether somebody who was refused for lack of room waits for some.
    pub(super) fn is_waited_for(&self, class: Class) -> bool {
        match self.standing {
            Standing::Open { .. } => self.short || self.lanes.iter().any(|lane| lane.class == class && lane.refused),
            Standing::Handshake | Standing::Closing(_) | Standing::Gone => false,
        }
    }

    /// The connection has taken a message, or was too full for it.
    pub(super) fn note_sent(&mut self, connection: &Connection, class: Class, full: bool) {
        let lane = self.lane(class);
        lane.in_connection = connection.queued_of(class);
        // Where nothing of it is on its way, only others can make room.
        let on_its_way = lane.in_connection > 0;
        lane.refused |= full && on_its_way;
        self.short |= full && !on_its_way;
    }

    pub(super) fn lane(&mut self, class: Class) -> &mut Lane {
        let index = self.lanes.iter().position(|lane| lane.class == class).unwrap_or_else(|| {
            self.lanes.push(Lane { class, waiting: 0, in_connection: 0, refused: false });
            self.lanes.len() - 1
        });
        &mut self.lanes[index]
    }

    /// Why a message is not accepted, but for lack of room.
    pub(super) fn refusal(&self, length: usize) -> Option<SendRefused> {
        match self.standing {
            Standing::Handshake => Some(SendRefused::NotEstablished),
            Standing::Closing(reason) => Some(SendRefused::Closed(reason)),
            Standing::Gone => Some(SendRefused::Stale),
            Standing::Open { message_limit } if length > message_limit as usize => {
                Some(SendRefused::TooLarge { limit: message_limit })
            }
            Standing::Open { .. } => None,
        }
    }

    pub(super) fn closing(&mut self, reason: CloseReason) {
        if matches!(self.standing, Standing::Open { .. } | Standing::Handshake) {
            self.standing = Standing::Closing(reason);
        }
    }
}

/// The same by the length of its payload.
pub(super) fn size_of(length: usize) -> usize {
    HEADER_SIZE + length
}

/// What a message counts while it waits. An empty one is not for nothing.
pub(super) fn size(message: &Message<'_>) -> usize {
    size_of(message.payload.len())
}
