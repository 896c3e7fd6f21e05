use std::io::{ErrorKind, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Over, Stream, World, dial, listen, now, sleep, spawn};
use crate::clock;

const PATIENCE: Duration = Duration::from_secs(5);
const HOUR: Duration = Duration::from_secs(60 * 60);

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Both ends of a connection in the world of this thread.
fn connected() -> Result<[Stream; 2]> {
    let listener = listen()?;
    let here = dial(listener.address()?, PATIENCE)?;
    Ok([here, listener.accept(Some(PATIENCE))?])
}

fn in_world<T>(act: impl FnOnce() -> Result<T>) -> T {
    World::new().run(act).expect("nothing fails in memory")
}

/// Why the world in which `act` ran is over.
fn sentence_of(act: impl FnOnce()) -> String {
    let panic = World::new().run(|| catch_unwind(AssertUnwindSafe(act))).expect_err("it cannot end well");
    panic.downcast_ref::<Over>().expect("the world is over").0.clone()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it is about real time")]
fn an_hour_takes_no_time_and_ends_at_the_exact_moment() {
    let began = Instant::now();
    let passed = World::new().run(|| {
        let start = now();
        sleep(HOUR);
        clock::elapsed(start)
    });
    assert_eq!(passed, HOUR);
    assert!(began.elapsed() < HOUR / 60);
}

#[test]
fn outside_of_a_world_time_and_connections_are_real() -> Result<()> {
    let start = now();
    sleep(milliseconds(2));
    assert!(clock::elapsed(start) >= milliseconds(2));
    let [mut here, mut there] = connected()?;
    here.write_all(b"over TCP", PATIENCE)?;
    let mut buffer = [0; 8];
    assert_eq!(there.read(&mut buffer, PATIENCE)?, Some(8));
    assert_eq!(&buffer, b"over TCP");
    Ok(())
}

/// Threads that sleep, and what each said when.
fn diary() -> Vec<(u64, Duration)> {
    in_world(|| {
        let (start, diary) = (now(), Arc::new(Mutex::new(Vec::new())));
        let threads: Result<Vec<_>> = (1..=8)
            .map(|number| {
                let diary = Arc::clone(&diary);
                spawn("sleeper", move || {
                    for turn in 0..5 {
                        diary.lock().expect("no thread panics").push((number, clock::elapsed(start)));
                        sleep(milliseconds(number * (turn % 3)));
                    }
                })
            })
            .collect();
        threads?.into_iter().for_each(|thread| thread.join().expect("no thread panics"));
        let diary = diary.lock().expect("no thread panics").clone();
        Ok(diary)
    })
}

#[test]
fn threads_take_their_turns_in_the_same_order_whenever_they_run() {
    let first = diary();
    assert_eq!(first.len(), 40);
    assert!(first.is_sorted_by_key(|(_, at)| *at), "time runs forward");
    assert_eq!(first[..8].iter().map(|(number, _)| *number).collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
    for _ in 0..20 {
        assert_eq!(diary(), first);
    }
}

#[test]
fn one_thread_runs_at_a_time() {
    let most = in_world(|| {
        let together = Arc::new(Mutex::new((0, 0)));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let together = Arc::clone(&together);
                spawn("counter", move || {
                    for _ in 0..1_000 {
                        let count = |change: i32| {
                            let mut together = together.lock().expect("no thread panics");
                            together.0 += change;
                            together.1 = together.1.max(together.0);
                        };
                        count(1);
                        std::thread::yield_now();
                        count(-1);
                        sleep(Duration::ZERO);
                    }
                })
            })
            .collect::<Result<_>>()?;
        threads.into_iter().for_each(|thread| thread.join().expect("no thread panics"));
        let most = together.lock().expect("no thread panics").1;
        Ok(most)
    });
    assert_eq!(most, 1);
}

#[test]
fn a_deadlock_is_told_with_who_waits_for_what() {
    let sentence = sentence_of(|| {
        let listener = listen().expect("a port");
        let thread = spawn("deaf", move || drop(listener.accept(None))).expect("a thread");
        thread.join().expect("never");
    });
    assert!(sentence.starts_with("a deadlock in virtual time"), "{sentence}");
    assert!(sentence.contains("waits for a thread to end, \"deaf\" waits for a connection"), "{sentence}");
}

#[test]
fn a_world_that_is_ended_lets_no_thread_wait() {
    let world = World::new();
    let inside = world.clone();
    let panic = world.run(|| {
        inside.end("enough");
        catch_unwind(|| sleep(HOUR)).expect_err("it does not go on")
    });
    assert_eq!(panic.downcast_ref::<Over>().expect("the world is over").0, "enough");
}

#[test]
fn the_threads_of_a_world_end_with_its_first_one() {
    let witness = Arc::new(());
    let held = Arc::clone(&witness);
    in_world(|| {
        spawn("for ever", move || {
            loop {
                sleep(milliseconds(1));
                assert_eq!(Arc::strong_count(&held), 2);
            }
        })
    });
    while Arc::strong_count(&witness) > 1 {
        std::thread::yield_now();
    }
}

#[test]
fn a_read_ends_at_its_deadline_or_with_the_first_byte() {
    in_world(|| {
        let [mut here, mut there] = connected()?;
        let (start, mut buffer) = (now(), [0; 16]);
        assert_eq!(here.read(&mut buffer, milliseconds(30))?, None);
        assert_eq!(clock::elapsed(start), milliseconds(30));
        let thread = spawn("writer", move || {
            sleep(milliseconds(20));
            there.write_all(b"late", PATIENCE).expect("room");
            sleep(HOUR);
        })?;
        assert_eq!(here.read(&mut buffer, PATIENCE)?, Some(4));
        assert_eq!((&buffer[..4], clock::elapsed(start)), (&b"late"[..], milliseconds(50)));
        thread.join().expect("it only sleeps");
        assert_eq!(here.read(&mut buffer, PATIENCE)?, Some(0), "the end");
        Ok(())
    });
}

#[test]
fn a_full_transport_takes_more_only_when_the_other_side_reads() {
    in_world(|| {
        let [mut here, mut there] = connected()?;
        let bytes = vec![7; 1 << 20];
        let taken = here.write(&bytes)?;
        assert!((64 << 10..bytes.len()).contains(&taken), "{taken}");
        assert_eq!(here.write(&bytes)?, 0);
        let start = now();
        let error = here.write_all(&bytes, milliseconds(300)).expect_err("nothing is read");
        assert_eq!((error.kind(), clock::elapsed(start)), (ErrorKind::TimedOut, milliseconds(300)));
        let thread = spawn("reader", move || {
            let (mut buffer, mut count) = ([0; 10_000], 0);
            while count < taken + bytes.len() {
                sleep(milliseconds(1));
                count += there.read(&mut buffer, PATIENCE).expect("no reset").expect("in time");
            }
        })?;
        here.write_all(&[7; 1 << 20], milliseconds(300))?;
        thread.join().expect("everything came");
        Ok(())
    });
}

#[test]
fn the_two_directions_end_apart() {
    in_world(|| {
        let [mut here, mut there] = connected()?;
        here.write_all(b"last", PATIENCE)?;
        here.half_close();
        assert_eq!(here.write(b"more").map_err(|error| error.kind()), Err(ErrorKind::BrokenPipe));
        let mut buffer = [0; 16];
        assert_eq!(there.read(&mut buffer, PATIENCE)?, Some(4));
        assert_eq!(there.read(&mut buffer, PATIENCE)?, Some(0));
        there.write_all(b"answer", PATIENCE)?;
        assert_eq!(here.read(&mut buffer, PATIENCE)?, Some(6));
        assert!(there.take_error()?.is_none() && here.take_error()?.is_none());
        Ok(())
    });
}

#[test]
fn a_close_with_bytes_unread_resets_the_other_side() {
    in_world(|| {
        let [mut here, there] = connected()?;
        here.write_all(b"unheard", PATIENCE)?;
        drop(there);
        let error = here.read(&mut [0; 16], PATIENCE).expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(here.write(b"more").map_err(|error| error.kind()), Err(ErrorKind::BrokenPipe));
        Ok(())
    });
}

#[test]
fn a_connection_is_cut_without_bytes_unread() -> Result<()> {
    let cut = || {
        let [mut here, mut there] = connected()?;
        there.cut_when_dropped()?;
        drop(there);
        let error = here.read(&mut [0; 16], PATIENCE).expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        Ok(())
    };
    in_world(cut);
    // Wine tells of a reset only a read that was under way.
    if cfg!(windows) { Ok(()) } else { cut() }
}

#[test]
fn what_is_written_to_a_closed_side_is_answered_with_a_reset() {
    in_world(|| {
        let [mut here, mut there] = connected()?;
        there.write_all(b"bye", PATIENCE)?;
        drop(there);
        assert!(here.take_error()?.is_none());
        // It goes out: only the answer tells.
        here.write_all(b"too late", PATIENCE)?;
        assert_eq!(here.take_error()?.map(|error| error.kind()), Some(ErrorKind::BrokenPipe));
        let mut buffer = [0; 16];
        assert_eq!(here.read(&mut buffer, PATIENCE)?, Some(3), "what came before");
        assert_eq!(here.read(&mut buffer, PATIENCE)?, Some(0));
        Ok(())
    });
}

#[test]
fn nobody_is_reached_where_nobody_listens() {
    in_world(|| {
        let listener = listen()?;
        let address = listener.address()?;
        let error = listener.accept(Some(milliseconds(10))).err().map(|error| error.kind());
        assert_eq!(error, Some(ErrorKind::TimedOut));
        drop(listener);
        let error = dial(address, PATIENCE).err().map(|error| error.kind());
        assert_eq!(error, Some(ErrorKind::ConnectionRefused));
        Ok(())
    });
}

#[test]
fn worlds_know_nothing_of_each_other() {
    let (inside, outside) = (World::new(), World::new());
    let listener = inside.run(listen).expect("a port");
    let address = listener.address().expect("it has one");
    let error = outside.run(|| dial(address, PATIENCE).err().map(|error| error.kind()));
    assert_eq!(error, Some(ErrorKind::ConnectionRefused));
}
