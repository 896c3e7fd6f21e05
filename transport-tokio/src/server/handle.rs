//! Steering a server that runs.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::door::Door;
use super::statistics::ServerStatistics;
use crate::endpoint::Endpoint;
use crate::report::ShutdownReport;

/// Steers a [`Server`](crate::Server), from any task, before, while and after it serves. Cloning it is cheap.
#[derive(Clone)]
pub struct ServerHandle {
    pub(super) endpoint: Endpoint,
    pub(super) door: Arc<Door>,
}

impl ServerHandle {
    /// Accepts nothing more, at any listener; the connections that are there go on. The sockets that listen are closed: who connects
    /// then is refused by the system.
    pub fn stop_accepting(&self) {
        self.door.stop.cancel();
    }

    /// Ends the server: stops accepting; sends DRAIN, so that peers finish what they had begun, and waits for
    /// [`ShutdownTimes::drain`](crate::ShutdownTimes::drain); sends CLOSE, and waits for
    /// [`ShutdownTimes::close`](crate::ShutdownTimes::close); cuts what is left. It is done as soon as all are gone and all handlers
    /// have ended, and reports how the connections ended.
    ///
    /// The endpoint ends with it: other connections of that, of a client or of another server, are drained, closed and cut too.
    ///
    /// A handler that goes on when its connection is over is waited for as long as both times allow, and not ended; the log says so.
    ///
    /// Not cancel safe: dropped halfway, it has done a part. To end at once then, call
    /// [`Endpoint::shutdown`](crate::Endpoint::shutdown) with a patience of zero.
    pub async fn shutdown(&self) -> ShutdownReport {
        let times = self.door.config.shutdown;
        let deadline = Instant::now() + times.drain + times.close;
        self.stop_accepting();
        // None comes in behind this.
        self.door.listeners.close();
        self.door.listeners.wait().await;
        self.door.draining.store(!times.drain.is_zero(), Ordering::SeqCst);
        let report = self.endpoint.wind_down(times.drain, times.close).await;
        self.door.handlers.close();
        if timeout_at(deadline, self.door.handlers.wait()).await.is_err() {
            let handlers = self.door.handlers.len();
            tracing::warn!(handlers, "the connections are over, and handlers still run");
        }
        report
    }

    /// What the server has done so far.
    #[must_use]
    pub fn statistics(&self) -> ServerStatistics {
        self.door.statistics()
    }

    /// The endpoint of its connections.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle").field("statistics", &self.statistics()).finish_non_exhaustive()
    }
}

/// One of the sockets that a server listens on. Dropping it changes nothing.
#[derive(Debug, Clone)]
pub struct ListenerHandle {
    pub(super) address: Option<SocketAddr>,
    pub(super) stop: CancellationToken,
}

impl ListenerHandle {
    /// Where it listens, with the port that the system chose where 0 was asked for. `None`: on a Unix socket.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Closes this listener. The others, and all connections, go on.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}
