//! Out: bytes for the transport, and how far they have come.

use super::outgoing::Progress;
use super::state::State;
use super::{Connection, Limit, Transmit};
use crate::heartbeat::Heartbeat;
use crate::time::{Instant, MaybeInstant, transfer};

impl Connection {
    /// Fills `out` with what is to be written now: all control packets that wait, and whole packets of messages until no other
    /// fits in `max` bytes. Returns whether it did. A batch that still holds bytes is left as it is.
    ///
    /// At least one packet goes out, whatever `max`; one of less than 528 bytes hands out packets one by one, and a larger one is
    /// exceeded by control packets alone. A small `max` keeps PING and PONG near the front: they overtake what is queued here,
    /// not what was handed out. 64 KiB and 128 KiB are good values (PW-TCP-002).
    pub fn poll_transmit(&mut self, now: Instant, max: usize, out: &mut Transmit) -> bool {
        if !out.is_empty() {
            return false;
        }
        let now = self.tick(now);
        if self.is_paused() && matches!(self.state, State::Closing { .. } | State::BothClosing { .. }) {
            self.resume(now);
        }
        let before = self.outgoing.handed();
        let handed = self.outgoing.poll(max, self.received, out);
        if handed.any {
            let (end, waiting) = (self.outgoing.handed(), self.outgoing.unacknowledged());
            let peer_pauses = self.heartbeat.as_ref().and_then(Heartbeat::spared_until);
            self.write_clock.handed_out(now, before, end, waiting, peer_pauses, &self.config);
            if handed.ping
                && let Some(heartbeat) = &mut self.heartbeat
            {
                let told = self.outgoing.is_told();
                heartbeat.handed_out(now, transfer(waiting, self.config.timeouts.assembly_rate), told);
            }
            self.note_handed_out();
            self.note_room();
        }
        // The wait for the answer begins (PW-CLS-007).
        if handed.close && self.state.said().is_some() {
            self.since = MaybeInstant::some(now);
        }
        handed.any
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) would give anything.
    #[must_use]
    pub fn has_transmit(&self) -> bool {
        self.outgoing.has_more()
    }

    /// The transport took this many bytes of `batch`, which [`poll_transmit`](Self::poll_transmit) of this connection filled: they
    /// leave its front. Returns whether it took all of it, so that the batch can be filled again; then it holds on to no payload
    /// any more.
    ///
    /// Where the transport can't tell what the peer's host [acknowledged](Self::acknowledged), probes and stalls are timed from
    /// here (PW-HB-010): report each write when it happens.
    ///
    /// # Panics
    /// If the batch does not hold so many bytes.
    pub fn transmitted(&mut self, now: Instant, batch: &mut Transmit, bytes: usize) -> bool {
        let now = self.tick(now);
        let whole = batch.advance(bytes);
        let progress = self.outgoing.taken(now, bytes);
        self.note_taken();
        self.note_progress(now, progress);
        whole
    }

    /// The peer's host has acknowledged this many of the bytes that the transport took, counted from the beginning of the
    /// connection: what was [taken](crate::Statistics::bytes_taken) less what the system still holds, as SIOCOUTQ tells on
    /// Linux. So a link that is slow is told from one that is dead (PW-TCP-005).
    ///
    /// Report 0 before anything is written, and from then on what the system tells before each
    /// [`handle_timeout`](Self::handle_timeout); [`poll_timeout`](Self::poll_timeout) sees to it that this is often enough. A
    /// transport that can't tell never calls it.
    pub fn acknowledged(&mut self, now: Instant, bytes: u64) {
        let now = self.tick(now);
        let progress = self.outgoing.acknowledge(bytes);
        self.note_progress(now, progress);
    }

    fn note_progress(&mut self, now: Instant, progress: Progress) {
        if progress.any {
            let (acknowledged, waiting) = (self.outgoing.acknowledged_bytes(), self.outgoing.unacknowledged());
            self.write_clock.acknowledged(now, acknowledged, waiting, self.config.heartbeat.busy_max);
            if self.state.is_over() {
                self.since = MaybeInstant::some(now);
            }
            self.graced.forget(Limit::Linger);
            self.looks = 0;
        }
        if progress.close && self.state.said().is_some() && self.since.is_some() {
            self.since = MaybeInstant::some(now);
            self.looks = 0;
        }
        if let Some(heartbeat) = &mut self.heartbeat {
            if progress.ping_departed {
                heartbeat.departed(now);
            }
            if progress.ping_acknowledged {
                heartbeat.acknowledged(now, &self.config.heartbeat);
            } else if progress.any {
                heartbeat.progress();
            }
        }
        if progress.close_ack {
            self.finish_peer_close();
        }
    }
}
