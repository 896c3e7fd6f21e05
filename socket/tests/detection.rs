//! What notices what, and after how long: connections with and without keepalive, user timeout and a heartbeat of the application
//! lose their peer in network namespaces. Prints the table of the README.
//!
//! `SOCKET_OBSERVE_SECONDS` says for how long (default 12): what is not noticed by then counts as not noticed.
//!
//! This program is also what runs inside the namespaces: `detection peer`, `detection watch ACTIVITY`.

#[cfg(target_os = "linux")]
mod namespaces;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("0 passed, 0 failed, 1 skipped: network namespaces are Linux's");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;
    use std::io::{self, ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::process::ExitCode;
    use std::thread;
    use std::time::{Duration, Instant};

    use pulsewire_socket::{Keepalive, UserTimeout, set_keepalive, set_user_timeout};

    use crate::namespaces::{FAR, Namespaces, Outcome, run_program, run_tests};

    const PORT: u16 = 7700;
    const SECOND: Duration = Duration::from_secs(1);
    /// What keepalive, user timeout and heartbeat all are set to: 2 s + 3 × 1 s.
    const BOUND: Duration = Duration::from_secs(5);

    pub(crate) fn main() -> ExitCode {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let limit = observe().unwrap_or_default() + SECOND * 60;
        match arguments[..] {
            ["peer"] => run_program(limit, peer),
            ["watch", activity] => run_program(limit, || watch(activity == "writing")),
            _ => run_tests([("what_notices_what", what_notices_what)]),
        }
    }

    /// What a connection has to notice its peer's end by.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    enum Means {
        Plain,
        Keepalive,
        UserTimeout,
        Both,
        Heartbeat,
    }

    impl Means {
        const ALL: [Self; 5] = [Self::Plain, Self::Keepalive, Self::UserTimeout, Self::Both, Self::Heartbeat];

        fn name(self) -> &'static str {
            match self {
                Self::Plain => "plain",
                Self::Keepalive => "keepalive",
                Self::UserTimeout => "user-timeout",
                Self::Both => "both",
                Self::Heartbeat => "heartbeat",
            }
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum Fault {
        HostGone,
        ProgramHangs,
        ProgramKilled,
    }

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Expected {
        AtOnce,
        InTime,
        /// Not for much longer than that, if ever.
        Late,
    }

    impl Expected {
        fn allows(self, noticed: Option<Duration>) -> bool {
            match (self, noticed) {
                (Self::AtOnce, Some(after)) => after < SECOND,
                // Time counts from the last byte, which came before the fault; and the machine may be busy.
                (Self::InTime, Some(after)) => after > BOUND - SECOND * 3 / 2 && after < BOUND * 2,
                (Self::Late, after) => after.is_none_or(|after| after > BOUND * 2),
                (Self::AtOnce | Self::InTime, None) => false,
            }
        }
    }

    struct Scenario {
        name: &'static str,
        fault: Fault,
        activity: &'static str,
        /// In the order of `Means::ALL`.
        expected: [Expected; 5],
    }

    fn scenarios() -> [Scenario; 5] {
        use Expected::{AtOnce, InTime, Late};
        let scenario = |name, fault, activity, expected| Scenario { name, fault, activity, expected };
        [
            scenario("host or cable gone, idle", Fault::HostGone, "idle", [Late, InTime, Late, InTime, InTime]),
            scenario("host or cable gone, writing", Fault::HostGone, "writing", [Late, Late, InTime, InTime, InTime]),
            scenario("program hangs, idle", Fault::ProgramHangs, "idle", [Late, Late, Late, Late, InTime]),
            scenario("program hangs, writing", Fault::ProgramHangs, "writing", [Late, Late, InTime, InTime, InTime]),
            scenario("program killed", Fault::ProgramKilled, "idle", [AtOnce; 5]),
        ]
    }

    fn observe() -> Outcome<Duration> {
        match std::env::var("SOCKET_OBSERVE_SECONDS") {
            Ok(seconds) => Ok(Duration::from_secs(seconds.parse()?)),
            Err(_) => Ok(SECOND * 12),
        }
    }

    /// All at the same time, each in namespaces of its own.
    fn what_notices_what() -> Outcome {
        let observe = observe()?;
        let running = scenarios().map(|scenario| thread::spawn(move || (run(&scenario, observe), scenario)));
        println!(
            "\n| what happened | plain | keepalive | user timeout | both | heartbeat |\n|---|---|---|---|---|---|"
        );
        let mut wrong = Vec::new();
        for thread in running {
            let (noticed, scenario) = thread.join().map_err(|_| "a scenario panicked")?;
            let noticed = noticed.map_err(|error| format!("{}: {error}", scenario.name))?;
            let mut cells = Vec::new();
            for (means, expected) in Means::ALL.into_iter().zip(scenario.expected) {
                let after = noticed.get(&means).map(|(after, _)| *after);
                if !expected.allows(after) {
                    wrong.push(format!(
                        "{}, {means:?}: {:?} instead of {expected:?}",
                        scenario.name,
                        noticed.get(&means)
                    ));
                }
                cells.push(match after {
                    Some(after) => format!("{:.1} s", after.as_secs_f64()),
                    None => format!("not in {} s", observe.as_secs()),
                });
            }
            println!("| {} | {} |", scenario.name, cells.join(" | "));
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ").into()) }
    }

    /// After how long which connection noticed, and what.
    fn run(scenario: &Scenario, observe: Duration) -> Outcome<BTreeMap<Means, (Duration, String)>> {
        let namespaces = Namespaces::new()?;
        let mut peer = namespaces.start(&namespaces.far, &["peer"])?;
        peer.expect("listening")?;
        let mut watch = namespaces.start(&namespaces.near, &["watch", scenario.activity])?;
        watch.expect("connected")?;
        // With a moment of ordinary traffic before.
        thread::sleep(SECOND / 4);
        let fault = Instant::now();
        match scenario.fault {
            Fault::HostGone => namespaces.take_far_host_away()?,
            Fault::ProgramHangs => peer.signal("-STOP")?,
            Fault::ProgramKilled => peer.signal("-KILL")?,
        }
        let mut noticed = BTreeMap::new();
        thread::scope(|scope| {
            let watch = &mut watch;
            let reader = scope.spawn(move || -> Outcome<_> {
                while let Some(line) = watch.line()? {
                    if line == "observed" {
                        break;
                    }
                    let (name, how) = line.split_once(' ').ok_or_else(|| format!("what is {line:?}?"))?;
                    let means = Means::ALL.into_iter().find(|means| means.name() == name);
                    let means = means.ok_or_else(|| format!("who is {name:?}?"))?;
                    noticed.insert(means, (fault.elapsed(), how.to_owned()));
                }
                Ok(noticed)
            });
            reader.join().map_err(|_| "the reader panicked")?
        })
        .map(|noticed: BTreeMap<Means, (Duration, String)>| {
            noticed.into_iter().filter(|(_, (after, _))| *after <= observe).collect()
        })
    }

    /// Answers what begins with an `h` with a byte for each read, and reads the rest.
    fn peer() -> Outcome {
        let listener = TcpListener::bind((FAR, PORT))?;
        println!("listening");
        loop {
            let (mut socket, _) = listener.accept()?;
            thread::spawn(move || -> io::Result<()> {
                let mut buffer = vec![0; 64 << 10];
                socket.read_exact(&mut buffer[..1])?;
                let answers = buffer[0] == b'h';
                while socket.read(&mut buffer)? > 0 {
                    if answers {
                        socket.write_all(b"!")?;
                    }
                }
                Ok(())
            });
        }
    }

    /// Connects one socket with each means, and says which noticed an end, and what it saw.
    fn watch(writing: bool) -> Outcome {
        let observe = observe()? + SECOND;
        let mut sockets = Vec::new();
        for means in Means::ALL {
            let socket = TcpStream::connect((FAR, PORT))?;
            let keepalive = Keepalive::new(SECOND * 2, SECOND, 3)?;
            assert_eq!(keepalive.notices_within(), BOUND);
            match means {
                Means::Plain | Means::Heartbeat => {}
                Means::Keepalive => drop(set_keepalive(&socket, keepalive)?),
                Means::UserTimeout => drop(set_user_timeout(&socket, UserTimeout::new(BOUND)?)?),
                Means::Both => {
                    set_keepalive(&socket, keepalive)?;
                    set_user_timeout(&socket, keepalive.user_timeout())?;
                }
            }
            (&socket).write_all(if means == Means::Heartbeat { b"h" } else { b"-" })?;
            socket.set_nonblocking(true)?;
            sockets.push((means, socket));
        }
        println!("connected");
        let began = Instant::now();
        for (means, socket) in sockets {
            thread::spawn(move || {
                let how = until_noticed(&socket, means, writing);
                println!("{} {how}", means.name());
            });
        }
        thread::sleep(observe.saturating_sub(began.elapsed()));
        println!("observed");
        Ok(())
    }

    /// Works with the connection until it shows that it is over, and tells how.
    fn until_noticed(mut socket: &TcpStream, means: Means, writing: bool) -> String {
        let block = [7; 32 << 10];
        let mut buffer = [0; 4096];
        let (mut heard, mut asked) = (Instant::now(), Instant::now());
        loop {
            match socket.read(&mut buffer) {
                Ok(0) => return "the end of the stream".into(),
                Ok(_) => heard = Instant::now(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return error.to_string(),
            }
            let mut outgoing: &[u8] = if writing { &block } else { &[] };
            if means == Means::Heartbeat {
                if heard.elapsed() >= BOUND {
                    return "no answer".into();
                }
                if asked.elapsed() >= SECOND {
                    asked = Instant::now();
                    outgoing = if writing { &block } else { b"?" };
                }
            }
            match socket.write(outgoing) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return error.to_string(),
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}
