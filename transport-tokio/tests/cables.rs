//! What a network and a busy machine do to connections over real sockets: cables that are cut, in one direction or in both, that are
//! slow and lose packets; and processes that are stopped and go on much later.
//!
//! Each test has two network namespaces, and the cable between them is this program: it carries each packet from one TUN device to
//! the other, so it needs nothing of the kernel but these. Needs root on Linux; elsewhere the tests are skipped, which is said, and
//! with `CI` in the environment they fail.
//!
//! `CABLES_SLEEP_SECONDS` says for how long processes are stopped (default 20; `.ci/deep-check cables` takes 60).
//!
//! This program is also what runs inside the namespaces: `cables tun` and `cables peer ROLE CONFIGURATION`.

#[cfg(target_os = "linux")]
#[path = "cables"]
mod linux {
    #[path = "../../../socket/tests/namespaces/mod.rs"]
    pub(crate) mod namespaces;

    pub(crate) mod asleep;
    pub(crate) mod cable;
    pub(crate) mod cut;
    pub(crate) mod link;
    pub(crate) mod peer;
    pub(crate) mod process;
    pub(crate) mod tun;
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("0 passed, 0 failed, 1 skipped: network namespaces are Linux's");
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use linux::{asleep, cut, peer, process, tun};

    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["tun"] => process::run_program(tun::run),
        ["peer", role, configuration] => process::run_program(|| peer::run(role, configuration)),
        _ => process::run_tests([
            ("a_cable_is_cut_while_idle", cut::while_idle),
            ("a_cable_is_cut_while_writing", cut::while_writing),
            ("a_cable_is_cut_while_the_peer_pauses", cut::while_the_peer_pauses),
            ("a_cable_is_cut_towards_the_server", cut::towards_the_server),
            ("a_cable_is_cut_towards_the_client", cut::towards_the_client),
            ("a_link_goes_down", cut::link_down),
            ("a_cable_is_cut_for_a_moment", cut::for_a_moment),
            ("a_slow_cable_that_loses_packets_is_no_end", cut::slow_and_lossy),
            ("a_server_sleeps_while_hello_lies_in_its_socket", asleep::server_in_handshake),
            ("a_client_sleeps_while_the_answer_lies_in_its_socket", asleep::client_in_handshake),
            ("a_client_sleeps_with_a_blocked_sender", asleep::client_sending),
            ("a_server_sleeps_with_a_blocked_sender", asleep::server_sending),
            ("a_client_sleeps_while_idle", asleep::client_idle),
            ("a_server_sleeps_while_idle", asleep::server_idle),
        ]),
    }
}
