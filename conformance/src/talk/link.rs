//! The connection of a conversation: bytes out and in, each packet shown.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use pulsewire_conformance::wire::{Observer, Seen, Side};

use super::Input;
use crate::packet_line::{Form, Happened, line};
use crate::show;

/// Bytes that are read at once.
const BUFFER: usize = 64 << 10;

/// Whether the connection is read.
#[derive(Default)]
pub(crate) struct Gate {
    is_shut: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    pub(crate) fn set_shut(&self, is_shut: bool) {
        *self.is_shut.lock().unwrap_or_else(PoisonError::into_inner) = is_shut;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let is_shut = self.is_shut.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_while(is_shut, |is_shut| *is_shut).unwrap_or_else(PoisonError::into_inner));
    }
}

pub(crate) struct Link {
    stream: TcpStream,
    observer: Observer,
    form: Form,
    began: Instant,
    pub(crate) gate: Arc<Gate>,
    pub(crate) announces_resync: bool,
    /// Bytes of a write at most; 0 for all.
    pub(crate) split: usize,
    /// What a write failed with that found the connection reset. The system tells that once, so that a read then finds an end.
    pub(crate) reset: Option<io::Error>,
}

impl Link {
    pub(crate) fn new(stream: TcpStream, form: Form, announces_resync: bool) -> (Self, Arc<Gate>) {
        let gate = Arc::new(Gate::default());
        let link = Self {
            stream,
            observer: Observer::new(),
            form,
            began: Instant::now(),
            gate: Arc::clone(&gate),
            announces_resync,
            split: 0,
            reset: None,
        };
        (link, gate)
    }

    /// Writes bytes, and shows what they are. A connection that is over is told.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        for seen in self.observer.take(Side::Client, bytes) {
            self.show(Happened::Passed { from: Side::Client, seen: &seen, done: &[] });
        }
        let pending = self.observer.pending(Side::Client).len();
        if pending > 0 {
            self.tell("part", &format!("{pending} bytes of a packet are sent, and not yet all of it"));
        }
        let size = if self.split == 0 { bytes.len().max(1) } else { self.split };
        let written = bytes.chunks(size).try_for_each(|piece| self.stream.write_all(piece));
        if let Err(error) = written {
            self.tell("write-failed", &format!("not sent: {error}"));
            if error.kind() == io::ErrorKind::ConnectionReset {
                self.reset = Some(error);
            }
        }
    }

    /// Shows what came, and gives it.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<Seen> {
        let came = self.observer.take(Side::Server, bytes);
        for seen in &came {
            self.show(Happened::Passed { from: Side::Server, seen, done: &[] });
        }
        came
    }

    /// Bytes from the server that are no whole packet.
    pub(crate) fn pending(&self) -> usize {
        self.observer.pending(Side::Server).len()
    }

    pub(crate) fn tell(&self, word: &str, sentence: &str) {
        self.show(Happened::Told { word, sentence });
    }

    /// Ends this direction of the stream.
    pub(crate) fn end(&self) {
        // One that is over needs no end.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Has the connection reset when this program ends, which is next.
    pub(crate) fn cut(&self) {
        // Without linger the system sends RST in place of FIN.
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO));
    }

    fn show(&self, happened: Happened<'_>) {
        show(&line(self.form, self.began.elapsed(), 1, happened));
    }
}

/// Reads until the end, while the gate is open.
pub(crate) fn read(mut stream: TcpStream, gate: &Gate, to: &Sender<Input>) {
    let mut buffer = vec![0; BUFFER];
    loop {
        gate.wait();
        let input = match stream.read(&mut buffer) {
            Ok(0) => Input::Over(Ok(())),
            Ok(count) => Input::Bytes(buffer[..count].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Input::Over(Err(error)),
        };
        let is_over = matches!(input, Input::Over(_));
        if to.send(input).is_err() || is_over {
            return;
        }
    }
}
