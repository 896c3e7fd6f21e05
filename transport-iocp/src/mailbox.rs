//! What other threads ask of one connection.
//!
//! A mailbox belongs to a connection, not to a slot: what was queued for one never reaches another (PW-CK-004). It is
//! exact where a check without a lock would only guess: a message that was accepted here is handed to the connection,
//! or given back to the handler, or is in [`Closed::unsent`](pulsewire_protocol::Closed::unsent).

mod queue;

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use pulsewire_protocol::{
    Class, CloseFrame, CloseReason, Connection, ConnectionId, HEADER_SIZE, Instant, Message, PreparedMessage,
    SendError, SendRefused,
};

use crate::inbox::{Command, Inbox};
use crate::orders::{Admission, Orders, Pauser, Pausers};
use crate::sync::{Condvar, Mutex, MutexGuard};
use queue::{Queue, Request, Standing, size, size_of};

/// How long who waits for room does so before looking again.
const LONGEST_LOOK: Duration = Duration::from_millis(10);

/// The requests of other threads to one connection, in order.
#[derive(Debug)]
pub(crate) struct Mailbox {
    id: ConnectionId,
    inbox: Arc<Inbox>,
    /// How many bytes of one class may wait, here and in the connection together.
    room: usize,
    queue: Mutex<Queue>,
    /// There may be room, or no sense in waiting for it.
    changed: Condvar,
}

/// What came of handing the requests to the connection.
#[derive(Debug)]
pub(crate) struct Submitted {
    /// Messages that the connection refused after all.
    pub(crate) refused: Vec<SendError<'static>>,
    /// There is room again, after somebody was refused for lack of it.
    pub(crate) has_room_again: bool,
    /// All connections together hold too much: something waits here for that, or somebody was refused.
    pub(crate) short: bool,
    /// A client was admitted: the connection has `Established` to tell before anything else.
    pub(crate) admitted: bool,
}

impl Mailbox {
    pub(crate) fn new(id: ConnectionId, inbox: Arc<Inbox>, room: usize) -> Self {
        let queue = Queue {
            standing: Standing::Handshake,
            orders: Orders::default(),
            pausers: Pausers::default(),
            requests: VecDeque::new(),
            closes: false,
            lanes: Vec::new(),
            announced: false,
            short: false,
        };
        Self { id, inbox, room, queue: Mutex::new(queue), changed: Condvar::new() }
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

    /// Queues a message when there is room, or gives it back with another reason.
    ///
    /// # Panics
    ///
    /// On an owner thread, which might wait for itself.
    pub(crate) fn send_blocking(&self, mut message: Message<'static>) -> Result<(), SendError<'static>> {
        Self::assert_may_wait();
        loop {
            match self.send(message) {
                Err(SendError { reason: SendRefused::Full, message: refused }) => message = refused,
                result => return result,
            }
            let queue = self.lock();
            if queue.is_waited_for(message.class) {
                // Where others hold all the memory, nobody tells when there is room.
                drop(self.changed.wait_timeout(queue, LONGEST_LOOK));
            }
        }
    }

    /// Why a message of this length would not be queued now.
    pub(crate) fn refusal(&self, class: Class, length: usize) -> Option<SendRefused> {
        let mut queue = self.lock();
        if let Some(reason) = queue.refusal(length) {
            return Some(reason);
        }
        let lane = queue.lane(class);
        let full = !lane.has_room(size_of(length), self.room);
        lane.refused |= full;
        full.then_some(SendRefused::Full)
    }

    /// On a thread that may wait.
    ///
    /// # Panics
    ///
    /// On an owner thread.
    pub(crate) fn assert_may_wait() {
        assert!(!Inbox::is_owner(), "the handler's thread would wait");
    }

    /// Queues a message, or gives it back with the reason.
    pub(crate) fn send(&self, message: Message<'static>) -> Result<(), SendError<'static>> {
        let mut queue = self.lock();
        if let Some(reason) = queue.refusal(message.payload.len()) {
            return Err(SendError { reason, message });
        }
        let bytes = size(&message);
        let lane = queue.lane(message.class);
        if !lane.has_room(bytes, self.room) {
            lane.refused = true;
            return Err(SendError { reason: SendRefused::Full, message });
        }
        if !self.inbox.budget.take(bytes) {
            queue.short = true;
            self.announce(queue);
            return Err(SendError { reason: SendRefused::Full, message });
        }
        queue.lane(message.class).waiting += bytes;
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
        if !queue.closes {
            queue.closes = true;
            queue.requests.push_back(Request::Close(close));
        }
        self.announce(queue);
        true
    }

    /// Admits the client that waits to be judged.
    pub(crate) fn accept(&self) {
        self.judge(Admission::Accept);
    }

    /// Refuses the client that waits to be judged.
    pub(crate) fn refuse(&self, close: CloseFrame) {
        self.judge(Admission::Refuse(close));
    }

    fn judge(&self, admission: Admission) {
        self.order(|orders| {
            orders.admission.get_or_insert(admission);
            // A pause that was asked for before has no effect.
            (orders.pause, orders.queue_pause) = (None, None);
        });
    }

    /// Reads no more until [`resume`](Self::resume).
    pub(crate) fn pause(&self) {
        self.order(|orders| orders.pause = Some(true));
    }

    /// Reads again.
    pub(crate) fn resume(&self) {
        self.order(|orders| orders.pause = Some(false));
    }

    /// The queue behind the handler has room again.
    pub(crate) fn resume_queue(&self) {
        self.order(|orders| orders.queue_pause = Some(false));
    }

    /// Tells the peer that this side is going to close.
    pub(crate) fn drain(&self) {
        self.order(|orders| orders.drain = true);
    }

    /// Cuts the connection, ahead of everything. Returns whether the id lives.
    pub(crate) fn abort(&self) -> bool {
        self.order(|orders| orders.abort = true)
    }

    /// Returns whether the id lives.
    fn order(&self, give: impl FnOnce(&mut Orders)) -> bool {
        let mut queue = self.lock();
        if queue.standing == Standing::Gone {
            return false;
        }
        give(&mut queue.orders);
        self.announce(queue);
        true
    }

    /// On the owner thread: has the connection pause.
    pub(crate) fn pause_for(&self, pauser: Pauser, connection: &mut Connection, now: Instant) {
        self.lock().pausers.pause(pauser, connection, now);
    }

    /// On the owner thread: lets the connection go on, unless somebody else wants it to pause.
    pub(crate) fn resume_for(&self, pauser: Pauser, connection: &mut Connection, now: Instant) {
        self.lock().pausers.resume(pauser, connection, now);
    }

    /// On the owner thread: whether nothing more is to be handed to the handler. A side that closes may not pause (PW-HB-024), but what
    /// its full queue has no room for stays with the peer, as long as the time limits for closing let it.
    pub(crate) fn holds_back(&self, connection: &Connection) -> bool {
        let may_pause = connection.is_open() || connection.is_judging();
        connection.is_paused() || (!may_pause && self.lock().pausers.queue)
    }

    /// On the owner thread: everything is to be handed to the handler, since the stream has ended.
    pub(crate) fn hold_back_no_more(&self, connection: &mut Connection, now: Instant) {
        self.lock().pausers = Pausers::default();
        connection.resume(now);
    }

    /// Whether nobody but the driver wants the connection to pause.
    pub(crate) fn only_driver_pauses(&self) -> bool {
        let Pausers { application, queue, driver } = self.lock().pausers;
        driver && !application && !queue
    }

    fn announce(&self, mut queue: MutexGuard<'_, Queue>) {
        if !std::mem::replace(&mut queue.announced, true) {
            drop(queue);
            self.inbox.push(Command::Look(self.id));
        }
    }

    /// The handshake is complete.
    pub(crate) fn open(&self, message_limit: u32) {
        // One that is larger than all may hold together would be refused for ever as if there were room some day.
        let largest = self.inbox.budget.limit().saturating_sub(HEADER_SIZE);
        let message_limit = message_limit.min(u32::try_from(largest).unwrap_or(u32::MAX));
        let mut queue = self.lock();
        if queue.standing == Standing::Handshake {
            queue.standing = Standing::Open { message_limit };
        }
    }

    /// The connection accepts no more messages.
    pub(crate) fn closing(&self, reason: CloseReason) {
        self.lock().closing(reason);
    }

    /// On the owner thread: sends without a queue in between.
    pub(crate) fn send_at_once<'p>(
        &self,
        connection: &mut Connection,
        now: Instant,
        message: Message<'p>,
    ) -> Result<NonZeroU64, SendError<'p>> {
        let mut queue = self.lock();
        let class = message.class;
        if connection.is_open() && !queue.has_room_now(class, size(&message), self.room) {
            return Err(SendError { reason: SendRefused::Full, message });
        }
        let sent = connection.send(now, message);
        queue.note_sent(connection, class, sent.as_ref().is_err_and(|refused| refused.reason == SendRefused::Full));
        sent
    }

    /// The same for a message that goes to many.
    pub(crate) fn send_prepared_at_once(
        &self,
        connection: &mut Connection,
        now: Instant,
        message: &PreparedMessage,
    ) -> Result<NonZeroU64, SendRefused> {
        let mut queue = self.lock();
        let class = message.message().class;
        if connection.is_open() && !queue.has_room_now(class, size(message.message()), self.room) {
            return Err(SendRefused::Full);
        }
        let sent = connection.send_prepared(now, message);
        queue.note_sent(connection, class, sent == Err(SendRefused::Full));
        sent
    }

    /// Has the connection obey, and hands the requests to it as far as it has room.
    pub(crate) fn submit(&self, connection: &mut Connection, now: Instant) -> Submitted {
        let mut short = false;
        let mut refused = Vec::new();
        let mut queue = self.lock();
        queue.announced = false;
        let could_send = connection.is_open();
        let Queue { orders, pausers, .. } = &mut *queue;
        std::mem::take(orders).obey(pausers, connection, now);
        let admitted = connection.is_open() && !could_send;
        // What is left when the connection is over comes back with `Closed`.
        while !connection.is_over()
            && let Some(request) = queue.requests.pop_front()
        {
            match request {
                Request::Send(message) => {
                    let (class, bytes) = (message.class, size(&message));
                    match connection.send(now, message) {
                        Err(SendError { reason: SendRefused::Full, message }) => {
                            // It was accepted and counted here, so it waits until all connections together hold less.
                            queue.requests.push_front(Request::Send(message));
                            short = true;
                            break;
                        }
                        outcome => {
                            queue.lane(class).waiting -= bytes;
                            self.inbox.budget.give(bytes);
                            refused.extend(outcome.err());
                        }
                    }
                }
                Request::Close(close) => {
                    queue.closes = false;
                    connection.close(now, close);
                    // Behind its CLOSE a side must read (PW-HB-024).
                    connection.resume(now);
                }
            }
        }
        let mut has_room_again = false;
        for lane in &mut queue.lanes {
            lane.in_connection = connection.queued_of(lane.class);
            if lane.refused && lane.waiting + lane.in_connection <= self.room / 2 && connection.is_open() {
                lane.refused = false;
                has_room_again = true;
            }
        }
        queue.lanes.retain(|lane| lane.refused || lane.waiting + lane.in_connection > 0);
        short |= queue.short;
        self.changed.notify_all();
        Submitted { refused, has_room_again, admitted, short }
    }

    /// Whether anything waits here, which what is sent at once would overtake.
    pub(crate) fn has_requests(&self) -> bool {
        !self.lock().requests.is_empty()
    }

    /// On the owner thread, a while after [`submit`](Self::submit) said that all connections together hold too much. Returns
    /// whether somebody is to be told that there is room again.
    pub(crate) fn is_short_no_more(&self) -> bool {
        let mut queue = self.lock();
        let told = queue.short && self.inbox.budget.has_room();
        queue.short &= !told;
        told
    }

    /// Whether a thread that sends would rest until there is room.
    #[cfg(test)]
    pub(crate) fn is_waited_for(&self, class: Class) -> bool {
        self.lock().is_waited_for(class)
    }

    /// Bytes that wait here.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.lock().lanes.iter().map(|lane| lane.waiting).sum()
    }

    /// Requests that wait here.
    #[cfg(test)]
    pub(crate) fn requests(&self) -> usize {
        self.lock().requests.len()
    }

    /// The id is dead. Gives back the messages that were not submitted.
    pub(crate) fn shut(&self) -> Vec<Message<'static>> {
        let mut queue = self.lock();
        queue.standing = Standing::Gone;
        self.changed.notify_all();
        for lane in queue.lanes.drain(..) {
            self.inbox.budget.give(lane.waiting);
        }
        queue.orders = Orders::default();
        let messages = queue.requests.drain(..).filter_map(|request| match request {
            Request::Send(message) => Some(message),
            Request::Close(_) => None,
        });
        messages.collect()
    }
}
