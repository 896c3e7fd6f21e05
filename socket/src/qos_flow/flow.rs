//! The interface for Windows.

use std::os::windows::io::{AsRawSocket, AsSocket};
use std::sync::Arc;

use socket2::SockRef;

use super::registration::{Registration, Session};
use super::{NotMarked, QosError, SocketNumber, TrafficType};
use crate::sys::qwave::Qwave;
use crate::traffic_class::Dscp;

/// The quality of service of Windows, by means of which connections are marked. Open it once, and clone it for whoever needs it.
///
/// ```no_run
/// use std::net::TcpStream;
/// use pulsewire_socket::{Qos, TrafficType};
///
/// let qos = Qos::open()?;
/// let marked = qos.mark(TcpStream::connect("192.0.2.7:4352")?, TrafficType::Control)?;
/// marked.socket().set_nodelay(true)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Qos(Arc<Session<Qwave>>);

impl Qos {
    /// Loads `qwave.dll`, which not every edition of Windows has.
    ///
    /// # Errors
    /// [`QosError::Absent`]; [`QosError::Refused`], for instance because the service does not run.
    pub fn open() -> Result<Self, QosError> {
        Session::open(Qwave::load()?).map(Self)
    }

    /// Marks an established connection for as long as the [`QosFlow`] lives. That keeps the socket, or whatever shares or borrows it
    /// (`Arc<TcpStream>`, `&TcpStream`), so that the flow ends before the socket is closed, as it must.
    ///
    /// # Errors
    /// [`NotMarked`] gives the socket back. It is refused where client and server are on one machine (1168).
    pub fn mark<S: AsSocket>(&self, socket: S, traffic: TrafficType) -> Result<QosFlow<S>, NotMarked<S>> {
        let number = SocketNumber(socket.as_socket().as_raw_socket() as usize);
        let peer = SockRef::from(&socket).peer_addr().ok().and_then(|address| address.as_socket());
        match Registration::new(&self.0, number, peer, traffic) {
            Ok(registration) => Ok(QosFlow { registration, socket }),
            Err(error) => Err(NotMarked { error, socket }),
        }
    }
}

/// A connection that is marked. Dropping it ends the flow first, then closes the socket if it owns it.
#[derive(Debug)]
pub struct QosFlow<S> {
    // Dropped in this order.
    registration: Registration<Qwave>,
    socket: S,
}

impl<S> QosFlow<S> {
    /// Marks it with a code point of one's own in place of the traffic type's.
    ///
    /// # Errors
    /// [`QosError::Refused`] with 5 where the process is not elevated: it takes a member of Administrators or Network Configuration
    /// Operators.
    pub fn set_dscp(&self, dscp: Dscp) -> Result<(), QosError> {
        self.registration.set_dscp(dscp)
    }

    /// The socket.
    pub const fn socket(&self) -> &S {
        &self.socket
    }

    /// The socket, to write to or read from.
    pub const fn socket_mut(&mut self) -> &mut S {
        &mut self.socket
    }

    /// Ends the flow and gives the socket back, which goes on unmarked.
    pub fn into_socket(self) -> S {
        self.socket
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Wine has the library and no service; Windows has a service, and no path between two ends on one machine.
    #[test]
    fn without_service_or_path_the_socket_comes_back_with_an_explanation() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        match Qos::open() {
            Err(error) => {
                let said = error.to_string();
                assert!(said.to_uppercase().contains("QWAVE"), "{said}");
            }
            Ok(qos) => match qos.mark(socket, TrafficType::Voice) {
                Ok(marked) => assert!(marked.into_socket().peer_addr().is_ok()),
                Err(refused) => {
                    assert!(matches!(refused.error, QosError::Refused { .. }), "{refused}");
                    assert!(refused.socket.peer_addr().is_ok());
                }
            },
        }
    }
}
