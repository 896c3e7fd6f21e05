//! One direction of a connection through the proxy: bytes in, what is done to them, and bytes out when their time has come.

use std::io;
use std::sync::PoisonError;
use std::time::Duration;

use pulsewire_conformance::wire::{Seen, Side};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::faults::{Always, Ends, Faults, Matcher};
use super::middle::Shared;
use super::piece::{Fate, Piece, by_chance, by_rules};
use super::random::Random;
use crate::packet_line::Happened;

/// Bytes that are read at once.
const BUFFER: usize = 16 << 10;
/// Pieces under way; whoever sends more waits.
const UNDER_WAY: usize = 4_096;
/// So many writes a second go out at most where the rate is limited.
const WRITES_PER_SECOND: u64 = 50;

/// How a direction ends.
enum End {
    /// As its sender ended it.
    Stream,
    /// Unheard.
    Silence,
    /// The proxy resets the connection.
    Cut,
}

pub(crate) struct Way<'s> {
    from: Side,
    shared: &'s Shared,
    always: Always,
    ends: Ends,
    matcher: Matcher,
    random: Random,
    /// Bytes that came.
    came: u64,
    /// Nothing goes on from here.
    is_silent: bool,
    last_due: Instant,
}

impl<'s> Way<'s> {
    pub(crate) fn new(from: Side, faults: &Faults, shared: &'s Shared) -> Self {
        let side = u64::from(from == Side::Server);
        Self {
            from,
            shared,
            always: faults.always(from),
            ends: faults.ends(from),
            matcher: Matcher::new(&faults.rules, from, shared.number),
            random: Random::new(faults.seed ^ (u64::from(shared.number) << 1) ^ side),
            came: 0,
            is_silent: false,
            last_due: Instant::now(),
        }
    }

    /// Until the sender has ended its direction, and all that goes on is written.
    pub(crate) async fn pass(self, reading: ReadHalf<'_>, mut writing: WriteHalf<'_>) -> io::Result<()> {
        let (sender, pieces) = mpsc::channel(UNDER_WAY);
        let (rate, join, shared) = (self.always.rate, self.always.join, self.shared);
        let (end, ()) = tokio::try_join!(self.read(reading, sender), write(&mut writing, pieces, rate, join))?;
        match end {
            End::Stream => writing.shutdown().await,
            // Whoever hears nothing hears no end either.
            End::Silence => Ok(()),
            End::Cut => {
                shared.cut.notify_one();
                std::future::pending().await
            }
        }
    }

    async fn read(mut self, mut reading: ReadHalf<'_>, pieces: Sender<Piece>) -> io::Result<End> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = match reading.read(&mut buffer).await {
                Ok(count) => count,
                Err(_) if self.is_silent => 0,
                Err(error) => return Err(error),
            };
            if count == 0 {
                break;
            }
            self.age();
            let (passing, is_cut) = self.until_the_end(&buffer[..count]);
            if !self.take(passing, &pieces).await || is_cut {
                return Ok(End::Cut);
            }
        }
        if self.is_silent {
            let sentence = format!("the {}'s end is dropped", self.from.name());
            self.shared.shown.pass(self.shared.number, Happened::Told { word: "end-dropped", sentence: &sentence });
            return Ok(End::Silence);
        }
        let rest = self.shared.observer.lock().unwrap_or_else(PoisonError::into_inner).pending(self.from).to_vec();
        if self.matcher.needs_packets() && !rest.is_empty() {
            self.send(Fate { copies: vec![rest], ..Fate::default() }, &pieces).await;
        }
        Ok(End::Stream)
    }

    /// Goes silent when the connection is old enough.
    fn age(&mut self) {
        if self.ends.silent_at.is_some_and(|age| self.shared.began.elapsed() >= age) {
            self.is_silent = true;
        }
    }

    /// The bytes that come before the end of this direction, and whether that is reached.
    fn until_the_end<'b>(&mut self, bytes: &'b [u8]) -> (&'b [u8], bool) {
        let before = self.came;
        self.came += bytes.len() as u64;
        let left =
            |limit: Option<u64>| limit.filter(|limit| *limit <= self.came).map(|limit| limit.saturating_sub(before));
        if let Some(left) = left(self.ends.cut_after) {
            return (&bytes[..usize::try_from(left).unwrap_or(bytes.len()).min(bytes.len())], true);
        }
        (bytes, false)
    }

    /// Passes bytes on, whole packets alone where a rule may be about them. Gives whether the connection goes on.
    async fn take(&mut self, bytes: &[u8], pieces: &Sender<Piece>) -> bool {
        let seen = self.shared.observer.lock().unwrap_or_else(PoisonError::into_inner).take(self.from, bytes);
        if !self.matcher.needs_packets() {
            let mut fate = Fate { copies: vec![bytes.to_vec()], ..Fate::default() };
            self.silence(&mut fate, bytes.len());
            by_chance(&mut fate, &self.always, &mut self.random);
            self.show(&seen, &fate.done);
            return self.send(fate, pieces).await;
        }
        for seen in seen {
            let kind = seen.packet.as_ref().map(|packet| packet.kind);
            let (matcher, random) = (&mut self.matcher, &mut self.random);
            let rules = matcher.of(kind, || random.fraction());
            let mut fate = by_rules(&seen, &rules, random);
            self.is_silent |= fate.is_silent;
            self.silence(&mut fate, seen.bytes.len());
            by_chance(&mut fate, &self.always, &mut self.random);
            self.show(std::slice::from_ref(&seen), &fate.done);
            if !self.send(fate, pieces).await {
                return false;
            }
        }
        true
    }

    /// Takes away what a silent direction does not pass on.
    fn silence(&mut self, fate: &mut Fate, length: usize) {
        let was_silent = self.is_silent;
        if let Some(limit) = self.ends.silent_after.filter(|limit| self.came >= *limit && !was_silent) {
            self.is_silent = true;
            let beyond = usize::try_from(self.came - limit).unwrap_or(length).min(length);
            for copy in &mut fate.copies {
                copy.truncate(length - beyond);
            }
            fate.done.push("silence from here on".into());
        } else if was_silent {
            fate.copies.clear();
            fate.done.push("dropped in silence".into());
        }
    }

    fn show(&self, seen: &[Seen], done: &[String]) {
        for seen in seen {
            self.shared.shown.pass(self.shared.number, Happened::Passed { from: self.from, seen, done });
        }
        if seen.is_empty() && !done.is_empty() {
            let sentence = format!("part of a packet from the {}: {}", self.from.name(), done.join(", "));
            self.shared.shown.pass(self.shared.number, Happened::Told { word: "part", sentence: &sentence });
        }
    }

    /// Queues what goes on. Gives whether the connection goes on as well.
    async fn send(&mut self, fate: Fate, pieces: &Sender<Piece>) -> bool {
        if fate.is_cut {
            return false;
        }
        let jitter =
            self.always.jitter.mul_f64(if self.always.jitter.is_zero() { 0.0 } else { self.random.fraction() });
        let due = (Instant::now() + self.always.delay + jitter + fate.delay).max(self.last_due);
        self.last_due = due;
        let split = fate.split.or(self.always.split);
        for bytes in fate.copies {
            // Nobody takes any more where writing has failed, which that tells.
            let _ = pieces.send(Piece { due, bytes, split }).await;
        }
        true
    }
}

/// Writes each piece when its time has come, no faster than `rate`; what comes within `join` goes in one write.
async fn write(
    writing: &mut WriteHalf<'_>,
    mut pieces: Receiver<Piece>,
    rate: Option<u64>,
    join: Duration,
) -> io::Result<()> {
    let mut free = Instant::now();
    while let Some(mut piece) = pieces.recv().await {
        sleep_until(piece.due).await;
        let until = Instant::now() + join;
        while !join.is_zero()
            && let Ok(Some(next)) = timeout_at(until, pieces.recv()).await
        {
            piece.bytes.extend_from_slice(&next.bytes);
        }
        let slice = rate.map(|rate| usize::try_from(rate / WRITES_PER_SECOND).unwrap_or(usize::MAX).max(1));
        let most = piece.split.into_iter().chain(slice).min().unwrap_or(usize::MAX);
        for part in piece.bytes.chunks(most.max(1)) {
            sleep_until(free).await;
            writing.write_all(part).await?;
            if let Some(rate) = rate {
                free = free.max(Instant::now()) + Duration::from_secs_f64(part.len() as f64 / rate as f64);
            } else if piece.split.is_some() {
                // So that the receiver may read before the next part is there.
                tokio::task::yield_now().await;
            }
        }
    }
    Ok(())
}
