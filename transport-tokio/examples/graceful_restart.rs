//! An echo server that is replaced by a new process while clients are connected, without a refused connection or a lost message.
//! For Unix.
//!
//! ```text
//! cargo run -p pulsewire-transport-tokio --example graceful_restart -- --listen 127.0.0.1:7700
//! kill -HUP …        # the number that it said; as often as you like, each time that of the latest process
//! ```
//!
//! On SIGHUP it starts the program that now stands where it was started from, a newer version say, and hands the listening socket
//! over as its standard input; what connects meanwhile waits in that socket. When the new process says that it serves, the old one
//! stops accepting, drains its connections, and ends when they are gone. Where the new one does not come up, the old one goes on.
//!
//! What it takes on the client's side: on `Event::Draining` finish what was begun, close, and connect again.

#[cfg(unix)]
#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    restart::run().await
}

#[cfg(not(unix))]
pub(crate) fn main() {
    println!("this example hands a socket over as Unix does");
}

#[cfg(unix)]
mod restart {
    use std::error::Error;
    use std::io;
    use std::net::{SocketAddr, TcpListener};
    use std::os::fd::{AsFd, OwnedFd};
    use std::process::Stdio;
    use std::time::Duration;

    use clap::Parser;
    use pulsewire_transport_tokio::protocol::{Config, Event};
    use pulsewire_transport_tokio::{Connection, Endpoint, Server};
    use tokio::io::{AsyncBufReadExt, BufReader};
    use tokio::process::Command;
    use tokio::signal::unix::{SignalKind, signal};

    /// How long a new process may take to serve.
    const READY_WITHIN: Duration = Duration::from_secs(30);

    /// An echo server that is replaced on SIGHUP without losing anything.
    #[derive(Parser)]
    struct Arguments {
        /// Where to listen; port 0 lets the system choose.
        #[arg(long, default_value = "127.0.0.1:7700")]
        listen: SocketAddr,
        /// Take the listening socket from the standard input: an earlier process handed it over.
        #[arg(long)]
        successor: bool,
    }

    pub(crate) async fn run() -> Result<(), Box<dyn Error>> {
        let Arguments { listen, successor } = Arguments::parse();
        let listener = if successor { inherited()? } else { TcpListener::bind(listen)? };
        let mut server = Server::new(Endpoint::new(Config::default().validate()?));
        server.listen_with(listener.try_clone()?)?;
        let handle = server.handle();
        tokio::spawn(server.serve(echo));
        let (mut restart, mut end) = (signal(SignalKind::hangup())?, signal(SignalKind::terminate())?);

        // People read the standard error. The standard output is for the process that waits to be replaced.
        let me = std::process::id();
        eprintln!("{me} serves {}", listener.local_addr()?);
        println!("ready");
        loop {
            tokio::select! {
                _ = restart.recv() => match succeed(&listener).await {
                    Ok(()) => break,
                    Err(error) => eprintln!("{me} goes on, since the new process did not come up: {error}"),
                },
                _ = end.recv() => break,
                interrupted = tokio::signal::ctrl_c() => break interrupted?,
            }
        }
        // From here on what connects waits for the successor alone.
        drop(listener);
        eprintln!("{me} ends: {}", handle.shutdown().await);
        Ok(())
    }

    fn inherited() -> io::Result<TcpListener> {
        Ok(TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?))
    }

    /// Starts the process that goes on, and waits until it serves.
    async fn succeed(listener: &TcpListener) -> io::Result<()> {
        let handed_over = Stdio::from(OwnedFd::from(listener.try_clone()?));
        let program = std::env::current_exe()?;
        let mut successor =
            Command::new(program).arg("--successor").stdin(handed_over).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(said) = successor.stdout.take() {
            let _late = tokio::time::timeout(READY_WITHIN, BufReader::new(said).read_line(&mut line)).await;
        }
        if line.trim_end() == "ready" {
            return Ok(());
        }
        // It must not come up later beside this one.
        successor.kill().await?;
        Err(io::Error::other("it did not say that it serves"))
    }

    async fn echo(mut connection: Connection) {
        let sender = connection.sender();
        while let Some(event) = connection.recv().await {
            if let Event::Message(message) = event
                && let Err(refused) = sender.busy_while(sender.send(message)).await
            {
                eprintln!("{refused}");
            }
        }
    }
}
