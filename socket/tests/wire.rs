//! Keepalive, user timeout and marks as they are on the wire, captured in network namespaces.
//!
//! This program is also what runs inside the namespaces: `wire peer`, `wire capture`, `wire idle IDLE INTERVAL PROBES [TIMEOUT]`,
//! `wire write TIMEOUT`, `wire mark ADDRESS CLASS`; times in milliseconds.

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
    use std::io::{Read, Write};
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
    use std::process::ExitCode;
    use std::thread;
    use std::time::Duration;

    use pulsewire_socket::{
        Dscp, Keepalive, ListenOptions, UserTimeout, set_keepalive, set_traffic_class, set_user_timeout,
    };
    use socket2::{Domain, Protocol, Socket, Type};

    use crate::namespaces::{FAR, FAR_V6, Namespaces, Outcome, Running, run_program, run_tests};

    const PORT: u16 = 7700;

    pub(crate) fn main() -> ExitCode {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match arguments[..] {
            ["peer"] => run(peer),
            ["capture"] => run(capture),
            ["idle", idle, interval, probes] => run(|| stay_idle(idle, interval, probes, None)),
            ["idle", idle, interval, probes, timeout] => run(|| stay_idle(idle, interval, probes, Some(timeout))),
            ["write", timeout] => run(|| write_into_nothing(timeout)),
            ["mark", address, class] => run(|| mark(address, class)),
            _ => run_tests([
                ("probes_leave_when_they_should_and_a_user_timeout_takes_the_place_of_their_number", probes),
                ("a_user_timeout_ends_the_retransmissions", user_timeout),
                ("packets_are_marked", marks),
            ]),
        }
    }

    fn run(program: impl FnOnce() -> Outcome) -> ExitCode {
        run_program(Duration::from_secs(60), program)
    }

    // --- What runs in the namespaces ------------------------------------------------------------------------------------------

    /// Accepts both IPv4 and IPv6, marks what it sends, answers one byte for each that it reads.
    fn peer() -> Outcome {
        let options = ListenOptions { dual_stack: true, backlog: None };
        let listener = options.listen((Ipv6Addr::UNSPECIFIED, PORT).into())?;
        println!("listening");
        loop {
            let (mut socket, _) = listener.accept()?;
            set_traffic_class(&socket, Dscp::LE)?;
            thread::spawn(move || {
                let mut byte = [0];
                while socket.read_exact(&mut byte).and_then(|()| socket.write_all(&byte)).is_ok() {}
            });
        }
    }

    fn milliseconds(text: &str) -> Outcome<Duration> {
        Ok(Duration::from_millis(text.parse()?))
    }

    /// Connects and says which port it has.
    fn connect(address: &str) -> Outcome<TcpStream> {
        Ok(TcpStream::connect(SocketAddr::new(address.parse()?, PORT))?)
    }

    fn say_connected(socket: &TcpStream) -> Outcome {
        println!("{}", socket.local_addr()?.port());
        Ok(())
    }

    fn stay_idle(idle: &str, interval: &str, probes: &str, timeout: Option<&str>) -> Outcome {
        let mut socket = connect(FAR)?;
        set_keepalive(&socket, Keepalive::new(milliseconds(idle)?, milliseconds(interval)?, probes.parse()?)?)?;
        if let Some(timeout) = timeout {
            set_user_timeout(&socket, UserTimeout::new(milliseconds(timeout)?)?)?;
        }
        say_connected(&socket)?;
        println!("{:?}", socket.read(&mut [0]).map_err(|error| error.kind()));
        Ok(())
    }

    /// Writes when it is told to, which is when its standard input ends.
    fn write_into_nothing(timeout: &str) -> Outcome {
        let mut socket = connect(FAR)?;
        set_user_timeout(&socket, UserTimeout::new(milliseconds(timeout)?)?)?;
        say_connected(&socket)?;
        std::io::stdin().read_to_end(&mut Vec::new())?;
        socket.write_all(b"?")?;
        println!("{:?}", socket.read(&mut [0]).map_err(|error| error.kind()));
        Ok(())
    }

    /// Sends a byte unmarked, and then two marked ones, and waits for each answer.
    fn mark(address: &str, class: &str) -> Outcome {
        let mut socket = connect(address)?;
        say_connected(&socket)?;
        for byte in 0..3 {
            if byte == 1 {
                set_traffic_class(&socket, class.parse()?)?;
            }
            socket.write_all(&[byte])?;
            socket.read_exact(&mut [0])?;
        }
        println!("marked");
        Ok(())
    }

    /// Prints each packet of the cable until its standard input ends.
    fn capture() -> Outcome {
        /// `ETH_P_ALL` in the network's order.
        const ALL: i32 = 0x0003_u16.to_be() as i32;
        let mut socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(ALL)))?;
        println!("capturing");
        thread::spawn(move || -> Outcome {
            let mut frame = vec![0; 1 << 16];
            loop {
                let count = socket.read(&mut frame)?;
                if let Some(packet) = Packet::read(&frame[..count]) {
                    println!("{}", packet.to_line());
                }
            }
        });
        std::io::stdin().read_to_end(&mut Vec::new())?;
        Ok(())
    }

    // --- Packets -------------------------------------------------------------------------------------------------------------

    /// What a TCP packet on the cable shows.
    #[derive(Debug, Clone, PartialEq)]
    struct Packet {
        /// The sender's clock in milliseconds: the timestamp option (RFC 7323). It is right also where this program sees the packet
        /// late. Linux begins it at a random number for each connection.
        sent_at: u32,
        from_port: u16,
        to_port: u16,
        is_v6: bool,
        /// The DSCP and the congestion bits.
        class: u8,
        sequence: u32,
        is_reset: bool,
        payload: usize,
    }

    impl Packet {
        /// An Ethernet frame with TCP in it, and nothing else.
        fn read(frame: &[u8]) -> Option<Self> {
            let ip = frame.get(14..)?;
            let (is_v6, class, header, length) = match ip.first()? >> 4 {
                4 if *ip.get(9)? == 6 => (false, ip[1], usize::from(ip[0] & 15) * 4, number(ip, 2)?.into()),
                6 if *ip.get(6)? == 6 => (true, ip[0] << 4 | ip[1] >> 4, 40, 40 + usize::from(number(ip, 4)?)),
                _ => return None,
            };
            let tcp = ip.get(header..length)?;
            let sequence = u32::from(number(tcp, 4)?) << 16 | u32::from(number(tcp, 6)?);
            let options_end = usize::from(tcp.get(12)? >> 4) * 4;
            let payload = tcp.len().checked_sub(options_end)?;
            let sent_at = timestamp(tcp.get(20..options_end)?)?;
            let is_reset = tcp.get(13)? & 4 != 0;
            Some(Self {
                sent_at,
                from_port: number(tcp, 0)?,
                to_port: number(tcp, 2)?,
                is_v6,
                class,
                sequence,
                is_reset,
                payload,
            })
        }

        fn after(&self, earlier: &Self) -> Duration {
            Duration::from_millis(self.sent_at.wrapping_sub(earlier.sent_at).into())
        }

        fn to_line(&self) -> String {
            let Self { sent_at, from_port, to_port, is_v6, class, sequence, is_reset, payload } = self;
            format!("{sent_at} {from_port} {to_port} {is_v6} {class} {sequence} {is_reset} {payload}")
        }

        fn from_line(line: &str) -> Outcome<Self> {
            let fields: Vec<&str> = line.split(' ').collect();
            let [sent_at, from_port, to_port, is_v6, class, sequence, is_reset, payload] = fields[..] else {
                return Err(format!("no packet: {line:?}").into());
            };
            Ok(Self {
                sent_at: sent_at.parse()?,
                from_port: from_port.parse()?,
                to_port: to_port.parse()?,
                is_v6: is_v6.parse()?,
                class: class.parse()?,
                sequence: sequence.parse()?,
                is_reset: is_reset.parse()?,
                payload: payload.parse()?,
            })
        }
    }

    /// What the options of TCP say, where all of Linux's packets have it.
    fn timestamp(mut options: &[u8]) -> Option<u32> {
        loop {
            match options {
                [1, rest @ ..] => options = rest,
                [8, 10, a, b, c, d, ..] => return Some(u32::from_be_bytes([*a, *b, *c, *d])),
                [_, length, ..] if *length >= 2 => options = options.get(usize::from(*length)..)?,
                _ => return None,
            }
        }
    }

    fn number(bytes: &[u8], at: usize) -> Option<u16> {
        Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
    }

    /// Namespaces with a peer on the far side, and what passes the cable.
    struct World {
        namespaces: Namespaces,
        _peer: Running,
        capture: Running,
    }

    impl World {
        fn new() -> Outcome<Self> {
            let namespaces = Namespaces::new()?;
            let mut peer = namespaces.start(&namespaces.far, &["peer"])?;
            peer.expect("listening")?;
            let mut capture = namespaces.start(&namespaces.near, &["capture"])?;
            capture.expect("capturing")?;
            Ok(Self { namespaces, _peer: peer, capture })
        }

        /// Starts a program on the near side that connects, and gives its port.
        fn connect(&self, arguments: &[&str]) -> Outcome<(Running, u16)> {
            let mut program = self.namespaces.start(&self.namespaces.near, arguments)?;
            let port = program.line()?.ok_or("no port")?;
            Ok((program, port.parse().map_err(|_| format!("no port: {port:?}"))?))
        }

        /// What passed so far.
        fn packets(mut self) -> Outcome<Vec<Packet>> {
            // What was sent last has a moment to be printed.
            thread::sleep(Duration::from_millis(300));
            self.capture.finish();
            let mut packets = Vec::new();
            while let Some(line) = self.capture.line()? {
                packets.push(Packet::from_line(&line)?);
            }
            Ok(packets)
        }
    }

    // --- Tests ---------------------------------------------------------------------------------------------------------------

    /// How late a packet may be sent, on a machine that is busy.
    const LATE: Duration = Duration::from_millis(1_800);

    fn check(holds: bool, what: &str, seen: &impl std::fmt::Debug) -> Outcome {
        if holds { Ok(()) } else { Err(format!("{what}: {seen:?}").into()) }
    }

    /// Idle 2 s, interval 2 s (of which it is told 1,001 ms, which are rounded up), 3 probes; with user timeouts that change when they
    /// end.
    fn probes() -> Outcome {
        let world = World::new()?;
        let matching =
            Keepalive::new(Duration::from_secs(2), Duration::from_millis(1_001), 3)?.user_timeout().duration();
        let matching = matching.as_millis().to_string();
        // The timeout, and how many probes leave until the reset.
        let cases = [(None, 3), (Some(matching.as_str()), 3), (Some("1000"), 1), (Some("9000"), 4)];
        let mut programs = Vec::new();
        for (timeout, count) in cases {
            let mut arguments = vec!["idle", "2000", "1001", "3"];
            arguments.extend(timeout);
            let (program, port) = world.connect(&arguments)?;
            programs.push((program, port, timeout, count));
        }
        world.namespaces.take_far_host_away()?;
        for (program, ..) in &mut programs {
            program.expect("Err(TimedOut)")?;
        }
        let packets = world.packets()?;
        for (_, port, timeout, count) in programs {
            let ours: Vec<&Packet> =
                packets.iter().filter(|packet| [packet.from_port, packet.to_port].contains(&port)).collect();
            let sent: Vec<&Packet> = ours.iter().copied().filter(|packet| packet.from_port == port).collect();
            // Silence begins with what was answered last: SYN and ACK, or a probe that was faster than the fault.
            let heard = ours.iter().rposition(|packet| packet.to_port == port).ok_or("no handshake")?;
            let answered = ours[..heard].iter().filter(|packet| packet.from_port == port).count().max(2);
            let (before, unanswered) = sent.split_at(answered);
            check(unanswered.len() == count + 1, &format!("{count} probes and a reset with {timeout:?}"), &ours)?;
            let (reset, probes) = unanswered.split_last().ok_or("no reset")?;
            let (connected, silent) = (before[1], before[before.len() - 1]);
            for (probe, due) in probes.iter().zip((2..).step_by(2)) {
                check(
                    probe.sequence == connected.sequence.wrapping_sub(1) && probe.payload == 0 && !probe.is_reset,
                    "a probe has the sequence number before the next, and no payload",
                    probe,
                )?;
                on_time(probe, silent, Duration::from_secs(due))?;
            }
            check(reset.is_reset, &format!("a reset ends {timeout:?}"), reset)?;
            on_time(reset, silent, Duration::from_secs(2 + 2 * count as u64))?;
        }
        Ok(())
    }

    fn on_time(packet: &Packet, since: &Packet, due: Duration) -> Outcome {
        let after = packet.after(since);
        // The system counts in ticks of some milliseconds.
        let tick = Duration::from_millis(20);
        check(
            after + tick >= due && after <= due + LATE,
            &format!("{after:?} after the start, due after {due:?}"),
            packet,
        )
    }

    fn user_timeout() -> Outcome {
        let world = World::new()?;
        let (mut program, port) = world.connect(&["write", "3000"])?;
        world.namespaces.take_far_host_away()?;
        program.finish();
        program.expect("Err(TimedOut)")?;
        // What would follow now, without it, comes before that is over.
        thread::sleep(Duration::from_secs(4));
        let packets = world.packets()?;
        let sent: Vec<&Packet> =
            packets.iter().filter(|packet| packet.from_port == port && packet.payload > 0).collect();
        check(sent.len() >= 3, "the byte is sent and sent again", &sent)?;
        check(sent.iter().all(|packet| packet.sequence == sent[0].sequence), "always the same byte", &sent)?;
        let last = sent[sent.len() - 1];
        check(last.after(sent[0]) <= Duration::from_secs(3) + LATE, "nothing is sent after the timeout", &sent)
    }

    fn marks() -> Outcome {
        let world = World::new()?;
        let mapped = IpAddr::V6(FAR.parse::<Ipv4Addr>()?.to_ipv6_mapped()).to_string();
        let mut ports = Vec::new();
        for (address, class, on_v6) in [(FAR, Dscp::EF, false), (FAR_V6, Dscp::AF41, true), (&mapped, Dscp::CS5, false)]
        {
            let (mut program, port) = world.connect(&["mark", address, &class.to_string()])?;
            program.expect("marked")?;
            ports.push((port, class, on_v6));
        }
        let packets = world.packets()?;
        for (port, class, on_v6) in ports {
            let sent: Vec<&Packet> =
                packets.iter().filter(|packet| packet.from_port == port && packet.payload > 0).collect();
            let marks: Vec<u8> = sent.iter().map(|packet| packet.class >> 2).collect();
            check(marks == [0, class.number(), class.number()], &format!("marked with {class}"), &sent)?;
            check(sent.iter().all(|packet| packet.is_v6 == on_v6), "by the protocol of the address", &sent)?;
            let answers: Vec<&Packet> =
                packets.iter().filter(|packet| packet.to_port == port && packet.payload > 0).collect();
            check(
                answers.len() == 3 && answers.iter().all(|packet| packet.class >> 2 == Dscp::LE.number()),
                "a connection that a dual-stack listener accepted is marked",
                &answers,
            )?;
        }
        Ok(())
    }
}
