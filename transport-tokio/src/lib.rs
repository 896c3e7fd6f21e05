//! Pulsewire over TCP on tokio.
//!
//! An [`Endpoint`] listens and connects. A [`Connection`] gives events, and is driven by the task that receives them; a
//! [`Sender`] sends from anywhere.
//!
//! ```no_run
//! use pulsewire_transport_tokio::{Connection, Endpoint, protocol::{Config, Event}};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let endpoint = Endpoint::new(Config::default().validate()?);
//!     let listener = endpoint.listen("127.0.0.1:7700").await?;
//!     loop {
//!         tokio::spawn(echo(listener.accept().await?));
//!     }
//! }
//!
//! async fn echo(mut connection: Connection) {
//!     let sender = connection.sender();
//!     while let Some(event) = connection.recv().await {
//!         match event {
//!             // The message borrows the read buffer; sending copies it, if it is small.
//!             Event::Message(message) => {
//!                 if let Err(refused) = sender.send(message).await {
//!                     eprintln!("{refused}");
//!                 }
//!             }
//!             Event::Closed(closed) => println!("{closed}"),
//!             other => println!("{other:?}"),
//!         }
//!     }
//! }
//! ```
//!
//! Small messages are joined: what is sent while bytes that came together are being handled leaves in one write. The
//! heartbeat, the handshake's and all other clocks run inside [`Connection::recv`]; that of a stalled write runs inside
//! [`Sender::send`] too, since a task that sends what it receives is not in `recv` while it waits there.

#![forbid(unsafe_code)]

mod buffers;
mod clock;
mod connection;
mod driver;
mod endpoint;
mod error;
mod farewell;
mod input;
mod receiver;
mod registry;
mod sender;
mod socket_options;

pub use connection::Connection;
pub use driver::Stream;
pub use endpoint::{Endpoint, Listener};
pub use error::ConnectError;
pub use pulsewire_protocol as protocol;
pub use sender::Sender;
pub use socket_options::{Keepalive, SocketOptions, set_keepalive};
