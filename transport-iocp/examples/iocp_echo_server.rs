//! Echoes every message, until standard input ends or says `stop`.
//!
//! ```text
//! echo_server [--listen ADDRESS] [--idle-ms N] [--interval-ms N] [--probes N] [--ping-floor-ms N]
//! ```
//!
//! It prints one line, `listening on ADDRESS`.

use std::process::ExitCode;

#[cfg(windows)]
fn main() -> ExitCode {
    match windows::serve() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("echo_server: {error}");
            ExitCode::from(2)
        }
    }
}

#[cfg(not(windows))]
fn main() -> ExitCode {
    eprintln!("iocp_echo_server: this transport needs Windows");
    ExitCode::from(2)
}

#[cfg(windows)]
mod windows {
    use std::collections::HashMap;
    use std::error::Error;
    use std::io::BufRead;
    use std::net::SocketAddr;
    use std::time::Duration;

    use pulsewire_transport_iocp::protocol::{
        CloseReason, Config, ConnectionId, Event, Message, SendError, SendRefused,
    };
    use pulsewire_transport_iocp::{Context, Endpoint, Handler, SocketOptions};

    /// Echoes. A peer that sends faster than it reads has to wait: of each connection at most one message is held.
    #[derive(Default)]
    struct Echo {
        held: HashMap<ConnectionId, Message<'static>>,
    }

    impl Echo {
        fn send(&mut self, connection: &mut Context<'_>, message: Message<'_>) {
            let Err(SendError { reason, message }) = connection.send(message) else { return };
            match reason {
                SendRefused::Full => {
                    self.held.insert(connection.id(), message.into_owned());
                    // No message more comes until `writable`.
                    connection.pause();
                }
                // Two sides with different limits.
                SendRefused::TooLarge { .. } => connection.close(CloseReason::REFUSED),
                // It is closing, or gone.
                _ => {}
            }
        }
    }

    impl Handler for Echo {
        fn event(&mut self, connection: &mut Context<'_>, event: Event<'_>) {
            match event {
                Event::Message(message) => self.send(connection, message),
                Event::Closed(_) => drop(self.held.remove(&connection.id())),
                _ => {}
            }
        }

        fn writable(&mut self, connection: &mut Context<'_>) {
            connection.resume();
            if let Some(message) = self.held.remove(&connection.id()) {
                self.send(connection, message);
            }
        }

        fn unsent(&mut self, _connection: &mut Context<'_>, _refused: SendError<'static>) {
            // Nothing is sent from other threads.
        }
    }

    /// Returns whether all connections were closed in order.
    pub(crate) fn serve() -> Result<bool, Box<dyn Error>> {
        let mut config = Config::default();
        let mut address: SocketAddr = "127.0.0.1:0".parse()?;
        let mut arguments = std::env::args().skip(1);
        while let Some(option) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{option} needs a value"))?;
            let time = || value.parse().map(Duration::from_millis);
            match &*option {
                "--listen" => address = value.parse()?,
                "--idle-ms" => config.heartbeat.idle = time()?,
                "--interval-ms" => config.heartbeat.interval = time()?,
                "--probes" => config.heartbeat.probes = value.parse()?,
                "--ping-floor-ms" => config.heartbeat.ping_floor = time()?,
                _ => return Err(format!("unknown option {option}").into()),
            }
        }
        let endpoint = Endpoint::start(config.validate()?, SocketOptions::default(), Echo::default())?;
        println!("listening on {}", endpoint.listen(address)?);
        for line in std::io::stdin().lock().lines() {
            if line?.trim() == "stop" {
                break;
            }
        }
        let report = endpoint.shutdown(Duration::from_secs(10))?;
        println!("{report}");
        Ok(report.cut == 0)
    }
}
