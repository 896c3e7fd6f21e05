//! Connection ids and what the application can do with them (spec section 13).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::{Behaviour, Bug};
use crate::codec::registry::reason;
use crate::peer::Message;
use crate::subject::{CloseFrame, Command, Event, Happening, Id, Refusal, Reply, SubjectError};

/// Bytes that may wait for one connection.
const QUEUE_LIMIT: usize = 32 * 1024 * 1024;

/// The connections of one server or client.
pub(super) struct Table {
    behaviour: Arc<Behaviour>,
    contents: Mutex<Contents>,
    /// Faults on all connections together. Only a bug looks at it.
    faults: AtomicU64,
    /// The connection whose transport takes nothing. Only a bug looks at it.
    blocked: Mutex<Option<Id>>,
    /// The connection on which bytes came, and until when that keeps others waiting. Only bugs look at it.
    flooded: Mutex<Option<(Id, Instant)>>,
}

struct Contents {
    slots: Vec<Option<Entry>>,
    /// What the bug leaves in a slot.
    left_over: Vec<Vec<Message>>,
    last_cookie: u64,
    events: Vec<Event>,
    stopping: bool,
}

/// A connection as the application sees it.
struct Entry {
    id: Id,
    stage: Stage,
    closing: Option<CloseFrame>,
    judgement: Option<Judgement>,
    drains: u32,
    paused: bool,
    /// The application is elsewhere.
    held: bool,
    /// The application cuts the connection.
    cut: bool,
    queue: VecDeque<Message>,
    queued_bytes: usize,
}

/// How far the handshake is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Greeting,
    Judging,
    Established { message_limit: u32 },
}

/// What the application thinks of a client (PW-HS-020).
pub(super) enum Judgement {
    Accept,
    Refuse(CloseFrame),
}

/// What the application wants of a connection, handed to its thread.
#[derive(Default)]
pub(super) struct Wishes {
    pub(super) judgement: Option<Judgement>,
    pub(super) messages: Vec<Message>,
    /// How often DRAIN was asked for.
    pub(super) drains: u32,
    pub(super) paused: bool,
    pub(super) held: bool,
    pub(super) cut: bool,
    pub(super) close: Option<CloseFrame>,
}

impl Table {
    pub(super) fn new(behaviour: Arc<Behaviour>) -> Self {
        let contents =
            Contents { slots: Vec::new(), left_over: Vec::new(), last_cookie: 0, events: Vec::new(), stopping: false };
        let (blocked, flooded) = (Mutex::new(None), Mutex::new(None));
        Self { behaviour, contents: Mutex::new(contents), faults: AtomicU64::new(0), blocked, flooded }
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
        let id = Id { slot, domain: self.behaviour.domain, cookie: contents.last_cookie };
        let queue = VecDeque::from(std::mem::take(&mut contents.left_over[index]));
        contents.slots[index] = Some(Entry {
            id,
            stage: Stage::Greeting,
            closing: None,
            judgement: None,
            drains: 0,
            paused: false,
            held: false,
            cut: false,
            queue,
            queued_bytes: 0,
        });
        id
    }

    /// The application is asked about HELLO.
    pub(super) fn judge(&self, id: Id) {
        if let Some(entry) = self.lock().entry(id) {
            entry.stage = Stage::Judging;
        }
    }

    /// The application is told something.
    pub(super) fn note(&self, id: Id, what: Happening) {
        self.lock().events.push(Event { connection: Some(id), what });
    }

    /// The handshake is done.
    pub(super) fn establish(&self, id: Id, message_limit: u32) {
        if let Some(entry) = self.lock().entry(id) {
            entry.stage = Stage::Established { message_limit };
        }
    }

    /// The connection takes no more messages from the application.
    pub(super) fn refuse_sends(&self, id: Id, frame: CloseFrame) {
        if let Some(entry) = self.lock().entry(id) {
            entry.closing = Some(frame);
        }
    }

    /// What the application wants of a connection; its messages stay in the queue unless `with_messages`.
    pub(super) fn wishes(&self, id: Id, with_messages: bool) -> Wishes {
        let mut contents = self.lock();
        let Some(entry) = contents.entry(id) else {
            return Wishes::default();
        };
        let mut messages = Vec::new();
        if with_messages {
            messages.extend(entry.queue.drain(..));
            entry.queued_bytes = 0;
        }
        let Entry { drains, paused, held, cut, .. } = *entry;
        Wishes { judgement: entry.judgement.take(), messages, drains, paused, held, cut, close: entry.closing.clone() }
    }

    /// The connection is over: its id becomes invalid, before the transport is closed (PW-CK-005).
    pub(super) fn remove(&self, id: Id, closed: Happening, unsent: Vec<Message>) {
        self.may_send(id, true);
        let mut contents = self.lock();
        let index = id.slot as usize;
        let Some(entry) = contents.slots[index].take_if(|entry| entry.id == id) else {
            return;
        };
        contents.events.push(Event { connection: Some(id), what: closed });
        if self.behaviour.has(Bug::QueueBelongsToSlot) {
            contents.left_over[index] = unsent.into_iter().chain(entry.queue).collect();
        }
    }

    /// How many faults there were on all connections.
    pub(super) fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }

    /// Counts a fault, and gives how many there were with it.
    pub(super) fn count_fault(&self) -> u64 {
        self.faults.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether no other connection waits for its transport; notes whether this one does.
    pub(super) fn may_send(&self, id: Id, has_nothing: bool) -> bool {
        let mut blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        match *blocked {
            Some(other) if other != id => return false,
            Some(_) if has_nothing => *blocked = None,
            None if !has_nothing => *blocked = Some(id),
            Some(_) | None => {}
        }
        true
    }

    /// Bytes came on a connection; where none came on another before, others wait for this one until then.
    pub(super) fn bytes_came(&self, id: Id, now: Instant, until: Instant) {
        let mut flooded = self.flooded.lock().unwrap_or_else(PoisonError::into_inner);
        if !flooded.is_some_and(|(other, until)| other != id && now < until) {
            *flooded = Some((id, until));
        }
    }

    /// Whether bytes come on another connection.
    pub(super) fn is_another_flooded(&self, id: Id, now: Instant) -> bool {
        let flooded = self.flooded.lock().unwrap_or_else(PoisonError::into_inner);
        flooded.is_some_and(|(other, until)| other != id && now < until)
    }

    /// Every connection is to end.
    pub(super) fn stop(&self) {
        self.lock().stopping = true;
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// Does what the suite asks.
    pub(super) fn control(&self, command: Command) -> Result<Reply, SubjectError> {
        let mut contents = self.lock();
        let reply = match command {
            Command::Connections => {
                let mut ids: Vec<Id> = contents
                    .slots
                    .iter()
                    .flatten()
                    .filter(|entry| entry.limit().is_some())
                    .map(|entry| entry.id)
                    .collect();
                ids.sort_by_key(|id| id.cookie);
                Reply::Connections(ids)
            }
            Command::Events => Reply::Events(contents.events.clone()),
            Command::Send { to, class, payload } => {
                let refusal = match self.find(&mut contents, to) {
                    Err(refusal) => refusal,
                    Ok(entry) => match entry.obstacle(&payload) {
                        Some(Refusal::Full) if self.behaviour.has(Bug::TakesWhenFull) => return Ok(Reply::Done),
                        Some(refusal) => refusal,
                        None => {
                            entry.queued_bytes += payload.len();
                            entry.queue.push_back(Message::new(class, payload));
                            return Ok(Reply::Done);
                        }
                    },
                };
                Reply::Refused { reason: refusal, payload: self.give_back(payload) }
            }
            Command::Close { connection, frame } => {
                let frame = self.permitted(frame, reason::NORMAL);
                self.change(&mut contents, connection, Entry::is_open, |entry| entry.closing = Some(frame))
            }
            Command::Drain(id) => self.change(&mut contents, id, Entry::is_open, |entry| entry.drains += 1),
            Command::Pause(id) => {
                let may_pause = |entry: &Entry| self.may_pause(entry);
                self.change(&mut contents, id, may_pause, |entry| entry.paused = true)
            }
            Command::Resume(id) => self.change(&mut contents, id, |_| true, |entry| entry.paused = false),
            Command::Abort(id) => self.change(&mut contents, id, |_| true, |entry| entry.cut = true),
            Command::Hold(id) => self.change(&mut contents, id, |_| true, |entry| entry.held = true),
            Command::Release(id) => self.change(&mut contents, id, |_| true, |entry| entry.held = false),
            Command::Accept(id) => self.change(&mut contents, id, Entry::is_judged, |entry| {
                entry.judgement = Some(Judgement::Accept);
            }),
            Command::Refuse { connection, frame } => {
                let frame = self.permitted(frame, reason::REFUSED);
                self.change(&mut contents, connection, Entry::is_judged, |entry| {
                    entry.judgement = Some(Judgement::Refuse(frame));
                })
            }
            Command::Unknown { .. } => return Err(SubjectError::unknown_command()),
        };
        Ok(reply)
    }

    /// What an application may say (section 9.3): a reason that it may not choose is replaced.
    fn permitted(&self, frame: CloseFrame, otherwise: u16) -> CloseFrame {
        if reason::is_for_applications(frame.reason) || self.behaviour.has(Bug::SaysAnyReason) {
            return frame;
        }
        CloseFrame { reason: otherwise, ..frame }
    }

    /// PW-HB-024.
    fn may_pause(&self, entry: &Entry) -> bool {
        let early = entry.is_judged() && self.behaviour.has(Bug::PausesBeforeHandshake);
        entry.is_open() || early || self.behaviour.has(Bug::PausesBehindClose)
    }

    /// Changes what is wanted of a connection, if its state permits it.
    fn change(
        &self,
        contents: &mut Contents,
        id: Id,
        permits: impl Fn(&Entry) -> bool,
        change: impl FnOnce(&mut Entry),
    ) -> Reply {
        match self.find(contents, id) {
            Err(reason) => Reply::Refused { reason, payload: Vec::new() },
            Ok(entry) if !permits(entry) => Reply::Refused { reason: Refusal::Closed, payload: Vec::new() },
            Ok(entry) => {
                change(entry);
                Reply::Done
            }
        }
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
    /// The message limit of the peer, once the handshake is complete.
    fn limit(&self) -> Option<u32> {
        match self.stage {
            Stage::Greeting | Stage::Judging => None,
            Stage::Established { message_limit } => Some(message_limit),
        }
    }

    fn is_open(&self) -> bool {
        self.limit().is_some() && self.closing.is_none()
    }

    fn is_judged(&self) -> bool {
        self.stage == Stage::Judging && self.judgement.is_none()
    }

    /// Why the application cannot send this now.
    fn obstacle(&self, payload: &[u8]) -> Option<Refusal> {
        let Some(limit) = self.limit() else {
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
