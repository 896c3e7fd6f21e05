//! What an application does with a connection: whatever one may do, at any moment.

use std::num::NonZeroU64;
use std::time::Duration;

use fastrand::Rng;
use pulsewire_transport_tokio::protocol::{CloseReason, Closed, Event, Message, Origin, SendRefused};
use pulsewire_transport_tokio::{Connection, Sender};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::hosts::Host;
use super::ledger::{CLASSES, Fate, Key};
use super::plan::{CHAOS, SLOW, between_slow};

/// How the application left a connection, unless its host crashes first.
enum Left {
    After(Box<Closed>),
    Dropping,
}

pub(crate) struct Application {
    host: Host,
    key: Key,
    random: Rng,
    /// Whether it goes on doing things, rather than seeing the connection through to its end.
    acts: bool,
    is_aborted: bool,
    slow_again: Instant,
    /// One for each class.
    writers: JoinSet<()>,
    bursts: Vec<UnboundedSender<Burst>>,
    /// In the end, so that what the other fields' tasks do comes first.
    connection: Connection,
    presence: Presence,
}

/// Messages to be sent in a row.
struct Burst {
    count: u64,
    size: usize,
    /// How long a message may wait for room, where that is limited.
    patience: Option<Duration>,
}

/// Ends a side that nobody else has ended: its host crashed.
struct Presence {
    host: Host,
    key: Key,
    is_over: bool,
}

impl Drop for Presence {
    fn drop(&mut self) {
        if !self.is_over {
            self.host.ledger.crash(self.key);
        }
    }
}

impl Application {
    pub(crate) fn new(host: Host, connection: Connection, key: Key, random: Rng) -> Self {
        let presence = Presence { host: host.clone(), key, is_over: false };
        Self {
            host,
            key,
            random,
            acts: true,
            is_aborted: false,
            slow_again: Instant::now(),
            writers: JoinSet::new(),
            bursts: Vec::new(),
            connection,
            presence,
        }
    }

    pub(crate) async fn run(mut self) {
        let left = self.receive().await;
        self.presence.is_over = true;
        let Self { host, key, is_aborted, writers, connection, .. } = self;
        drop(writers);
        match left {
            Left::Dropping => {
                host.ledger.end(key, Fate::Dropped, None);
                drop(connection);
            }
            Left::After(closed) => {
                judge_closed(&host, key, &connection, &closed, is_aborted);
                host.ledger.end(key, Fate::Closed(closed), Some(connection.statistics()));
                judge_over(&host, key, connection).await;
            }
        }
    }

    async fn receive(&mut self) -> Left {
        let mut next = Instant::now() + self.pause_between();
        loop {
            match timeout_at(next, self.connection.recv()).await {
                Ok(Some(Event::Message(message))) => self.host.ledger.received(self.key, &message),
                Ok(Some(Event::Established(_))) => self.start_writers(),
                Ok(Some(Event::Closed(closed))) => return Left::After(closed),
                Ok(Some(event)) => {
                    if matches!(event, Event::Closing(_)) {
                        self.acts = false;
                    }
                    let event = format!("{:?}", event.into_owned());
                    self.host.ledger.note_of(self.key, &event);
                }
                Ok(None) => {
                    self.host.ledger.violation("a connection ended without Closed".to_owned());
                    return Left::Dropping;
                }
                Err(_) => {
                    if self.acts && self.act().await {
                        return Left::Dropping;
                    }
                    next = Instant::now() + self.pause_between();
                }
            }
        }
    }

    fn pause_between(&mut self) -> Duration {
        Duration::from_millis(self.random.u64(1..150))
    }

    /// For how long it is slow now, if it may be so again.
    fn slow(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let time = Duration::from_millis(self.random.u64(1..=SLOW.as_millis() as u64));
        (now >= self.slow_again).then(|| {
            self.slow_again = now + time + between_slow();
            time
        })
    }

    fn start_writers(&mut self) {
        self.host.ledger.establish(self.key);
        for class in 0..CLASSES.len() {
            let (give, take) = unbounded_channel();
            self.bursts.push(give);
            let writer = Writer { host: self.host.clone(), key: self.key, sender: self.connection.sender(), class };
            self.writers.spawn_local(writer.write(take));
        }
    }

    /// Does something. Returns whether the connection is to be dropped.
    async fn act(&mut self) -> bool {
        if self.host.ledger.now() >= CHAOS {
            self.acts = false;
            self.connection.close(CloseReason::NORMAL);
            return false;
        }
        match self.random.u8(0..100) {
            0..60 => self.send_a_burst(),
            60..80 => self.be_slow().await,
            80..84 => self.connection.drain(),
            84..94 => {
                self.acts = false;
                self.connection.close(CloseReason::NORMAL);
            }
            94..97 => {
                (self.acts, self.is_aborted) = (false, true);
                let lived = match self.random.bool() {
                    true => self.connection.sender().abort(),
                    false => self.host.endpoint.abort(self.connection.id()),
                };
                self.is_aborted = lived;
            }
            _ => return true,
        }
        false
    }

    async fn be_slow(&mut self) {
        let Some(time) = self.slow() else { return };
        match self.random.u8(0..3) {
            0 => {
                self.host.ledger.saw("paused");
                self.connection.pause();
                let sender = self.connection.sender();
                self.writers.spawn_local(async move {
                    sleep(time).await;
                    sender.resume();
                });
            }
            1 => {
                self.host.ledger.saw("busy");
                self.connection.busy_while(sleep(time)).await;
            }
            // The keeper looks after the connection meanwhile.
            _ => {
                self.host.ledger.saw("away");
                sleep(time).await;
            }
        }
    }

    fn send_a_burst(&mut self) {
        let size = match self.random.u8(0..10) {
            0 => self.random.usize(2_000..40_000),
            _ => self.random.usize(0..300),
        };
        let count = self.random.u64(1..12);
        let patience = (self.random.u8(0..4) == 0).then(|| Duration::from_millis(self.random.u64(1..20)));
        if let Some(bursts) = self.random.choice(&self.bursts) {
            // A writer that was refused is gone.
            let _ = bursts.send(Burst { count, size, patience });
        }
    }
}

/// Sends the messages of one class.
struct Writer {
    host: Host,
    key: Key,
    sender: Sender,
    class: usize,
}

impl Writer {
    async fn write(self, mut bursts: UnboundedReceiver<Burst>) {
        let mut number = 0;
        while let Some(burst) = bursts.recv().await {
            for _ in 0..burst.count {
                match self.send(number + 1, &burst).await {
                    Sent::Accepted => number += 1,
                    Sent::Cancelled => {}
                    Sent::Refused => return,
                }
            }
        }
    }

    async fn send(&self, number: u64, burst: &Burst) -> Sent {
        let ledger = &self.host.ledger;
        let payload = ledger.payload(self.key, self.class, number, burst.size);
        let sending = self.sender.send(Message::new(CLASSES[self.class], &payload[..]));
        let sent = match burst.patience {
            Some(patience) => timeout(patience, sending).await,
            None => Ok(sending.await),
        };
        match sent {
            Ok(Ok(ordinal)) => {
                ledger.sent(self.key, self.class, number);
                if NonZeroU64::new(number) != Some(ordinal) {
                    ledger.violation(format!("message {number} of its class was numbered {ordinal}"));
                }
                Sent::Accepted
            }
            Ok(Err(refused)) => {
                if refused.reason == SendRefused::Full || *refused.message.payload != payload[..] {
                    ledger.violation(format!("refused as {:?}, or another message came back", refused.reason));
                }
                Sent::Refused
            }
            Err(_) => {
                ledger.saw("send cancelled");
                Sent::Cancelled
            }
        }
    }
}

enum Sent {
    Accepted,
    Cancelled,
    Refused,
}

/// What the last event says fits to what the application did and saw.
fn judge_closed(host: &Host, key: Key, connection: &Connection, closed: &Closed, is_aborted: bool) {
    let ledger = &host.ledger;
    let (sent, received) = ledger.counts(key);
    let statistics = connection.statistics();
    let expect = |holds: bool, what: &str| {
        if !holds {
            ledger.violation(format!("{}: {what}: {sent:?} {received:?} {statistics:?} {closed:?}", ledger.name(key)));
        }
    };
    let (sent_in_all, received_in_all): (u64, u64) = (sent.iter().sum(), received.iter().sum());
    expect(statistics.messages_sent == sent_in_all, "not as many were accepted as the senders were told");
    expect(closed.received == statistics.messages_received, "two counts of what was received");
    expect(
        received_in_all == closed.received || is_aborted && received_in_all < closed.received,
        "what was received was not delivered",
    );
    expect(closed.acknowledged.is_none_or(|count| count <= sent_in_all), "more was acknowledged than sent");
    if closed.orderly {
        // The CLOSE of a peer counts what had come by then; what crosses it does come.
        let all = closed.origin == Origin::Peer || closed.acknowledged == Some(sent_in_all);
        expect(all, "an orderly close lost something");
        expect(closed.unsent.is_empty(), "an orderly close left something unsent");
    }
    let handed_out = statistics.messages_handed_out + closed.unsent.len() as u64;
    // One of each class may have been handed out in part.
    expect((handed_out..=handed_out + 2).contains(&sent_in_all), "something was neither handed out nor given back");
    for (class, sent) in sent.into_iter().enumerate() {
        let unsent: Vec<_> = closed.unsent.iter().filter(|message| message.class == CLASSES[class]).collect();
        for (message, number) in unsent.iter().rev().zip((1..=sent).rev()) {
            let payload = ledger.payload(key, class, number, message.payload.len());
            expect(*message.payload == payload[..], "another message was given back");
        }
    }
}

/// Behind the last event nothing comes, and the id is dead.
async fn judge_over(host: &Host, key: Key, mut connection: Connection) {
    let id = connection.id();
    let more = connection.recv().await.map(|event| format!("{event:?}"));
    if let Some(more) = more {
        host.ledger.violation(format!("{}: {more} behind Closed", host.ledger.name(key)));
    }
    if connection.sender().abort() || host.endpoint.sender(id).is_some() {
        host.ledger.violation(format!("{}: it lives behind Closed", host.ledger.name(key)));
    }
    host.bury(id);
}
