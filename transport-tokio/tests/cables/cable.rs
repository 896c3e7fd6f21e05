//! Two network namespaces of our own and a cable between them. Nothing outside them is touched.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::link::{Condition, carry};
use super::namespaces::{Outcome, ip, start};
use super::process::Running;
use super::tun::DEVICE;

pub(crate) const SERVER: &str = "10.0.0.2:7700";

/// Packets up to this size hold no payload: so a connection is made, and nothing is said.
pub(crate) const EMPTY: usize = 80;

pub(crate) struct Cable {
    /// The namespaces of client and server.
    pub(crate) near: String,
    far: String,
    pub(crate) to_server: Arc<Condition>,
    pub(crate) to_client: Arc<Condition>,
    ends: Vec<Child>,
}

impl Cable {
    pub(crate) fn new(name: &str) -> Outcome<Self> {
        let id = std::process::id();
        let mut cable = Self {
            near: format!("cables-near-{name}-{id}"),
            far: format!("cables-far-{name}-{id}"),
            to_server: Arc::default(),
            to_client: Arc::default(),
            ends: Vec::new(),
        };
        let (near_out, near_in) = cable.end(cable.near.clone(), "10.0.0.1/24")?;
        let (far_out, far_in) = cable.end(cable.far.clone(), "10.0.0.2/24")?;
        cable.to_server = carry(near_out, far_in, 1);
        cable.to_client = carry(far_out, near_in, 2);
        Ok(cable)
    }

    fn end(&mut self, namespace: String, address: &str) -> Outcome<(BufReader<ChildStdout>, ChildStdin)> {
        ip(&["netns", "add", &namespace])?;
        ip(&["-n", &namespace, "tuntap", "add", "dev", DEVICE, "mode", "tun"])?;
        ip(&["-n", &namespace, "addr", "add", address, "dev", DEVICE])?;
        ip(&["-n", &namespace, "link", "set", DEVICE, "up"])?;
        let mut child = start(&namespace, &["tun"])?;
        let (output, input) = (child.stdout.take().ok_or("no output")?, child.stdin.take().ok_or("no input")?);
        self.ends.push(child);
        let mut output = BufReader::new(output);
        let mut line = String::new();
        output.read_line(&mut line)?;
        if line.trim() == "open" { Ok((output, input)) } else { Err(line.into()) }
    }

    /// A server that listens, and a client that has not connected yet.
    pub(crate) fn peers(&self, server: &str, client: &str) -> Outcome<(Running, Running)> {
        let mut server = Running::start(&self.far, &["peer", "server", server])?;
        server.expect("listening")?;
        let client = Running::start(&self.near, &["peer", "client", client])?;
        Ok((server, client))
    }

    /// A server and a client with a connection.
    pub(crate) fn connected(&self, server: &str, client: &str) -> Outcome<(Running, Running)> {
        let (mut server, mut client) = self.peers(server, client)?;
        client.tell("connect")?;
        client.expect("established")?;
        server.expect("established")?;
        Ok((server, client))
    }

    pub(crate) fn cut(&self) {
        self.limit(&self.to_server, 0);
        self.limit(&self.to_client, 0);
    }

    pub(crate) fn mend(&self) {
        self.limit(&self.to_server, usize::MAX);
        self.limit(&self.to_client, usize::MAX);
    }

    /// Lets only packets pass that are no longer.
    pub(crate) fn limit(&self, direction: &Condition, longest: usize) {
        direction.longest.store(longest, Ordering::Relaxed);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for end in &mut self.ends {
            let _ = end.kill();
            let _ = end.wait();
        }
        for name in [&self.near, &self.far] {
            if let Err(error) = ip(&["netns", "del", name]) {
                eprintln!("{error}");
            }
        }
    }
}
