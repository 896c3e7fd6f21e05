//! One end of a connection of the fake network.

use super::network::SocketNumber;
use crate::error::SystemError;
use crate::port::Addresses;
use pulsewire_socket::Keepalive;
use std::collections::VecDeque;

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) addresses: Addresses,
    pub(super) peer: SocketNumber,
    /// What arrived and was not received yet.
    pub(super) inbound: VecDeque<u8>,
    /// The peer sends nothing more.
    pub(super) inbound_ended: bool,
    /// This end sends nothing more.
    pub(super) outbound_ended: bool,
    /// What every operation fails with from now on.
    pub(super) failure: Option<SystemError>,
    /// What every send does.
    pub(super) send_failure: Option<SystemError>,
    /// Since the cable was cut: the bytes sent, of which nobody will ever hear.
    pub(super) lost: Option<usize>,
    pub(super) no_delay: bool,
    pub(super) send_buffer: Option<u32>,
    pub(super) keepalive: Option<Keepalive>,
}

/// What an attempt to receive finds.
pub(super) enum Inbound {
    Bytes(usize),
    Ended,
    Failed(SystemError),
    Nothing,
}

/// What an attempt to send finds.
pub(super) enum Outbound {
    Room(usize),
    Failed(SystemError),
    Full,
}

impl Stream {
    pub(super) fn new(addresses: Addresses, peer: SocketNumber) -> Self {
        Self {
            addresses,
            peer,
            inbound: VecDeque::new(),
            inbound_ended: false,
            outbound_ended: false,
            failure: None,
            send_failure: None,
            lost: None,
            no_delay: false,
            send_buffer: None,
            keepalive: None,
        }
    }
}
