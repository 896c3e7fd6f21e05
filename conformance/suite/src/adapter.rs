//! An implementation in any language behind a control channel: a program that takes commands and reports, one line of JSON each.

mod lines;
mod process;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock;
use crate::manifest::Manifest;
use crate::profile::Profile;
use crate::remote::{dial_first, greet};
use crate::role::Role;
use crate::sockets;
use crate::subject::{Command, Event, Reply, Running, Subject, SubjectError};
use lines::{Description, Opening};
use process::Process;

/// How long a client may take at least to connect, and how many times as long as the program took to answer at first.
const PATIENCE: Duration = Duration::from_secs(5);
const TIMES_AS_LONG: u32 = 10;

/// An echo server, an echo client, or both, that a program offers over a control channel.
///
/// The program is started for each server and each client that the suite wants at the same time; one that is no longer wanted is told to
/// stop what it does, and used again.
pub struct Adapter {
    name: String,
    description: Description,
    /// How long a client may take to connect.
    patience: Duration,
    /// What it runs with, where it cannot be told.
    fixed: Option<Profile>,
    pool: Arc<Pool>,
}

impl Adapter {
    /// The implementation that the program of `words` offers. Where it does not take the numbers of the suite, they are learnt from a
    /// handshake, and its timers are those that the manifest declares.
    ///
    /// # Errors
    ///
    /// If the program cannot be started, does not describe itself, takes a command that does not exist, or announces other limits than
    /// the manifest declares; if it takes the suite's numbers, and the manifest declares some.
    pub fn new(words: Vec<String>, manifest: &Manifest) -> Result<Self, SubjectError> {
        if words.is_empty() {
            return Err(SubjectError::failed("the command is empty"));
        }
        let pool = Arc::new(Pool { words, idle: Mutex::default() });
        let began = clock::now();
        let mut process = pool.take()?;
        let description: Description = lines::description(&process.ask(&lines::describe())?)?;
        let nonsense = Command::Unknown { verb: "no-such-command" };
        let answer = process.ask(&lines::command(&nonsense)).and_then(|answer| lines::reply(&nonsense, &answer));
        match answer {
            Err(error) if error.is_unsupported() => {}
            Err(error) => return Err(error),
            Ok(_) => return Err(SubjectError::failed("the adapter takes a command that does not exist")),
        }
        let patience = PATIENCE.max(clock::elapsed(began) * TIMES_AS_LONG);
        pool.give_back(process);
        if description.numbers && manifest.declares_numbers() {
            let sentence = "the manifest declares timers or limits, but the adapter takes those that each case wants";
            return Err(SubjectError::failed(sentence));
        }
        let name = manifest.name().unwrap_or(&description.name).to_owned();
        let mut adapter = Self { name, description, patience, fixed: None, pool };
        if !adapter.description.numbers {
            adapter.fixed = Some(adapter.learn(manifest)?);
        }
        Ok(adapter)
    }

    /// What it announces in a handshake.
    fn learn(&self, manifest: &Manifest) -> Result<Profile, SubjectError> {
        let unsaid = Profile::default();
        let (running, stream, role) = if self.roles().contains(&Role::Server) {
            let running = self.serve(&unsaid)?;
            let (_, stream) = dial_first(&[running.address()])?;
            (running, stream, Role::Server)
        } else {
            let listener = sockets::listen()?;
            let running = self.connect(&unsaid, listener.address()?)?;
            (running, listener.accept(Some(self.patience))?, Role::Client)
        };
        let hello = greet(stream, role);
        running.stop();
        let hello =
            hello.map_err(|failure| SubjectError::failed(format!("no handshake: {}", failure.into_sentence())))?;
        manifest.profile_of(&hello)
    }

    fn open(&self, profile: &Profile, opening: Opening) -> Result<Box<dyn Running>, SubjectError> {
        let numbers = self.description.numbers.then_some(profile);
        let mut process = self.pool.take()?;
        let answer = process.ask(&lines::opening(opening, numbers))?;
        let address = match opening {
            Opening::Connect(address) => lines::done(&answer).map(|()| address),
            Opening::Listen => lines::address(&answer),
        };
        match address {
            Ok(address) => {
                let (pool, process) = (Arc::clone(&self.pool), Some(process));
                Ok(Box::new(Opened { pool, process, address, events: Vec::new() }))
            }
            Err(error) => {
                self.pool.give_back(process);
                Err(error)
            }
        }
    }
}

impl Subject for Adapter {
    fn name(&self) -> &str {
        &self.name
    }

    fn serve(&self, profile: &Profile) -> Result<Box<dyn Running>, SubjectError> {
        self.open(profile, Opening::Listen)
    }

    fn connect(&self, profile: &Profile, address: SocketAddr) -> Result<Box<dyn Running>, SubjectError> {
        self.open(profile, Opening::Connect(address))
    }

    fn roles(&self) -> &'static [Role] {
        self.description.roles.as_slice()
    }

    /// Whether the program can still be started.
    fn presence(&self) -> Result<(), String> {
        let process = self.pool.take().map_err(|error| error.to_string())?;
        self.pool.give_back(process);
        Ok(())
    }

    fn fixed_profile(&self) -> Option<Profile> {
        self.fixed.clone()
    }

    fn is_slow_at_floods(&self) -> bool {
        true
    }

    fn connect_patience(&self) -> Duration {
        self.patience
    }
}

/// Processes of the program that do nothing at present.
struct Pool {
    words: Vec<String>,
    idle: Mutex<Vec<Process>>,
}

impl Pool {
    /// One that does nothing, started if there is none.
    fn take(&self) -> Result<Process, SubjectError> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match idle {
                None => return Process::start(&self.words),
                // It may have ended since.
                Some(mut process) => {
                    if process.lives() {
                        return Ok(process);
                    }
                }
            }
        }
    }

    fn give_back(&self, process: Process) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(process);
    }
}

/// A server or client in a process of its own.
struct Opened {
    pool: Arc<Pool>,
    /// Until it is stopped.
    process: Option<Process>,
    address: SocketAddr,
    /// All that the application was told so far; the program tells each thing once.
    events: Vec<Event>,
}

impl Opened {
    fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("nobody gives commands to what was stopped")
    }

    fn reply(&mut self, command: &Command, answer: &str) -> Result<Reply, SubjectError> {
        Ok(match lines::reply(command, answer)? {
            Reply::Events(news) => {
                self.events.extend(news);
                Reply::Events(self.events.clone())
            }
            reply => reply,
        })
    }
}

impl Running for Opened {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn control(&mut self, command: Command) -> Result<Reply, SubjectError> {
        let answer = self.process().ask(&lines::command(&command))?;
        self.reply(&command, &answer)
    }

    fn control_all(&mut self, commands: Vec<Command>) -> Result<Vec<Reply>, SubjectError> {
        let said: Vec<String> = commands.iter().map(lines::command).collect();
        let answers = self.process().ask_all(&said)?;
        commands.iter().zip(answers).map(|(command, answer)| self.reply(command, &answer)).collect()
    }

    fn commands_at_once(&self) -> usize {
        64
    }

    /// A process that does not stop what it does is ended.
    fn stop(mut self: Box<Self>) {
        if let Some(mut process) = self.process.take() {
            let answer = process.ask(&lines::stop()).and_then(|answer| lines::done(&answer));
            if answer.is_ok() {
                self.pool.give_back(process);
            }
        }
    }
}
