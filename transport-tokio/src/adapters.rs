//! What connections are to code that knows `Stream` and `Sink`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_sink::Sink;
use pulsewire_protocol::{CloseReason, Event, Message, SendError, SendRefused};
use tokio::sync::mpsc;

use crate::connection::Connection;
use crate::sender::Sender;

/// The events of a connection, one after the other. See [`Connection::into_stream`].
#[derive(Debug)]
pub struct EventStream {
    events: mpsc::Receiver<Event<'static>>,
}

impl Connection {
    /// The events as a [`Stream`], which ends behind [`Event::Closed`]. Payloads are copied, and a task of its own receives, so that the
    /// connection is served whether somebody polls the stream or not. At most `capacity` events wait; when they do for a second, the
    /// connection pauses, and its peer waits. Keep a [`Sender`] for the way back.
    ///
    /// Dropping the stream closes the connection in order, in the background.
    ///
    /// ```
    /// use futures_util::StreamExt;
    /// use pulsewire_transport_tokio::Connection;
    /// use pulsewire_transport_tokio::protocol::Event;
    ///
    /// async fn count_messages(connection: Connection) -> usize {
    ///     connection.into_stream(16).filter(|event| std::future::ready(matches!(event, Event::Message(_)))).count().await
    /// }
    /// ```
    ///
    /// # Panics
    /// If `capacity` is 0, or outside a tokio runtime.
    #[must_use = "dropping it closes the connection"]
    pub fn into_stream(mut self, capacity: usize) -> EventStream {
        let (tell, events) = mpsc::channel(capacity);
        tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    event = self.recv() => event.map(Event::into_owned),
                    () = tell.closed() => None,
                };
                let Some(event) = event else { return };
                if tell.send(event).await.is_err() {
                    return;
                }
            }
        });
        EventStream { events }
    }
}

impl Stream for EventStream {
    type Item = Event<'static>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_recv(context)
    }
}

impl Sender {
    /// The same as a [`Sink`] of messages.
    ///
    /// ```no_run
    /// use futures_util::{SinkExt, StreamExt, stream};
    /// use pulsewire_transport_tokio::Connection;
    /// use pulsewire_transport_tokio::protocol::{Class, Message, SendError};
    ///
    /// async fn count(connection: &Connection) -> Result<(), SendError<'static>> {
    ///     let mut numbers = stream::iter(0..10_u8).map(|number| Ok(Message::new(Class::BUSINESS, vec![number])));
    ///     connection.sender().into_sink().send_all(&mut numbers).await
    /// }
    /// ```
    #[must_use]
    pub fn into_sink(self) -> MessageSink {
        MessageSink { sender: self, sending: None }
    }
}

/// A [`Sender`] as a [`Sink`] of messages. It is ready while there is room in the send queue, flushed when all was handed out to the
/// stream, and closing it asks the peer to close behind that, with NORMAL.
pub struct MessageSink {
    sender: Sender,
    /// The message that waits for room.
    sending: Option<Sending>,
}

type Sending = Pin<Box<dyn Future<Output = Result<(), SendError<'static>>> + Send>>;

impl MessageSink {
    /// The sender itself.
    #[must_use]
    pub fn sender(&self) -> &Sender {
        &self.sender
    }
}

impl Sink<Message<'static>> for MessageSink {
    type Error = SendError<'static>;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if let Some(sending) = &mut self.sending {
            let sent = ready!(sending.as_mut().poll(context));
            self.sending = None;
            sent?;
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message<'static>) -> Result<(), Self::Error> {
        match self.sender.try_send(message) {
            Ok(_) => Ok(()),
            Err(SendError { reason: SendRefused::Full, message }) => {
                let sender = self.sender.clone();
                self.sending = Some(Box::pin(async move { sender.send(message).await.map(drop) }));
                Ok(())
            }
            Err(refused) => Err(refused),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        ready!(self.as_mut().poll_ready(context))?;
        self.sender.poll_drained(context).map(Ok)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        ready!(self.as_mut().poll_ready(context))?;
        self.sender.close(CloseReason::NORMAL);
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for MessageSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MessageSink").field(&self.sender.id()).finish()
    }
}
