//! The quality of service of Windows: what the packets of a connection are marked as.

use std::io;

use pulsewire_socket::{NotMarked, Qos, QosError, QosFlow, TrafficType};
use socket2::Socket;

/// Marks connections.
#[derive(Clone, Debug)]
pub(crate) struct Marks {
    qos: Qos,
    traffic: TrafficType,
}

impl Marks {
    /// # Errors
    ///
    /// [`io::ErrorKind::Unsupported`], with the reason: this system lacks the library, or its service does not run.
    pub(crate) fn open(traffic: TrafficType) -> io::Result<Self> {
        let qos = Qos::open().map_err(|error| io::Error::new(io::ErrorKind::Unsupported, error))?;
        Ok(Self { qos, traffic })
    }
}

/// The socket of the system, marked or not.
#[derive(Debug)]
pub(super) enum Held {
    Plain(Socket),
    /// The flow ends before the socket is closed.
    Marked(QosFlow<Socket>),
}

impl Held {
    pub(super) fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Marked(flow) => flow.socket(),
        }
    }

    /// The same socket, marked if the system can do that. It has to be connected.
    pub(super) fn mark(self, marks: &Marks) -> (Self, Result<(), QosError>) {
        match self {
            Self::Plain(socket) => match marks.qos.mark(socket, marks.traffic) {
                Ok(flow) => (Self::Marked(flow), Ok(())),
                Err(NotMarked { error, socket }) => (Self::Plain(socket), Err(error)),
            },
            marked @ Self::Marked(_) => (marked, Ok(())),
        }
    }
}
