//! What a connection costs that has nothing to say.

use std::io::stdin;
use std::net::SocketAddr;
use std::time::Duration;

use pulsewire_transport_tokio::Endpoint;

use crate::child::{Child, Server};
use crate::servers::Contender;

pub(crate) const NAME: &str = "idle";

const CONNECTIONS: u64 = 5_000;

/// Both sides have sent and answered PINGs by then.
const SETTLING: Duration = Duration::from_secs(12);

/// Bytes that are allocated for each connection: its task, its socket in the runtime, its machine and timer.
const MOST: u64 = 1_400;

/// Measures and prints, and says so if it is too much.
pub(crate) fn measure() -> Option<String> {
    let mut server = Server::start(Contender::Pulsewire);
    // One connection makes what all share.
    let first = holder(&server, 1);
    let (held, resident) = (server.held(), server.resident());
    let others = holder(&server, CONNECTIONS);
    std::thread::sleep(SETTLING);
    let each = (server.held() - held) / CONNECTIONS;
    let each_resident = (server.resident() - resident) / CONNECTIONS;
    drop((first, others));
    let verdict = if each > MOST { "MISSED" } else { "ok" };
    println!("{NAME} ({CONNECTIONS} connections whose heartbeat runs)");
    println!("  {:<44} {each_resident:>9} bytes", "of the process, with what the allocator adds");
    println!("  {:<44} {each:>9} bytes  {verdict}", format!("allocated <= {MOST}"));
    (each > MOST).then(|| format!("{NAME}: a connection takes {each} bytes, {MOST} at most were wanted"))
}

fn holder(server: &Server, connections: u64) -> Child {
    let mut child = Child::start(&[&"child-idle", &server.address, &connections]);
    child.line();
    child
}

/// Holds connections until standard input ends.
pub(crate) fn hold(address: SocketAddr, connections: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let endpoint = runtime.block_on(async {
        let endpoint = Endpoint::new(Contender::Pulsewire.config().validate().expect("valid"));
        for _ in 0..connections {
            let mut connection = endpoint.connect(address).await.expect("the server listens");
            tokio::spawn(async move { while connection.recv().await.is_some() {} });
        }
        endpoint
    });
    println!("ready");
    std::thread::spawn(|| {
        let _ = stdin().read_line(&mut String::new());
        std::process::exit(0);
    });
    runtime.block_on(std::future::pending::<()>());
    drop(endpoint);
}
