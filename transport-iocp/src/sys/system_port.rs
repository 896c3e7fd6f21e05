//! The real completion port: starts operations, and turns what the system dequeues into completions.

use super::address_buffer::AddressBuffer;
use super::extension::ExtensionFunctions;
use super::marks::Marks;
use super::operation::{Operation, Resources};
use super::port_handle::{BATCH, PortHandle};
use super::socket::{OpenSocket, SystemListener, SystemSocket};
use super::start::{Started, start};
use super::waker::PortWaker;
use crate::error::SystemError;
use crate::port::{Completion, CompletionPort, GatherBuffer, Token};
use crate::timeout::milliseconds;
use bytes::BytesMut;
use pulsewire_socket::{Error, Keepalive, ListenOptions, set_keepalive};
use std::collections::VecDeque;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};
use windows_sys::Win32::Foundation::{ERROR_SUCCESS, NTSTATUS, RtlNtStatusToDosError, STATUS_SUCCESS};
use windows_sys::Win32::System::IO::OVERLAPPED_ENTRY;

/// How long dropping a port waits for operations that are still pending. What is not back then stays leaked, since the
/// system may still write to it; that takes a socket that outlives its port.
const DROP_PATIENCE: Duration = Duration::from_secs(2);

/// A completion port of the system, for operations that send `Batch`.
pub(crate) struct SystemPort<Batch: GatherBuffer> {
    handle: Arc<PortHandle>,
    waker: Arc<PortWaker>,
    functions: ExtensionFunctions,
    began: Instant,
    /// What connections are marked as.
    marks: Option<Marks>,
    /// How many operations the system has.
    outstanding: usize,
    /// What could not be started, or was done at once on a socket that skips the queue. It comes back with the next wait.
    at_once: VecDeque<Completion<SystemSocket, Batch>>,
}

impl<Batch: GatherBuffer> SystemPort<Batch> {
    /// Makes a port whose time begins now.
    #[cfg(test)]
    pub(crate) fn new() -> Result<Self, SystemError> {
        Self::with_clock(Instant::now(), None)
    }

    /// Makes a port, whose time began then.
    ///
    /// # Errors
    ///
    /// What the system reports.
    pub(crate) fn with_clock(began: Instant, marks: Option<Marks>) -> Result<Self, SystemError> {
        let handle = Arc::new(PortHandle::new()?);
        Ok(Self {
            waker: Arc::new(PortWaker::new(Arc::clone(&handle))),
            handle,
            functions: ExtensionFunctions::fetch()?,
            began,
            marks,
            outstanding: 0,
            at_once: VecDeque::new(),
        })
    }

    /// Leaks an operation and starts it; if that fails, reclaims it and keeps the failure for the next wait.
    fn submit(&mut self, token: Token, socket: Arc<OpenSocket>, resources: Resources<Batch>) {
        // A completion at another port would be reclaimed there, perhaps as an operation of another type.
        assert!(socket.belongs_to(&self.handle), "the socket belongs to another port, or to none");
        let share = Arc::clone(&socket);
        let operation = Operation::new(token, socket, resources).leak();
        let overlapped = Operation::overlapped(operation);
        // SAFETY: the operation was just leaked, so it is valid and nobody else has a reference to it.
        let resources = unsafe { &mut (*operation).resources };
        // SAFETY: pointer and resources belong to one leaked operation, and only a completion or the failure below ends
        // it.
        match unsafe { start(&self.functions, &share, resources, overlapped) } {
            Ok(Started::Done) if share.skips() => {
                // SAFETY: it was leaked above as this type. It is done, and on this socket the port is not told of that, so the
                // system has finished with it and will never report it.
                let operation = unsafe { Operation::reclaim(overlapped) };
                let count = operation.transferred();
                let completion = self.complete(operation, Ok(count));
                self.at_once.push_back(completion);
            }
            Ok(Started::Done | Started::Pending) => self.outstanding += 1,
            Err(error) => {
                // SAFETY: it was leaked above as this type, and the system, which refused it, will never report it.
                let operation = unsafe { Operation::reclaim(overlapped) };
                let completion = self.complete(operation, Err(error));
                self.at_once.push_back(completion);
            }
        }
    }

    /// Turns a dequeued entry into what the driver sees.
    fn dequeued(&mut self, entry: &OVERLAPPED_ENTRY) -> Completion<SystemSocket, Batch> {
        if entry.lpOverlapped.is_null() {
            self.waker.message_taken();
            return Completion::Woken;
        }
        self.outstanding -= 1;
        // SAFETY: only `submit` starts operations on sockets of this port, and the port is private to this value. So
        // the pointer comes from there, is of this type, and is reported once, when the system has finished with it.
        let operation: Operation<Batch> = unsafe { Operation::reclaim(entry.lpOverlapped) };
        // For a socket the field is the NTSTATUS of the operation, in the low 32 bits.
        let status = (entry.Internal as u32).cast_signed();
        let outcome = match code_of(status) {
            ERROR_SUCCESS => Ok(entry.dwNumberOfBytesTransferred as usize),
            code => Err(SystemError::from_status(status.cast_unsigned(), code)),
        };
        self.complete(operation, outcome)
    }

    /// Finishes an operation that the system has finished with, or never started.
    fn complete(
        &self,
        operation: Operation<Batch>,
        outcome: Result<usize, SystemError>,
    ) -> Completion<SystemSocket, Batch> {
        let Operation { token, socket, resources, .. } = operation;
        match resources {
            Resources::Accept { accepted, addresses } => {
                let outcome = outcome.and_then(|_| {
                    accepted.open().finish_accept(&socket)?;
                    Ok((accepted, addresses.read(&self.functions)?))
                });
                Completion::Accepted { token, outcome }
            }
            Resources::Connect { .. } => {
                let outcome = outcome.and_then(|_| socket.finish_connect());
                if let (Ok(_), Some(marks)) = (&outcome, &self.marks) {
                    socket.mark(marks);
                }
                Completion::Connected { token, outcome }
            }
            Resources::Receive { mut buffer, limit, .. } => {
                if let Ok(received) = outcome {
                    let filled = buffer.len() + received;
                    // A count that can't be true would make bytes of what nobody wrote.
                    assert!(received <= limit && filled <= buffer.capacity(), "{received} bytes received of {limit}");
                    // SAFETY: the system wrote that many bytes behind the old length, into the spare capacity it was
                    // given.
                    unsafe { buffer.set_len(filled) };
                }
                Completion::Received { token, buffer, outcome }
            }
            Resources::AwaitReadable { .. } => Completion::Readable { token, outcome: outcome.map(drop) },
            Resources::Send { batch } => Completion::Sent { token, batch, outcome },
        }
    }
}

impl<Batch: GatherBuffer> CompletionPort for SystemPort<Batch> {
    type Batch = Batch;
    type Listener = SystemListener;
    type Socket = SystemSocket;

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn listen(
        &mut self,
        address: SocketAddr,
        options: ListenOptions,
    ) -> Result<(SystemListener, SocketAddr), SystemError> {
        SystemListener::bind(address, options, &self.handle)
    }

    fn accept(&mut self, listener: &SystemListener, token: Token) {
        match SystemSocket::unbound(listener.domain) {
            Ok(accepted) => {
                let resources = Resources::Accept { accepted, addresses: AddressBuffer::default() };
                self.submit(token, listener.share(), resources);
            }
            Err(error) => self.at_once.push_back(Completion::Accepted { token, outcome: Err(error) }),
        }
    }

    fn adopt(&mut self, socket: &SystemSocket) -> Result<(), SystemError> {
        socket.open().join(&self.handle)?;
        if let Some(marks) = &self.marks {
            socket.open().mark(marks);
        }
        Ok(())
    }

    fn connect(&mut self, remote: SocketAddr, token: Token) -> Result<SystemSocket, SystemError> {
        let socket = SystemSocket::bound_towards(remote, &self.handle)?;
        self.submit(token, socket.share(), Resources::Connect { remote });
        Ok(socket)
    }

    fn receive(&mut self, socket: &SystemSocket, buffer: BytesMut, limit: usize, token: Token) {
        assert!(limit > 0 && buffer.len() < buffer.capacity(), "a receive needs room");
        self.submit(token, socket.share(), Resources::Receive { buffer, limit, flags: 0 });
    }

    fn await_readable(&mut self, socket: &SystemSocket, token: Token) {
        self.submit(token, socket.share(), Resources::AwaitReadable { flags: 0 });
    }

    fn send(&mut self, socket: &SystemSocket, batch: Batch, token: Token) {
        self.submit(token, socket.share(), Resources::Send { batch });
    }

    fn shut_down_send(&mut self, socket: &SystemSocket) -> Result<(), SystemError> {
        socket.open().with(|socket| socket.shutdown(Shutdown::Write))
    }

    fn cancel(&mut self, socket: &SystemSocket) {
        socket.cancel();
    }

    fn close(&mut self, socket: SystemSocket) {
        socket.close();
    }

    fn cancel_listener(&mut self, listener: &SystemListener) {
        listener.cancel();
    }

    fn close_listener(&mut self, listener: SystemListener) {
        listener.close();
    }

    fn rest(&mut self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn set_no_delay(&mut self, socket: &SystemSocket, no_delay: bool) -> Result<(), SystemError> {
        socket.open().with(|socket| socket.set_tcp_nodelay(no_delay))
    }

    fn set_send_buffer(&mut self, socket: &SystemSocket, bytes: u32) -> Result<(), SystemError> {
        socket.open().with(|socket| socket.set_send_buffer_size(bytes as usize))
    }

    fn set_keepalive(&mut self, socket: &SystemSocket, keepalive: Keepalive) -> Result<(), SystemError> {
        socket.open().with(|socket| match set_keepalive(socket, keepalive) {
            // It is over already. The next receive tells how it ended.
            Ok(_) | Err(Error::NotEstablished { .. }) => Ok(()),
            Err(error) => Err(error),
        })
    }

    fn skip_on_success(&mut self, socket: &SystemSocket) -> bool {
        socket.open().skip_on_success()
    }

    fn take_done(&mut self, completions: &mut Vec<Completion<SystemSocket, Batch>>) {
        completions.extend(self.at_once.drain(..));
    }

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        completions: &mut Vec<Completion<SystemSocket, Batch>>,
    ) -> Result<(), SystemError> {
        let timeout = if self.at_once.is_empty() { timeout } else { Some(Duration::ZERO) };
        self.take_done(completions);
        let mut entries = [OVERLAPPED_ENTRY::default(); BATCH];
        for entry in self.handle.dequeue(&mut entries, milliseconds(timeout))? {
            completions.push(self.dequeued(entry));
        }
        Ok(())
    }

    fn waker(&self) -> Waker {
        Arc::clone(&self.waker).into()
    }
}

/// What the system's functions report for an NTSTATUS.
fn code_of(status: NTSTATUS) -> u32 {
    if status == STATUS_SUCCESS {
        return ERROR_SUCCESS;
    }
    // SAFETY: the function takes any number.
    unsafe { RtlNtStatusToDosError(status) }
}

impl<Batch: GatherBuffer> Drop for SystemPort<Batch> {
    fn drop(&mut self) {
        let deadline = Instant::now() + DROP_PATIENCE;
        let mut completions = Vec::new();
        while self.outstanding > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.wait(Some(left), &mut completions).is_err() {
                return;
            }
            completions.clear();
        }
    }
}
