//! Connections whose handshake is complete.

use pulsewire_protocol::{Config, Connection, Damage, Instant, Seed, Transmit};

/// The sync key of the server, which receives.
pub(crate) const KEY: u32 = 0x0202_0202;

/// A client and a server that have greeted each other.
pub(crate) struct Ends {
    pub(crate) client: Connection,
    pub(crate) server: Connection,
}

/// With [`Damage::Resynchronise`] every packet carries a checksum.
pub(crate) fn connect(damage: Damage) -> Ends {
    let mut config = Config { damage, ..Config::default() };
    // The largest payload here is one frame, as it is to the peers.
    config.limits.frame = 1 << 20;
    let config = config.validate().expect("a valid configuration");
    let mut client = Connection::client(Instant::ZERO, &config, Seed::from_bytes([1; 12]));
    let mut server = Connection::server(Instant::ZERO, &config, Seed::from_bytes([2; 12]));
    carry(&mut client, &mut server);
    carry(&mut server, &mut client);
    assert!(client.is_open() && server.is_open());
    Ends { client, server }
}

fn carry(from: &mut Connection, to: &mut Connection) {
    let bytes = drain(from);
    let mut input = &bytes[..];
    while let Some(event) = to.receive(Instant::ZERO, &mut input).expect("a peer that keeps to the protocol") {
        drop(event);
    }
}

/// Everything that `connection` has to say.
pub(crate) fn drain(connection: &mut Connection) -> Vec<u8> {
    let (mut bytes, mut batch) = (Vec::new(), Transmit::new());
    // More than a batch: no message is cut to fit in one.
    while connection.poll_transmit(Instant::ZERO, 2 * super::BATCH, &mut batch) {
        batch.slices().for_each(|slice| bytes.extend_from_slice(slice));
        let size = batch.len();
        connection.transmitted(Instant::ZERO, &mut batch, size);
    }
    bytes
}
