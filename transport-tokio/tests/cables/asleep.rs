//! A process that is stopped and goes on much later: a machine that slept, a debugger, a host that had no time. What came meanwhile lies
//! in its sockets, and it judges nobody before it has looked at that.

use std::thread;
use std::time::Duration;

use super::cable::{Cable, EMPTY};
use super::cut::close_in_order;
use super::namespaces::Outcome;
use super::process::Running;

/// Who is not stopped doesn't judge who is.
const PATIENT: &str = "idle=600000";
/// Far shorter than the sleep.
const BRISK: &str = "handshake=5000,write_stall=5000";
/// With a heartbeat that is not asked.
const BRISK_WRITES: &str = "idle=600000,write_stall=5000";
const MOMENT: Duration = Duration::from_secs(2);

fn sleep_time() -> Outcome<Duration> {
    match std::env::var("CABLES_SLEEP_SECONDS") {
        Ok(seconds) => Ok(Duration::from_secs(seconds.parse()?)),
        Err(_) => Ok(Duration::from_secs(20)),
    }
}

/// PW-TCP-001: HELLO came in time, and is not refused with HANDSHAKE_TIMEOUT.
pub(crate) fn server_in_handshake() -> Outcome {
    let cable = Cable::new("hello")?;
    let (mut server, mut client) = cable.peers(BRISK, PATIENT)?;
    cable.limit(&cable.to_server, EMPTY);
    client.tell("connect")?;
    server.expect("accepted")?;
    server.stop()?;
    cable.mend();
    thread::sleep(sleep_time()?);
    server.resume()?;
    server.expect("established")?;
    client.expect("established")?;
    close_in_order(&mut client, &mut server)
}

pub(crate) fn client_in_handshake() -> Outcome {
    let cable = Cable::new("answer")?;
    let (mut server, mut client) = cable.peers(PATIENT, BRISK)?;
    cable.limit(&cable.to_client, EMPTY);
    client.tell("connect")?;
    server.expect("established")?;
    client.stop()?;
    cable.mend();
    thread::sleep(sleep_time()?);
    client.resume()?;
    client.expect("established")?;
    close_in_order(&mut client, &mut server)
}

pub(crate) fn client_sending() -> Outcome {
    let cable = Cable::new("send-up")?;
    let (mut server, mut client) = cable.connected(PATIENT, BRISK_WRITES)?;
    sender_asleep(&mut client, &mut server)
}

pub(crate) fn server_sending() -> Outcome {
    let cable = Cable::new("send-down")?;
    let (mut server, mut client) = cable.connected(BRISK_WRITES, PATIENT)?;
    sender_asleep(&mut server, &mut client)
}

/// A sender waits for room; then its process is stopped, and the peer takes all that there is. The peer did nothing wrong, and gets no
/// WRITE_STALL.
fn sender_asleep(sender: &mut Running, peer: &mut Running) -> Outcome {
    peer.stop()?;
    sender.tell("flood")?;
    sender.expect("blocked")?;
    sender.stop()?;
    peer.resume()?;
    peer.expect("quiet after")?;
    thread::sleep(sleep_time()?);
    sender.resume()?;
    sender.expect("unblocked")?;
    sender.tell("rest")?;
    sender.goes_on(MOMENT)?;
    close_in_order(sender, peer)
}

pub(crate) fn client_idle() -> Outcome {
    let cable = Cable::new("idle-near")?;
    let (mut server, mut client) = cable.connected(PATIENT, "")?;
    idle_asleep(&mut client, &mut server)
}

pub(crate) fn server_idle() -> Outcome {
    let cable = Cable::new("idle-far")?;
    let (mut server, mut client) = cable.connected("", PATIENT)?;
    idle_asleep(&mut server, &mut client)
}

/// PW-HB-016: its own sleep is not the peer's silence.
fn idle_asleep(sleeper: &mut Running, peer: &mut Running) -> Outcome {
    thread::sleep(MOMENT);
    sleeper.stop()?;
    thread::sleep(sleep_time()?);
    sleeper.resume()?;
    sleeper.goes_on(MOMENT * 2)?;
    close_in_order(peer, sleeper)
}
