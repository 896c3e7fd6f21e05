//! Whom a server lets in.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::AddAssign;
use std::time::Duration;

use pulsewire_protocol::{CloseFrame, CloseReason, Instant, Retry};

use super::address::address_group;
use super::config::ServerLimits;
use super::rate::RateLimit;

/// Counts the connections of a server, and says who is let in.
///
/// Each that is let in gets a [`Pass`], which counts until it is given back ([`leave`](Self::leave)), when the socket is closed. One
/// that is refused is to be told so, which takes a socket and time too: a pass comes with the refusal, for as long as that is told.
/// Beyond a limit of those there is none, and the socket is closed without a word.
///
/// ```
/// use pulsewire_policy::server::{Gate, Overload, ServerLimits};
/// use pulsewire_protocol::Instant;
///
/// let mut gate = Gate::new(ServerLimits { connections: 1, ..ServerLimits::default() });
/// let pass = gate.admit(Instant::ZERO, None).expect("the first one");
/// let refused = gate.admit(Instant::ZERO, None).expect_err("no room");
/// assert_eq!(refused.why, Overload::Connections);
/// gate.leave(pass);
/// assert!(gate.admit(Instant::ZERO, None).is_ok());
/// ```
#[derive(Debug)]
pub struct Gate {
    limits: ServerLimits,
    rate: RateLimit,
    occupancy: Occupancy,
    addresses: HashMap<IpAddr, u32>,
}

/// Who is there now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Occupancy {
    /// Connections that were let in, handshakes among them.
    pub connections: u32,
    /// Those among them whose handshake is not complete.
    pub handshakes: u32,
    /// Those that were not let in, while they are told so.
    pub refusals: u32,
}

/// Why a connection is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Overload {
    /// There are as many connections as [`ServerLimits::connections`] allows.
    Connections,
    /// There are as many from its address as [`ServerLimits::per_address`] allows.
    PerAddress,
    /// As many handshakes are under way as [`ServerLimits::handshakes`] allows.
    Handshakes,
    /// More come in a second than [`ServerLimits::accepts_per_second`] allows.
    Rate,
}

/// How many connections were not let in, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Refusals {
    /// There were too many connections.
    pub connections: u64,
    /// There were too many from the same address.
    pub per_address: u64,
    /// Too many handshakes were under way.
    pub handshakes: u64,
    /// Too many came in a second.
    pub rate: u64,
}

impl Refusals {
    /// Counts one.
    pub fn note(&mut self, why: Overload) {
        *match why {
            Overload::Connections => &mut self.connections,
            Overload::PerAddress => &mut self.per_address,
            Overload::Handshakes => &mut self.handshakes,
            Overload::Rate => &mut self.rate,
        } += 1;
    }
}

impl AddAssign for Refusals {
    fn add_assign(&mut self, other: Self) {
        let Self { connections, per_address, handshakes, rate } = other;
        self.connections += connections;
        self.per_address += per_address;
        self.handshakes += handshakes;
        self.rate += rate;
    }
}

impl fmt::Display for Overload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connections => "the server has as many connections as it takes",
            Self::PerAddress => "there are as many connections from this address as the server takes",
            Self::Handshakes => "the server has as many handshakes under way as it takes",
            Self::Rate => "more connections come in a second than the server takes",
        })
    }
}

/// A connection that is not let in.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub why: Overload,
    /// For as long as it is told so. `None`: as many are being told as [`ServerLimits::refusals`] allows; close the socket.
    pub pass: Option<Pass>,
}

/// Counts for one connection, until it is given back.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "it counts until it is given back"]
pub struct Pass {
    stage: Stage,
    group: Option<IpAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Handshake,
    Established,
    Refusal,
}

impl Gate {
    /// A gate that nobody has passed.
    #[must_use]
    pub fn new(limits: ServerLimits) -> Self {
        let rate = RateLimit::new(limits.accepts_per_second, limits.accepts_burst);
        Self { limits, rate, occupancy: Occupancy::default(), addresses: HashMap::new() }
    }

    /// A connection came in. `address`: its peer's, where there is one; a Unix socket has none.
    ///
    /// # Errors
    /// Why it is not let in. It is then to be told so, if there is a pass for that.
    pub fn admit(&mut self, now: Instant, address: Option<IpAddr>) -> Result<Pass, Refused> {
        let group = address.map(address_group);
        if let Some(why) = self.overload(now, group) {
            return Err(Refused { why, pass: self.refuse() });
        }
        self.occupancy.connections += 1;
        self.occupancy.handshakes += 1;
        if let Some(group) = group {
            *self.addresses.entry(group).or_default() += 1;
        }
        Ok(Pass { stage: Stage::Handshake, group })
    }

    /// A connection came in that is not let in for a reason of the transport's own, such as memory. Gives a pass for as long as it is
    /// told so; `None`: close the socket.
    pub fn refuse(&mut self) -> Option<Pass> {
        let told = self.occupancy.refusals < self.limits.refusals;
        self.occupancy.refusals += u32::from(told);
        told.then_some(Pass { stage: Stage::Refusal, group: None })
    }

    fn overload(&mut self, now: Instant, group: Option<IpAddr>) -> Option<Overload> {
        let ServerLimits { connections, per_address, handshakes, .. } = self.limits;
        let here = group.and_then(|group| self.addresses.get(&group)).copied().unwrap_or(0);
        if self.occupancy.connections >= connections {
            Some(Overload::Connections)
        } else if here >= per_address {
            Some(Overload::PerAddress)
        } else if self.occupancy.handshakes >= handshakes {
            Some(Overload::Handshakes)
        } else if !self.rate.take(now) {
            Some(Overload::Rate)
        } else {
            None
        }
    }

    /// The handshake of this connection is complete. A second time this does nothing.
    pub fn established(&mut self, pass: &mut Pass) {
        if pass.stage == Stage::Handshake {
            pass.stage = Stage::Established;
            self.occupancy.handshakes -= 1;
        }
    }

    /// The socket is closed.
    pub fn leave(&mut self, mut pass: Pass) {
        self.established(&mut pass);
        match pass.stage {
            Stage::Refusal => self.occupancy.refusals -= 1,
            Stage::Handshake | Stage::Established => self.occupancy.connections -= 1,
        }
        let Some(group) = pass.group else { return };
        if let Some(count) = self.addresses.get_mut(&group) {
            *count -= 1;
            if *count == 0 {
                self.addresses.remove(&group);
            }
        }
    }

    /// Who is there now.
    #[must_use]
    pub fn occupancy(&self) -> Occupancy {
        self.occupancy
    }
}

impl ServerLimits {
    /// What to tell a client that there is no room for: OVERLOADED, a sentence, and advice to come again after `retry_after` and up
    /// to as much again, so that those who are refused together don't come back together. `random` is any number.
    #[must_use]
    pub fn overloaded(&self, why: impl fmt::Display, random: u64) -> CloseFrame {
        let share = self.retry_after.mul_f64(random as f64 / u64::MAX as f64).min(self.retry_after);
        let retry = self.retry_after.saturating_add(share);
        // Whole milliseconds go over the wire.
        let retry = Retry::After(Duration::from_millis(u64::try_from(retry.as_millis()).unwrap_or(u64::MAX)));
        CloseFrame::from(CloseReason::OVERLOADED).with_retry(retry).with_text(why.to_string())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits() -> ServerLimits {
        ServerLimits {
            connections: 6,
            per_address: 3,
            handshakes: 4,
            accepts_per_second: 10,
            accepts_burst: 5,
            refusals: 2,
            ..ServerLimits::default()
        }
    }

    fn address(index: u8) -> Option<IpAddr> {
        (index < 6)
            .then(|| IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, (index / 2).into(), index.into(), 0, 0, 1)))
    }

    #[derive(Debug, Clone)]
    enum Step {
        Come { address: u8, after: u64 },
        Establish(prop::sample::Index),
        Leave(prop::sample::Index),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0_u8..8, 0_u64..300).prop_map(|(address, after)| Step::Come { address, after }),
            1 => any::<prop::sample::Index>().prop_map(Step::Establish),
            2 => any::<prop::sample::Index>().prop_map(Step::Leave),
        ]
    }

    proptest! {
        /// No limit is ever exceeded, nobody is refused without a limit that is reached, and when all have left nothing is counted.
        #[test]
        fn the_gate_counts_what_is_there(steps in prop::collection::vec(step(), 0..200)) {
            let (mut gate, mut now) = (Gate::new(limits()), Instant::ZERO);
            let mut inside: Vec<Pass> = Vec::new();
            for step in steps {
                match step {
                    Step::Come { address: index, after } => {
                        now = now + Duration::from_millis(after);
                        let group = address(index).map(address_group);
                        let before = gate.occupancy();
                        let here = inside.iter().filter(|pass| pass.group.is_some() && pass.group == group).count();
                        match gate.admit(now, address(index)) {
                            Ok(pass) => inside.push(pass),
                            Err(Refused { why, pass }) => {
                                match why {
                                    Overload::Connections => prop_assert_eq!(before.connections, 6),
                                    Overload::PerAddress => prop_assert_eq!(here, 3),
                                    Overload::Handshakes => prop_assert_eq!(before.handshakes, 4),
                                    Overload::Rate => {}
                                }
                                prop_assert_eq!(pass.is_none(), before.refusals == 2);
                                inside.extend(pass);
                            }
                        }
                    }
                    Step::Establish(index) if !inside.is_empty() => {
                        let pass = index.get_mut(&mut inside);
                        gate.established(pass);
                    }
                    Step::Leave(index) if !inside.is_empty() => gate.leave(inside.swap_remove(index.index(inside.len()))),
                    Step::Establish(_) | Step::Leave(_) => {}
                }
                let count = |stage| inside.iter().filter(|pass| pass.stage == stage).count() as u32;
                let (handshakes, refusals) = (count(Stage::Handshake), count(Stage::Refusal));
                let connections = handshakes + count(Stage::Established);
                prop_assert_eq!(gate.occupancy(), Occupancy { connections, handshakes, refusals });
                prop_assert!(connections <= 6 && handshakes <= 4 && refusals <= 2);
                prop_assert!(gate.addresses.values().all(|count| (1..=3).contains(count)));
            }
            inside.into_iter().for_each(|pass| gate.leave(pass));
            prop_assert_eq!(gate.occupancy(), Occupancy::default());
            prop_assert!(gate.addresses.is_empty());
        }

        #[test]
        fn advice_lies_between_the_time_and_twice_it(millis in 0_u64..100_000_000, random: u64) {
            let retry_after = Duration::from_millis(millis);
            let frame = ServerLimits { retry_after, ..ServerLimits::default() }.overloaded(Overload::Rate, random);
            let Retry::After(advice) = frame.retry else { panic!("{frame:?}") };
            prop_assert!(advice >= retry_after && advice <= retry_after * 2);
        }
    }

    #[test]
    fn refusals_for_other_reasons_count_among_those_that_may_be_told() {
        let mut gate = Gate::new(limits());
        let told: Vec<_> = (0..4).filter_map(|_| gate.refuse()).collect();
        assert_eq!((told.len(), gate.occupancy().refusals), (2, 2));
        told.into_iter().for_each(|pass| gate.leave(pass));
        assert_eq!(gate.occupancy(), Occupancy::default());
    }

    #[test]
    fn who_comes_too_fast_is_let_in_a_moment_later() {
        let mut gate = Gate::new(limits());
        let passes: Vec<_> = (0..4).filter_map(|_| gate.admit(Instant::ZERO, None).ok()).collect();
        passes.into_iter().for_each(|pass| gate.leave(pass));
        let _fifth = gate.admit(Instant::ZERO, None).unwrap();
        assert_eq!(gate.admit(Instant::ZERO, None).unwrap_err().why, Overload::Rate);
        assert!(gate.admit(Instant::ZERO + Duration::from_millis(100), None).is_ok());
    }
}
