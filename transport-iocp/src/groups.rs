//! Groups of connections that get the same messages.

use std::collections::HashMap;

use pulsewire_policy::{Deliver, Delivery, Dissolved, Group, GroupConfig, GroupStatistics, Resumed};
use pulsewire_protocol::{ConnectionId, Instant, Message, PreparedMessage};

/// Names a group of a handler, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(u64);

/// The groups of a handler: rooms, topics, the screens that show one page. They belong to the thread that calls the handler, which
/// reaches them without a lock.
///
/// A message is encoded once. It goes out at the end of the turn, behind what the handler sent to single connections in the same
/// turn, and comes to all members in the same order. Nobody waits for a member that is slow; [`SlowMember`](crate::SlowMember) says
/// what becomes of that, and [`Handler::delivered`](crate::Handler::delivered) who missed something. A connection that is over has
/// left.
#[derive(Debug, Default)]
pub struct Groups {
    groups: HashMap<GroupId, Group<ConnectionId>>,
    made: u64,
    /// Where each member belongs to.
    memberships: HashMap<ConnectionId, Vec<GroupId>>,
    /// What is to go out.
    messages: Vec<(GroupId, PreparedMessage)>,
    /// What is to go out to those who have left since it was sent.
    farewells: Vec<(ConnectionId, PreparedMessage)>,
    /// For whom something waits in a group, and whether there may be room for it.
    slow: HashMap<ConnectionId, bool>,
}

impl Groups {
    /// A new group, without members.
    pub fn create(&mut self, config: GroupConfig) -> GroupId {
        self.made += 1;
        let id = GroupId(self.made);
        self.groups.insert(id, Group::new(config));
        id
    }

    /// Takes a connection in. Returns whether it is new there. Messages that were sent in this turn may come to it.
    ///
    /// # Errors
    ///
    /// If the group was dissolved.
    pub fn join(&mut self, group: GroupId, member: ConnectionId) -> Result<bool, Dissolved> {
        let is_new = self.groups.get_mut(&group).ok_or(Dissolved)?.join(member, member)?;
        if is_new {
            self.memberships.entry(member).or_default().push(group);
        }
        Ok(is_new)
    }

    /// Lets a connection go, and what waits for it. What was sent in this turn still comes to it, if there is room. Returns whether it
    /// belonged to the group.
    pub fn leave(&mut self, group: GroupId, member: ConnectionId) -> bool {
        let left = self.groups.get_mut(&group).is_some_and(|it| it.leave(member).is_some());
        if left {
            self.forget_membership(group, member);
            self.keep_for(group, member);
        }
        left
    }

    /// Ends a group: nobody joins any more. What was sent in this turn still comes to those who belonged to it, which this gives.
    pub fn dissolve(&mut self, group: GroupId) -> Vec<ConnectionId> {
        let Some(mut dissolved) = self.groups.remove(&group) else { return Vec::new() };
        let members: Vec<_> = dissolved.dissolve().into_iter().map(|(id, _)| id).collect();
        for &member in &members {
            self.forget_membership(group, member);
            self.keep_for(group, member);
        }
        self.messages.retain(|(to, _)| *to != group);
        members
    }

    /// Whether a connection belongs to a group.
    #[must_use]
    pub fn contains(&self, group: GroupId, member: ConnectionId) -> bool {
        self.groups.get(&group).is_some_and(|it| it.get(member).is_some())
    }

    /// Who belongs to a group, in no order.
    pub fn members(&self, group: GroupId) -> impl Iterator<Item = ConnectionId> {
        self.groups.get(&group).into_iter().flat_map(Group::ids)
    }

    /// Where a connection belongs to, in the order in which it joined.
    #[must_use]
    pub fn groups_of(&self, member: ConnectionId) -> &[GroupId] {
        self.memberships.get(&member).map_or(&[], Vec::as_slice)
    }

    /// What a group has done so far, in numbers; `None` if it was dissolved.
    #[must_use]
    pub fn statistics(&self, group: GroupId) -> Option<GroupStatistics> {
        self.groups.get(&group).map(Group::statistics)
    }

    /// Sends a message to all members, the one that it came from among them. It is copied once.
    ///
    /// # Errors
    ///
    /// If the group was dissolved.
    pub fn send(&mut self, group: GroupId, message: Message<'_>) -> Result<(), Dissolved> {
        self.send_prepared(group, &PreparedMessage::new(message))
    }

    /// As [`send`](Self::send), for a message that goes to several groups.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn send_prepared(&mut self, group: GroupId, message: &PreparedMessage) -> Result<(), Dissolved> {
        if !self.groups.contains_key(&group) {
            return Err(Dissolved);
        }
        self.messages.push((group, message.clone()));
        Ok(())
    }

    /// Keeps what was sent to the group for one who has left it.
    fn keep_for(&mut self, group: GroupId, member: ConnectionId) {
        let sent = self.messages.iter().filter(|(to, _)| *to == group);
        self.farewells.extend(sent.map(|(_, message)| (member, message.clone())));
    }

    fn forget_membership(&mut self, group: GroupId, member: ConnectionId) {
        if let Some(groups) = self.memberships.get_mut(&member) {
            groups.retain(|it| *it != group);
            if groups.is_empty() {
                self.memberships.remove(&member);
                self.slow.remove(&member);
            }
        }
    }

    /// A connection is over.
    pub(crate) fn forget(&mut self, member: ConnectionId) {
        for group in self.memberships.remove(&member).unwrap_or_default() {
            if let Some(group) = self.groups.get_mut(&group) {
                group.leave(member);
            }
        }
        self.slow.remove(&member);
    }

    /// A connection has room again.
    pub(crate) fn note_room(&mut self, member: ConnectionId) {
        if let Some(has_room) = self.slow.get_mut(&member) {
            *has_room = true;
        }
    }

    /// Whether there is anything to do.
    pub(crate) fn is_busy(&self) -> bool {
        !self.messages.is_empty() || !self.farewells.is_empty() || self.slow.values().any(|has_room| *has_room)
    }

    /// Sends what is to go out. Says what came of each message.
    pub(crate) fn deliver(
        &mut self,
        now: Instant,
        transport: &mut impl Deliver<ConnectionId>,
    ) -> Vec<(GroupId, Delivery)> {
        self.resume(now, transport);
        for (member, message) in std::mem::take(&mut self.farewells) {
            // One that is full, or gone, has left anyway.
            let _may_be_refused = transport.send(&member, &message);
        }
        let mut deliveries = Vec::new();
        for (id, message) in std::mem::take(&mut self.messages) {
            let Some(group) = self.groups.get_mut(&id) else { continue };
            let delivery = group.send(now, &message, transport);
            let left: Vec<_> = delivery.missed.iter().map(|(member, _)| *member).collect();
            self.slow.extend(delivery.slow.iter().map(|member| (*member, false)));
            for member in left {
                if !self.contains(id, member) {
                    self.forget_membership(id, member);
                }
            }
            deliveries.push((id, delivery));
        }
        deliveries
    }

    /// Sends what waits for members that have room again.
    fn resume(&mut self, now: Instant, transport: &mut impl Deliver<ConnectionId>) {
        let Self { groups, memberships, slow, .. } = self;
        slow.retain(|member, has_room| {
            if !std::mem::take(has_room) {
                return true;
            }
            let theirs = memberships.get(member).map_or(&[][..], Vec::as_slice);
            let waits = theirs.iter().filter(|id| {
                groups.get_mut(id).is_some_and(|group| group.resume(now, *member, transport) == Resumed::Waits)
            });
            waits.count() > 0
        });
    }
}
