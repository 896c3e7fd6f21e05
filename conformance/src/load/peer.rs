//! One client: connects, asks, and connects again when it is thrown out.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use pulsewire_transport_tokio::protocol::{Class, CloseReason, Closed, Event, Message, SendRefused};
use pulsewire_transport_tokio::{ConnectError, Connection, Endpoint, Sender};
use tokio::time::{sleep, timeout};

use super::plan::{Pace, Plan};
use super::totals::{Totals, record};

/// How long answers may take when nothing is asked any more, and a connection to close.
const LAST_ANSWERS: Duration = Duration::from_secs(5);
/// Before the next try, when a connection failed.
const PAUSE: Duration = Duration::from_millis(100);
/// How often an open loop looks whether something is due.
const TICK: Duration = Duration::from_millis(1);
/// Bytes of the number in a message.
const NUMBER: usize = size_of::<u64>();

/// What is under way on a connection.
struct Asked {
    ordinal: NonZeroU64,
    number: u64,
    /// When it was sent; in an open loop, when it should have been.
    at: Instant,
}

pub(crate) struct Peer<'p> {
    plan: &'p Plan,
    until: Instant,
    /// When the next message of an open loop is due.
    due: Instant,
    number: u64,
    payload: Vec<u8>,
    under_way: VecDeque<Asked>,
    pub(crate) totals: Totals,
}

impl<'p> Peer<'p> {
    /// One that begins at `start` with what is due.
    pub(crate) fn new(plan: &'p Plan, start: Instant, until: Instant) -> Self {
        Self {
            plan,
            until,
            due: start,
            number: 0,
            payload: vec![b'x'; plan.payload],
            under_way: VecDeque::new(),
            totals: Totals::new(),
        }
    }

    /// Until the time is over, whatever happens to connections.
    pub(crate) async fn run(mut self, endpoint: &Endpoint, address: &str) -> Totals {
        let mut is_first = true;
        while Instant::now() < self.until {
            let began = Instant::now();
            match endpoint.connect(address).await {
                Ok(connection) => {
                    record(&mut self.totals.connects, began.elapsed());
                    self.totals.reconnects += u64::from(!is_first && !self.plan.is_churn);
                    is_first = false;
                    self.converse(connection).await;
                }
                Err(error) => {
                    self.totals.fail(refusal(&error));
                    sleep(PAUSE).await;
                }
            }
        }
        self.totals
    }

    /// One connection, from its first message to its end.
    async fn converse(&mut self, mut connection: Connection) {
        let sender = connection.sender();
        let mut sent_here = self.ask(&sender);
        loop {
            let now = Instant::now();
            let is_over = now >= self.until || (self.plan.is_churn && self.under_way.is_empty());
            if is_over && (self.under_way.is_empty() || now >= self.until + LAST_ANSWERS) {
                break;
            }
            let look = match self.plan.pace {
                Pace::Rate(_) if !is_over => TICK,
                _ if is_over => LAST_ANSWERS,
                _ => self.until - now,
            };
            match timeout(look, connection.recv()).await {
                Ok(Some(Event::Message(message))) => {
                    self.answered(&message.payload);
                    if !self.plan.reading_pause.is_zero() {
                        sleep(self.plan.reading_pause).await;
                    }
                }
                Ok(Some(Event::Rejected(rejected))) => {
                    self.totals.rejected += 1;
                    self.under_way.retain(|asked| Some(asked.ordinal) != rejected.ordinal);
                }
                Ok(Some(Event::Closed(closed))) => return self.over(&closed, sent_here, false),
                Ok(Some(_)) | Err(_) => {}
                Ok(None) => unreachable!("`Closed` comes before the end"),
            }
            if !self.plan.is_churn {
                sent_here += self.ask(&sender);
            }
        }
        if let Some(round_trip) = connection.rtt() {
            record(&mut self.totals.round_trips, round_trip);
        }
        connection.close(CloseReason::NORMAL);
        while let Some(event) = connection.recv().await {
            match event {
                Event::Message(message) => self.answered(&message.payload),
                Event::Closed(closed) => return self.over(&closed, sent_here, true),
                _ => {}
            }
        }
    }

    /// Sends what is due; tells how many messages those were.
    fn ask(&mut self, sender: &Sender) -> u64 {
        let now = Instant::now();
        let mut count = 0;
        while now < self.until {
            let at = match self.plan.pace {
                Pace::Silent => break,
                Pace::Depth(depth) if self.under_way.len() >= depth => break,
                Pace::Rate(_) if self.due > now => break,
                Pace::Rate(_) => self.due,
                Pace::Depth(_) | Pace::Flood => now,
            };
            if !self.send(sender, at) {
                break;
            }
            count += 1;
            if let Pace::Rate(per_second) = self.plan.pace {
                self.due += Duration::from_secs_f64(1.0 / per_second);
            }
        }
        count
    }

    /// Whether a message was taken.
    fn send(&mut self, sender: &Sender, at: Instant) -> bool {
        if let Some(front) = self.payload.first_chunk_mut::<NUMBER>() {
            *front = self.number.to_be_bytes();
        }
        match sender.try_send(Message::new(Class::BUSINESS, &self.payload[..])) {
            Ok(ordinal) => {
                self.under_way.push_back(Asked { ordinal, number: self.number, at });
                self.number += 1;
                self.totals.sent += 1;
                true
            }
            Err(error) => {
                if let SendRefused::TooLarge { limit } = error.reason {
                    self.totals.fail(format!("messages are too large: the server takes {limit} bytes"));
                    self.until = Instant::now();
                }
                // Full, or closing: what is due stays due.
                false
            }
        }
    }

    fn answered(&mut self, payload: &[u8]) {
        let Some(asked) = self.under_way.pop_front() else {
            self.totals.wrong += 1;
            return;
        };
        record(&mut self.totals.latencies, asked.at.elapsed());
        self.totals.answered += 1;
        let number = payload.first_chunk().copied().map(u64::from_be_bytes);
        let is_right = payload.len() == self.plan.payload && number.is_none_or(|number| number == asked.number);
        self.totals.wrong += u64::from(!is_right);
    }

    /// Counts what is missing at the end of a connection.
    fn over(&mut self, closed: &Closed, sent: u64, is_asked_for: bool) {
        self.totals.unanswered += self.under_way.len() as u64;
        self.under_way.clear();
        if let Some(acknowledged) = closed.acknowledged {
            self.totals.counted += 1;
            self.totals.lost += sent.saturating_sub(acknowledged);
        }
        if is_asked_for && closed.orderly {
            self.totals.orderly += 1;
        } else {
            self.totals.fail(closed.to_string());
        }
    }
}

/// Why a connection failed, without what differs from one to the next.
fn refusal(error: &ConnectError) -> String {
    match error {
        ConnectError::Handshake { closed, .. } => format!("the handshake failed: {closed}"),
        ConnectError::Tcp { source, .. } => format!("no connection: {source}"),
        other => other.to_string(),
    }
}
