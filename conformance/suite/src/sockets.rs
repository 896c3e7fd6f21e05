//! The suite's own sockets.
//!
//! Their receive buffers are small and fixed. Otherwise some systems let them grow to tens of megabytes, and what a case
//! needs to wait at the subject, because the suite doesn't read, would rest there.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::world::{Listener, Stream, dial_in_world, listen_in_world};

/// Bytes that wait at the suite's side of a connection, about.
const RECEIVE_BUFFER: usize = 64 << 10;

/// Connects to a server.
pub(crate) fn dial(address: SocketAddr, patience: Duration) -> io::Result<Stream> {
    if let Some(dialled) = dial_in_world(address) {
        return dialled;
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    match socket.connect_timeout(&address.into(), patience) {
        // The peer accepted, and closed before this side looked: Windows may tell only that. What the peer did is for the case to judge.
        Err(_) if socket.peer_addr().is_ok() => {}
        connected => connected?,
    }
    Stream::tcp(socket.into())
}

/// Listens on a free port; what is accepted has the buffers of the listener.
pub(crate) fn listen() -> io::Result<Listener> {
    if let Some(listening) = listen_in_world() {
        return listening;
    }
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(128)?;
    Ok(Listener::tcp(socket.into()))
}
