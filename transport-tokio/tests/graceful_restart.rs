//! The example of that name: clients that talk all the time, and servers that replace each other.

#[path = "../examples/graceful_restart.rs"]
mod example;
#[cfg(unix)]
mod support;

#[cfg(unix)]
fn main() {
    if std::env::args().any(|argument| argument == "--listen" || argument == "--successor") {
        return example::main().expect("a server that serves");
    }
    let trial = libtest_mimic::Trial::test("servers_replace_each_other_and_no_message_is_lost", || {
        clients::servers_replace_each_other();
        Ok(())
    });
    libtest_mimic::run(&libtest_mimic::Arguments::from_args(), vec![trial]).exit();
}

#[cfg(not(unix))]
fn main() {
    example::main();
    println!("skipped: this system hands no sockets over");
}

#[cfg(unix)]
mod clients {
    use std::net::SocketAddr;
    use std::process::Stdio;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use pulsewire_transport_tokio::Endpoint;
    use pulsewire_transport_tokio::protocol::{CloseReason, Config, Event};
    use tokio::io::{AsyncBufReadExt, BufReader, Lines};
    use tokio::process::{ChildStderr, Command};

    use super::support::{bounded, message, until_closed, valid};

    /// Sends messages one after the other, each when the one before has come back, and goes elsewhere when it is asked to. Gives how
    /// many there were, and over how many connections.
    async fn talk(address: SocketAddr, done: Arc<AtomicBool>) -> (u64, u64) {
        let endpoint = Endpoint::new(valid(Config::default()));
        let (mut number, mut connections) = (0, 0);
        loop {
            let mut connection = endpoint.connect(address).await.expect("somebody accepts all the time");
            connections += 1;
            let mut draining = false;
            while !draining && !done.load(Ordering::SeqCst) {
                number += 1;
                connection.sender().send(message(number, 2_000)).await.expect("open");
                let mut back = false;
                while !back {
                    match connection.recv().await.expect("not over") {
                        Event::Message(echoed) => {
                            assert_eq!(echoed, message(number, 2_000));
                            back = true;
                        }
                        Event::Draining { .. } => draining = true,
                        Event::Closed(closed) => panic!("message {number} is lost: {closed}"),
                        _ => {}
                    }
                }
            }
            connection.close(CloseReason::NORMAL);
            let (messages, closed) = until_closed(&mut connection).await;
            assert!(messages.is_empty() && closed.orderly, "{closed}");
            if done.load(Ordering::SeqCst) {
                return (number, connections);
            }
        }
    }

    /// What comes behind `what` in the next line that has it, and the number of the process.
    async fn said(lines: &mut Lines<BufReader<ChildStderr>>, what: &str) -> (u32, String) {
        loop {
            let line = lines.next_line().await.expect("text").expect("a server that runs");
            if let Some((process, rest)) = line.split_once(what) {
                return (process.trim().parse().expect("its number"), rest.trim().to_owned());
            }
        }
    }

    async fn signal(process: u32, name: &str) {
        let status = Command::new("kill").args([name, &process.to_string()]).status().await.expect("kill");
        assert!(status.success());
    }

    #[tokio::main]
    pub(crate) async fn servers_replace_each_other() {
        let program = std::env::current_exe().expect("this program");
        let mut first = Command::new(program);
        first.args(["--listen", "127.0.0.1:0"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut first = first.spawn().expect("this program");
        // All of them have it, one after the other.
        let mut lines = BufReader::new(first.stderr.take().expect("piped")).lines();
        bounded(async {
            let (mut server, address) = said(&mut lines, "serves").await;
            let address = address.parse().expect("an address");
            let done = Arc::new(AtomicBool::new(false));
            let clients: Vec<_> = (0..4).map(|_| tokio::spawn(talk(address, Arc::clone(&done)))).collect();
            for _ in 0..3 {
                signal(server, "-HUP").await;
                let (successor, same) = said(&mut lines, "serves").await;
                assert_eq!(same, address.to_string());
                let (ended, report) = said(&mut lines, "ends:").await;
                assert_eq!(ended, server);
                // In order, every one.
                assert!(report.contains("in order") && !report.contains(';'), "{report}");
                server = successor;
            }
            done.store(true, Ordering::SeqCst);
            for client in clients {
                let (messages, connections) = client.await.expect("no message is lost");
                assert!(connections >= 2 && messages >= connections, "{messages} messages, {connections} connections");
            }
            signal(server, "-TERM").await;
            said(&mut lines, "ends:").await;
            assert!(first.wait().await.expect("the first one").success());
        })
        .await;
    }
}
