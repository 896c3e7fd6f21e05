//! The handshake from the suite's side, good and bad.

use super::{Arrival, Peer};
use crate::codec::registry::{kind, reason};
use crate::codec::{Close, Hello, Item, Packet, encode_items};
use crate::role::Role;
use crate::verdict::{Failure, Outcome, require, violation};

impl Peer {
    /// The whole handshake with what [`hello`](Self::hello) says.
    pub(crate) fn handshake(&mut self) -> Outcome {
        let items = self.setting.arrange(self.hello.to_items());
        self.offer(&items)?;
        self.complete()
    }

    /// Sends these items as HELLO to a server; reads the HELLO of a client and sends them as HELLO_ACK.
    pub(crate) fn offer(&mut self, items: &[Item]) -> Outcome {
        self.offer_payload(encode_items(items))
    }

    /// As [`offer`](Self::offer), with any payload.
    pub(crate) fn offer_payload(&mut self, payload: Vec<u8>) -> Outcome {
        // What a case offers by hand is what the subject has to go by.
        if let Ok(offered) = Hello::parse(&payload) {
            self.hello = offered;
        }
        let kind = match self.subject_role {
            Role::Server => kind::HELLO,
            Role::Client => {
                self.read_hello(kind::HELLO)?;
                kind::HELLO_ACK
            }
        };
        // The first packet in each direction has key 0, also where the subject's key is known by now.
        self.send_raw(&Packet::control(kind, payload).encode(0))
    }

    /// Reads the HELLO_ACK of a server; a client has nothing to answer.
    pub(crate) fn complete(&mut self) -> Outcome {
        match self.subject_role {
            Role::Server => {
                self.read_hello(kind::HELLO_ACK)?;
                let Hello { lowest_version, highest_version, .. } = *self.announced();
                let sentence =
                    format!("PW-HS-003: HELLO_ACK holds the versions {lowest_version} and {highest_version}");
                require(lowest_version == 1 && highest_version == 1, sentence)
            }
            Role::Client => Ok(()),
        }
    }

    /// The kind of this side's first packet. A server learns it when HELLO has come.
    pub(crate) fn first_kind(&mut self) -> Result<u8, Failure> {
        match self.subject_role {
            Role::Server => Ok(kind::HELLO),
            Role::Client => {
                self.read_hello(kind::HELLO)?;
                Ok(kind::HELLO_ACK)
            }
        }
    }

    /// Reads the first packet of a client: a HELLO.
    pub(crate) fn read_hello(&mut self, kind: u8) -> Outcome {
        self.expecting(kind::name(kind));
        let packet = match self.receive()? {
            Arrival::Packet(packet) if packet.kind == kind => packet,
            Arrival::Packet(packet) => {
                return violation(format!("{} came instead of {}", describe(&packet), kind::name(kind)));
            }
            Arrival::End | Arrival::Reset => {
                return violation(format!("the connection was closed without {}", kind::name(kind)));
            }
        };
        match Hello::parse(&packet.payload) {
            Ok(hello) => {
                self.subject_hello = Some(hello);
                Ok(())
            }
            Err(code) => violation(format!(
                "section 7: {} that deserves {}: {:02x?}",
                kind::name(kind),
                reason::name(code),
                packet.payload
            )),
        }
    }

    /// The subject refuses what was offered, for this reason.
    ///
    /// A server says so with key 0 (PW-HS-019). A client may close silently: without a valid HELLO_ACK it may have no
    /// key to say it with (PW-HS-018); what it says must be right.
    pub(crate) fn expect_refusal(&mut self, code: u16) -> Outcome {
        match self.subject_role {
            Role::Server => self.expect_rejection(code).map(|_| ()),
            Role::Client => match self.receive()? {
                Arrival::End | Arrival::Reset => Ok(()),
                Arrival::Packet(packet) if packet.kind == kind::CLOSE => {
                    self.check_close(&packet, code)?;
                    self.expect_end()
                }
                Arrival::Packet(packet) => violation(format!("{} came instead of the end", describe(&packet))),
            },
        }
    }

    /// The CLOSE in `packet`, which must have this reason.
    pub(crate) fn check_close(&self, packet: &Packet, code: u16) -> Result<Close, Failure> {
        let close = Close::parse(&packet.payload).filter(|_| packet.kind == kind::CLOSE);
        let Some(close) = close else {
            return violation(format!("{} came instead of CLOSE with {}", describe(packet), reason::name(code)));
        };
        let (given, due) = (reason::name(close.reason), reason::name(code));
        require(close.reason == code, format!("closed with {given} instead of {due}"))?;
        Ok(close)
    }
}

/// The packet in a few words.
pub(super) fn describe(packet: &Packet) -> String {
    match (packet.kind, Close::parse(&packet.payload)) {
        (kind::CLOSE, Some(close)) => format!("CLOSE with {}", reason::name(close.reason)),
        _ => format!("{} of {} bytes", kind::name(packet.kind), packet.payload.len()),
    }
}
