//! The end of a connection, however it comes.

use std::io;

use pulsewire_protocol::{Disconnect, Instant, Transmit};
use pulsewire_socket::Cause;

use super::Driver;
use crate::clock::Clock;
use crate::report::ShutdownReport;
use crate::stream::Below;

impl Driver {
    /// Writing has failed. What can be read is still to be delivered.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Ends the connection if writing failed. Call it when all that could be read was delivered: a peer that closed and left
    /// said why before. Returns whether it did.
    pub(crate) fn end_broken(&mut self, clock: &Clock) -> bool {
        let broken = self.broken.take();
        if let Some(cause) = broken {
            self.connection.disconnected(clock.now(), cause);
        }
        broken.is_some()
    }

    /// Closes at once, because this connection holds most of what all hold together.
    pub(crate) fn overload(&mut self, clock: &Clock, limit: usize) {
        self.connection.overload(clock.now(), limit);
        self.flush_aside(clock);
        self.note_held();
        self.wake_all();
    }

    /// Tells the server, if there is one, how much the connection holds.
    pub(crate) fn note_held(&self) {
        if let Some(ticket) = self.below.as_ref().and_then(Below::ticket) {
            let handed_out = self.batch.as_ref().map_or(0, |batch| batch.len());
            ticket.note_held(self.connection.buffered() + handed_out, self.connection.open_since());
        }
    }

    /// Cuts the connection and lets go of its stream. A farewell that has it lets go when it is woken. Gives how it ended.
    pub(crate) fn cut(&mut self, now: Instant) -> ShutdownReport {
        self.connection.abort(now);
        let report = self.report(now);
        (self.below, self.batch) = (None, None);
        self.wake_all();
        report
    }

    /// How the connection ended, which is over.
    pub(crate) fn report(&mut self, now: Instant) -> ShutdownReport {
        if let Some(below) = &self.below {
            below.tell_acknowledged(&mut self.connection, now);
        }
        ShutdownReport::of(&self.connection)
    }

    /// Ends the connection if the stream took nothing for too long, for a sender that waits: no other clock runs while the
    /// receiving task is the one that sends.
    pub(crate) fn end_stalled(&mut self, now: Instant) {
        if let Some(below) = &self.below {
            below.tell_acknowledged(&mut self.connection, now);
        }
        self.connection.handle_write_timeout(now);
        if self.connection.is_over() {
            self.wake_all();
        }
    }

    /// Cuts the connection, which nobody receives from any more. Senders that are kept must not keep its socket and messages.
    pub(crate) fn discard(&mut self) -> ShutdownReport {
        // This may run while the thread ends, and then tokio has no clock any more.
        self.connection.abort(self.connection.latest());
        // What was not sent comes with the last event.
        while self.connection.poll_event().is_some() {}
        let report = self.report(self.connection.latest());
        (self.below, self.batch) = (None, None);
        self.wake_senders();
        report
    }

    /// Hands over the stream of a connection that is over, and what it did not take yet.
    pub(crate) fn take_remains(&mut self) -> Option<(Below, Transmit)> {
        self.note_held();
        let below = self.below.take()?;
        self.wake_senders();
        Some((below, self.batch.take().map(|batch| *batch).unwrap_or_default()))
    }
}

/// Which of the four ways of ending an error of the stream is (section 9.2 of the specification, PW-TCP-004).
pub(crate) fn cause(error: &io::Error) -> Disconnect {
    match Cause::of(error) {
        Cause::PeerEnded => Disconnect::EndOfStream,
        Cause::Reset => Disconnect::Reset,
        // This transport never closes a socket that it uses: where the system says so, it was the system, which gave up.
        Cause::ClosedHere | Cause::NetworkLost => Disconnect::NetworkLost,
        // Nobody but this host is to blame.
        Cause::Shortage => Disconnect::Aborted,
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    /// PW-TCP-004: no two ends are taken for each other.
    #[test]
    fn every_error_of_a_stream_is_one_of_the_ends() {
        use ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionReset, HostUnreachable, NetworkDown, NetworkUnreachable, Other,
            TimedOut, UnexpectedEof, WriteZero,
        };
        let end = |kind: ErrorKind| cause(&kind.into());
        assert_eq!([ConnectionReset, BrokenPipe, WriteZero].map(end), [Disconnect::Reset; 3]);
        let lost = [TimedOut, HostUnreachable, NetworkUnreachable, NetworkDown, ConnectionAborted, Other];
        assert_eq!(lost.map(end), [Disconnect::NetworkLost; 6]);
        assert_eq!(end(UnexpectedEof), Disconnect::EndOfStream);
        assert_eq!(end(ErrorKind::OutOfMemory), Disconnect::Aborted, "a shortage of this host");
    }
}
