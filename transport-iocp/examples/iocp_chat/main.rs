//! A chat server: rooms with an owner, who may kick, hand over and dissolve. The end of standard input ends it. The client is that of
//! the tokio transport, on any system:
//!
//! ```text
//! cargo run -p pulsewire-transport-iocp --example iocp_chat -- 127.0.0.1:7700
//! cargo run -p pulsewire-transport-tokio --example chat_client -- 127.0.0.1:7700 anna tea
//! cargo run -p pulsewire-transport-tokio --example chat_client -- 127.0.0.1:7700 bert tea
//! ```

#[cfg(any(windows, test))]
mod messages;

#[cfg(any(windows, test))]
mod rooms;

#[cfg(windows)]
mod server;

#[cfg(windows)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7700".to_owned());
    let (endpoint, address) = server::start(address.parse()?)?;
    println!("listening on {address}; the end of the input stops it");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    println!("{}", endpoint.wind_down()?);
    Ok(())
}

#[cfg(not(windows))]
fn main() -> std::process::ExitCode {
    eprintln!("iocp_chat: this transport needs Windows");
    std::process::ExitCode::from(2)
}
