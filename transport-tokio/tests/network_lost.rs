//! PW-TCP-004: where the system notices first that the network is gone, the connection says so. The others of the four ends are in
//! `ends.rs`; what the system notices and when is measured by the crate `pulsewire-socket`.
//!
//! This program is also what runs inside the namespaces: `network_lost serve ADDRESS` and `network_lost stay ADDRESS`.

#[cfg(target_os = "linux")]
#[path = "../../socket/tests/namespaces/mod.rs"]
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
    use std::process::ExitCode;
    use std::time::Duration;

    use pulsewire_transport_tokio::protocol::{Config, Event};
    use pulsewire_transport_tokio::{Endpoint, Keepalive, SocketOptions, UserTimeout};

    use crate::namespaces::{Namespaces, Outcome, run_program, run_tests};

    const LIMIT: Duration = Duration::from_secs(60);

    pub(crate) fn main() -> ExitCode {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match arguments[..] {
            ["serve", address] => run_program(LIMIT, || run(serve(address))),
            ["stay", address] => run_program(LIMIT, || run(stay(address))),
            _ => run_tests([("a_network_that_the_system_gave_up_on_is_lost", a_network_that_was_given_up_is_lost)]),
        }
    }

    fn a_network_that_was_given_up_is_lost() -> Outcome {
        let namespaces = Namespaces::new()?;
        let mut server = namespaces.start(&namespaces.far, &["serve", "10.0.0.2:7700"])?;
        server.expect("listening")?;
        let mut client = namespaces.start(&namespaces.near, &["stay", "10.0.0.2:7700"])?;
        client.expect("connected")?;
        namespaces.take_far_host_away()?;
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
        let keepalive = Some(Keepalive::new(second, second, 2)?);
        let options =
            SocketOptions { keepalive, user_timeout: Some(UserTimeout::new(second * 3)?), ..SocketOptions::default() };
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
}
