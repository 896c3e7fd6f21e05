//! Settings that are lost, or do harm, on a socket that is no connection yet.

use socket2::SockRef;

use crate::error::{Error, Setting, Unconnected};
use crate::sys;

/// Refuses to set `setting` on a socket that is no established connection.
pub(crate) fn require(socket: &SockRef<'_>, setting: Setting) -> Result<(), Error> {
    if socket.peer_addr().is_ok() {
        return Ok(());
    }
    let state = if sys::is_listening(socket) { Unconnected::Listening } else { Unconnected::NotConnected };
    Err(Error::NotEstablished { setting, state })
}
