//! The example `screens`, run as its documentation says.

use crate::programs::{OF_ITS_OWN, Running};

/// A controller, and where it listens.
fn controller(listen: &str) -> (Running, String) {
    let controller = Running::start("screens", &["controller", "--listen", listen]);
    let line = controller.until("listening on ");
    (controller, line.trim_start_matches("listening on ").to_owned())
}

fn screen(name: &str, controller: &str) -> Running {
    Running::start("screens", &["screen", name, "--controller", controller])
}

#[test]
fn all_show_the_same_page_and_who_comes_shows_it_at_once() {
    let (mut controller, address) = controller("127.0.0.1:0");
    let kitchen = screen("kitchen", &address);
    controller.until("screen kitchen is there");
    controller.type_line("lunch at noon");
    kitchen.until("showing: lunch at noon");
    let hall = screen("hall", &address);
    hall.until("showing: lunch at noon");
    controller.type_line("lunch at one");
    hall.until("showing: lunch at one");
    kitchen.until("showing: lunch at one");
    controller.end_input();
    kitchen.until("no controller: closed by the peer: the side that closed is going away");
}

#[test]
fn a_screen_that_was_killed_is_gone_and_shows_the_page_when_it_is_back() {
    let (mut controller, address) = controller("127.0.0.1:0");
    let mut kitchen = screen("kitchen", &address);
    controller.until("screen kitchen is there");
    kitchen.kill();
    // The system says so; which of the two it is depends on what was under way.
    let gone = controller.until("screen kitchen is gone: ");
    assert!(gone.ends_with("PEER_ENDED") || gone.ends_with("RESET"), "{gone}");
    controller.type_line("closed today");
    let kitchen = screen("kitchen", &address);
    kitchen.until("showing: closed today");
    controller.until("screen kitchen is there");
}

/// The system of a process that is stopped goes on to acknowledge what comes: only the heartbeat notices.
#[cfg(unix)]
#[test]
fn a_screen_that_hangs_is_missed_and_shows_the_page_when_it_goes_on() {
    use std::process::Command;
    use std::time::{Duration, Instant};

    let signal = |name: &str, screen: &Running| {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", screen.id())]).status().unwrap();
        assert!(sent.success());
    };
    let (mut controller, address) = controller("127.0.0.1:0");
    let (kitchen, hall) = (screen("kitchen", &address), screen("hall", &address));
    controller.until("is there");
    controller.until("is there");
    controller.type_line("before");
    kitchen.until("showing: before");
    signal("STOP", &kitchen);
    let stopped = Instant::now();
    controller.until("screen kitchen is gone: PEER_TIMEOUT");
    // Four seconds at most, and what a busy machine adds; without a heartbeat of its own it would be more than eleven.
    assert!(stopped.elapsed() < Duration::from_secs(10), "{:?}", stopped.elapsed());
    controller.type_line("meanwhile");
    hall.until("showing: meanwhile");
    signal("CONT", &kitchen);
    kitchen.until("showing: meanwhile");
    controller.until("screen kitchen is there");
}

#[test]
fn screens_find_a_controller_that_was_started_again() {
    let (mut first, address) = controller(OF_ITS_OWN);
    let kitchen = screen("kitchen", &address);
    first.until("screen kitchen is there");
    first.kill();
    kitchen.until("no controller: ");
    let (mut second, _) = controller(&address);
    second.until("screen kitchen is there");
    second.type_line("good morning");
    kitchen.until("showing: good morning");
}
