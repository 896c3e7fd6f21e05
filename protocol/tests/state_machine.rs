//! Two connections over a link that delays, splits, glues, damages, stalls and cuts: whatever is done, in whatever order, what
//! [`WatchedPair`] and [`Reference`] say holds. `PROPTEST_CASES` says how many runs there are.

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use pulsewire_protocol::{CloseReason, HEADER_SIZE};

use crate::pair::*;

struct Model;

fn end() -> impl Strategy<Value = usize> {
    prop_oneof![Just(CLIENT), Just(SERVER)]
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![5 => 0usize..100, 2 => 400usize..600, 2 => 2_000usize..2_100, 2 => 3_000usize..20_000]
}

fn send() -> impl Strategy<Value = Transition> {
    let class = prop_oneof![8 => 0u8..5, 1 => 128u8..=255, 1 => Just(5)];
    (end(), class, any::<bool>(), size()).prop_map(|(end, class, sealed, size)| Transition::Send {
        end,
        class,
        sealed,
        size,
    })
}

fn close() -> impl Strategy<Value = Transition> {
    let reason = prop_oneof![Just(CloseReason::NORMAL), Just(CloseReason::GOING_AWAY), Just(CloseReason(40_000))];
    (end(), reason).prop_map(|(end, reason)| Transition::Close { end, reason })
}

fn damage() -> impl Strategy<Value = Transition> {
    let spot = || {
        prop_oneof![
            any::<usize>().prop_map(Spot::Anywhere),
            (any::<usize>(), 0..HEADER_SIZE).prop_map(|(number, byte)| Spot::Header { number, byte }),
        ]
    };
    let corrupt = (end(), spot(), 0u8..8).prop_map(|(to, spot, bit)| Transition::Corrupt { to, spot, bit });
    let insert = (end(), spot(), 1usize..100, any::<u32>()).prop_map(|(to, spot, count, noise)| Transition::Insert {
        to,
        spot,
        count,
        noise,
    });
    prop_oneof![corrupt, insert]
}

fn stall() -> impl Strategy<Value = Transition> {
    prop_oneof![
        (end(), any::<bool>()).prop_map(|(end, stalled)| Transition::Stall { end, stalled }),
        (end(), 1usize..2_000).prop_map(|(end, count)| Transition::Take { end, count }),
        end().prop_map(|end| Transition::Pause { end }),
        end().prop_map(|end| Transition::Resume { end }),
    ]
}

fn link() -> impl Strategy<Value = Transition> {
    prop_oneof![
        (0u64..45).prop_map(Transition::Latency),
        prop_oneof![1usize..30, 500usize..3_000, Just(usize::MAX)].prop_map(Transition::Step),
    ]
}

impl ReferenceStateMachine for Model {
    type State = Reference;
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<Reference> {
        let trouble = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.2));
        (512u32..3_000, prop::bool::weighted(0.7), any::<[bool; 2]>(), trouble)
            .prop_map(|(frame, established, resync, (damage, stalls, cuts))| {
                Reference::new(Setup { frame, established: established || damage, resync, damage, stalls, cuts })
            })
            .boxed()
    }

    fn transitions(state: &Reference) -> BoxedStrategy<Transition> {
        let Setup { damage: damages, stalls, cuts, .. } = state.setup;
        let wait = prop_oneof![20 => 0u64..60, 1 => 1_000u64..40_000].prop_map(Transition::Wait);
        let cut = prop_oneof![Just(Transition::Cut), end().prop_map(|end| Transition::Abort { end })];
        prop_oneof![
            16 => send(),
            10 => wait,
            3 => link(),
            1 => close(),
            1 => end().prop_map(|end| Transition::Drain { end }),
            if damages { 8 } else { 0 } => damage(),
            if stalls { 4 } else { 0 } => stall(),
            u32::from(cuts) => cut,
        ]
        .boxed()
    }

    fn preconditions(state: &Reference, transition: &Transition) -> bool {
        state.permits(transition)
    }

    fn apply(mut state: Reference, transition: &Transition) -> Reference {
        Reference::apply(&mut state, transition);
        state
    }
}

impl StateMachineTest for Model {
    type SystemUnderTest = WatchedPair;
    type Reference = Self;

    fn init_test(reference: &Reference) -> WatchedPair {
        WatchedPair::new(&reference.setup)
    }

    fn apply(mut pair: WatchedPair, reference: &Reference, transition: Transition) -> WatchedPair {
        pair.apply(reference, &transition);
        pair
    }

    fn teardown(pair: WatchedPair, mut reference: Reference) {
        pair.finish(&mut reference);
    }
}

prop_state_machine! {
    // Several transitions that are drawn do not apply for each that does, however many cases there are.
    #![proptest_config(ProptestConfig { max_local_rejects: u32::MAX, ..ProptestConfig::default() })]
    /// PW-DAT-002, PW-DAT-011, PW-FRM-009, PW-FRM-010, PW-HB-019, PW-CLS-001 to PW-CLS-006, PW-CLS-016, PW-CLS-017.
    #[test]
    fn whatever_happens_messages_keep_their_promises(sequential 1..80 => Model);
}

/// A link that is cut without a word: both sides notice by themselves, in time, and account for every message.
#[test]
fn a_silent_cut_is_noticed_by_both_sides() {
    let mut pair = Pair::established(config(), config());
    pair.run_for(ms(5_000));
    pair.cut = true;
    let cut_at = pair.now;
    pair.send(CLIENT, business(10));
    pair.run_for(ms(3_000));
    for end in &pair.ends {
        assert_eq!(end.closed().reason, CloseReason::PEER_TIMEOUT);
        // The last evidence came at most one `idle` before the cut.
        assert!(end.closed_at() - cut_at <= ms(1_300));
    }
}
