//! Groups of connections that get the same messages.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pulsewire_policy::{Deliver, Delivery, Dissolved, GroupConfig, GroupStatistics};
use pulsewire_protocol::{CloseFrame, CloseReason, ConnectionId, Message, PreparedMessage, SendRefused};
use tokio::task::yield_now;

use crate::clock::Clock;
use crate::sender::{Permit, Sender};

/// Members that are sent to before others run: some tens of microseconds.
const IN_A_ROW: usize = 16;

/// Connections that get the same messages: a room, a topic, the screens that show one page. Cloning it is cheap, and gives the same
/// group.
///
/// A message is encoded once. Nobody waits for a member that is slow; [`SlowMember`](crate::SlowMember) says what becomes of that.
/// Messages of one group come to all its members in the same order.
///
/// ```no_run
/// use pulsewire_transport_tokio::protocol::{Class, Event, Message};
/// use pulsewire_transport_tokio::{Connection, Group};
///
/// async fn talk(mut connection: Connection, room: Group) -> Result<(), Box<dyn std::error::Error>> {
///     room.join(&connection.sender())?;
///     while let Some(event) = connection.recv().await {
///         if let Event::Message(message) = event {
///             let delivery = room.send(message).await;
///             for (id, why) in delivery.missed {
///                 println!("{id:?} missed it: {why:?}");
///             }
///         }
///     }
///     Ok(())
/// }
/// ```
///
/// A connection that is over leaves at the next message; [`leave`](Self::leave) when its task ends, and the list is exact.
#[derive(Clone)]
pub struct Group {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    members: Mutex<pulsewire_policy::Group<Sender>>,
    /// Who sends: one message after the other.
    turn: tokio::sync::Mutex<()>,
}

impl Group {
    /// A group without members.
    ///
    /// # Panics
    /// Outside a tokio runtime, which it takes its time from.
    #[must_use]
    pub fn new(config: GroupConfig) -> Self {
        let members = Mutex::new(pulsewire_policy::Group::new(config));
        Self { inner: Arc::new(Inner { clock: Clock::new(), members, turn: tokio::sync::Mutex::new(()) }) }
    }

    /// Takes a connection in. Returns whether it is new here.
    ///
    /// # Errors
    /// If the group was dissolved.
    pub fn join(&self, member: &Sender) -> Result<bool, Dissolved> {
        self.inner.lock().join(member.id(), member.clone())
    }

    /// Lets a connection go, and what waits for it. Returns whether it belonged to the group.
    pub fn leave(&self, id: ConnectionId) -> bool {
        self.inner.lock().leave(id).is_some()
    }

    /// Ends the group: nobody joins any more. Gives those who belonged to it.
    pub fn dissolve(&self) -> Vec<Sender> {
        self.inner.lock().dissolve().into_iter().map(|(_, member)| member).collect()
    }

    /// Whether a connection belongs to the group.
    #[must_use]
    pub fn contains(&self, id: ConnectionId) -> bool {
        self.inner.lock().get(id).is_some()
    }

    /// Who belongs to the group, in no order.
    #[must_use]
    pub fn members(&self) -> Vec<ConnectionId> {
        self.inner.lock().ids().collect()
    }

    /// What the group has done so far, in numbers.
    #[must_use]
    pub fn statistics(&self) -> GroupStatistics {
        self.inner.lock().statistics()
    }

    /// Sends a message to all members, the one that it came from among them. It waits for no member, only for messages to this group
    /// that are being sent; others run in between.
    ///
    /// Not cancel safe: where the future is dropped, some of the members have not got the message.
    pub async fn send(&self, message: Message<'_>) -> Delivery {
        self.send_prepared(&PreparedMessage::new(message)).await
    }

    /// As [`send`](Self::send), for a message that goes to several groups.
    pub async fn send_prepared(&self, message: &PreparedMessage) -> Delivery {
        let _turn = self.inner.turn.lock().await;
        let mut delivery = Delivery::default();
        let mut place = 0;
        while self.inner.send_some(message, place, &mut delivery) {
            place += IN_A_ROW;
            yield_now().await;
        }
        delivery
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, pulsewire_policy::Group<Sender>> {
        // Nothing panics while it is held.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether there are members behind these.
    fn send_some(self: &Arc<Self>, message: &PreparedMessage, place: usize, delivery: &mut Delivery) -> bool {
        let places = place..place + IN_A_ROW;
        let known = delivery.slow.len();
        let mut members = self.lock();
        let more = members.send_some(self.clock.now(), message, places, delivery, &mut Directly);
        for id in &delivery.slow[known..] {
            if let Some(member) = members.get(*id) {
                member.runtime().spawn(Arc::clone(self).catch_up(member.clone()));
            }
        }
        more
    }

    /// Sends what waits for a member, one message after the other, each in its turn among all who wait to send there.
    async fn catch_up(self: Arc<Self>, member: Sender) {
        let id = member.id();
        let next = || {
            self.lock().waiting(self.clock.now(), id).map(|next| (next.message().class, next.message().payload.len()))
        };
        while let Some((class, size)) = next() {
            let mut reserved = Reserved(Some(member.reserve(class, size).await));
            self.lock().resume(self.clock.now(), id, &mut reserved);
        }
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("members", &self.inner.lock().len()).finish_non_exhaustive()
    }
}

/// Sends to each member at once, if there is room.
struct Directly;

impl Deliver<Sender> for Directly {
    fn send(&mut self, member: &Sender, message: &PreparedMessage) -> Result<(), SendRefused> {
        member.try_send_prepared(message).map(drop)
    }

    fn close(&mut self, member: &Sender) {
        member.close(CloseFrame::from(CloseReason::OVERLOADED).with_text("too slow"));
    }
}

/// Sends one message to a member, which there is room for now.
struct Reserved<'s>(Option<Result<Permit<'s>, SendRefused>>);

impl Deliver<Sender> for Reserved<'_> {
    fn send(&mut self, _: &Sender, message: &PreparedMessage) -> Result<(), SendRefused> {
        // A larger one may have come in its place meanwhile. The rest needs room of its own.
        self.0.take().unwrap_or(Err(SendRefused::Full))?.send_prepared(message).map(drop)
    }

    fn close(&mut self, member: &Sender) {
        Directly.close(member);
    }
}
