use std::time::Duration;

use super::{Arrival, PATIENCE, Peer};
use crate::clock;
use crate::role::Role;
use crate::transcript::Transcript;
use crate::verdict::Failure;
use crate::wire::hello;
use crate::world::{World, dial, listen, sleep, spawn};

/// What comes of a wait for a subject that reads so many bytes, and answers so long after that.
fn waited(size: usize, pause: Duration) -> Result<Arrival, Failure> {
    World::new().run(|| {
        let listener = listen().expect("in memory");
        let stream = dial(listener.address().expect("in memory"), PATIENCE).expect("in memory");
        let mut subject = listener.accept(Some(PATIENCE)).expect("in memory");
        let mut peer = Peer::new(stream, Role::Server, 0, 1, Transcript::new(clock::now()).connection());
        let subject = spawn("subject", move || {
            let (mut read, mut buffer) = (0, [0; 4_096]);
            while read < size {
                read += subject.read(&mut buffer, PATIENCE).expect("in memory").expect("it is sent at once");
            }
            sleep(pause);
            subject.write_all(&hello(1, false).encode(0), PATIENCE).expect("in memory");
        });
        peer.send_raw(&vec![0; size])?;
        let came = peer.receive();
        subject.expect("a thread").join().expect("it does not panic");
        came
    })
}

/// A slow machine takes a second for a MiB, and what was sent in front of that is nothing to it.
#[test]
fn who_was_sent_much_has_longer_to_answer() {
    let seconds = Duration::from_secs;
    assert!(waited(100, seconds(4)).is_ok());
    assert!(matches!(waited(100, seconds(6)), Err(Failure::Untimely { .. })));
    assert!(waited(16 << 20, seconds(20)).is_ok());
    assert!(matches!(waited(16 << 20, seconds(22)), Err(Failure::Untimely { .. })));
}
