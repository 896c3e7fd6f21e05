//! The deadlines of all connections of a table.

use alloc::collections::BTreeSet;

use super::ConnectionId;
use crate::time::Instant;

/// At most one deadline per connection, so that memory is bounded by the number of connections, however often deadlines
/// move and connections come and go.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    ordered: BTreeSet<(Instant, ConnectionId)>,
}

impl Deadlines {
    /// Notes `deadline` in place of `armed`; `Instant::MAX` is none.
    pub(super) fn rearm(&mut self, armed: Instant, deadline: Instant, id: ConnectionId) {
        self.ordered.remove(&(armed, id));
        if deadline < Instant::MAX {
            self.ordered.insert((deadline, id));
        }
    }

    pub(super) fn earliest(&self) -> Option<Instant> {
        self.ordered.first().map(|(deadline, _)| *deadline)
    }

    /// Takes the earliest one out, if it has come.
    pub(super) fn pop_until(&mut self, now: Instant) -> Option<ConnectionId> {
        if self.earliest()? > now {
            return None;
        }
        self.ordered.pop_first().map(|(_, id)| id)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use crate::{Config, Connection, ConnectionTable, Instant, Seed};

    /// Long deadlines, short ones in front of them, and connections that go before theirs has come: none leaves anything.
    #[test]
    fn memory_is_bounded_by_the_number_of_connections() {
        let (mut short, mut long) = (Config::default(), Config::default());
        short.timeouts.handshake = Duration::from_millis(10);
        long.timeouts.handshake = Duration::from_secs(600);
        let configs = [long, short].map(|config| config.validate().unwrap());
        let mut table = ConnectionTable::new(0);
        let id = table.insert(Connection::server(Instant::ZERO, &configs[0], Seed::from_bytes([1; 12])), ());
        for round in 0..1_000u64 {
            let now = Instant::from_nanos(round * 20_000_000);
            let fresh = |index: usize| Connection::server(now, &configs[index], Seed::from_bytes([1; 12]));
            // The same connection with a deadline that is far, near, far again.
            *table.get_mut(id).unwrap() = fresh(1);
            *table.get_mut(id).unwrap() = fresh(0);
            let gone = table.insert(fresh(0), ());
            table.remove(gone).unwrap();
            let retired = table.insert(fresh(0), ());
            table.retire(retired);
            table.release(retired).unwrap();
            while table.handle_timeout(now).is_some() {}
            assert_eq!(table.deadlines.ordered.len(), 1);
        }
    }
}
