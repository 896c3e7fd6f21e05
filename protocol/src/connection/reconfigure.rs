//! Numbers that change while the connection goes on.

use super::Connection;
use crate::config::{Config, ValidConfig};
use crate::error::ConfigError;
use crate::time::{Instant, millis};

impl Connection {
    /// From now on these numbers hold: timers, time limits and queues, as they would if the connection had begun with them. A wait
    /// that is under way is judged by the new ones, but for two: when what was handed out must have been acknowledged, and how
    /// much time an open message may save up, were settled by the old ones.
    ///
    /// # Errors
    /// What the handshake told the peer holds for the whole connection: `limits.frame`, `limits.message`, `heartbeat.ping_floor`,
    /// `damage` and `token` can't change. And the peer's ping floor must not make the silence longer than
    /// [`detection_limit`](crate::HeartbeatConfig::detection_limit) allows. Nothing has changed then.
    pub fn reconfigure(&mut self, now: Instant, config: &ValidConfig) -> Result<(), ConfigError> {
        self.tick(now);
        if let Some(name) = announced(&self.config, config) {
            return Err(ConfigError::Announced { name });
        }
        if let Some(heartbeat) = &self.heartbeat {
            let (bound, limit) = (heartbeat.bound(&config.heartbeat), config.heartbeat.detection_limit());
            if bound > limit {
                return Err(ConfigError::DetectWithin { bound_ms: millis(bound), limit_ms: millis(limit) });
            }
            self.outgoing.encoding.limit_frames(config.limits.frame_sent);
        }
        self.config = config.clone();
        // More may fit in now.
        self.note_room();
        Ok(())
    }
}

/// The first field that the peer was told of and that differs.
fn announced(before: &Config, after: &Config) -> Option<&'static str> {
    [
        ("limits.frame", before.limits.frame == after.limits.frame),
        ("limits.message", before.limits.message == after.limits.message),
        ("heartbeat.ping_floor", before.heartbeat.ping_floor == after.heartbeat.ping_floor),
        ("damage", before.damage == after.damage),
        ("token", before.token == after.token),
    ]
    .into_iter()
    .find_map(|(name, same)| (!same).then_some(name))
}
