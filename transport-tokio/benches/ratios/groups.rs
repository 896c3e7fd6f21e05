//! What is compared, and what has to come out.

use std::collections::HashMap;

use crate::child::{Child, Server};
use crate::goal::{Goal, Interval};
use crate::servers::Contender;

/// Contenders that answer the same messages.
pub(crate) struct Group {
    pub(crate) name: &'static str,
    /// Connections, messages under way on each, and bytes in each.
    shape: [usize; 3],
    contenders: &'static [Contender],
    goals: Vec<Goal>,
}

const RAW: &str = "raw";
const CODEC: &str = "codec";
const OURS: &str = "pulsewire";
const RESYNC: &str = "pulsewire-resync";

const ALL: &[Contender] = &[Contender::Raw, Contender::Codec, Contender::Pulsewire, Contender::PulsewireResync];

/// The goals are floors that hold on processors that strangers share too; `PERFORMANCE.md` says where they come from.
pub(crate) fn all() -> Vec<Group> {
    let group = |name, shape, goals| Group { name, shape, contenders: ALL, goals };
    vec![
        group(
            "64/64/64",
            [64, 64, 64],
            vec![Goal::within(OURS, RAW, 2.2), Goal::within(OURS, CODEC, 1.15), Goal::within(RESYNC, OURS, 1.15)],
        ),
        group(
            "64/64/1024",
            [64, 64, 1024],
            vec![Goal::within(OURS, RAW, 1.35), Goal::faster(OURS, CODEC, 1.2), Goal::within(RESYNC, OURS, 1.5)],
        ),
        group("64/1/64", [64, 1, 64], vec![Goal::within(OURS, RAW, 1.25), Goal::within(RESYNC, OURS, 1.15)]),
        group("64/1/65536", [64, 1, 65_536], vec![Goal::within(OURS, RAW, 1.2), Goal::within(RESYNC, OURS, 1.3)]),
    ]
}

impl Group {
    /// Measures and prints, and says which goals were surely missed.
    pub(crate) fn measure(&self, rounds: usize) -> Vec<(Goal, String)> {
        let mut servers: Vec<_> =
            self.contenders.iter().map(|contender| (*contender, Server::start(contender))).collect();
        let mut times: Vec<HashMap<String, f64>> = Vec::new();
        for round in 0..rounds {
            eprint!("\r{}: round {} of {rounds} ", self.name, round + 1);
            // Another one begins each time.
            servers.rotate_left(1);
            let turns =
                servers.iter_mut().map(|(contender, server)| (contender.to_string(), self.turn(*contender, server)));
            times.push(turns.collect());
        }
        eprint!("\r\x1b[K");
        let over_rounds =
            |value: &dyn Fn(&HashMap<String, f64>) -> f64| Interval::of(times.iter().map(value).collect());
        println!("{} (connections/messages under way/bytes)", self.name);
        for contender in self.contenders {
            let Interval { median, .. } = over_rounds(&|round| round[&contender.to_string()]);
            println!("  {:<44} {median:>9.0} ns of the server for each message", contender.to_string());
        }
        let mut missed = Vec::new();
        for goal in &self.goals {
            let interval = over_rounds(&|round| goal.value(|name| round[name]));
            let Interval { low, median, high } = interval;
            let verdict = if goal.is_missed(interval) { "MISSED" } else { "ok" };
            println!("  {:<44} {median:>9.2}    {low:.2} to {high:.2}  {verdict}", goal.to_string());
            if goal.is_missed(interval) {
                missed.push((*goal, format!("{}: {goal}, but it is {median:.2} ({low:.2} to {high:.2})", self.name)));
            }
        }
        missed
    }

    /// Nanoseconds of the server for each message, in one turn.
    fn turn(&self, contender: Contender, server: &mut Server) -> f64 {
        let [connections, depth, payload] = &self.shape;
        let mut load = Child::start(&[&"child-load", &contender, &server.address, connections, depth, payload]);
        load.line();
        let before = server.used();
        let answered: u64 = load.ask("go").parse().expect("a number");
        (server.used() - before).as_nanos() as f64 / answered as f64
    }
}
