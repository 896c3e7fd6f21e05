//! The operating system's keepalive, seen to work on Linux: two network namespaces of our own, a connection between them,
//! and a peer whose address is taken away, so that its packets vanish without an answer.
//!
//! This program is also what runs inside the namespaces: `keepalive hold ADDRESS`, `keepalive watch ADDRESS SECONDS`,
//! `keepalive serve ADDRESS` and `keepalive stay ADDRESS`.

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
    use std::error::Error;
    use std::io::{BufRead, BufReader, Read};
    use std::net::{TcpListener, TcpStream};
    use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::{Duration, Instant};

    use libtest_mimic::{Arguments, Trial};
    use pulsewire_transport_tokio::protocol::{Config, Event};
    use pulsewire_transport_tokio::{Endpoint, Keepalive, SocketOptions, set_keepalive};
    use socket2::SockRef;

    type Outcome<T = ()> = Result<T, Box<dyn Error>>;

    pub(crate) fn main() -> ExitCode {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let outcome = match arguments[..] {
            ["hold", address] => hold(address),
            ["watch", address, idle] => watch(address, idle),
            ["serve", address] => run(serve(address)),
            ["stay", address] => run(stay(address)),
            _ => return run_tests(),
        };
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                println!("failed: {error}");
                ExitCode::FAILURE
            }
        }
    }

    fn run_tests() -> ExitCode {
        let arguments = Arguments::from_args();
        let permitted = Namespaces::are_permitted();
        if !permitted {
            eprintln!(
                "SKIPPED: this user may not make network namespaces, so keepalive is not seen to work. Run as root."
            );
        }
        let trials = vec![
            Trial::test("the_options_read_back", || Ok(the_options_read_back().map_err(|error| error.to_string())?)),
            Trial::test("a_peer_that_vanished_is_noticed_only_with_keepalive", || {
                Ok(a_peer_that_vanished_is_noticed().map_err(|error| error.to_string())?)
            })
            .with_ignored_flag(!permitted),
            Trial::test("a_network_that_the_system_gave_up_on_is_lost", || {
                Ok(a_network_that_was_given_up_is_lost().map_err(|error| error.to_string())?)
            })
            .with_ignored_flag(!permitted),
        ];
        libtest_mimic::run(&arguments, trials).exit_code()
    }

    fn the_options_read_back() -> Outcome {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let connected = TcpStream::connect(listener.local_addr()?)?;
        let (accepted, _) = listener.accept()?;
        let keepalive = Keepalive { idle: Duration::from_secs(7), interval: Duration::from_millis(1_500), probes: 4 };
        for socket in [connected, accepted] {
            set_keepalive(&socket, keepalive)?;
            let socket = SockRef::from(&socket);
            assert!(socket.keepalive()?);
            assert_eq!(socket.tcp_keepalive_time()?, Duration::from_secs(7));
            assert_eq!(socket.tcp_keepalive_interval()?, Duration::from_secs(2), "rounded up");
            assert_eq!(socket.tcp_keepalive_retries()?, 4);
        }
        the_endpoint_sets_them(keepalive)
    }

    /// On a connection of the transport, seen through a duplicate of its socket.
    fn the_endpoint_sets_them(keepalive: Keepalive) -> Outcome {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let stream = TcpStream::connect(listener.local_addr()?)?;
        let seen = stream.try_clone()?;
        stream.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let options = SocketOptions {
            keepalive: Some(keepalive),
            user_timeout: Some(Duration::from_secs(9)),
            ..SocketOptions::default()
        };
        runtime.block_on(async { options.apply(&tokio::net::TcpStream::from_std(stream)?) })?;
        let seen = SockRef::from(&seen);
        assert_eq!(seen.tcp_keepalive_time()?, Duration::from_secs(7));
        assert_eq!(seen.tcp_user_timeout()?, Some(Duration::from_secs(9)));
        assert_eq!(seen.tcp_notsent_lowat()?, 128 << 10);
        assert!(seen.tcp_nodelay()?);
        Ok(())
    }

    /// One peer with keepalive 1 s, 1 s, 2 probes, and one without, lose the same network.
    fn a_peer_that_vanished_is_noticed() -> Outcome {
        let namespaces = Namespaces::new()?;
        let mut holder = namespaces.start(&namespaces.far, &["hold", "10.0.0.2:7700"])?;
        holder.expect("listening")?;
        let mut with = namespaces.start(&namespaces.near, &["watch", "10.0.0.2:7700", "1"])?;
        let mut without = namespaces.start(&namespaces.near, &["watch", "10.0.0.2:7700", "0"])?;
        with.expect("connected")?;
        without.expect("connected")?;

        namespaces.take_far_address_away()?;
        let cut = Instant::now();
        with.expect("ended: timed out")?;
        let took = cut.elapsed();
        let (idle, probing) = (Duration::from_secs(1), Duration::from_secs(2));
        assert!(took > probing && took < (idle + probing) * 2, "noticed after {took:?}");
        if let Some(status) = without.child.try_wait()? {
            return Err(
                format!("without keepalive nothing should have been noticed, but it ended with {status}").into()
            );
        }
        Ok(())
    }

    /// PW-TCP-004: where the system notices first, the connection says so. The others of the four ends are in `ends.rs`.
    fn a_network_that_was_given_up_is_lost() -> Outcome {
        let namespaces = Namespaces::new()?;
        let mut server = namespaces.start(&namespaces.far, &["serve", "10.0.0.2:7700"])?;
        server.expect("listening")?;
        let mut client = namespaces.start(&namespaces.near, &["stay", "10.0.0.2:7700"])?;
        client.expect("connected")?;
        namespaces.take_far_address_away()?;
        client.expect("ended: NETWORK_LOST by Transport")
    }

    fn run(program: impl Future<Output = Outcome>) -> Outcome {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(program)
    }

    /// An endpoint whose heartbeat takes longer than the system's keepalive.
    fn endpoint() -> Outcome<Endpoint> {
        let mut config = Config::default();
        config.heartbeat.idle = Duration::from_secs(600);
        let second = Duration::from_secs(1);
        let keepalive = Some(Keepalive { idle: second, interval: second, probes: 2 });
        let options = SocketOptions { keepalive, user_timeout: Some(second * 3), ..SocketOptions::default() };
        Ok(Endpoint::with_options(config.validate()?, options))
    }

    /// Accepts one connection and receives.
    async fn serve(address: &str) -> Outcome {
        let listener = endpoint()?.listen(address).await?;
        println!("listening");
        let mut connection = listener.accept().await?;
        while connection.recv().await.is_some() {}
        Ok(())
    }

    /// Connects and receives; tells how the connection ends.
    async fn stay(address: &str) -> Outcome {
        let mut connection = endpoint()?.connect(address).await?;
        println!("connected");
        while let Some(event) = connection.recv().await {
            if let Event::Closed(closed) = event {
                println!("ended: {:?} by {:?}", closed.reason, closed.origin);
            }
        }
        Ok(())
    }

    /// Accepts connections and holds them.
    fn hold(address: &str) -> Outcome {
        let listener = TcpListener::bind(address)?;
        println!("listening");
        let mut held = Vec::new();
        loop {
            held.push(listener.accept()?);
        }
    }

    /// Connects and says nothing; tells how the connection ends.
    fn watch(address: &str, idle: &str) -> Outcome {
        let mut socket = TcpStream::connect(address)?;
        let idle: u64 = idle.parse()?;
        if idle > 0 {
            let (idle, interval) = (Duration::from_secs(idle), Duration::from_secs(1));
            set_keepalive(&socket, Keepalive { idle, interval, probes: 2 })?;
        }
        println!("connected");
        match socket.read(&mut [0]) {
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => println!("ended: timed out"),
            other => println!("ended: {other:?}"),
        }
        Ok(())
    }

    /// Two namespaces with a cable between them. Nothing outside them is touched.
    struct Namespaces {
        near: String,
        far: String,
    }

    impl Namespaces {
        fn are_permitted() -> bool {
            let name = format!("pulsewire-probe-{}", std::process::id());
            ip(&["netns", "add", &name]).is_ok() && ip(&["netns", "del", &name]).is_ok()
        }

        fn new() -> Outcome<Self> {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let id = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let namespaces = Self { near: format!("pulsewire-near-{id}"), far: format!("pulsewire-far-{id}") };
            let Self { near, far } = &namespaces;
            ip(&["netns", "add", near])?;
            ip(&["netns", "add", far])?;
            ip(&["-n", near, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", far])?;
            for (name, address) in [(near, "10.0.0.1/24"), (far, "10.0.0.2/24")] {
                ip(&["-n", name, "addr", "add", address, "dev", "cable"])?;
                ip(&["-n", name, "link", "set", "cable", "up"])?;
            }
            Ok(namespaces)
        }

        /// The near side goes on to send to the far side's hardware address, where nobody takes the packets.
        fn take_far_address_away(&self) -> Outcome {
            let link = Command::new("ip").args(["-n", &self.far, "-o", "link", "show", "cable"]).output()?;
            let link = String::from_utf8(link.stdout)?;
            let hardware = link.split("link/ether ").nth(1).and_then(|rest| rest.split(' ').next());
            let hardware = hardware.ok_or("the cable has no hardware address")?;
            ip(&["-n", &self.near, "neigh", "replace", "10.0.0.2", "lladdr", hardware, "dev", "cable"])?;
            ip(&["-n", &self.far, "addr", "del", "10.0.0.2/24", "dev", "cable"])
        }

        fn start(&self, namespace: &str, arguments: &[&str]) -> Outcome<Running> {
            let mut child = Command::new("ip")
                .args(["netns", "exec", namespace])
                .arg(std::env::current_exe()?)
                .args(arguments)
                .stdout(Stdio::piped())
                .spawn()?;
            let output = BufReader::new(child.stdout.take().ok_or("no output")?);
            Ok(Running { child, output })
        }
    }

    impl Drop for Namespaces {
        fn drop(&mut self) {
            for name in [&self.near, &self.far] {
                if let Err(error) = ip(&["netns", "del", name]) {
                    eprintln!("{error}");
                }
            }
        }
    }

    fn ip(arguments: &[&str]) -> Outcome {
        let output = Command::new("ip").args(arguments).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("ip {}: {}", arguments.join(" "), said.trim()).into());
        }
        Ok(())
    }

    struct Running {
        child: Child,
        output: BufReader<ChildStdout>,
    }

    impl Running {
        /// Reads a line. A child that hangs is ended by the system's own timeouts, or by whoever ends this test.
        fn expect(&mut self, expected: &str) -> Outcome {
            let mut line = String::new();
            self.output.read_line(&mut line)?;
            if line.trim() == expected { Ok(()) } else { Err(format!("expected {expected:?}, got {line:?}").into()) }
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
