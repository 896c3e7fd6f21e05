//! A group of connections that get the same messages, and what becomes of those that fall behind.

mod backlog;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use pulsewire_protocol::{ConnectionId, Instant, PreparedMessage, SendRefused};

use backlog::Backlog;

/// What becomes of a message for a member whose send queue is full. Nobody else ever waits for such a member.
///
/// What waits here waits beside the member's send queue (`limits.send_queue`), which is full of older messages: a group in which only
/// the newest counts wants a small one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum SlowMember {
    /// It does not get this message. The default.
    #[default]
    Refuse,
    /// It is closed, with [`OVERLOADED`](pulsewire_protocol::CloseReason::OVERLOADED): whoever falls behind begins anew.
    Close,
    /// The message waits. If more than `bytes` of payload wait, the oldest ones are dropped.
    DropOldest {
        /// Bytes of payload that may wait for one member. A single message of any size may.
        bytes: usize,
    },
    /// The message waits, in place of one of its class that does: for positions, prices, pages, where the newest says all.
    KeepNewest,
}

/// How a group treats its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct GroupConfig {
    /// What becomes of a message for a member whose send queue is full.
    pub slow_member: SlowMember,
    /// How long a message may wait for a slow member before it is dropped. `None`: for as long as it takes. Default: `None`.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "time_to_live_ms", with = "pulsewire_protocol::representation::optional_milliseconds")
    )]
    pub time_to_live: Option<Duration>,
}

/// How a transport reaches a member.
pub trait Deliver<M> {
    /// Queues a message, without waiting.
    ///
    /// # Errors
    /// Why it was not accepted.
    fn send(&mut self, member: &M, message: &PreparedMessage) -> Result<(), SendRefused>;

    /// Closes a member that fell behind, with OVERLOADED.
    fn close(&mut self, member: &M);
}

/// Why a member did not get a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missed {
    /// Its send queue is full ([`SlowMember::Refuse`]).
    Slow,
    /// Its send queue is full, so it was closed, and is no member any more ([`SlowMember::Close`]).
    Closed,
    /// So many older messages that waited for it were dropped in favour of this one.
    Older(usize),
    /// Its connection does not take such a message, or is over; then it is no member any more.
    Refused(SendRefused),
}

impl Missed {
    /// The message itself, not one before it.
    fn is_this_one(self) -> bool {
        match self {
            Self::Slow | Self::Closed | Self::Refused(_) => true,
            Self::Older(_) => false,
        }
    }

    fn ends_membership(self) -> bool {
        match self {
            Self::Closed | Self::Refused(SendRefused::Closed(_) | SendRefused::Stale) => true,
            Self::Slow | Self::Older(_) | Self::Refused(_) => false,
        }
    }
}

/// What came of one message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delivery {
    /// Members whose connections accepted it.
    pub sent: usize,
    /// Members for whom it waits.
    pub waiting: usize,
    /// Who missed something, and why.
    pub missed: Vec<(ConnectionId, Missed)>,
    /// Members for whom nothing waited before. The transport calls [`Group::resume`] when there is room in their send queues.
    pub slow: Vec<ConnectionId>,
}

/// What is left to do for a slow member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resumed {
    /// Nothing waits for it any more, or it is no member.
    Done,
    /// Its send queue is full again.
    Waits,
}

/// What a group has done so far, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct GroupStatistics {
    /// Messages sent to the group.
    pub messages: u64,
    /// Messages that connections of members accepted.
    pub sent: u64,
    /// Messages that a member did not get: its send queue was full, or its connection did not take it.
    pub refused: u64,
    /// Messages that waited for a slow member, and were dropped in favour of newer ones.
    pub displaced: u64,
    /// Messages that waited for longer than `time_to_live`.
    pub expired: u64,
    /// Messages that waited for a member that left, or whose connection ended.
    pub lost: u64,
}

/// The group itself says no: it was dissolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the group was dissolved")]
pub struct Dissolved;

/// Connections that get the same messages. `M` is how the transport knows a member.
///
/// ```
/// use pulsewire_policy::{Deliver, Group, GroupConfig};
/// use pulsewire_protocol::{Class, Instant, Message, PreparedMessage, SendRefused, Slots};
///
/// struct Printer;
/// impl Deliver<&str> for Printer {
///     fn send(&mut self, member: &&str, message: &PreparedMessage) -> Result<(), SendRefused> {
///         println!("{member} gets {:?}", message.message());
///         Ok(())
///     }
///     fn close(&mut self, member: &&str) {
///         println!("{member} is too slow");
///     }
/// }
///
/// let mut ids = Slots::new(1);
/// let mut room = Group::new(GroupConfig::default());
/// room.join(ids.insert_with(|_| ()), "kitchen")?;
/// room.join(ids.insert_with(|_| ()), "hall")?;
/// let news = PreparedMessage::new(Message::new(Class::ROOM, b"dinner is ready"));
/// let delivery = room.send(Instant::ZERO, &news, &mut Printer);
/// assert_eq!(delivery.sent, 2);
/// # Ok::<(), pulsewire_policy::Dissolved>(())
/// ```
#[derive(Debug)]
pub struct Group<M> {
    config: GroupConfig,
    /// By place. A place is used again when its member has left.
    members: Vec<Option<Member<M>>>,
    places: HashMap<ConnectionId, usize>,
    free: Vec<usize>,
    dissolved: bool,
    statistics: GroupStatistics,
}

#[derive(Debug)]
struct Member<M> {
    id: ConnectionId,
    handle: M,
    /// What waits for room in its send queue.
    backlog: Option<Box<Backlog>>,
}

impl<M> Group<M> {
    /// A group without members.
    #[must_use]
    pub fn new(config: GroupConfig) -> Self {
        let (members, places, free) = (Vec::new(), HashMap::new(), Vec::new());
        Self { config, members, places, free, dissolved: false, statistics: GroupStatistics::default() }
    }

    /// Takes a connection in. Returns whether it is new; one that belongs to the group already stays as it is.
    ///
    /// # Errors
    /// If the group was dissolved.
    pub fn join(&mut self, id: ConnectionId, handle: M) -> Result<bool, Dissolved> {
        if self.dissolved {
            return Err(Dissolved);
        }
        if self.places.contains_key(&id) {
            return Ok(false);
        }
        let member = Some(Member { id, handle, backlog: None });
        let place = match self.free.pop() {
            Some(place) => {
                self.members[place] = member;
                place
            }
            None => {
                self.members.push(member);
                self.members.len() - 1
            }
        };
        self.places.insert(id, place);
        Ok(true)
    }

    /// Lets a connection go, and what waits for it. Gives its handle if it belonged to the group.
    pub fn leave(&mut self, id: ConnectionId) -> Option<M> {
        let place = self.places.remove(&id)?;
        let member = self.members[place].take()?;
        self.free.push(place);
        self.statistics.lost += member.backlog.map_or(0, |backlog| backlog.len() as u64);
        Some(member.handle)
    }

    /// Ends the group: nobody joins any more. Gives those who belonged to it.
    pub fn dissolve(&mut self) -> Vec<(ConnectionId, M)> {
        self.dissolved = true;
        let ids: Vec<_> = self.ids().collect();
        ids.into_iter().filter_map(|id| Some((id, self.leave(id)?))).collect()
    }

    /// Whether the group was dissolved.
    #[must_use]
    pub fn is_dissolved(&self) -> bool {
        self.dissolved
    }

    /// Who belongs to the group, in no order.
    pub fn ids(&self) -> impl Iterator<Item = ConnectionId> {
        self.members.iter().flatten().map(|member| member.id)
    }

    /// How a member is known to the transport.
    #[must_use]
    pub fn get(&self, id: ConnectionId) -> Option<&M> {
        let member = self.members[*self.places.get(&id)?].as_ref()?;
        Some(&member.handle)
    }

    /// How many belong to the group.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nobody belongs to the group.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// What the group has done so far.
    #[must_use]
    pub fn statistics(&self) -> GroupStatistics {
        self.statistics
    }

    /// Sends a message to all members.
    pub fn send(&mut self, now: Instant, message: &PreparedMessage, transport: &mut impl Deliver<M>) -> Delivery {
        let mut delivery = Delivery::default();
        self.send_some(now, message, 0..usize::MAX, &mut delivery, transport);
        delivery
    }

    /// Sends a message to the members at these places, for a transport that does something else in between. Begin with `0..n`, go on
    /// with `n..m`; gives false when there are no members behind. Who joins meanwhile may get the message or not.
    pub fn send_some(
        &mut self,
        now: Instant,
        message: &PreparedMessage,
        places: Range<usize>,
        delivery: &mut Delivery,
        transport: &mut impl Deliver<M>,
    ) -> bool {
        if places.start == 0 {
            self.statistics.messages += 1;
        }
        let end = places.end.min(self.members.len());
        for place in places.start..end {
            let Some((id, missed)) = self.send_to(place, now, message, delivery, transport) else { continue };
            delivery.missed.push((id, missed));
            if missed.ends_membership() {
                self.leave(id);
            }
        }
        end < self.members.len()
    }

    /// Sends to the member at this place, if there is one. Gives what it missed by that, if anything.
    fn send_to(
        &mut self,
        place: usize,
        now: Instant,
        message: &PreparedMessage,
        delivery: &mut Delivery,
        transport: &mut impl Deliver<M>,
    ) -> Option<(ConnectionId, Missed)> {
        let member = self.members[place].as_mut()?;
        let accepted = match &member.backlog {
            // What waits goes first.
            Some(_) => Err(SendRefused::Full),
            None => transport.send(&member.handle, message),
        };
        let missed = match (accepted, self.config.slow_member) {
            (Ok(()), _) => {
                delivery.sent += 1;
                self.statistics.sent += 1;
                None
            }
            (Err(SendRefused::Full), SlowMember::Refuse) => Some(Missed::Slow),
            (Err(SendRefused::Full), SlowMember::Close) => {
                transport.close(&member.handle);
                Some(Missed::Closed)
            }
            (Err(SendRefused::Full), SlowMember::DropOldest { .. } | SlowMember::KeepNewest) => {
                delivery.waiting += 1;
                if member.backlog.is_none() {
                    delivery.slow.push(member.id);
                }
                let backlog = member.backlog.get_or_insert_default();
                let expired = backlog.expire(now);
                backlog.push(message.clone(), self.config.time_to_live.map(|time| now + time));
                let displaced = backlog.make_room(self.config.slow_member);
                self.statistics.expired += expired as u64;
                self.statistics.displaced += displaced as u64;
                (expired + displaced > 0).then_some(Missed::Older(expired + displaced))
            }
            (Err(reason), _) => Some(Missed::Refused(reason)),
        };
        self.statistics.refused += u64::from(missed.is_some_and(|missed| missed.is_this_one()));
        missed.map(|missed| (member.id, missed))
    }

    /// The first message that waits for a member: what there has to be room for.
    pub fn waiting(&mut self, now: Instant, id: ConnectionId) -> Option<&PreparedMessage> {
        let member = self.members[*self.places.get(&id)?].as_mut()?;
        let backlog = member.backlog.as_mut()?;
        self.statistics.expired += backlog.expire(now) as u64;
        if backlog.first().is_none() {
            member.backlog = None;
            return None;
        }
        member.backlog.as_ref()?.first()
    }

    /// Sends what waits for a member, as far as there is room in its send queue.
    pub fn resume(&mut self, now: Instant, id: ConnectionId, transport: &mut impl Deliver<M>) -> Resumed {
        let Some(&place) = self.places.get(&id) else { return Resumed::Done };
        while self.waiting(now, id).is_some() {
            let Some(Member { handle, backlog: Some(backlog), .. }) = &mut self.members[place] else { break };
            let Some(message) = backlog.first() else { break };
            match transport.send(handle, message) {
                Ok(()) => self.statistics.sent += 1,
                Err(SendRefused::Full) => return Resumed::Waits,
                Err(SendRefused::Closed(_) | SendRefused::Stale) => {
                    self.leave(id);
                    break;
                }
                // Its connection does not take such a message.
                Err(_) => self.statistics.refused += 1,
            }
            backlog.pop();
        }
        Resumed::Done
    }
}
