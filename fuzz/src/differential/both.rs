//! The core and the oracle, to which the same happens.

use std::time::Duration;

use pulsewire_conformance::Role as OracleRole;
use pulsewire_conformance::oracle::{Delivered, Driven};
use pulsewire_conformance::subject::{CloseFrame, Command, Id, Reply};
use pulsewire_protocol::{
    Class, CloseReason, Config, Disconnect, Event, Instant, Message, Operation, Outcome, Recorder, Retry, Role, Seed,
};

use super::numbers::{IDLE, TICK, profile};
use super::outgoing::{Outgoing, is_close};
use super::words;

/// What each CLOSE of an application advises.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// Both, and what each did since they were compared.
pub(super) struct Both {
    core: Recorder,
    oracle: Driven,
    now: Duration,
    /// The handshake left no jitter, or is not over: both are due at the same times.
    in_step: bool,
    paused: bool,
    /// A client whose handshake is not complete. Whether it says a word where that fails is its own affair (PW-HS-018).
    greets: bool,
    sent: [Outgoing; 2],
    told: [Vec<String>; 2],
    delivered: [Vec<Delivered>; 2],
    over: bool,
}

impl Both {
    pub(super) fn new(config: &Config, client: bool, key: u32) -> Self {
        let [a, b, c, d] = key.to_be_bytes();
        let seed = Seed::from_bytes([a, b, c, d, 1, 2, 3, 4, 5, 6, 7, 8]);
        let (role, oracle_role) =
            if client { (Role::Client, OracleRole::Client) } else { (Role::Server, OracleRole::Server) };
        let valid = config.clone().validate().expect("a valid configuration");
        let mut both = Self {
            core: Recorder::new(Instant::ZERO, role, &valid, seed),
            oracle: Driven::new(oracle_role, profile(config), key),
            now: Duration::ZERO,
            in_step: true,
            paused: false,
            greets: client,
            sent: Default::default(),
            told: Default::default(),
            delivered: Default::default(),
            over: false,
        };
        both.settle();
        both
    }

    /// Both told of the end.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Bytes come, unless this side does not read.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        if bytes.is_empty() || self.paused || self.over {
            return;
        }
        self.apply(Operation::Received(bytes.to_vec().into()));
        self.oracle.receive(bytes, self.now);
        self.settle();
    }

    /// Time passes, a tick after the other. Not where each draws a jitter of its own.
    pub(super) fn wait(&mut self, ticks: u8) {
        for _ in 0..ticks {
            if !self.in_step || self.over {
                return;
            }
            self.now += TICK;
            self.settle();
        }
    }

    /// Time passes at once: both notice late what was due meanwhile (PW-TIM-001, PW-HB-016), and look first at what has come by then
    /// (PW-TCP-001).
    pub(super) fn sleep(&mut self, ticks: u8, bytes: &[u8]) {
        if self.in_step && !self.over {
            self.now += TICK * u32::from(ticks);
            self.receive(bytes);
            self.settle();
        }
    }

    /// The clock is set back (PW-TIM-002).
    pub(super) fn go_back(&mut self, ticks: u8) {
        // Both have seen this moment, whether anything was due or not.
        self.apply(Operation::Transmitted(0));
        self.now = self.now.saturating_sub(TICK * u32::from(ticks));
        self.settle();
    }

    pub(super) fn send(&mut self, class: Class, payload: &[u8]) {
        let message = Message { class, encrypted: false, payload: payload.to_vec().into() };
        let refused = self.apply(Operation::Send(message)).refused.is_some();
        let payload = payload.to_vec();
        let taken = self.control(|to| Command::Send { to, class: class.0, payload });
        assert_eq!(refused, !taken, "one of them refuses to send");
        self.settle();
    }

    /// The application closes. Before the handshake is over, what that does is each one's own affair.
    pub(super) fn close(&mut self, reason: CloseReason, text: String) {
        if self.core.connection().is_open() {
            self.apply(Operation::Close(core_frame(reason, &text)));
            let taken = self.control(|connection| Command::Close { connection, frame: oracle_frame(reason, text) });
            assert!(taken, "the oracle does not close");
            // Behind its CLOSE a side reads (PW-HB-024).
            self.resume();
        }
    }

    pub(super) fn drain(&mut self) {
        if self.core.connection().is_open() {
            self.apply(Operation::Drain);
            assert!(self.control(Command::Drain), "the oracle does not drain");
            self.settle();
        }
    }

    pub(super) fn pause_or_resume(&mut self) {
        if self.paused {
            self.resume();
        } else if self.core.connection().is_open() {
            self.paused = true;
            self.apply(Operation::Pause);
            assert!(self.control(Command::Pause), "the oracle does not pause");
            self.settle();
        }
    }

    fn resume(&mut self) {
        if std::mem::take(&mut self.paused) {
            self.apply(Operation::Resume);
            self.control(Command::Resume);
        }
        self.settle();
    }

    pub(super) fn accept(&mut self) {
        self.apply(Operation::Accept);
        self.control(Command::Accept);
        self.settle();
    }

    pub(super) fn refuse(&mut self, reason: CloseReason, text: String) {
        self.apply(Operation::Refuse(core_frame(reason, &text)));
        self.control(|connection| Command::Refuse { connection, frame: oracle_frame(reason, text) });
        self.settle();
    }

    /// The stream ends, and with it the connection.
    pub(super) fn finish(mut self) {
        if !self.over {
            self.apply(Operation::Disconnected(Disconnect::EndOfStream));
            self.oracle.stream_ended();
            self.settle();
        }
        assert!(self.over, "neither is over at the end of the stream");
    }

    fn apply(&mut self, operation: Operation) -> Outcome {
        let outcome = self.core.apply(Instant::ZERO + self.now, operation);
        self.sent[0].push(&outcome.bytes);
        for event in &outcome.events {
            match event {
                Event::Message(message) => self.delivered[0].push(Delivered {
                    class: message.class.0,
                    encrypted: message.encrypted,
                    payload: message.payload.to_vec(),
                }),
                Event::Established(agreed) => {
                    self.in_step = agreed.interval >= IDLE;
                    self.greets = false;
                }
                _ => self.told[0].extend(words::of_core(event)),
            }
        }
        outcome
    }

    /// Whether the oracle does it.
    fn control(&mut self, command: impl FnOnce(Id) -> Command) -> bool {
        matches!(self.oracle.control(command), Ok(Reply::Done))
    }

    /// Both do all that is due, and have done the same.
    fn settle(&mut self) {
        // As a driver does: it writes before time is judged (PW-TCP-001), and not before it is asked to.
        self.transmit();
        let due = self.core.connection().poll_timeout();
        if due.is_some_and(|due| due <= Instant::ZERO + self.now) {
            self.apply(Operation::Timeout);
        }
        self.transmit();
        let written = self.oracle.settle(self.now);
        self.sent[1].push(&written);
        self.delivered[1].extend(self.oracle.take_messages());
        self.told[1].extend(self.oracle.take_happenings().iter().filter_map(words::of_oracle));
        self.compare();
    }

    /// The transport takes all that the core hands out.
    fn transmit(&mut self) {
        while self.core.connection().has_transmit() {
            self.apply(Operation::PollTransmit { max: 4_096 });
            let untaken = self.core.connection().statistics().untaken;
            self.apply(Operation::Transmitted(untaken as usize));
        }
    }

    fn compare(&mut self) {
        let [core, oracle] = self.delivered.each_mut().map(std::mem::take);
        assert_eq!(core, oracle, "at {:?}: messages of the core and of the oracle", self.now);
        let [mut core, mut oracle] = self.told.each_mut().map(std::mem::take);
        self.over |= core.iter().any(|word| word.starts_with("closed"));
        words::drop_last_suspicion(&mut core);
        words::drop_last_suspicion(&mut oracle);
        words::suspicions_first(&mut core);
        words::suspicions_first(&mut oracle);
        if words::is_tie(&core, &oracle) {
            return;
        }
        if words::is_stalled_message(&core) && self.sent[1].rejects.len() > self.sent[0].rejects.len() {
            // Skipped bytes have destroyed the message for the oracle, and not for the core before a header verifies: either may be
            // (PW-REJ-003). Their ways part here.
            self.over = true;
            return;
        }
        assert_eq!(core, oracle, "at {:?}: what the core and the oracle tell", self.now);
        let [mut core, mut oracle] = self.sent.each_mut().map(|sent| sent.take_controls(self.over));
        if self.greets {
            core.retain(|word| !is_close(word));
            oracle.retain(|word| !is_close(word));
        }
        assert_eq!(core, oracle, "at {:?}: control packets of the core and of the oracle", self.now);
        let [core, oracle] = self.sent.each_mut().map(|sent| std::mem::take(&mut sent.messages));
        assert_eq!(core, oracle, "at {:?}: messages that the core and the oracle send", self.now);
        self.compare_rejects();
    }

    /// REJECT for a message that was open when bytes were skipped may go out before the next header verifies, or then
    /// (PW-REJ-003): so one of both may be ahead by one. Whether those that wait still go out before a CLOSE for a fault,
    /// or once the connection is over, is free (section 9).
    fn compare_rejects(&mut self) {
        let [core, oracle] = &mut self.sent;
        while let [Some(first), Some(second)] = [core.rejects.front(), oracle.rejects.front()] {
            assert_eq!(first, second, "at {:?}: REJECT of the core and of the oracle", self.now);
            core.rejects.pop_front();
            oracle.rejects.pop_front();
        }
        if !core.failed && !oracle.failed && !self.over {
            let ahead = [&core.rejects, &oracle.rejects];
            assert!(ahead.iter().all(|rejects| rejects.len() <= 1), "at {:?}: only one refuses {ahead:?}", self.now);
        }
    }
}

/// With advice: what a side says without is fixed only for the reasons of the registry.
fn core_frame(reason: CloseReason, text: &str) -> pulsewire_protocol::CloseFrame {
    pulsewire_protocol::CloseFrame::from(reason).with_retry(Retry::After(RETRY_AFTER)).with_text(text)
}

fn oracle_frame(reason: CloseReason, text: String) -> CloseFrame {
    CloseFrame { reason: reason.0, retry_after: Some(RETRY_AFTER.as_millis() as u32), text }
}
