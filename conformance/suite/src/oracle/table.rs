//! Connection ids and what the application can do with them (spec section 13).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Behaviour, Bug};
use crate::peer::Message;
use crate::subject::{Command, Ending, Id, Origin, Refusal, Reply, Unsupported};

/// Bytes that may wait for one connection.
const QUEUE_LIMIT: usize = 64 * 1024 * 1024;

/// Tells the tables of a process apart.
static NEXT_DOMAIN: AtomicU32 = AtomicU32::new(1);

/// The connections of one server or client.
pub(super) struct Table {
    behaviour: Arc<Behaviour>,
    domain: u32,
    contents: Mutex<Contents>,
}

struct Contents {
    slots: Vec<Option<Entry>>,
    /// What the bug leaves in a slot.
    left_over: Vec<Vec<Message>>,
    last_cookie: u64,
    endings: Vec<Ending>,
    stopping: bool,
}

/// A connection as the application sees it.
struct Entry {
    id: Id,
    /// What the peer takes; `None` until the handshake is done.
    message_limit: Option<u32>,
    closing: Option<u16>,
    queue: VecDeque<Message>,
    queued_bytes: usize,
}

/// What the application wants of a connection, handed to its thread.
pub(super) struct Wishes {
    pub(super) messages: Vec<Message>,
    pub(super) close: Option<u16>,
}

impl Table {
    pub(super) fn new(behaviour: Arc<Behaviour>) -> Self {
        let contents =
            Contents { slots: Vec::new(), left_over: Vec::new(), last_cookie: 0, endings: Vec::new(), stopping: false };
        let domain = NEXT_DOMAIN.fetch_add(1, Ordering::Relaxed);
        Self { behaviour, domain, contents: Mutex::new(contents) }
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a new connection into the first free slot.
    pub(super) fn insert(&self) -> Id {
        let mut contents = self.lock();
        let free = contents.slots.iter().position(Option::is_none);
        let index = free.unwrap_or_else(|| {
            contents.slots.push(None);
            contents.left_over.push(Vec::new());
            contents.slots.len() - 1
        });
        contents.last_cookie += 1;
        if self.behaviour.has(Bug::CookieRepeats) {
            contents.last_cookie %= 256;
        }
        let slot = u32::try_from(index).expect("fewer than 2^32 connections");
        let id = Id { slot, domain: self.domain, cookie: contents.last_cookie };
        let queue = VecDeque::from(std::mem::take(&mut contents.left_over[index]));
        contents.slots[index] = Some(Entry { id, message_limit: None, closing: None, queue, queued_bytes: 0 });
        id
    }

    /// The handshake is done.
    pub(super) fn establish(&self, id: Id, message_limit: u32) {
        if let Some(entry) = self.lock().entry(id) {
            entry.message_limit = Some(message_limit);
        }
    }

    /// The connection takes no more messages from the application.
    pub(super) fn refuse_sends(&self, id: Id, reason: u16) {
        if let Some(entry) = self.lock().entry(id) {
            entry.closing = Some(reason);
        }
    }

    /// What the application wants of a connection; its messages stay in the queue unless `with_messages`.
    pub(super) fn wishes(&self, id: Id, with_messages: bool) -> Wishes {
        let mut contents = self.lock();
        let Some(entry) = contents.entry(id) else {
            return Wishes { messages: Vec::new(), close: None };
        };
        let mut messages = Vec::new();
        if with_messages {
            messages.extend(entry.queue.drain(..));
            entry.queued_bytes = 0;
        }
        Wishes { messages, close: entry.closing }
    }

    /// The connection is over: its id becomes invalid, before the transport is closed (PW-CK-005).
    pub(super) fn remove(&self, id: Id, reason: u16, origin: Origin, unsent: Vec<Message>) {
        let mut contents = self.lock();
        let index = id.slot as usize;
        let Some(entry) = contents.slots[index].take_if(|entry| entry.id == id) else {
            return;
        };
        if entry.message_limit.is_some() {
            contents.endings.push(Ending { connection: id, reason, origin });
        }
        if self.behaviour.has(Bug::QueueBelongsToSlot) {
            contents.left_over[index] = unsent.into_iter().chain(entry.queue).collect();
        }
    }

    /// Every connection is to end.
    pub(super) fn stop(&self) {
        self.lock().stopping = true;
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// Does what the suite asks.
    pub(super) fn control(&self, command: Command) -> Result<Reply, Unsupported> {
        let mut contents = self.lock();
        let reply = match command {
            Command::Connections => {
                let established = contents.slots.iter().flatten().filter(|entry| entry.message_limit.is_some());
                let mut ids: Vec<Id> = established.map(|entry| entry.id).collect();
                ids.sort_by_key(|id| id.cookie);
                Reply::Connections(ids)
            }
            Command::Endings => Reply::Endings(contents.endings.clone()),
            Command::Send { to, class, payload } => match self.find(&mut contents, to) {
                Err(reason) => Reply::Refused { reason, payload: self.give_back(payload) },
                Ok(entry) => match entry.obstacle(&payload) {
                    Some(reason) => Reply::Refused { reason, payload: self.give_back(payload) },
                    None => {
                        entry.queued_bytes += payload.len();
                        entry.queue.push_back(Message::new(class, payload));
                        Reply::Sent
                    }
                },
            },
            Command::Close { connection, reason } => match self.find(&mut contents, connection) {
                Err(refusal) => Reply::Refused { reason: refusal, payload: Vec::new() },
                Ok(entry) if entry.closing.is_some() => Reply::Refused { reason: Refusal::Closed, payload: Vec::new() },
                Ok(entry) => {
                    entry.closing = Some(reason);
                    Reply::Closing
                }
            },
            Command::Unknown { .. } => return Err(Unsupported),
        };
        Ok(reply)
    }

    fn find<'c>(&self, contents: &'c mut Contents, id: Id) -> Result<&'c mut Entry, Refusal> {
        let entry = contents.slots.get_mut(id.slot as usize).and_then(Option::as_mut);
        let slot_only = self.behaviour.has(Bug::AcceptsStaleId);
        entry.filter(|entry| entry.id == id || slot_only).ok_or(Refusal::Stale)
    }

    /// The payload of a refused send (PW-CK-003).
    fn give_back(&self, payload: Vec<u8>) -> Vec<u8> {
        if self.behaviour.has(Bug::LosesRefusedPayload) { Vec::new() } else { payload }
    }
}

impl Contents {
    /// The connection, if it still lives in its slot.
    fn entry(&mut self, id: Id) -> Option<&mut Entry> {
        self.slots.get_mut(id.slot as usize)?.as_mut().filter(|entry| entry.id == id)
    }
}

impl Entry {
    /// Why the application cannot send this now.
    fn obstacle(&self, payload: &[u8]) -> Option<Refusal> {
        let Some(limit) = self.message_limit else {
            return Some(Refusal::Stale);
        };
        if self.closing.is_some() {
            Some(Refusal::Closed)
        } else if payload.len() > limit as usize {
            Some(Refusal::TooLarge)
        } else if self.queued_bytes + payload.len() > QUEUE_LIMIT {
            Some(Refusal::Full)
        } else {
            None
        }
    }
}
