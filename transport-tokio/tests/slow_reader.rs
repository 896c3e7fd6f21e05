//! A peer that reads slowly, over loopback: what lies in this host's memory is told from a peer that is dead (PW-TCP-005).

use std::io;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::support::{bounded, message, ms, until_closed, valid};
use pulsewire_transport_tokio::protocol::{CloseReason, Config, Role};
use pulsewire_transport_tokio::{Endpoint, SocketOptions};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, Sleep};

/// What the client reads in a second.
const RATE: u32 = 100_000;
const MESSAGES: u64 = 100;
const SIZE: usize = 4_096;

/// A socket that is read from at `RATE` only. What it holds is less than what its peer's host holds for it.
struct Slow {
    socket: TcpStream,
    began: Instant,
    read: u32,
    rest: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for Slow {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(rest) = &mut self.rest {
            ready!(rest.as_mut().poll(context));
            self.rest = None;
        }
        let mut part = [0; 1_024];
        let mut part = ReadBuf::new(&mut part[..buffer.remaining().min(1_024)]);
        ready!(Pin::new(&mut self.socket).poll_read(context, &mut part))?;
        buffer.put_slice(part.filled());
        self.read += part.filled().len() as u32;
        let until = self.began + Duration::from_secs(1) * self.read / RATE;
        self.rest = Some(Box::pin(tokio::time::sleep_until(until)));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Slow {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// Every timer is far shorter than what it takes to read what lies in the server's host.
fn impatient() -> Config {
    let mut config = Config::default();
    config.heartbeat.idle = ms(60);
    config.heartbeat.interval = ms(150);
    config.heartbeat.ping_floor = ms(10);
    config.heartbeat.extension_max = Some(Duration::ZERO);
    // Longer than a busy machine lets the client sleep.
    config.timeouts.write_stall = ms(1_000);
    config.timeouts.linger = ms(1_000);
    // Still slower than the client reads.
    config.timeouts.assembly_rate = RATE / 5;
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_not_given_up_and_gets_everything_before_an_orderly_end() {
    bounded(async {
        let options = SocketOptions { unsent_max: NonZeroU32::new(96 << 10), ..SocketOptions::default() };
        let endpoint = Endpoint::with_options(valid(impatient()), options);
        let listener = endpoint.listen("127.0.0.1:0").await.unwrap();
        let address = listener.address().unwrap();
        let serving = tokio::spawn(async move {
            let mut connection = listener.accept().await.unwrap();
            for number in 0..MESSAGES {
                if number == 0 {
                    connection.recv().await;
                }
                connection.sender().send(message(number, SIZE)).await.unwrap();
            }
            connection.close(CloseReason::NORMAL);
            let (_, closed) = until_closed(&mut connection).await;
            (closed, connection.statistics())
        });

        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let socket = socket.connect(address).await.unwrap();
        let slow = Slow { socket, began: Instant::now(), read: 0, rest: None };
        let mut client = Endpoint::new(valid(Config::default())).connection(slow, Role::Client).unwrap();
        let began = Instant::now();
        let (messages, closed) = until_closed(&mut client).await;
        assert!(closed.orderly, "{closed}");
        assert_eq!(messages, (0..MESSAGES).map(|number| message(number, SIZE)).collect::<Vec<_>>());
        assert!(began.elapsed() > ms(2_000), "the client was fast");

        let (closed, statistics) = serving.await.unwrap();
        assert!(closed.orderly && closed.acknowledged == Some(MESSAGES), "{closed}");
        assert!(statistics.pings_sent > 0, "it was probed meanwhile");
        assert!(endpoint.shutdown(ms(5_000)).await.is_clean(), "the farewell ends");
    })
    .await;
}
