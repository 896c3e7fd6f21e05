//! A network that fails: the heartbeat notices, in its time, on both sides, whatever they are doing; and a bad one is not taken for it.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::cable::Cable;
use super::namespaces::{Outcome, ip};
use super::process::Running;
use super::tun::DEVICE;

/// `idle + interval * probes` of the peers, unless they are told otherwise.
const BOUND: Duration = Duration::from_millis(600 + 3 * 300);
const PROBES: Duration = Duration::from_millis(3 * 300);
/// How late a busy machine may be.
const LATE: Duration = Duration::from_millis(2_500);
const SECOND: Duration = Duration::from_secs(1);

/// This side ends for this reason, no earlier than `earliest` behind `since` and no later than `latest`.
fn ends(peer: &mut Running, reason: &str, since: Instant, earliest: Duration, latest: Duration) -> Outcome {
    let (when, ended) = peer.expect("ended:")?;
    let took = when - since;
    if !ended.starts_with(reason) {
        return Err(format!("expected {reason}, got {ended} after {took:?}").into());
    }
    if took < earliest || took > latest + LATE {
        return Err(format!("{ended} after {took:?}, not within {earliest:?} to {latest:?}").into());
    }
    Ok(())
}

pub(crate) fn while_idle() -> Outcome {
    let cable = Cable::new("idle")?;
    let (mut server, mut client) = cable.connected("", "")?;
    thread::sleep(SECOND);
    let since = Instant::now();
    cable.cut();
    for peer in [&mut server, &mut client] {
        ends(peer, "PEER_TIMEOUT by Local", since, PROBES * 2 / 3, BOUND)?;
    }
    Ok(())
}

/// What was written and not acknowledged is no reason to wait longer.
pub(crate) fn while_writing() -> Outcome {
    let cable = Cable::new("writing")?;
    let (mut server, mut client) = cable.connected("", "")?;
    client.tell("flood")?;
    server.tell("flood")?;
    thread::sleep(SECOND);
    let since = Instant::now();
    cable.cut();
    // The extension may be used, as bytes went on until the cut.
    for peer in [&mut server, &mut client] {
        ends(peer, "PEER_TIMEOUT by Local", since, PROBES * 2 / 3, BOUND * 2)?;
    }
    Ok(())
}

/// A side waits for one that pauses, for `busy_max`; and who pauses notices when it reads again.
pub(crate) fn while_the_peer_pauses() -> Outcome {
    let cable = Cable::new("paused")?;
    let (mut server, mut client) = cable.connected("", "")?;
    server.tell("pause 3000")?;
    thread::sleep(SECOND / 2);
    let since = Instant::now();
    cable.cut();
    // Of two seconds that the peer may pause, half a second has gone at the most; it had asked for as long as twice its `idle`.
    ends(&mut client, "PEER_TIMEOUT by Local", since, PROBES, 2 * SECOND + BOUND)?;
    let (resumed, _) = server.expect("resumed")?;
    ends(&mut server, "PEER_TIMEOUT by Local", resumed, PROBES, BOUND)
}

pub(crate) fn towards_the_server() -> Outcome {
    let cable = Cable::new("up")?;
    let (mut server, mut client) = cable.connected("", "")?;
    thread::sleep(SECOND);
    let since = Instant::now();
    cable.limit(&cable.to_server, 0);
    // The server hears nothing. The client hears its last word, or has given it up by then, since nothing of its own is answered.
    ends(&mut server, "PEER_TIMEOUT by Local", since, PROBES * 2 / 3, BOUND)?;
    ends(&mut client, "PEER_TIMEOUT", since, PROBES * 2 / 3, BOUND)
}

pub(crate) fn towards_the_client() -> Outcome {
    let cable = Cable::new("down")?;
    let (mut server, mut client) = cable.connected("", "")?;
    thread::sleep(SECOND);
    let since = Instant::now();
    cable.limit(&cable.to_client, 0);
    ends(&mut client, "PEER_TIMEOUT by Local", since, PROBES * 2 / 3, BOUND)?;
    ends(&mut server, "PEER_TIMEOUT", since, PROBES * 2 / 3, BOUND)
}

/// The client's own system knows, and tells nobody who only waits.
pub(crate) fn link_down() -> Outcome {
    let cable = Cable::new("link")?;
    let (mut server, mut client) = cable.connected("", "")?;
    client.tell("flood")?;
    thread::sleep(SECOND);
    let since = Instant::now();
    ip(&["-n", &cable.near, "link", "set", DEVICE, "down"])?;
    ends(&mut server, "PEER_TIMEOUT by Local", since, PROBES * 2 / 3, BOUND * 2)?;
    ends(&mut client, "PEER_TIMEOUT by Local", since, PROBES * 2 / 3, BOUND * 2)
}

/// A cable that works again before the heartbeat has run out is nobody's end, and nothing is lost.
pub(crate) fn for_a_moment() -> Outcome {
    let slow = "idle=2000,interval=2000";
    let cable = Cable::new("moment")?;
    let (mut server, mut client) = cable.connected(slow, slow)?;
    for _ in 0..3 {
        client.tell("flood")?;
        thread::sleep(SECOND / 2);
        cable.cut();
        thread::sleep(SECOND * 3 / 2);
        cable.mend();
        client.tell("rest")?;
        client.goes_on(SECOND)?;
    }
    close_in_order(&mut client, &mut server)
}

pub(crate) fn slow_and_lossy() -> Outcome {
    let slow = "idle=1000,interval=1000";
    let cable = Cable::new("lossy")?;
    for direction in [&cable.to_server, &cable.to_client] {
        direction.delay_ms.store(150, Ordering::Relaxed);
        direction.lost.store(30, Ordering::Relaxed);
    }
    let (mut server, mut client) = cable.connected(slow, slow)?;
    client.goes_on(SECOND * 5)?;
    client.tell("flood")?;
    server.tell("flood")?;
    client.goes_on(SECOND * 8)?;
    server.goes_on(Duration::ZERO)?;
    client.tell("rest")?;
    server.tell("rest")?;
    close_in_order(&mut client, &mut server)
}

/// Closes; and all that each of the two sent has arrived at the other.
pub(crate) fn close_in_order(closing: &mut Running, other: &mut Running) -> Outcome {
    closing.tell("close")?;
    let (_, one) = closing.expect("ended:")?;
    let (_, two) = other.expect("ended:")?;
    let counts = |ended: &str| -> Option<(String, String)> {
        let (_, counts) = ended.split_once("NORMAL by ")?.1.split_once("orderly true, received ")?;
        counts.split_once(" sent ").map(|(received, sent)| (received.to_owned(), sent.to_owned()))
    };
    match (counts(&one), counts(&two)) {
        (Some(one), Some((received, sent))) if one == (sent.clone(), received.clone()) => Ok(()),
        _ => Err(format!("not both in order with all that was sent: {one:?}, {two:?}").into()),
    }
}
