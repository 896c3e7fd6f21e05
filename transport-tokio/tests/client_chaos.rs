//! Runs that a seed decides: connections are lost at any time, and each message of a client is accounted for.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::door::{Door, bounded, client, message, number_of, receive};
use fastrand::Rng;
use pulsewire_transport_tokio::protocol::{CloseReason, Config};
use pulsewire_transport_tokio::{Client, ClientEvent, ClientOptions, ClientSender, ReconnectConfig, Unsent};
use tokio::time::{sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

const SENDERS: u32 = 3;
/// Which of them sent a message is in the upper half of its number.
const SENDER: u32 = 1 << 16;

#[derive(Default)]
struct Ledger {
    accepted: BTreeSet<u32>,
    received: Vec<u32>,
    returned: Vec<u32>,
    in_doubt: u64,
    /// That the server said it received.
    confirmed: u64,
    connections: u32,
}

type Shared = Arc<Mutex<Ledger>>;

async fn send(sender: ClientSender, which: u32, pace: Duration, mut random: Rng, ledger: Shared) {
    for number in which * SENDER.. {
        let message = message(number, random.usize(4..20_000));
        let result = match random.bool() {
            true => timeout(random.u32(1..50) * pace / 10, sender.send(message)).await.ok().map(|sent| sent.is_ok()),
            false => Some(sender.try_send(message).is_ok()),
        };
        if !sender.is_open() && result != Some(true) {
            return;
        }
        if result == Some(true) {
            ledger.lock().unwrap().accepted.insert(number);
        }
        if random.u8(..4) == 0 {
            sleep(random.u32(1..1_000) * pace / 1_000).await;
        }
    }
}

async fn serve(mut door: Door, pace: Duration, mut random: Rng, ledger: Shared) {
    loop {
        let mut server = door.next().await;
        let patience = random.u32(1..5_000) * pace / 1_000;
        let received = receive(&mut server, patience).await;
        ledger.lock().unwrap().received.extend(received);
        if random.bool() {
            // It does not read.
            server.pause();
            let _ = receive(&mut server, random.u32(1..5_000) * pace / 1_000).await;
        }
        if random.bool() {
            door.shut();
        }
        match random.bool() {
            true => drop(server.sender().abort()),
            false => server.close(CloseReason::GOING_AWAY),
        }
        let received = receive(&mut server, 100 * SECOND).await;
        ledger.lock().unwrap().received.extend(received);
        if random.bool() {
            sleep(random.u32(1..60) * pace).await;
        }
        door.open();
    }
}

async fn tell(client: &mut Client, ledger: &Shared) {
    while let Some(event) = client.recv().await {
        let mut ledger = ledger.lock().unwrap();
        match event {
            ClientEvent::Disconnected(lost) => {
                ledger.returned.extend(lost.closed.unsent.iter().map(number_of));
                ledger.in_doubt += lost.in_doubt;
                ledger.confirmed += lost.closed.acknowledged.unwrap_or(0);
                ledger.connections += 1;
            }
            ClientEvent::Over(over) => ledger.returned.extend(over.unsent.iter().map(number_of)),
            ClientEvent::Refused(refused) => panic!("{refused}"),
            _ => {}
        }
    }
}

/// `pace` stands for a second.
async fn run(seed: u64, pace: Duration) -> Ledger {
    let mut random = Rng::with_seed(seed);
    let ledger = Shared::default();
    let (door, open) = Door::new(Config::default(), random.usize(200..50_000));
    let unsent = match random.bool() {
        true => Unsent::Return,
        false => Unsent::Keep { bytes: random.usize(..500_000) },
    };
    // Advice is heeded, but it is in real seconds.
    let reconnect =
        ReconnectConfig { first_delay: pace, max_delay: 30 * pace, advice_max: pace, ..ReconnectConfig::default() };
    let (reconnect, jitter_seed) = (reconnect.validate().unwrap(), Some(random.u64(..)));
    let mut client = client(open, ClientOptions { reconnect, unsent, jitter_seed, ..ClientOptions::default() });
    let senders: Vec<_> = (0..SENDERS)
        .map(|which| tokio::spawn(send(client.sender(), which, pace, random.fork(), Arc::clone(&ledger))))
        .collect();
    let serving = tokio::spawn(serve(door, pace, random.fork(), Arc::clone(&ledger)));
    let _ = timeout(300 * pace, tell(&mut client, &ledger)).await;
    client.close(CloseReason::NORMAL);
    tell(&mut client, &ledger).await;
    for sender in senders {
        sender.await.unwrap();
    }
    // What the server had received and not told yet.
    sleep(200 * pace).await;
    serving.abort();
    let _ = serving.await;
    std::mem::take(&mut *ledger.lock().unwrap())
}

fn judge(seed: u64, ledger: &Ledger) {
    let Ledger { accepted, received, returned, in_doubt, confirmed, .. } = ledger;
    let (once, back) = (BTreeSet::from_iter(received), BTreeSet::from_iter(returned));
    assert_eq!(once.len(), received.len(), "seed {seed}: something was sent twice");
    assert_eq!(back.len(), returned.len(), "seed {seed}: something came back twice");
    assert!(once.is_disjoint(&back), "seed {seed}: something came back and was sent");
    assert!(once.union(&back).all(|number| accepted.contains(number)), "seed {seed}: sent though it was refused");
    let told = in_doubt + confirmed + returned.len() as u64;
    assert_eq!(told, accepted.len() as u64, "seed {seed}: something was lost without a word");
    let missing = accepted.len() - received.len() - returned.len();
    assert!(missing as u64 <= *in_doubt, "seed {seed}: {missing} are gone, of which {in_doubt} are told");
    for which in 0..SENDERS {
        let of_one: Vec<_> = received.iter().filter(|number| **number / SENDER == which).collect();
        assert!(of_one.is_sorted(), "seed {seed}: sender {which} was overtaken by itself");
    }
}

#[test]
fn whatever_happens_no_message_is_sent_twice_or_lost_without_a_word() {
    let (mut received, mut returned, mut connections) = (0, 0, 0);
    for seed in 0..20 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let ledger = runtime.unwrap().block_on(bounded(run(seed, SECOND)));
        judge(seed, &ledger);
        received += ledger.received.len();
        returned += ledger.returned.len();
        connections += ledger.connections;
    }
    assert!(received > 2_000 && returned > 100 && connections > 100, "{received} {returned} {connections}");
}

/// The same with threads that get in each other's way, and a hundred times as fast.
#[test]
fn nor_where_all_of_it_happens_at_once() {
    for seed in 0..3 {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
        let ledger = runtime.block_on(bounded(run(seed, SECOND / 100)));
        judge(seed, &ledger);
        assert!(ledger.connections > 0 && !ledger.received.is_empty(), "seed {seed}: nothing happened");
    }
}
