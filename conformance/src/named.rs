//! Implementations outside this workspace, by what names them: an address, a command, a file.

use std::env;
use std::fs;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;

use pulsewire_conformance::subject::Subject;
use pulsewire_conformance::{Adapter, ClientProgram, Manifest, RemoteServer};

/// The variable that names the implementation for the tests to judge.
const SUBJECT: &str = "CONFORMANCE_SUBJECT";
/// The variable that names the file of its manifest.
const MANIFEST: &str = "CONFORMANCE_MANIFEST";

/// Whether the environment names an implementation to judge.
#[must_use]
pub fn is_in_environment() -> bool {
    env::var_os(SUBJECT).is_some()
}

/// The implementation that the environment variable CONFORMANCE_SUBJECT names; `None` without it.
///
/// # Errors
///
/// If the value is none of those that are allowed, or the implementation cannot be reached; a sentence for a person.
pub fn subject_from_environment() -> Result<Option<Arc<dyn Subject>>, String> {
    let Some(named) = env::var_os(SUBJECT) else {
        return Ok(None);
    };
    let named = named.to_str().ok_or_else(|| format!("{SUBJECT} is no text"))?;
    let subject = subject(named, &manifest_from_environment()?);
    subject.map(Some).map_err(|sentence| format!("{SUBJECT}={named}: {sentence}"))
}

/// The manifest in the file that the environment variable CONFORMANCE_MANIFEST names; one that declares nothing, without it.
///
/// # Errors
///
/// If the file cannot be read or is no manifest, or if there is no CONFORMANCE_SUBJECT that it could be of.
pub fn manifest_from_environment() -> Result<Manifest, String> {
    let path = env::var_os(MANIFEST);
    if path.is_some() && !is_in_environment() {
        return Err(format!("{MANIFEST} is set, and {SUBJECT} is not: there is nothing that it is the manifest of"));
    }
    manifest(path.as_deref().map(Path::new)).map_err(|sentence| format!("{MANIFEST}: {sentence}"))
}

fn subject(named: &str, manifest: &Manifest) -> Result<Arc<dyn Subject>, String> {
    match named.split_once(':') {
        Some(("tcp", address)) => remote_server(address, manifest),
        Some(("exec", command)) => client_program(command, manifest),
        Some(("adapter", command)) => adapter(command, manifest),
        _ => Err("allowed are tcp:HOST:PORT, an echo server that runs there, exec:COMMAND {addr}, a command that \
                  starts an echo client, and adapter:COMMAND, a command that starts an adapter"
            .into()),
    }
}

/// The server that listens at an address.
///
/// # Errors
///
/// If the address is none, or no server that conforms to the manifest is there.
pub fn remote_server(address: &str, manifest: &Manifest) -> Result<Arc<dyn Subject>, String> {
    let server = RemoteServer::new(&resolve(address)?, manifest).map_err(|error| error.to_string())?;
    Ok(Arc::new(server))
}

/// The client that a command starts, which is split into words as a shell does.
///
/// # Errors
///
/// If the command cannot be split or run, or starts no client that conforms to the manifest.
pub fn client_program(command: &str, manifest: &Manifest) -> Result<Arc<dyn Subject>, String> {
    let client = ClientProgram::new(words(command)?, manifest).map_err(|error| error.to_string())?;
    Ok(Arc::new(client))
}

/// What the adapter offers that a command starts, which is split into words as a shell does.
///
/// # Errors
///
/// If the command cannot be split or run, or starts no adapter.
pub fn adapter(command: &str, manifest: &Manifest) -> Result<Arc<dyn Subject>, String> {
    let adapter = Adapter::new(words(command)?, manifest).map_err(|error| error.to_string())?;
    Ok(Arc::new(adapter))
}

fn words(command: &str) -> Result<Vec<String>, String> {
    shlex::split(command).ok_or_else(|| format!("a quotation mark is missing in {command}"))
}

/// The manifest in a file; one that declares nothing, without a file.
///
/// # Errors
///
/// If the file cannot be read, or is no manifest.
pub fn manifest(path: Option<&Path>) -> Result<Manifest, String> {
    let Some(path) = path else {
        return Ok(Manifest::default());
    };
    Manifest::parse(&text(path)?).map_err(|error| format!("{}: {error}", path.display()))
}

/// The text of a file.
///
/// # Errors
///
/// If it cannot be read.
pub fn text(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

/// The addresses of HOST:PORT, at least one.
///
/// # Errors
///
/// If it is none, or has no address.
pub fn resolve(address: &str) -> Result<Vec<SocketAddr>, String> {
    let found = address.to_socket_addrs().map_err(|error| format!("{address} is no HOST:PORT: {error}"))?;
    let addresses: Vec<SocketAddr> = found.collect();
    if addresses.is_empty() { Err(format!("{address} has no address")) } else { Ok(addresses) }
}
