//! The honest client: a message each 5 ms, and how long its answer took.

use std::io::stdin;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use pulsewire_transport_tokio::Endpoint;
use pulsewire_transport_tokio::protocol::{Class, Event, Message};

use crate::server::config;

pub(crate) fn run(address: SocketAddr) {
    let latencies = Arc::new(Mutex::new(Histogram::<u64>::new(3).expect("3 digits")));
    let theirs = Arc::clone(&latencies);
    std::thread::spawn(move || {
        for _question in stdin().lines().map_while(Result::ok) {
            let mut latencies = theirs.lock().unwrap_or_else(PoisonError::into_inner);
            let ms = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e3;
            let (count, max) = (latencies.len(), latencies.max() as f64 / 1e3);
            println!(
                "{count} answers; p50 {:.2} ms, p90 {:.2}, p99 {:.2}, p99.9 {:.2}, longest {max:.2}",
                ms(0.5),
                ms(0.9),
                ms(0.99),
                ms(0.999)
            );
            latencies.reset();
        }
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(ask(address, &latencies));
}

async fn ask(address: SocketAddr, latencies: &Mutex<Histogram<u64>>) {
    let mut connection = Endpoint::new(config()).connect(address).await.expect("the server accepts");
    println!("connected");
    let sender = connection.sender();
    loop {
        let asked = Instant::now();
        sender.send(Message::new(Class::BUSINESS, &[7; 64])).await.expect("an honest client is served");
        loop {
            match connection.recv().await.expect("Closed comes before the end") {
                Event::Message(_) => break,
                Event::Closed(closed) => panic!("the honest client lost its connection: {closed}"),
                _ => {}
            }
        }
        let took = u64::try_from(asked.elapsed().as_micros()).expect("not that long");
        latencies.lock().unwrap_or_else(PoisonError::into_inner).record(took).expect("it grows");
        // In `recv`, so that the heartbeat goes on.
        let _ = tokio::time::timeout(Duration::from_millis(5), connection.recv()).await;
    }
}
