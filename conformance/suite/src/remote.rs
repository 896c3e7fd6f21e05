//! A server that somebody else started.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::codec::Hello;
use crate::peer::Peer;
use crate::profile::Profile;
use crate::random::Random;
use crate::role::Role;
use crate::subject::{Command, Reply, Running, Subject, SubjectError, Unsupported};
use crate::transcript::Transcript;
use crate::verdict::{Failure, Verdict};

/// How long the first connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An echo server behind an address, in any language, judged by its bytes alone.
pub struct Remote {
    name: String,
    address: SocketAddr,
    profile: Profile,
}

impl Remote {
    /// The server at `address`. Its limits, its PING_FLOOR and whether it resynchronises are learnt from a handshake;
    /// everything else that it cannot be asked for is taken from `profile`.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached, or does not complete a handshake.
    pub fn new(address: SocketAddr, profile: Profile) -> Result<Self, SubjectError> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)
            .map_err(|error| SubjectError::failed(format!("no connection to {address}: {error}")))?;
        let hello = greet(stream).map_err(|failure| {
            let verdict = Verdict::from(failure);
            SubjectError::failed(format!("no handshake with {address}: {}", verdict.reason()))
        })?;
        let profile = Profile {
            ping_floor: Duration::from_millis(hello.ping_floor.into()),
            frame_limit: hello.frame_limit,
            message_limit: hello.message_limit,
            resync: hello.resync,
            ..profile
        };
        Ok(Self { name: address.to_string(), address, profile })
    }
}

/// What the server announces.
fn greet(stream: TcpStream) -> Result<Hello, Failure> {
    let key = Random::from_entropy().sync_key();
    let mut peer = Peer::new(stream, Role::Server, 0, key, Transcript::new())?;
    peer.handshake()?;
    let hello = peer.announced().clone();
    peer.close()?;
    Ok(hello)
}

impl Subject for Remote {
    fn name(&self) -> &str {
        &self.name
    }

    fn serve(&self, _profile: &Profile) -> Result<Box<dyn Running>, SubjectError> {
        Ok(Box::new(RemoteServer { address: self.address }))
    }

    fn connect(&self, _profile: &Profile, _address: SocketAddr) -> Result<Box<dyn Running>, SubjectError> {
        Err(SubjectError::unsupported("the server cannot be told to be a client"))
    }

    fn fixed_profile(&self) -> Option<Profile> {
        Some(self.profile.clone())
    }
}

struct RemoteServer {
    address: SocketAddr,
}

impl Running for RemoteServer {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn control(&mut self, _command: Command) -> Result<Reply, Unsupported> {
        Err(Unsupported("the server takes no commands"))
    }

    fn stop(self: Box<Self>) {}
}
