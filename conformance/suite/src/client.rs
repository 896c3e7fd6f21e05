//! A client that is a program of its own, started anew for every connection.

use std::fmt::Write;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::process::{Command as Start, ExitStatus, Stdio};
use std::time::Duration;

use crate::clock;
use crate::manifest::Manifest;
use crate::profile::Profile;
use crate::program::Program;
use crate::remote::greet;
use crate::role::Role;
use crate::sockets;
use crate::subject::{Command, Reply, Running, Subject, SubjectError};

/// Stands for the suite's address in the words of a command.
const ADDRESS: &str = "{addr}";
/// How long a program may take to connect at first, when nobody knows how long it takes to start.
const PATIENCE_AT_FIRST: Duration = Duration::from_secs(30);
/// How long it may take at least in each case, and how many times as long as it took at first: the machine may be busier then.
const PATIENCE: Duration = Duration::from_secs(5);
const TIMES_AS_LONG: u32 = 10;
/// Between two looks at whether it has ended.
const LOOK: Duration = Duration::from_millis(20);
/// How long a person may take to start one.
const PATIENCE_BY_HAND: Duration = Duration::from_secs(60 * 60);
/// How long a program may go on after its connection is over.
const FAREWELL: Duration = Duration::from_millis(200);

/// An echo client in any language, judged by its bytes alone.
pub struct ClientProgram {
    name: String,
    launch: Launch,
    /// How long it may take to connect.
    patience: Duration,
    profile: Profile,
}

enum Launch {
    /// The words of a command, the program first.
    Command(Vec<String>),
    /// Somebody starts the client when the address is printed.
    ByHand,
}

impl ClientProgram {
    /// The client that `words` start, in which `{addr}` stands for the address to connect to. It is run once, to learn what
    /// it announces; its timers are those that the manifest declares.
    ///
    /// # Errors
    ///
    /// If `{addr}` is missing, or the program cannot be started, does not connect, completes no handshake, or
    /// announces other limits than the manifest declares.
    pub fn new(words: Vec<String>, manifest: &Manifest) -> Result<Self, SubjectError> {
        let Some(program) = words.first() else {
            return Err(SubjectError::failed("the command is empty"));
        };
        if !words.iter().any(|word| word.contains(ADDRESS)) {
            return Err(SubjectError::failed(format!("the command has no {ADDRESS} for the address to connect to")));
        }
        let name = manifest.name().unwrap_or(program).to_owned();
        Self::learn(name, Launch::Command(words), manifest)
    }

    /// A client that is started by hand, under a debugger perhaps: for each case the address is printed, and waited for.
    ///
    /// # Errors
    ///
    /// If nothing connects within an hour, or completes no handshake.
    pub fn by_hand(manifest: &Manifest) -> Result<Self, SubjectError> {
        Self::learn(manifest.name().unwrap_or("client").to_owned(), Launch::ByHand, manifest)
    }

    /// Runs the client once.
    fn learn(name: String, launch: Launch, manifest: &Manifest) -> Result<Self, SubjectError> {
        let listener = sockets::listen()?;
        let began = clock::now();
        let mut child = launch.start(listener.address()?, Stdio::piped())?;
        let stream = loop {
            // Before the last look: it may have connected, and ended then.
            let has_failed = child.as_ref().is_some_and(|child| failed(child).is_some());
            match listener.accept(Some(LOOK)) {
                Ok(stream) => break stream,
                Err(error) if error.kind() != ErrorKind::TimedOut => return Err(error.into()),
                Err(_) if !has_failed && clock::elapsed(began) < launch.patience() => {}
                Err(error) => {
                    let heard = child.take().map(last_words).unwrap_or_default();
                    let what = if has_failed { "it ended".to_owned() } else { error.to_string() };
                    return Err(SubjectError::failed(format!("{name} did not connect: {what}{heard}")));
                }
            }
        };
        let patience = match launch {
            Launch::Command(_) => PATIENCE.max(clock::elapsed(began) * TIMES_AS_LONG),
            Launch::ByHand => PATIENCE_BY_HAND,
        };
        let hello = greet(stream, Role::Client).map_err(|failure| {
            let heard = child.take().map(last_words).unwrap_or_default();
            SubjectError::failed(format!("no handshake with {name}: {}{heard}", failure.into_sentence()))
        })?;
        child.into_iter().for_each(end);
        Ok(Self { name, launch, patience, profile: manifest.profile_of(&hello)? })
    }
}

impl Launch {
    fn start(&self, address: SocketAddr, errors: Stdio) -> Result<Option<Program>, SubjectError> {
        match self {
            Self::Command(words) => {
                let mut words = words.iter().map(|word| word.replace(ADDRESS, &address.to_string()));
                let program = words.next().unwrap_or_default();
                // A pipe that stays open: many programs stop when their standard input ends.
                let mut command = Start::new(&program);
                command.args(words).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(errors);
                let child = Program::start(&mut command)
                    .map_err(|error| SubjectError::failed(format!("{program} cannot be started: {error}")))?;
                Ok(Some(child))
            }
            Self::ByHand => {
                println!("waiting for a client on {address}");
                Ok(None)
            }
        }
    }

    fn patience(&self) -> Duration {
        match self {
            Self::Command(_) => PATIENCE_AT_FIRST,
            Self::ByHand => PATIENCE_BY_HAND,
        }
    }
}

/// Ends a program that failed, and tells what it said.
fn last_words(program: Program) -> String {
    let status = program.child().try_wait();
    // It may be over already.
    let _ = program.child().kill();
    let mut said = String::new();
    let errors = program.child().stderr.take();
    if let Some(mut errors) = errors {
        // What is no text is not worth showing.
        let _ = errors.read_to_string(&mut said);
    }
    let mut heard = String::new();
    if let Ok(Some(status)) = status {
        write!(heard, " ({status})").expect("a string takes everything");
    }
    for line in said.trim().lines() {
        write!(heard, "\n  {line}").expect("a string takes everything");
    }
    end(program);
    heard
}

/// How a program has ended that did not end well. One that did may have started another one, which is the client.
fn failed(program: &Program) -> Option<ExitStatus> {
    program.child().try_wait().ok().flatten().filter(|status| !status.success())
}

/// Waits a moment for a program whose connection is over, then ends it.
fn end(program: Program) {
    let deadline = clock::now() + FAREWELL;
    drop(program.child().stdin.take());
    while clock::now() < deadline {
        let ended = program.child().try_wait();
        match ended {
            Ok(None) => clock::sleep(Duration::from_millis(2)),
            Ok(Some(_)) | Err(_) => return,
        }
    }
    // Either fails only where the program has ended by now.
    let _ = program.child().kill();
    let _ = program.child().wait();
}

impl Subject for ClientProgram {
    fn name(&self) -> &str {
        &self.name
    }

    fn serve(&self, _profile: &Profile) -> Result<Box<dyn Running>, SubjectError> {
        Err(SubjectError::unsupported("a client program is no server"))
    }

    fn connect(&self, _profile: &Profile, address: SocketAddr) -> Result<Box<dyn Running>, SubjectError> {
        Ok(Box::new(RunningClient { address, child: self.launch.start(address, Stdio::null())? }))
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Client]
    }

    fn fixed_profile(&self) -> Option<Profile> {
        Some(self.profile.clone())
    }

    fn connect_patience(&self) -> Duration {
        self.patience
    }
}

struct RunningClient {
    address: SocketAddr,
    child: Option<Program>,
}

impl Running for RunningClient {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn control(&mut self, _command: Command) -> Result<Reply, SubjectError> {
        Err(SubjectError::unsupported("the client takes no commands"))
    }

    fn ended(&mut self) -> Option<String> {
        self.child.as_ref().and_then(failed).map(|status| status.to_string())
    }

    fn stop(self: Box<Self>) {
        self.child.into_iter().for_each(end);
    }
}
