//! The messages that wait to be sent, and which frame goes next (spec section 6).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::{Behaviour, Bug};
use crate::codec::registry::flag;
use crate::codec::{Hello, Packet};
use crate::peer::Message;

/// Messages of all classes.
pub(in super::super) struct MessageQueue {
    behaviour: Arc<Behaviour>,
    /// What waits of each class that was ever used; the class at the front has the next turn (PW-DAT-015).
    classes: VecDeque<(u8, VecDeque<Message>)>,
    /// The message of which frames were handed out, but not the last one.
    open: Option<Open>,
    begun: BTreeMap<u8, u64>,
    completed: u64,
}

struct Open {
    class: u8,
    frames: VecDeque<Packet>,
    /// Bytes that may go between its last frame and the next one (PW-DAT-014).
    room: usize,
}

impl MessageQueue {
    pub(super) fn new(behaviour: Arc<Behaviour>) -> Self {
        Self { behaviour, classes: VecDeque::new(), open: None, begun: BTreeMap::new(), completed: 0 }
    }

    pub(super) fn push(&mut self, message: Message) {
        let small = message.payload.len() < 1_000;
        let overtakes = self.behaviour.has(Bug::DeliversOutOfOrder) || self.behaviour.has(Bug::SmallOvertakes) && small;
        let drops = self.behaviour.has(Bug::DropsOldest);
        let queue = self.queue(message.class);
        if drops && queue.len() >= 64 {
            queue.pop_front();
        }
        if overtakes {
            queue.push_front(message);
        } else {
            queue.push_back(message);
        }
    }

    fn queue(&mut self, class: u8) -> &mut VecDeque<Message> {
        let known = self.classes.iter().position(|(other, _)| *other == class);
        if known.is_none() && self.classes.len() >= 4 && self.behaviour.has(Bug::FourClassesAtMost) {
            self.classes.pop_front();
        }
        let index = known.unwrap_or_else(|| {
            self.classes.push_back((class, VecDeque::new()));
            self.classes.len() - 1
        });
        &mut self.classes[index].1
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_none() && self.classes.iter().all(|(_, messages)| messages.is_empty())
    }

    /// Forgets the messages of which no byte was handed out.
    pub(super) fn take_all(&mut self) -> Vec<Message> {
        self.classes.drain(..).flat_map(|(_, messages)| messages).collect()
    }

    /// Messages of a class that were begun to be sent (PW-REJ-008).
    pub(in super::super) fn begun(&self, class: u8) -> u64 {
        self.begun.get(&class).copied().unwrap_or_default()
    }

    /// The same of all classes (PW-CLS-019).
    pub(in super::super) fn begun_in_all(&self) -> u64 {
        self.begun.values().sum()
    }

    /// Messages that were sent to the last frame.
    pub(in super::super) fn completed(&self) -> u64 {
        self.completed
    }

    /// The next frame for this peer.
    pub(super) fn next_frame(&mut self, peer: &Hello) -> Option<Packet> {
        match self.open.take() {
            Some(open) => self.go_on(open, peer),
            None => self.begin(peer),
        }
    }

    /// Begins the next message.
    fn begin(&mut self, peer: &Hello) -> Option<Packet> {
        let index = self.classes.iter().position(|(_, messages)| !messages.is_empty())?;
        let message = self.take(index);
        let mut frames = VecDeque::from(self.cut(&message, peer));
        let frame = frames.pop_front()?;
        *self.begun.entry(message.class).or_default() += 1;
        self.settle(Open { class: message.class, room: frame.header().packet_size(), frames });
        Some(frame)
    }

    /// Whole messages of other classes go between two frames, as many as have room; then the open message goes on.
    fn go_on(&mut self, mut open: Open, peer: &Hello) -> Option<Packet> {
        let Some(index) = self.find_between(&open, peer) else {
            let frame = open.frames.pop_front()?;
            open.room = frame.header().packet_size();
            self.settle(open);
            return Some(frame);
        };
        let message = self.take(index);
        let mut frame = self.cut(&message, peer).pop()?;
        if self.behaviour.has(Bug::CutsBetweenFrames) && frame.header().packet_size() == open.room {
            let rest = frame.payload.split_off(frame.payload.len() / 2);
            frame.flags |= flag::MORE;
            open.frames.push_front(Packet::data(0, frame.class, rest));
        }
        *self.begun.entry(message.class).or_default() += 1;
        self.completed += 1;
        open.room = open.room.saturating_sub(frame.header().packet_size());
        self.open = Some(open);
        Some(frame)
    }

    /// The message is open until its last frame is handed out.
    fn settle(&mut self, open: Open) {
        if open.frames.is_empty() {
            self.completed += 1;
        } else {
            self.open = Some(open);
        }
    }

    /// The class whose next message may go before the open one goes on (PW-DAT-014).
    fn find_between(&self, open: &Open, peer: &Hello) -> Option<usize> {
        if self.behaviour.has(Bug::ClassesWaitInLine) {
            return None;
        }
        let room = if self.behaviour.has(Bug::CrowdsOutOpenMessage) { usize::MAX } else { open.room };
        self.classes.iter().position(|(class, messages)| {
            let fits = |message: &Message| match &self.cut(message, peer)[..] {
                [frame] => frame.header().packet_size() <= room,
                _ => false,
            };
            *class != open.class && messages.front().is_some_and(fits)
        })
    }

    /// Takes the next message of a class, whose next turn comes after those of all others.
    fn take(&mut self, index: usize) -> Message {
        let (class, mut messages) = self.classes.remove(index).expect("the index of a class");
        let message = messages.pop_front().expect("only a class that has a message is chosen");
        if self.behaviour.has(Bug::OneClassAtATime) {
            self.classes.push_front((class, messages));
        } else {
            self.classes.push_back((class, messages));
        }
        message
    }

    fn cut(&self, message: &Message, peer: &Hello) -> Vec<Packet> {
        let bug = |bug| self.behaviour.has(bug);
        let mut limit = peer.frame_limit;
        if bug(Bug::LimitsOfLastPeer) {
            limit = self.behaviour.frame_limit_of_last_peer.load(Ordering::Relaxed);
        }
        let own = if bug(Bug::FramesAsLargeAsAllowed) { u32::MAX } else { self.behaviour.profile.frame_sent };
        let size = if bug(Bug::IgnoresPeerLimits) { 16_777_215 } else { limit.min(own) };
        let mut frames = message.frames(size as usize);
        let omits = |frame: &Packet| {
            let later = bug(Bug::OmitsLaterChecksums) && !frame.has(flag::FIRST);
            later || bug(Bug::OmitsChecksum)
        };
        frames.iter_mut().filter(|frame| omits(frame)).for_each(|frame| frame.flags &= !flag::CHECKSUM);
        frames
    }
}
