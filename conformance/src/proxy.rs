//! A man in the middle: passes bytes on between a client and a server, does to them what it is told to, and shows the packets.

mod faults;
mod middle;
mod piece;
mod random;
mod way;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::{TcpListener, TcpStream};
use tokio::signal::ctrl_c;

use crate::arguments::tools::ProxyArguments;
use crate::packet_line::{Form, Happened, line};
use crate::show;
use conformance::named;
use faults::Faults;

/// Runs until Ctrl-C, and exits with 0 then.
pub(crate) fn proxy(arguments: &ProxyArguments) -> Result<u8, String> {
    let faults = Arc::new(Faults::new(&arguments.faults)?);
    let (listen, target) = (named::resolve(&arguments.listen)?, named::resolve(&arguments.target)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    let shown = Shown {
        form: if arguments.json { Form::Json } else { Form::People },
        is_quiet: arguments.quiet,
        began: Instant::now(),
    };
    runtime.block_on(async {
        let listener = TcpListener::bind(&listen[..]).await;
        let listener = listener.map_err(|error| format!("{} cannot be listened on: {error}", arguments.listen))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        shown.tell(0, "listening", &format!("listening on {address}, for {}", arguments.target));
        tokio::select! {
            failed = accept(&listener, &target, &faults, shown) => failed,
            _ = ctrl_c() => Ok(0),
        }
    })
}

/// Takes connection after connection.
async fn accept(
    listener: &TcpListener,
    target: &[SocketAddr],
    faults: &Arc<Faults>,
    shown: Shown,
) -> Result<u8, String> {
    for number in 1.. {
        let client = match listener.accept().await {
            Ok((client, _)) => client,
            Err(error) => {
                // Of one that left already, or a lack of descriptors, which others may end.
                shown.tell(number, "not-accepted", &format!("not accepted: {error}"));
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let (target, faults) = (target.to_vec(), Arc::clone(faults));
        tokio::spawn(async move {
            match TcpStream::connect(&target[..]).await {
                Ok(server) => middle::pass(client, server, &faults, shown, number).await,
                Err(error) => shown.tell(number, "unreachable", &format!("the target cannot be reached: {error}")),
            }
        });
    }
    Err("more connections than can be counted".into())
}

/// How what happens is shown.
#[derive(Clone, Copy)]
pub(crate) struct Shown {
    form: Form,
    is_quiet: bool,
    began: Instant,
}

impl Shown {
    /// Something that is told in any case.
    pub(crate) fn tell(self, connection: u32, word: &str, sentence: &str) {
        show(&line(self.form, self.began.elapsed(), connection, Happened::Told { word, sentence }));
    }

    /// A packet, or what was done on its way.
    pub(crate) fn pass(self, connection: u32, happened: Happened<'_>) {
        if !self.is_quiet {
            show(&line(self.form, self.began.elapsed(), connection, happened));
        }
    }
}
