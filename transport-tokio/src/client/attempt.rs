//! One try to connect: a stream, a token, the handshake.

use std::error::Error;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pulsewire_policy::Failure;
use pulsewire_protocol::{Established, Role, ValidConfig};
use tokio::time::timeout;

use super::event::AttemptError;
use crate::connection::Connection;
use crate::endpoint::Endpoint;
use crate::stream::Below;

/// A stream that is being opened, and where the peer is.
pub(super) type Opening = Pin<Box<dyn Future<Output = Result<(Below, Option<SocketAddr>), AttemptError>> + Send>>;

/// A token that is being fetched.
pub(super) type Fetching = Pin<Box<dyn Future<Output = Result<Bytes, Box<dyn Error + Send + Sync>>> + Send>>;

/// Where tokens come from.
pub(super) type Fetch = Arc<dyn Fn() -> Fetching + Send + Sync>;

/// What one try needs.
pub(super) struct Attempt {
    pub(super) endpoint: Endpoint,
    pub(super) opening: Opening,
    /// Where the configuration's own token will not do.
    pub(super) fetch: Option<Fetch>,
    pub(super) token_timeout: Duration,
}

impl Attempt {
    /// The token is fetched when the server is there: a server that is away must not become a storm for those who issue tokens, and a
    /// fresh one is to be sent.
    pub(super) async fn run(self) -> Result<(Connection, Box<Established>), AttemptError> {
        let (below, address) = self.opening.await?;
        let config = match self.fetch {
            None => self.endpoint.config().clone(),
            Some(fetch) => with_token(self.endpoint.config(), fetch(), self.token_timeout).await?,
        };
        let mut connection = self
            .endpoint
            .begin_with(&config, below, Role::Client, address)
            .map_err(|source| AttemptError::Stream { source })?;
        match connection.greet().await {
            Ok(established) => Ok((connection, established)),
            Err(closed) => Err(AttemptError::Handshake { address, closed, source: connection.take_io_error() }),
        }
    }
}

async fn with_token(config: &ValidConfig, fetching: Fetching, limit: Duration) -> Result<ValidConfig, AttemptError> {
    let fetched = timeout(limit, fetching).await.map_err(|_| AttemptError::TokenTimeout { limit })?;
    let token = fetched.map_err(|source| AttemptError::Token { source })?;
    let mut config = (**config).clone();
    config.token = Some(token);
    config.validate().map_err(|source| AttemptError::TokenRefused { source })
}

impl AttemptError {
    /// What it means for the next try.
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Handshake { closed, .. } => Failure::from(&**closed),
            Self::Connect(_)
            | Self::Stream { .. }
            | Self::Token { .. }
            | Self::TokenTimeout { .. }
            | Self::TokenRefused { .. } => Failure::Unreachable,
        }
    }
}
