//! What most connections never need: kept apart, so that an idle one is small.

use super::demands::Watching;
use super::pause::Pause;
use crate::close::Ended;

#[derive(Debug, Default)]
pub(super) struct Rare {
    pub(super) messages_refused: u64,
    pub(super) messages_rejected: u64,
    pub(super) gaps: u64,
    pub(super) bytes_skipped: u64,
    /// Pauses of this side, and the one that goes on.
    pub(super) pauses: u64,
    pub(super) pause: Option<Pause>,
    /// How often the peer began to pause.
    pub(super) peer_pauses: u64,
    pub(super) watching: Watching,
    /// How it ended, once it has.
    pub(super) ended: Option<Ended>,
}
