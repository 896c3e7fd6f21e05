//! What holds for connecting again, whatever happens.

use std::time::Duration;

use proptest::prelude::*;
use pulsewire_policy::{Failure, GiveUp, Next, Reconnect, ReconnectConfig, ValidReconnectConfig};
use pulsewire_protocol::{CloseReason, Instant, Retry};

const SECOND: Duration = Duration::from_secs(1);

fn config(change: impl FnOnce(&mut ReconnectConfig)) -> ValidReconnectConfig {
    let mut config = ReconnectConfig::default();
    change(&mut config);
    config.validate().expect("a valid configuration")
}

fn closed(reason: CloseReason, retry: Retry) -> Failure {
    Failure::Closed { reason, retry }
}

fn at(next: Next) -> Instant {
    match next {
        Next::TryAt(at) => at,
        Next::GiveUp(why) => panic!("{why}"),
    }
}

#[test]
fn the_first_try_is_at_once_unless_it_is_to_be_spread() {
    let now = Instant::ZERO + SECOND;
    assert_eq!(Reconnect::new(ValidReconnectConfig::default(), now).first_try(u64::MAX), now);
    let spread = Reconnect::new(config(|c| c.start_jitter = SECOND), now);
    assert_eq!([0, u64::MAX].map(|random| spread.first_try(random)), [now, now + SECOND]);
}

#[test]
fn waits_grow_up_to_the_longest() {
    let mut reconnect = Reconnect::new(config(|c| c.max_delay = 10 * SECOND), Instant::ZERO);
    let waits = [1, 2, 4, 8, 10, 10].map(|seconds| seconds * SECOND);
    for (failed, longest) in waits.into_iter().enumerate() {
        assert_eq!(reconnect.attempt(), failed as u32 + 1);
        assert_eq!(at(reconnect.clone().failed(Instant::ZERO, Failure::Unreachable, 0)), Instant::ZERO);
        assert_eq!(at(reconnect.failed(Instant::ZERO, Failure::Unreachable, u64::MAX)), Instant::ZERO + longest);
    }
}

/// A server that accepts and fails at once is left alone for longer and longer.
#[test]
fn only_a_connection_that_settled_makes_the_waits_short_again() {
    let mut reconnect = Reconnect::new(ValidReconnectConfig::default(), Instant::ZERO);
    let mut now = Instant::ZERO;
    let mut live = |reconnect: &mut Reconnect, lived: Duration| {
        reconnect.established(now);
        now = now + lived;
        at(reconnect.ended(now, closed(CloseReason::NORMAL, Retry::After(Duration::ZERO)), u64::MAX)) - now
    };
    let settled_after = ReconnectConfig::default().settled_after;
    let shorter = settled_after - Duration::from_nanos(1);
    assert_eq!([shorter, shorter, shorter].map(|lived| live(&mut reconnect, lived)), [SECOND, 2 * SECOND, 4 * SECOND]);
    assert_eq!(reconnect.attempt(), 4);
    assert_eq!(live(&mut reconnect, settled_after), SECOND);
    assert_eq!(reconnect.attempt(), 1);
    // A connection that was never established has not settled either.
    assert_eq!(at(reconnect.ended(now, Failure::Unreachable, u64::MAX)) - now, 2 * SECOND);
}

/// Clients that were told the same spread out, as wide as the advice is long.
#[test]
fn advice_is_waited_for_and_jitter_comes_on_top() {
    let waits = |advice: Duration| {
        [0, u64::MAX].map(|random| {
            let mut reconnect = Reconnect::new(ValidReconnectConfig::default(), Instant::ZERO);
            let told = closed(CloseReason::OVERLOADED, Retry::After(advice));
            at(reconnect.failed(Instant::ZERO, told, random)) - Instant::ZERO
        })
    };
    assert_eq!(waits(SECOND / 2), [SECOND / 2, SECOND / 2 + SECOND]);
    assert_eq!(waits(10 * SECOND), [10 * SECOND, 20 * SECOND]);
    assert_eq!(waits(60 * SECOND), [60 * SECOND, 90 * SECOND], "at most `max_delay` on top");
    assert_eq!(waits(Duration::MAX), [3_600 * SECOND, 3_630 * SECOND], "at most `advice_max`");
}

/// Each reason of the registry: those that another try can't help are told from the others, and whose fault it is.
#[test]
fn what_another_try_would_not_change_ends_it() {
    for number in (1..=u16::MAX).map(CloseReason) {
        let mut reconnect = Reconnect::new(ValidReconnectConfig::default(), Instant::ZERO);
        let next = reconnect.failed(Instant::ZERO, closed(number, number.retry()), 0);
        match number {
            CloseReason::REFUSED => assert_eq!(next, Next::GiveUp(GiveUp::Refused { reason: number })),
            CloseReason::UNSUPPORTED_VERSION
            | CloseReason::NOT_PULSEWIRE
            | CloseReason::UNKNOWN_ITEM
            | CloseReason::INCOMPATIBLE_TIMERS => {
                assert_eq!(next, Next::GiveUp(GiveUp::Incompatible { reason: number }));
            }
            CloseReason::NORMAL
            | CloseReason::GOING_AWAY
            | CloseReason::OVERLOADED
            | CloseReason::HANDSHAKE_TIMEOUT
            | CloseReason::PEER_TIMEOUT
            | CloseReason::PEER_ENDED
            | CloseReason::RESET
            | CloseReason::NETWORK_LOST => assert!(matches!(next, Next::TryAt(_)), "{number:?}"),
            _ => assert_eq!(matches!(next, Next::GiveUp(_)), number.retry() == Retry::Never, "{number:?}"),
        }
    }
    // Advice of the server's own stands above the registry's.
    let mut reconnect = Reconnect::new(ValidReconnectConfig::default(), Instant::ZERO);
    let later = closed(CloseReason::REFUSED, Retry::After(SECOND));
    assert_eq!(at(reconnect.failed(Instant::ZERO, later, 0)), Instant::ZERO + SECOND);
    let never = closed(CloseReason::GOING_AWAY, Retry::Never);
    let given_up = Next::GiveUp(GiveUp::Refused { reason: CloseReason::GOING_AWAY });
    assert_eq!(reconnect.failed(Instant::ZERO, never, 0), given_up);
    assert_eq!(reconnect.failed(Instant::ZERO, later, 0), given_up, "never is for ever");
}

#[test]
fn tries_and_time_are_limited_where_asked() {
    let mut reconnect = Reconnect::new(config(|c| c.tries_max = Some(3)), Instant::ZERO);
    for _ in 0..2 {
        at(reconnect.failed(Instant::ZERO, Failure::Unreachable, 0));
    }
    let next = reconnect.failed(Instant::ZERO, Failure::Unreachable, 0);
    assert_eq!(next, Next::GiveUp(GiveUp::Tries { tries: 3 }));

    let limit = 10 * SECOND;
    let mut reconnect = Reconnect::new(config(|c| c.give_up_after = Some(limit)), Instant::ZERO);
    let before = Instant::ZERO + (limit - Duration::from_nanos(1));
    assert_eq!(at(reconnect.failed(before, Failure::Unreachable, 0)), before);
    // Counted from the end of a connection that settled.
    reconnect.established(before);
    let ended = before + ReconnectConfig::default().settled_after;
    assert_eq!(at(reconnect.ended(ended, Failure::Unreachable, 0)), ended);
    let next = reconnect.failed(ended + limit, Failure::Unreachable, 0);
    assert_eq!(next, Next::GiveUp(GiveUp::Time { limit }));
}

#[derive(Debug, Clone)]
struct Step {
    /// Time that passes before it.
    passes: Duration,
    /// How long the connection lived, if there was one.
    lived: Option<Duration>,
    failure: Failure,
    random: u64,
}

fn any_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::MAX),
        (0..100_000_u64).prop_map(Duration::from_millis),
        any::<u64>().prop_map(Duration::from_nanos),
    ]
}

fn any_failure() -> impl Strategy<Value = Failure> {
    let retry = prop_oneof![9 => any_duration().prop_map(Retry::After), 1 => Just(Retry::Never)];
    prop_oneof![
        Just(Failure::Unreachable),
        (any::<u16>(), retry).prop_map(|(reason, retry)| closed(CloseReason(reason), retry)),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let lived = proptest::option::of(any_duration());
    let passes = prop_oneof![4 => (0..100_000_u64).prop_map(Duration::from_millis), 1 => any_duration()];
    (passes, lived, any_failure(), any::<u64>()).prop_map(|(passes, lived, failure, random)| Step {
        passes,
        lived,
        failure,
        random,
    })
}

fn any_config() -> impl Strategy<Value = ValidReconnectConfig> {
    let ms = |range: std::ops::Range<u64>| range.prop_map(Duration::from_millis);
    (
        (ms(1..3_600_000), ms(0..86_400_000), 1..=10_u32, ms(0..86_400_000), ms(0..604_800_000)),
        (proptest::option::of(1..10_u32), proptest::option::of(prop_oneof![ms(1..10_000_000), Just(Duration::MAX)])),
    )
        .prop_map(|((first_delay, max_delay, growth, settled_after, advice_max), (tries_max, give_up_after))| {
            config(|c| {
                (c.first_delay, c.max_delay, c.growth) = (first_delay, max_delay.max(first_delay), growth);
                (c.settled_after, c.advice_max) = (settled_after, advice_max);
                (c.tries_max, c.give_up_after) = (tries_max, give_up_after);
            })
        })
}

proptest! {
    #[test]
    fn every_wait_keeps_its_bounds(config in any_config(), steps in proptest::collection::vec(any_step(), 1..30)) {
        let mut reconnect = Reconnect::new(config.clone(), Instant::ZERO);
        let (mut now, mut since, mut failures) = (Instant::ZERO, Instant::ZERO, 0);
        let mut given_up = None;
        for step in steps {
            now = now + step.passes;
            let before = reconnect.longest_delay();
            let mut settled = false;
            let next = match step.lived {
                Some(lived) => {
                    reconnect.established(now);
                    let established = now;
                    now = now + lived;
                    settled = now - established >= config.settled_after;
                    reconnect.ended(now, step.failure, step.random)
                }
                None => reconnect.failed(now, step.failure, step.random),
            };
            (since, failures) = if settled { (now, 0) } else { (since, failures + 1) };
            let longest = if settled { config.first_delay } else { before };
            let (advice, never) = match step.failure {
                Failure::Closed { retry: Retry::After(time), .. } => (time.min(config.advice_max), false),
                Failure::Closed { retry: Retry::Never, .. } => (Duration::ZERO, true),
                Failure::Unreachable => (Duration::ZERO, false),
            };
            match (next, given_up) {
                (next, Some(why)) => prop_assert_eq!(next, Next::GiveUp(why), "giving up is for ever"),
                (Next::TryAt(at), None) => {
                    prop_assert!(!never);
                    let spread = longest.max(advice.min(config.max_delay));
                    prop_assert!(at >= now + advice && at <= now + advice + spread, "{:?} after {:?}", at, now);
                    // The longest wait grows, but for a connection that settled.
                    let after = reconnect.longest_delay();
                    prop_assert!(after >= longest && after <= config.max_delay);
                    prop_assert!(after == config.max_delay || after == longest * config.growth);
                    prop_assert!(config.tries_max.is_none_or(|most| failures < most));
                    prop_assert!(config.give_up_after.is_none_or(|limit| at - since < limit));
                }
                (Next::GiveUp(why), None) => {
                    given_up = Some(why);
                    match why {
                        GiveUp::Refused { reason } => prop_assert!(never && !reason.is_fault()),
                        GiveUp::Incompatible { reason } => prop_assert!(never && reason.is_fault()),
                        GiveUp::Tries { tries } => prop_assert_eq!((Some(tries), tries), (config.tries_max, failures)),
                        GiveUp::Time { limit } => {
                            prop_assert_eq!(Some(limit), config.give_up_after);
                            prop_assert!(now + advice + longest.max(advice) - since >= limit);
                        }
                    }
                }
            }
        }
    }

    /// Every share of the longest wait comes, and none more often than another.
    #[test]
    fn jitter_is_as_even_as_its_random_number(tenth in 0..10_u64, within in 0..u64::MAX / 10) {
        let mut reconnect = Reconnect::new(ValidReconnectConfig::default(), Instant::ZERO);
        let random = u64::MAX / 10 * tenth + within;
        let wait = at(reconnect.failed(Instant::ZERO, Failure::Unreachable, random)) - Instant::ZERO;
        let share = SECOND / 10;
        let (low, high) = (share * tenth as u32, share * (tenth as u32 + 1));
        prop_assert!(wait + Duration::from_nanos(1) >= low && wait <= high, "{:?} of {:?}", wait, SECOND);
    }
}
