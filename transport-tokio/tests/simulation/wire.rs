//! A stream that its host can close behind the back of the connection that has it.

use std::io::Result;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::TcpStream;

/// Once it is cut, whoever reads or writes waits for ever: the process is dead.
pub(crate) struct Wire(Arc<Mutex<Option<TcpStream>>>);

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self(Arc::new(Mutex::new(Some(stream))))
    }

    /// For its host, which must not keep it open.
    pub(crate) fn end(&self) -> End {
        End(Arc::downgrade(&self.0))
    }

    fn poll<T>(&self, step: impl FnOnce(Pin<&mut TcpStream>) -> Poll<T>) -> Poll<T> {
        match &mut *self.0.lock().expect("no panic while it is held") {
            Some(stream) => step(Pin::new(stream)),
            None => Poll::Pending,
        }
    }
}

/// Closes a stream, unless that is closed.
pub(crate) struct End(Weak<Mutex<Option<TcpStream>>>);

impl End {
    pub(crate) fn cut(&self) {
        if let Some(stream) = self.0.upgrade() {
            stream.lock().expect("no panic while it is held").take();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        self.poll(|stream| stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.poll(|stream| stream.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll(|stream| stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll(|stream| stream.poll_shutdown(context))
    }
}
