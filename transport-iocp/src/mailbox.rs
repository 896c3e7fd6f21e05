//! What other threads ask of one connection.
//!
//! A mailbox belongs to a connection, not to a slot: what was queued for one never reaches another (PW-CK-004). It is
//! exact where a check without a lock would only guess: a message that was accepted here is handed to the connection,
//! or given back to the handler, or is in [`Closed::unsent`](pulsewire_protocol::Closed::unsent).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pulsewire_protocol::{
    CloseFrame, CloseReason, Connection, ConnectionId, HEADER_SIZE, Instant, Message, SendError, SendRefused,
};

use crate::inbox::{Command, Inbox};

/// Something to be done with a connection, behind all that was asked before.
#[derive(Debug)]
enum Request {
    Send(Message<'static>),
    Close(CloseFrame),
}

/// Something to be done with a connection at once, ahead of what waits to be sent.
#[derive(Debug)]
enum Order {
    Accept,
    Refuse(CloseFrame),
    Pause,
    Resume,
    Drain,
    Abort,
}

/// What the connection was when the owner thread last looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Handshake,
    Open {
        message_limit: u32,
    },
    Closing(CloseReason),
    /// The id is dead.
    Gone,
}

#[derive(Debug)]
struct Queue {
    standing: Standing,
    orders: Vec<Order>,
    requests: VecDeque<Request>,
    /// Bytes of the messages in `requests`, with a header each.
    waiting: usize,
    /// Bytes that wait in the connection itself.
    in_connection: usize,
    /// The owner thread was told to look, and has not yet.
    announced: bool,
    /// Somebody was refused for lack of room, and is to be told when there is some.
    refused: bool,
}

/// The requests of other threads to one connection, in order.
#[derive(Debug)]
pub(crate) struct Mailbox {
    id: ConnectionId,
    inbox: Arc<Inbox>,
    /// How many bytes may wait, here and in the connection.
    room: usize,
    queue: Mutex<Queue>,
}

/// What came of handing the requests to the connection.
#[derive(Debug)]
pub(crate) struct Submitted {
    /// Messages that the connection refused after all.
    pub(crate) refused: Vec<SendError<'static>>,
    /// There is room again, after somebody was refused for lack of it.
    pub(crate) has_room_again: bool,
    /// A client was admitted: the connection has `Established` to tell before anything else.
    pub(crate) admitted: bool,
}

impl Mailbox {
    pub(crate) fn new(id: ConnectionId, inbox: Arc<Inbox>, room: usize) -> Self {
        let queue = Queue {
            standing: Standing::Handshake,
            orders: Vec::new(),
            requests: VecDeque::new(),
            waiting: 0,
            in_connection: 0,
            announced: false,
            refused: false,
        };
        Self { id, inbox, room, queue: Mutex::new(queue) }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Each change is complete before anything that could panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn id(&self) -> ConnectionId {
        self.id
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.lock().standing, Standing::Open { .. })
    }

    /// Queues a message, or gives it back with the reason.
    pub(crate) fn send(&self, message: Message<'static>) -> Result<(), SendError<'static>> {
        let mut queue = self.lock();
        if let Some(reason) = queue.refusal(&message, self.room) {
            queue.refused |= reason == SendRefused::Full;
            return Err(SendError { reason, message });
        }
        queue.waiting += size(&message);
        queue.requests.push_back(Request::Send(message));
        self.announce(queue);
        Ok(())
    }

    /// Closes behind what was queued before. Returns whether the id lives.
    pub(crate) fn close(&self, close: impl Into<CloseFrame>) -> bool {
        let close = close.into();
        let mut queue = self.lock();
        if queue.standing == Standing::Gone {
            return false;
        }
        queue.closing(close.reason);
        queue.requests.push_back(Request::Close(close));
        self.announce(queue);
        true
    }

    /// Admits the client that waits to be judged.
    pub(crate) fn accept(&self) {
        self.order(Order::Accept);
    }

    /// Refuses the client that waits to be judged.
    pub(crate) fn refuse(&self, close: CloseFrame) {
        self.order(Order::Refuse(close));
    }

    /// Reads no more until [`resume`](Self::resume).
    pub(crate) fn pause(&self) {
        self.order(Order::Pause);
    }

    /// Reads again.
    pub(crate) fn resume(&self) {
        self.order(Order::Resume);
    }

    /// Tells the peer that this side is going to close.
    pub(crate) fn drain(&self) {
        self.order(Order::Drain);
    }

    /// Cuts the connection, ahead of everything. Returns whether the id lives.
    pub(crate) fn abort(&self) -> bool {
        self.order(Order::Abort)
    }

    /// Returns whether the id lives.
    fn order(&self, order: Order) -> bool {
        let mut queue = self.lock();
        if queue.standing == Standing::Gone {
            return false;
        }
        queue.orders.push(order);
        self.announce(queue);
        true
    }

    fn announce(&self, mut queue: MutexGuard<'_, Queue>) {
        if !std::mem::replace(&mut queue.announced, true) {
            drop(queue);
            self.inbox.push(Command::Look(self.id));
        }
    }

    /// The handshake is complete.
    pub(crate) fn open(&self, message_limit: u32) {
        let mut queue = self.lock();
        if queue.standing == Standing::Handshake {
            queue.standing = Standing::Open { message_limit };
        }
    }

    /// The connection accepts no more messages.
    pub(crate) fn closing(&self, reason: CloseReason) {
        self.lock().closing(reason);
    }

    /// The handler was refused for lack of room.
    pub(crate) fn was_full(&self) {
        self.lock().refused = true;
    }

    /// Has the connection obey, and hands the requests to it as far as it has room.
    pub(crate) fn submit(&self, connection: &mut Connection, now: Instant) -> Submitted {
        let mut refused = Vec::new();
        let mut queue = self.lock();
        queue.announced = false;
        let could_send = connection.is_open();
        for order in queue.orders.drain(..) {
            match order {
                Order::Accept => connection.accept(now),
                Order::Refuse(close) => connection.refuse(now, close),
                Order::Pause => connection.pause(now),
                Order::Resume => connection.resume(now),
                Order::Drain => connection.drain(now),
                Order::Abort if connection.is_over() => {}
                Order::Abort => connection.abort(now),
            }
        }
        let admitted = connection.is_open() && !could_send;
        // What is left when the connection is over comes back with `Closed`.
        while !connection.is_over()
            && let Some(request) = queue.requests.pop_front()
        {
            match request {
                Request::Send(message) => {
                    let bytes = size(&message);
                    match connection.send(now, message) {
                        Err(SendError { reason: SendRefused::Full, message }) => {
                            // It was accepted and counted here, so it waits: a send is under way and will come back.
                            queue.requests.push_front(Request::Send(message));
                            break;
                        }
                        outcome => {
                            queue.waiting -= bytes;
                            refused.extend(outcome.err());
                        }
                    }
                }
                Request::Close(close) => {
                    connection.close(now, close);
                    // Behind its CLOSE a side must read (PW-HB-024).
                    connection.resume(now);
                }
            }
        }
        queue.in_connection = connection.queued();
        let has_room_again = queue.refused && queue.total() <= self.room / 2 && connection.is_open();
        if has_room_again {
            queue.refused = false;
        }
        Submitted { refused, has_room_again, admitted }
    }

    /// The id is dead. Gives back the messages that were not submitted.
    pub(crate) fn shut(&self) -> Vec<Message<'static>> {
        let mut queue = self.lock();
        queue.standing = Standing::Gone;
        queue.waiting = 0;
        queue.orders.clear();
        let messages = queue.requests.drain(..).filter_map(|request| match request {
            Request::Send(message) => Some(message),
            Request::Close(_) => None,
        });
        messages.collect()
    }
}

impl Queue {
    fn total(&self) -> usize {
        self.waiting + self.in_connection
    }

    fn refusal(&self, message: &Message<'_>, room: usize) -> Option<SendRefused> {
        let message_limit = match self.standing {
            Standing::Handshake => return Some(SendRefused::NotEstablished),
            Standing::Closing(reason) => return Some(SendRefused::Closed(reason)),
            Standing::Gone => return Some(SendRefused::Stale),
            Standing::Open { message_limit } => message_limit,
        };
        if message.payload.len() > message_limit as usize {
            return Some(SendRefused::TooLarge { limit: message_limit });
        }
        // A single message of any size is accepted while nothing waits, as by the connection itself.
        let total = self.total();
        (total > 0 && total + size(message) > room).then_some(SendRefused::Full)
    }

    fn closing(&mut self, reason: CloseReason) {
        if matches!(self.standing, Standing::Open { .. } | Standing::Handshake) {
            self.standing = Standing::Closing(reason);
        }
    }
}

/// What a message counts while it waits. An empty one is not for nothing.
fn size(message: &Message<'_>) -> usize {
    HEADER_SIZE + message.payload.len()
}
