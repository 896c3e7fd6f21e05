//! 1,000 clients that lose the same server come back without a storm.

#[path = "../examples/storm/simulation.rs"]
mod simulation;

use std::time::Duration;

use simulation::{BIN, CRASH, Outage, RESTART, histogram, run};

/// The most tries in any tenth of a second, over many seeds.
fn peak(outage: &Outage) -> usize {
    (0..100).filter_map(|seed| run(outage, seed).into_iter().max()).max().unwrap_or(0)
}

#[test]
fn no_tenth_of_a_second_sees_a_storm() {
    // Told to come after 2 s, they come within the 2 s after that: 50 in each tenth of a second, were they perfectly even.
    let restart = peak(&RESTART);
    assert!((50..100).contains(&restart), "{restart}");
    // Within 1 s, 1 s after the crash; those that find nobody then come within 2 s, then 4 s.
    let crash = peak(&CRASH);
    assert!((100..200).contains(&crash), "{crash}");
}

#[test]
fn nobody_comes_before_the_server_asked_them_to() {
    let told = Duration::from_secs(2).as_nanos() / BIN.as_nanos();
    for seed in 0..100 {
        let tries = run(&RESTART, seed);
        assert_eq!(tries[..told as usize].iter().sum::<usize>(), 0, "seed {seed}");
        assert_eq!(tries.iter().sum::<usize>(), RESTART.clients, "seed {seed}: one try each");
    }
}

/// The longer it is away, the less it is asked.
#[test]
fn a_server_that_stays_away_is_left_alone() {
    let away = Outage { back_after: Duration::from_secs(600), ..CRASH };
    let tries = run(&away, 1);
    let per_second = |from: usize, to: usize| tries[10 * from..10 * to].iter().sum::<usize>() / (to - from);
    // Each waits 15 s on average by then.
    assert!(per_second(300, 600) < 80, "{}", per_second(300, 600));
    assert!(per_second(1, 3) > 400, "{}", per_second(1, 3));
}

/// What the documentation shows is what the command prints.
#[test]
fn the_histograms_of_the_documentation_are_true() {
    let readme = include_str!("../README.md");
    for outage in [&RESTART, &CRASH] {
        let histogram = histogram(&run(outage, 1));
        assert!(readme.contains(&histogram), "not in README.md:\n{histogram}");
    }
}
