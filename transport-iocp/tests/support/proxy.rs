//! A proxy that can be slow, fall silent, or reset its connection.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::LOOPBACK;

/// What a proxy does with the bytes of both directions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Treatment {
    PassOn,
    /// Nothing passes, and nobody is told: no FIN, no RST.
    Silence,
    Reset,
}

/// Stands between one client and a server.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    orders: Arc<Orders>,
}

/// What the threads of a proxy look at between reading and writing.
struct Orders {
    treatment: Mutex<Treatment>,
    changed: Condvar,
}

impl Proxy {
    pub(crate) fn start(server: SocketAddr) -> Self {
        Self::start_with_rate(server, None)
    }

    /// At most `bytes_per_second` go each way.
    pub(crate) fn start_slow(server: SocketAddr, bytes_per_second: u64) -> Self {
        Self::start_with_rate(server, Some(bytes_per_second))
    }

    fn start_with_rate(server: SocketAddr, bytes_per_second: Option<u64>) -> Self {
        let listener = TcpListener::bind(LOOPBACK).unwrap();
        let address = listener.local_addr().unwrap();
        let orders = Arc::new(Orders { treatment: Mutex::new(Treatment::PassOn), changed: Condvar::new() });
        let shared = Arc::clone(&orders);
        thread::spawn(move || {
            let client = Arc::new(listener.accept().unwrap().0);
            let server = Arc::new(TcpStream::connect(server).unwrap());
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (from, to, orders) = (Arc::clone(from), Arc::clone(to), Arc::clone(&shared));
                thread::spawn(move || copy(&from, &to, &orders, bytes_per_second));
            }
        });
        Self { address, orders }
    }

    pub(crate) fn treat(&self, treatment: Treatment) {
        *self.orders.treatment.lock().unwrap() = treatment;
        self.orders.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.treat(Treatment::Reset);
    }
}

/// Copies until the stream ends or is to be reset, which happens when both directions have let go of it.
fn copy(mut from: &TcpStream, mut to: &TcpStream, orders: &Orders, bytes_per_second: Option<u64>) {
    from.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let mut bytes = [0; 16 << 10];
    let (start, mut passed) = (Instant::now(), 0);
    loop {
        let result = from.read(&mut bytes);
        // Silence holds both sockets open, and ends with the proxy.
        let silent = |treatment: &mut Treatment| *treatment == Treatment::Silence;
        let treatment = *orders.changed.wait_while(orders.treatment.lock().unwrap(), silent).unwrap();
        if treatment == Treatment::Reset {
            let _gone = SockRef::from(from).set_linger(Some(Duration::ZERO));
            return;
        }
        match result {
            Ok(0) => {
                let _gone = to.shutdown(Shutdown::Write);
                return;
            }
            Ok(count) => {
                if to.write_all(&bytes[..count]).is_err() {
                    return;
                }
                passed += count as u64;
                if let Some(rate) = bytes_per_second {
                    let due = Duration::from_micros(passed * 1_000_000 / rate);
                    thread::sleep(due.saturating_sub(start.elapsed()));
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
    }
}
