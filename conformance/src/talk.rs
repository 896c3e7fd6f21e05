//! A conversation with a server by hand: what is typed goes there, and each packet is shown.

mod line;
mod link;
mod script;

use std::io;
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use conformance::named;
use pulsewire_conformance::wire;

use crate::arguments::tools::TalkArguments;
use crate::packet_line::Form;
use crate::show;
use link::Link;
use script::Script;

/// For a connection, for HELLO_ACK, and for the last words.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the conversation waits for.
pub(crate) enum Input {
    /// A line from the keyboard.
    Line(String),
    /// No more will come from there.
    NoMoreLines,
    /// Bytes from the server.
    Bytes(Vec<u8>),
    /// The server has ended its direction, or the connection broke.
    Over(io::Result<()>),
}

/// Exits with 0 if everything went as it was asked for, and with 1 if the server did something else.
pub(crate) fn talk(arguments: &TalkArguments) -> Result<u8, String> {
    let stream = connect(&arguments.address)?;
    let failed = |error: io::Error| format!("{}: {error}", arguments.address);
    let (sender, inputs) = mpsc::channel();
    let form = if arguments.json { Form::Json } else { Form::People };
    let (link, gate) = Link::new(stream.try_clone().map_err(failed)?, form, arguments.resync);
    let to_link = sender.clone();
    thread::spawn(move || link::read(stream, &gate, &to_link));
    let mut script = Script::new(link);
    script.greet(&inputs)?;
    if form == Form::People {
        show("/help shows what can be typed\n");
    }
    thread::spawn(move || read_lines(&sender));
    Ok(script.run(&inputs))
}

fn connect(address: &str) -> Result<TcpStream, String> {
    let (addresses, until) = (named::resolve(address)?, Instant::now() + PATIENCE);
    let mut last = String::new();
    for address in addresses {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => {
                // A server that does not read must not hold up the conversation for ever.
                let set = stream.set_nodelay(true).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
                return set.map(|()| stream).map_err(|error| error.to_string());
            }
            Err(error) => last = format!("no connection to {address}: {error}"),
        }
    }
    Err(last)
}

fn read_lines(sender: &mpsc::Sender<Input>) {
    for line in io::stdin().lines().map_while(Result::ok) {
        if sender.send(Input::Line(line)).is_err() {
            return;
        }
    }
    // The conversation may be over.
    let _ = sender.send(Input::NoMoreLines);
}

/// A key that the server will not guess, and that is not 0.
fn sync_key() -> Result<u32, String> {
    getrandom::u32().map(|key| key | 1).map_err(|error| format!("no random numbers: {error}"))
}

/// The HELLO of this side.
fn hello(is_resync: bool) -> Result<wire::Packet, String> {
    Ok(wire::hello(sync_key()?, is_resync))
}
