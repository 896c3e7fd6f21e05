//! A server that somebody else started.

use std::net::SocketAddr;
use std::time::Duration;

use crate::clock;
use crate::codec::Hello;
use crate::manifest::Manifest;
use crate::peer::Peer;
use crate::profile::Profile;
use crate::random::Random;
use crate::role::Role;
use crate::subject::{Command, Reply, Running, Subject, SubjectError};
use crate::transcript::Transcript;
use crate::verdict::Failure;
use crate::world::{self, Stream};

/// How long the first connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An echo server behind an address, in any language, judged by its bytes alone.
pub struct RemoteServer {
    name: String,
    address: SocketAddr,
    profile: Profile,
}

impl RemoteServer {
    /// The server at the first of these addresses that a connection can be opened to. Its limits, its PING_FLOOR and whether it
    /// resynchronises are learnt from a handshake; its timers are those that the manifest declares.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached, does not complete a handshake, or announces other limits than the manifest declares.
    pub fn new(addresses: &[SocketAddr], manifest: &Manifest) -> Result<Self, SubjectError> {
        let (address, stream) = dial_first(addresses)?;
        let hello = greet(stream, Role::Server).map_err(|failure| {
            SubjectError::failed(format!("no handshake with {address}: {}", failure.into_sentence()))
        })?;
        let name = manifest.name().map_or_else(|| address.to_string(), str::to_owned);
        Ok(Self { name, address, profile: manifest.profile_of(&hello)? })
    }
}

/// A name may stand for several addresses, of which a server need not listen on all.
pub(crate) fn dial_first(addresses: &[SocketAddr]) -> Result<(SocketAddr, Stream), SubjectError> {
    let mut errors = Vec::new();
    for address in addresses {
        match world::dial(*address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok((*address, stream)),
            Err(error) => errors.push(format!("no connection to {address}: {error}")),
        }
    }
    Err(SubjectError::failed(if errors.is_empty() { "no address".into() } else { errors.join("; ") }))
}

/// What the subject at the other end announces; the connection is closed in order.
pub(crate) fn greet(stream: Stream, role: Role) -> Result<Hello, Failure> {
    let key = Random::from_entropy().sync_key();
    let mut peer = Peer::new(stream, role, 0, key, Transcript::new(clock::now()).connection());
    peer.handshake()?;
    let hello = peer.announced().clone();
    peer.close()?;
    Ok(hello)
}

/// Whether anybody answers: the system accepts connections for a server that hangs, too.
fn knock(address: SocketAddr) -> Result<(), String> {
    let stream =
        world::dial(address, CONNECT_TIMEOUT).map_err(|error| format!("no connection to {address}: {error}"))?;
    let key = Random::from_entropy().sync_key();
    let mut peer = Peer::new(stream, Role::Server, 0, key, Transcript::new(clock::now()).connection());
    peer.handshake().map_err(|failure| format!("no handshake with {address}: {}", failure.into_sentence()))
}

impl Subject for RemoteServer {
    fn name(&self) -> &str {
        &self.name
    }

    fn serve(&self, _profile: &Profile) -> Result<Box<dyn Running>, SubjectError> {
        Ok(Box::new(RunningServer { address: self.address }))
    }

    fn connect(&self, _profile: &Profile, _address: SocketAddr) -> Result<Box<dyn Running>, SubjectError> {
        Err(SubjectError::unsupported("a server that somebody else started is no client"))
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Server]
    }

    fn presence(&self) -> Result<(), String> {
        // Twice: the first may be the one that a server which was ended just now has still accepted.
        knock(self.address).or_else(|_| knock(self.address))
    }

    fn fixed_profile(&self) -> Option<Profile> {
        Some(self.profile.clone())
    }
}

struct RunningServer {
    address: SocketAddr,
}

impl Running for RunningServer {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn control(&mut self, _command: Command) -> Result<Reply, SubjectError> {
        Err(SubjectError::unsupported("the server takes no commands"))
    }

    fn stop(self: Box<Self>) {}
}
