//! A handler for applications that have a thread of their own.

use std::net::SocketAddr;
use std::sync::mpsc;

use pulsewire_protocol::{Event, SendError};

use crate::handler::{Context, Handler};
use crate::sender::Sender;

/// What a [`ChannelHandler`] forwards: owned, so that it can be handled whenever and wherever.
#[derive(Debug)]
pub struct Notice {
    /// The connection that it is about. Keep a clone to send later.
    pub sender: Sender,
    /// The peer's address.
    pub peer_address: SocketAddr,
    /// What happened.
    pub kind: NoticeKind,
}

impl Notice {
    /// The event, if it is one.
    #[must_use]
    pub fn event(&self) -> Option<&Event<'static>> {
        match &self.kind {
            NoticeKind::Event(event) => Some(event),
            NoticeKind::Unsent(_) | NoticeKind::Writable => None,
        }
    }
}

/// What happened on a connection.
#[derive(Debug)]
pub enum NoticeKind {
    /// See [`Handler::event`].
    Event(Event<'static>),
    /// See [`Handler::unsent`].
    Unsent(SendError<'static>),
    /// See [`Handler::writable`].
    Writable,
}

/// Forwards everything over a channel to a thread that may take its time.
///
/// Each message is copied once. The channel has no limit: a receiver that is slower than its peers has to
/// [pause](Sender::pause) them. What waits in the channel by then still comes.
///
/// When the endpoint is shut down the channel ends behind the last `Closed`, so the receiver sees everything that came.
#[derive(Debug)]
pub struct ChannelHandler {
    notices: mpsc::Sender<Notice>,
}

impl ChannelHandler {
    /// The handler, and the receiver for the application's thread.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Notice>) {
        let (notices, receiver) = mpsc::channel();
        (Self { notices }, receiver)
    }

    fn forward(&self, connection: &Context<'_>, kind: NoticeKind) {
        let notice = Notice { sender: connection.sender(), peer_address: connection.peer_address(), kind };
        // An application that dropped the receiver does not want to know.
        let _nobody_listens = self.notices.send(notice);
    }
}

impl Handler for ChannelHandler {
    fn event(&mut self, connection: &mut Context<'_>, event: Event<'_>) {
        self.forward(connection, NoticeKind::Event(event.into_owned()));
    }

    fn unsent(&mut self, connection: &mut Context<'_>, refused: SendError<'static>) {
        self.forward(connection, NoticeKind::Unsent(refused));
    }

    fn writable(&mut self, connection: &mut Context<'_>) {
        self.forward(connection, NoticeKind::Writable);
    }
}
