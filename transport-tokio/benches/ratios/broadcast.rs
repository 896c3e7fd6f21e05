//! What a message to everybody costs, beside a loop that writes to each socket.

use std::collections::HashMap;
use std::fmt::Display;
use std::io::{BufRead, stdin};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use pulsewire_transport_tokio::protocol::{Class, Message};
use pulsewire_transport_tokio::{Endpoint, Group, GroupConfig};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::child::Child;
use crate::goal::{Goal, Interval};
use crate::processor;
use crate::servers::Contender;

pub(crate) const NAME: &str = "broadcast";

const CONNECTIONS: usize = 10_000;
const BYTES: usize = 256;
/// Messages in one turn.
const MESSAGES: usize = 5;
const CONTENDERS: [Contender; 2] = [Contender::Raw, Contender::Pulsewire];

/// Measures and prints, and says so if the goal is missed.
pub(crate) fn measure(rounds: usize) -> Option<String> {
    let mut servers = CONTENDERS.map(|contender| (contender, Audience::start(contender)));
    let mut times: Vec<HashMap<String, f64>> = Vec::new();
    for _ in 0..rounds {
        servers.rotate_left(1);
        times.push(servers.iter_mut().map(|(contender, audience)| (contender.to_string(), audience.turn())).collect());
    }
    let over_rounds = |value: &dyn Fn(&HashMap<String, f64>) -> f64| Interval::of(times.iter().map(value).collect());
    println!("{NAME} ({BYTES} bytes to {CONNECTIONS} connections)");
    for contender in CONTENDERS {
        let Interval { median, .. } = over_rounds(&|round| round[&contender.to_string()]);
        println!("  {:<44} {median:>9.0} ns of the server for each connection", contender.to_string());
    }
    let goal = Goal::within("pulsewire", "raw", 1.6);
    let interval = over_rounds(&|round| goal.value(|name| round[name]));
    let Interval { low, median, high } = interval;
    let missed = goal.is_missed(interval);
    let verdict = if missed { "MISSED" } else { "ok" };
    println!("  {:<44} {median:>9.2}    {low:.2} to {high:.2}  {verdict}", goal.to_string());
    missed.then(|| format!("{NAME}: {goal}, but it is {median:.2} ({low:.2} to {high:.2})"))
}

/// A server, and those who listen to it.
struct Audience {
    server: Child,
    _listeners: Child,
}

impl Audience {
    fn start(contender: impl Display) -> Self {
        let mut server = Child::start(&[&"child-broadcast", &contender]);
        let address = server.line();
        let mut listeners = Child::start(&[&"child-listen", &contender, &address]);
        listeners.line();
        // They all have arrived.
        while server.ask("members") != CONNECTIONS.to_string() {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Self { server, _listeners: listeners }
    }

    /// Nanoseconds of the server for each connection and message.
    fn turn(&mut self) -> f64 {
        let used: f64 = self.server.ask("broadcast").parse().expect("a number");
        used / (MESSAGES * CONNECTIONS) as f64
    }
}

/// The server's process: keeps whoever connects, and sends to all of them when it is told.
pub(crate) fn serve(contender: Contender) {
    processor::bind(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (tell, mut questions) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            stdin().lock().lines().map_while(Result::ok).for_each(|question| drop(tell.send(question)));
            std::process::exit(0);
        });
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let members = Members::accept(contender, local).await;
        while let Some(question) = questions.recv().await {
            match question.as_str() {
                "members" => println!("{}", members.count()),
                "broadcast" => {
                    let before = processor::used();
                    for _ in 0..MESSAGES {
                        members.broadcast().await;
                    }
                    println!("{}", (processor::used() - before).as_nanos());
                }
                other => panic!("nobody asks {other}"),
            }
        }
    });
}

enum Members {
    Raw(Arc<Mutex<Vec<TcpStream>>>),
    Pulsewire(Group),
}

impl Members {
    async fn accept(contender: Contender, local: SocketAddr) -> Self {
        if contender == Contender::Raw {
            let listener = TcpListener::bind(local).await.expect("an address");
            println!("{}", listener.local_addr().expect("it is bound"));
            let members = Arc::<Mutex<Vec<_>>>::default();
            let joining = Arc::clone(&members);
            tokio::spawn(async move {
                loop {
                    let (stream, _) = listener.accept().await.expect("a connection");
                    stream.set_nodelay(true).expect("it is a TCP socket");
                    joining.lock().expect("nobody panics").push(stream);
                }
            });
            return Self::Raw(members);
        }
        let endpoint = Endpoint::new(contender.config().validate().expect("valid"));
        let listener = endpoint.listen(local).await.expect("an address");
        println!("{}", listener.address().expect("it is bound"));
        let group = Group::new(GroupConfig::default());
        let joining = group.clone();
        tokio::spawn(async move {
            loop {
                let mut connection = listener.accept().await.expect("a connection");
                let joining = joining.clone();
                tokio::spawn(async move {
                    connection.recv().await;
                    joining.join(&connection.sender()).expect("it is not dissolved");
                    while connection.recv().await.is_some() {}
                });
            }
        });
        Self::Pulsewire(group)
    }

    fn count(&self) -> usize {
        match self {
            Self::Raw(members) => members.lock().expect("nobody panics").len(),
            Self::Pulsewire(group) => group.members().len(),
        }
    }

    async fn broadcast(&self) {
        match self {
            Self::Raw(members) => {
                for stream in members.lock().expect("nobody panics").iter() {
                    let written = stream.try_write(&[7; BYTES + 12]).expect("it takes that");
                    assert_eq!(written, BYTES + 12, "somebody does not listen");
                }
            }
            Self::Pulsewire(group) => {
                let delivery = group.send(Message::new(Class::ROOM, &[7; BYTES])).await;
                assert_eq!(delivery.sent, CONNECTIONS, "somebody does not listen");
            }
        }
    }
}

/// The listeners' process, until standard input ends.
pub(crate) fn listen(contender: Contender, address: SocketAddr) {
    processor::bind(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let endpoint = Endpoint::new(contender.config().validate().expect("valid"));
        for _ in 0..CONNECTIONS {
            if contender == Contender::Raw {
                let mut stream = TcpStream::connect(address).await.expect("the server listens");
                tokio::spawn(async move {
                    let mut buffer = [0; 4 << 10];
                    while let Ok(1..) = stream.read(&mut buffer).await {}
                });
            } else {
                let mut connection = endpoint.connect(address).await.expect("the server listens");
                tokio::spawn(async move { while connection.recv().await.is_some() {} });
            }
        }
        println!("ready");
        std::thread::spawn(|| {
            let _ = stdin().read_line(&mut String::new());
            std::process::exit(0);
        });
        std::future::pending::<()>().await;
    });
}
