//! What an endpoint sets on its sockets, seen through a duplicate of one.

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use pulsewire_transport_tokio::{Keepalive, SocketOptions, UserTimeout};
use socket2::SockRef;

#[tokio::test]
async fn all_options_are_set() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let seen = stream.try_clone().unwrap();
    stream.set_nonblocking(true).unwrap();
    let options = SocketOptions {
        keepalive: Some(Keepalive::new(Duration::from_secs(7), Duration::from_millis(1_500), 4).unwrap()),
        user_timeout: Some(UserTimeout::new(Duration::from_secs(9)).unwrap()),
        ..SocketOptions::default()
    };
    options.apply(&tokio::net::TcpStream::from_std(stream).unwrap()).unwrap();
    let seen = SockRef::from(&seen);
    assert!(seen.keepalive().unwrap() && seen.tcp_nodelay().unwrap());
    assert_eq!(seen.tcp_keepalive_time().unwrap(), Duration::from_secs(7));
    assert_eq!(seen.tcp_keepalive_interval().unwrap(), Duration::from_secs(2), "rounded up");
    assert_eq!(seen.tcp_keepalive_retries().unwrap(), 4);
    assert_eq!(seen.tcp_user_timeout().unwrap(), Some(Duration::from_secs(9)));
    assert_eq!(seen.tcp_notsent_lowat().unwrap(), 128 << 10);
}
