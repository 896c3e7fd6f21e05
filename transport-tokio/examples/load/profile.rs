//! What is done to the server, and what is left of it afterwards.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use futures_util::future::{FutureExt, LocalBoxFuture, join_all};

use crate::child::Child;
use crate::churn::{Leaving, churn};
use crate::hold::{Doing, hold};

/// How long a profile lasts that is not over by itself.
pub(crate) const TIME: Duration = Duration::from_secs(20);

/// How long the server may take to find out that all are gone: longer than each of its time limits.
const SETTLING: Duration = Duration::from_secs(60);

/// What a server may hold more than before: lists that have grown stay as long as they were.
const HELD_MORE: u64 = 4 << 20;
const RESIDENT_MORE: u64 = 32 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// 10,000 connections that say nothing, and 64 that are busy.
    Idle,
    /// 100,000 connections that close in order.
    Orderly,
    /// 100,000 connections that are reset.
    Reset,
    /// 50,000 peers that leave before HELLO.
    BeforeHello,
    /// 500 peers that say HELLO slowly.
    SlowHello,
    /// 50 peers that never read.
    NeverReading,
    /// 200 peers with a message that does not end.
    OpenMessages,
    /// 8 peers that send messages of one byte.
    FloodMessages,
    /// 8 peers that send empty packets of a kind that is ignored.
    FloodIgnorable,
    /// 8 peers that send fragments of one byte.
    FloodFragments,
    /// All of these at the same time.
    All,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) scale: f64,
    pub(crate) time: Duration,
}

impl Shape {
    fn count(self, full: usize) -> usize {
        ((full as f64 * self.scale) as usize).max(1)
    }
}

type Attack = LocalBoxFuture<'static, Vec<(&'static str, usize)>>;

/// What is done to the server; gives how often.
fn attack(profile: Profile, address: SocketAddr, shape: Shape, until: Instant, together: bool) -> Attack {
    let churn = move |leaving, count, what| {
        let until = together.then_some(until);
        churn(address, leaving, shape.count(count), until).map(move |count| vec![(what, count)]).boxed_local()
    };
    let hold = move |doing, count, what| {
        hold(address, doing, shape.count(count), until).map(move |count| vec![(what, count)]).boxed_local()
    };
    match profile {
        Profile::Idle => async move {
            let busy = hold(Doing::Busy, 64, "answers to busy connections");
            let idle = hold(Doing::Nothing, 10_000, "idle connections established");
            let (idle, busy) = tokio::join!(idle, busy);
            [idle, busy].concat()
        }
        .boxed_local(),
        Profile::Orderly => churn(Leaving::Orderly, 100_000, "connections closed in order"),
        Profile::Reset => churn(Leaving::Reset, 100_000, "connections reset"),
        Profile::BeforeHello => churn(Leaving::BeforeHello, 50_000, "connections gone before HELLO"),
        Profile::SlowHello => hold(Doing::SlowHello, 500, "bytes of HELLO"),
        Profile::NeverReading => hold(Doing::NeverReading, 50, "messages whose answers nobody reads"),
        Profile::OpenMessages => hold(Doing::OpenMessage, 200, "messages left open"),
        Profile::FloodMessages => hold(Doing::FloodOfMessages, 8, "messages of a byte"),
        Profile::FloodIgnorable => hold(Doing::FloodOfIgnorable, 8, "ignorable packets"),
        Profile::FloodFragments => hold(Doing::FloodOfFragments, 8, "fragments of a byte"),
        Profile::All => {
            let each = Profile::value_variants().iter().filter(|each| **each != Profile::All);
            let all: Vec<_> = each.map(|each| attack(*each, address, shape, until, true)).collect();
            join_all(all).map(|counts| counts.concat()).boxed_local()
        }
    }
}

/// Runs a profile beside an honest client. Returns whether everything has returned at the end.
pub(crate) async fn measure(profile: Profile, shape: Shape) -> bool {
    let mut server = Child::start(&[&"child-serve"]);
    let address: SocketAddr = server.line().parse().expect("its address");
    let mut honest = Child::start(&[&"child-honest", &address]);
    honest.line();
    // What is made once is made now.
    churn(address, Leaving::Orderly, 200, None).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    settle(&mut server).await;
    let before = Held::of(&mut server);
    println!("{profile:?}, scale {}", shape.scale);
    println!("  honest client alone:  {}", honest.ask("report"));

    let begun = Instant::now();
    let attack = attack(profile, address, shape, begun + shape.time, false);
    let (counts, most) = watched(attack, &mut server).await;
    let took = begun.elapsed();
    println!("  honest client beside: {}", honest.ask("report"));
    for (what, count) in counts {
        println!("  {count} {what} in {:.1} s, {:.0}/s", took.as_secs_f64(), count as f64 / took.as_secs_f64());
    }

    println!("  at most {most} connections at a time");

    let all_gone = settle(&mut server).await;
    let after = Held::of(&mut server);
    println!("  server before: {before}\n  server after:  {after}");
    let returned = all_gone && after.is_back_at(&before);
    println!("  {}", if returned { "everything has returned" } else { "NOT EVERYTHING HAS RETURNED" });
    returned
}

/// How many connections the server had at most meanwhile.
async fn watched<T>(attack: impl Future<Output = T>, server: &mut Child) -> (T, u64) {
    let mut attack = std::pin::pin!(attack);
    let mut most = 0;
    loop {
        match tokio::time::timeout(Duration::from_millis(500), &mut attack).await {
            Ok(done) => return (done, most),
            Err(_) => most = most.max(server.ask("connections").parse().expect("a number")),
        }
    }
}

/// Waits until the server has no connection but the honest one, and no descriptor more.
async fn settle(server: &mut Child) -> bool {
    let until = Instant::now() + SETTLING;
    while Instant::now() < until {
        if server.ask("connections") == "1" {
            // Last words take some seconds.
            tokio::time::sleep(Duration::from_secs(4)).await;
            return true;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    false
}

/// What the server holds.
struct Held {
    allocated: u64,
    resident: u64,
    descriptors: u64,
    connections: u64,
}

impl Held {
    fn of(server: &mut Child) -> Self {
        let mut number = |question| server.ask(question).parse().expect("a number");
        Self {
            resident: number("resident"),
            allocated: number("held"),
            descriptors: number("descriptors"),
            connections: number("connections"),
        }
    }

    fn is_back_at(&self, before: &Self) -> bool {
        self.connections == before.connections
            && self.descriptors == before.descriptors
            && self.allocated <= before.allocated + HELD_MORE
            && self.resident <= before.resident + RESIDENT_MORE
    }
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { allocated, resident, descriptors, connections } = self;
        let (allocated, resident) = (allocated >> 10, resident >> 10);
        write!(
            f,
            "{connections} connections, {descriptors} descriptors, {allocated} KiB allocated, {resident} KiB resident"
        )
    }
}
