//! What carries letters from each server to all others, as NATS does: those of one server to another in their order, each at most once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::ledger::Ledger;
use crate::rooms::{Input, Notice};

pub(crate) struct Bus {
    hubs: Mutex<BTreeMap<String, mpsc::Sender<Input>>>,
    slowest: Duration,
    pub(crate) loses: AtomicBool,
    ledger: Arc<Mutex<Ledger>>,
}

impl Bus {
    pub(crate) fn new(random: &mut Rng, ledger: Arc<Mutex<Ledger>>) -> Self {
        let slowest = Duration::from_millis(random.u64(1..800));
        Self { hubs: Mutex::default(), slowest, loses: AtomicBool::new(random.bool()), ledger }
    }

    pub(crate) fn join(&self, server: &str, hub: mpsc::Sender<Input>) {
        self.hubs.lock().unwrap().insert(server.to_owned(), hub);
    }

    /// Until the server is killed: what it has published by then goes on its way.
    pub(crate) async fn carry(self: Arc<Self>, from: String, mut notices: mpsc::Receiver<Notice>, mut random: Rng) {
        let mut ways = BTreeMap::new();
        while let Some(notice) = notices.recv().await {
            let letter = serde_json::to_vec(&(&from, notice)).unwrap();
            let hubs = self.hubs.lock().unwrap().clone();
            for (to, hub) in hubs.into_iter().filter(|(to, _)| *to != from) {
                let arrives = Instant::now() + self.slowest.mul_f64(random.f64());
                if self.loses.load(Ordering::Relaxed) && random.u8(..) < 8 {
                    self.ledger.lock().unwrap().saw("letter lost");
                    continue;
                }
                let way = ways.entry(to).or_insert_with(|| Self::way(hub));
                way.send((arrives, letter.clone())).unwrap();
            }
        }
    }

    fn way(hub: mpsc::Sender<Input>) -> mpsc::UnboundedSender<(Instant, Vec<u8>)> {
        let (way, mut letters) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
        tokio::spawn(async move {
            while let Some((arrives, letter)) = letters.recv().await {
                sleep_until(arrives).await;
                let (from, notice) = serde_json::from_slice(&letter).unwrap();
                // One that was killed gets nothing.
                let _ = hub.send(Input::Heard { from, notice }).await;
            }
        });
        way
    }
}
