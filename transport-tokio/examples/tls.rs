//! An echo server and a client over TLS, who both show a certificate. The server reads its own again whenever the file changes: nobody
//! has to restart it, and connections that are there stay.
//!
//! ```text
//! cargo run -p pulsewire-transport-tokio --features tls --example tls -- certificates /tmp/certificates
//! cargo run -p pulsewire-transport-tokio --features tls --example tls -- server /tmp/certificates
//! cargo run -p pulsewire-transport-tokio --features tls --example tls -- client /tmp/certificates 127.0.0.1:7700
//! ```
//!
//! The client sends each line that is typed. Run `certificates` again while the server runs, and it takes the new ones.

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Parser;
use pulsewire_transport_tokio::protocol::{Class, CloseReason, Config, Event, Message};
use pulsewire_transport_tokio::{Client, ClientEvent, ClientOptions, Connection, Endpoint, Server, Unsent, tls};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;

type Done<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// What the server's certificate is for.
const NAME: &str = "localhost";

#[derive(Parser)]
enum Arguments {
    /// Makes an authority, and certificates of a server and a client.
    Certificates { folder: PathBuf },
    /// Returns every message.
    Server {
        folder: PathBuf,
        #[arg(long, default_value = "127.0.0.1:7700")]
        listen: SocketAddr,
    },
    /// Sends each line that is typed, and prints what comes back.
    Client { folder: PathBuf, address: SocketAddr },
}

#[tokio::main]
async fn main() -> Done {
    match Arguments::parse() {
        Arguments::Certificates { folder } => make_certificates(&folder),
        Arguments::Server { folder, listen } => serve(folder, listen).await,
        Arguments::Client { folder, address } => talk(&folder, address).await,
    }
}

/// The authority's key is thrown away: whoever needs more certificates makes all anew.
fn make_certificates(folder: &Path) -> Done {
    std::fs::create_dir_all(folder)?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    std::fs::write(folder.join("authority.pem"), params.self_signed(&key)?.pem())?;
    let authority = Issuer::new(params, key);
    for (file, name) in [("server", NAME), ("client", "client")] {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, &authority)?;
        std::fs::write(folder.join(format!("{file}.key")), key.serialize_pem())?;
        // Last, since its change is what the server looks at.
        std::fs::write(folder.join(format!("{file}.pem")), certificate.pem())?;
    }
    println!("made certificates in {}", folder.display());
    Ok(())
}

fn identity(folder: &Path, name: &str) -> Done<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = CertificateDer::pem_file_iter(folder.join(format!("{name}.pem")))?.collect::<Result<_, _>>()?;
    Ok((chain, PrivateKeyDer::from_pem_file(folder.join(format!("{name}.key")))?))
}

fn roots(folder: &Path) -> Done<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("authority.pem"))?)?;
    Ok(roots)
}

fn server_config(folder: &Path) -> Done<Arc<ServerConfig>> {
    let (chain, key) = identity(folder, "server")?;
    let clients = WebPkiClientVerifier::builder(Arc::new(roots(folder)?)).build()?;
    Ok(Arc::new(ServerConfig::builder().with_client_cert_verifier(clients).with_single_cert(chain, key)?))
}

async fn serve(folder: PathBuf, listen: SocketAddr) -> Done {
    let tls = tls::Server::new(server_config(&folder)?);
    let mut server = Server::new(Endpoint::new(Config::default().validate()?));
    let listener = server.listen_tls(listen, tls.clone()).await?;
    println!("listening on {}", listener.address().ok_or("no address")?);
    tokio::spawn(renew(tls, folder));
    server.serve(echo).await;
    Ok(())
}

/// Looks at the certificate each second.
async fn renew(tls: tls::Server, folder: PathBuf) {
    let changed = |folder: &Path| std::fs::metadata(folder.join("server.pem")).and_then(|file| file.modified());
    let mut known: Option<SystemTime> = changed(&folder).ok();
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = changed(&folder).ok();
        if now == known {
            continue;
        }
        match server_config(&folder) {
            Ok(config) => {
                tls.replace(config);
                known = now;
                println!("new certificates count from now on");
            }
            // It is being written, perhaps.
            Err(error) => eprintln!("the new certificates are no good yet: {error}"),
        }
    }
}

async fn echo(mut connection: Connection) {
    let sender = connection.sender();
    while let Some(event) = connection.recv().await {
        if let Event::Message(message) = event {
            let _ = sender.busy_while(sender.send(message)).await;
        }
    }
}

async fn talk(folder: &Path, address: SocketAddr) -> Done {
    let (chain, key) = identity(folder, "client")?;
    let config = ClientConfig::builder().with_root_certificates(roots(folder)?).with_client_auth_cert(chain, key)?;
    let config = Arc::new(config);
    let endpoint = Endpoint::new(tls::config(Config::default())?);
    let open = move || {
        let config = Arc::clone(&config);
        async move {
            let socket = TcpStream::connect(address).await?;
            Ok(tls::connect(config, NAME.try_into().expect("a name"), socket))
        }
    };
    let options = ClientOptions { unsent: Unsent::Keep { bytes: 1 << 20 }, ..ClientOptions::default() };
    let mut client = Client::with_streams(&endpoint, open, options);
    let sender = client.sender();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut typing = true;
    loop {
        tokio::select! {
            event = client.recv() => match event {
                Some(ClientEvent::Connected(_)) => println!("connected"),
                Some(ClientEvent::Event(Event::Message(message))) => {
                    println!("came back: {}", message.payload.escape_ascii());
                }
                Some(ClientEvent::Failed(failed)) => println!("{}; trying again", failed.error),
                Some(_) => {}
                None => return Ok(()),
            },
            line = lines.next_line(), if typing => match line? {
                Some(line) => drop(sender.try_send(Message::new(Class::BUSINESS, line.as_bytes()))),
                None => {
                    typing = false;
                    client.close(CloseReason::NORMAL);
                }
            },
        }
    }
}
