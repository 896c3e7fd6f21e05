//! Messages of a client that wait for its next connection.

use std::collections::VecDeque;

use pulsewire_protocol::{Message, SendError, SendRefused};

/// What a message costs beside its payload.
const OVERHEAD: usize = 64;

/// Messages that are kept for the next connection, in their order, as long as there is room: payload, and 64 bytes more for each.
///
/// ```
/// use pulsewire_policy::Kept;
/// use pulsewire_protocol::{Class, Message, SendRefused};
///
/// let message = || Message::new(Class::BUSINESS, vec![7; 36]);
/// let mut kept = Kept::new(100);
/// assert!(kept.offer(message(), false).is_ok());
/// assert_eq!(kept.offer(message(), false).unwrap_err().reason, SendRefused::Full);
/// assert!(kept.pop().is_some() && kept.is_empty());
/// ```
#[derive(Debug)]
pub struct Kept {
    messages: VecDeque<Message<'static>>,
    /// What they cost.
    bytes: usize,
    room: usize,
}

impl Kept {
    /// With room for so many bytes; 0 keeps nothing.
    #[must_use]
    pub fn new(room: usize) -> Self {
        Self { messages: VecDeque::new(), bytes: 0, room }
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The message whose turn it is.
    #[must_use]
    pub fn front(&self) -> Option<&Message<'static>> {
        self.messages.front()
    }

    /// Keeps a message behind all others.
    ///
    /// # Errors
    /// There is no room: [`SendRefused::NotEstablished`] where there never will be, and no connection is there to take it;
    /// [`SendRefused::Full`] otherwise.
    pub fn offer<'p>(&mut self, message: Message<'p>, is_connected: bool) -> Result<(), SendError<'p>> {
        let cost = cost(&message);
        let reason = match self.bytes.saturating_add(cost) {
            bytes if bytes <= self.room => {
                self.bytes = bytes;
                self.messages.push_back(message.into_owned());
                return Ok(());
            }
            _ if cost > self.room && !is_connected => SendRefused::NotEstablished,
            _ => SendRefused::Full,
        };
        Err(SendError { reason, message })
    }

    /// Takes the message whose turn it is.
    pub fn pop(&mut self) -> Option<Message<'static>> {
        let message = self.messages.pop_front()?;
        self.bytes -= cost(&message);
        Some(message)
    }

    /// Puts a message back in front of all others, whether there is room or not: it was just taken.
    pub fn put_back(&mut self, message: Message<'static>) {
        self.bytes = self.bytes.saturating_add(cost(&message));
        self.messages.push_front(message);
    }

    /// Keeps what a connection had accepted and not sent, in front of what came later, as long as there is room. The rest stays in
    /// `unsent`.
    pub fn keep_unsent(&mut self, unsent: &mut Vec<Message<'static>>) {
        let mut room = self.room.saturating_sub(self.bytes);
        let fits = |message: &Message<'static>| {
            let left = room.checked_sub(cost(message));
            room = left.unwrap_or(room);
            left.is_some()
        };
        let count = unsent.iter().map(fits).take_while(|fits| *fits).count();
        unsent.drain(..count).rev().for_each(|message| self.put_back(message));
    }

    /// Gives all of them.
    #[must_use]
    pub fn take(&mut self) -> Vec<Message<'static>> {
        self.bytes = 0;
        std::mem::take(&mut self.messages).into()
    }
}

fn cost(message: &Message<'_>) -> usize {
    message.payload.len().saturating_add(OVERHEAD)
}

#[cfg(test)]
mod tests {
    use pulsewire_protocol::{Class, Message, SendRefused};

    use super::{Kept, OVERHEAD};

    fn message(size: usize) -> Message<'static> {
        Message::new(Class::BUSINESS, vec![size as u8; size])
    }

    #[test]
    fn what_was_not_sent_goes_in_front_as_far_as_there_is_room() {
        let mut kept = Kept::new(3 * OVERHEAD + 60);
        kept.offer(message(30), false).unwrap();
        let mut unsent = vec![message(10), message(20), message(1)];
        kept.keep_unsent(&mut unsent);
        assert_eq!(unsent, [message(1)]);
        assert_eq!(kept.offer(message(0), true).unwrap_err().reason, SendRefused::Full);
        assert_eq!(kept.take(), [message(10), message(20), message(30)]);
        assert!(kept.is_empty() && kept.offer(message(60), false).is_ok(), "the room is free again");
    }

    #[test]
    fn what_is_put_back_takes_its_room_again() {
        let mut kept = Kept::new(OVERHEAD + 10);
        kept.offer(message(10), false).unwrap();
        let taken = kept.pop().unwrap();
        kept.put_back(taken);
        assert!(kept.offer(message(0), false).is_err());
        assert!(kept.pop().is_some() && kept.offer(message(10), false).is_ok());
    }

    #[test]
    fn only_what_never_fits_and_has_no_connection_is_not_established() {
        let mut kept = Kept::new(0);
        assert_eq!(kept.offer(message(1), false).unwrap_err().reason, SendRefused::NotEstablished);
        assert_eq!(kept.offer(message(1), true).unwrap_err().reason, SendRefused::Full);
    }
}
