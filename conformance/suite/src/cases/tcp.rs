//! Section 14: over TCP.

use std::io::{ErrorKind, Result};

use super::BOTH;
use crate::case::Case;
use crate::codec::registry::reason;
use crate::context::Context;
use crate::peer::PATIENCE;
use crate::profile::Profile;
use crate::sockets;
use crate::subject::Origin;
use crate::verdict::{Failure, Outcome, require};

pub(super) const CASES: &[Case] = &[case!(
    "PW-TCP-004/reset",
    "reports a connection that the peer's side cut as another thing than the end of the stream",
    BOTH,
    Profile::calm,
    reset
)
.whole_only()];

fn reset(context: &mut Context<'_>) -> Outcome {
    let (mut peer, id) = context.establish_with_id()?;
    peer.half_close();
    let (frame, origin) = context.await_ending(&peer, id, PATIENCE)?;
    let sentence = format!("the end of the stream is reported as {} by {origin:?}", reason::name(frame.reason));
    require(frame.reason == reason::PEER_ENDED && origin == Origin::Transport, sentence)?;

    let (mut peer, id) = context.establish_with_id()?;
    peer.cut()?;
    let (frame, origin) = context.await_ending(&peer, id, PATIENCE)?;
    if frame.reason == reason::PEER_ENDED
        && !system_tells_resets().map_err(|error| Failure::Harness(error.to_string()))?
    {
        let sentence = "this system tells a reader of the end of the stream where the connection was reset";
        return Err(Failure::Unsupported(sentence.into()));
    }
    let sentence = format!("a reset is reported as {} by {origin:?}", reason::name(frame.reason));
    require(frame.reason == reason::RESET && origin == Origin::Transport, sentence)
}

/// Whether the system tells a reader of a reset that came before it read. Wine does not.
fn system_tells_resets() -> Result<bool> {
    let listener = sockets::listen()?;
    let mut here = sockets::dial(listener.address()?, PATIENCE)?;
    let mut there = listener.accept(Some(PATIENCE))?;
    there.cut_when_dropped()?;
    drop(there);
    match here.read(&mut [0], PATIENCE) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(true),
        Err(error) => Err(error),
    }
}
