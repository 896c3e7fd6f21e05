//! Parts of files as messages.

use super::*;
use crate::file_part::{FilePart, SendFileError};
use pulsewire_protocol::Damage;
use std::fs::File;
use std::path::PathBuf;

/// A file that is deleted when this is dropped.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, content: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("pulsewire-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        Self(path)
    }

    fn open(&self) -> File {
        File::open(&self.0).unwrap()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

/// Whole or cut, in one frame or in many, with checksums and without.
#[test]
fn parts_of_files_arrive_as_messages() {
    let content = pattern(300_000);
    let file = Temporary::new("parts", &content);
    for_each_seed(|seed| {
        let mut config = config();
        config.damage = if seed % 2 == 0 { Damage::Resynchronise } else { Damage::Close };
        config.limits.frame = 100_000;
        let (mut world, client, _) = World::connected(seed, config);
        let sender = Sender::new(world.client.mailbox(client));
        let parts = [(0, 0), (0, 1), (299_999, 1), (1_000, 99_000), (7, 250_001)];
        for (offset, length) in parts {
            sender.try_send_file(Class::BUSINESS, &FilePart::new(file.open(), offset, length)).unwrap();
        }
        sender.try_send_file(Class::BUSINESS, &FilePart::whole(file.open()).unwrap()).unwrap();
        world.run_until(|world| world.server.handler.messages.len() == parts.len() + 1);
        let arrived = world.server.handler.messages.iter().map(|(_, message)| &message.payload[..]);
        let sent = parts.map(|(offset, length)| &content[offset as usize..][..length]);
        assert!(arrived.eq(sent.into_iter().chain([&content[..]])));
    });
}

#[test]
fn what_cannot_be_read_or_taken_is_refused_and_nothing_is_sent() {
    let content = pattern(1_000);
    let file = Temporary::new("refused", &content);
    let mut config = config();
    (config.limits.frame, config.limits.message) = (1_000, 2_000);
    config.limits.send_queue = 2_000;
    let (mut world, client, server) = World::connected(1, config);
    let sender = Sender::new(world.client.mailbox(client));
    let send = |offset, length| sender.try_send_file(Class::BUSINESS, &FilePart::new(file.open(), offset, length));
    // It ends before; and one that is too long is not even read.
    match send(500, 501) {
        Err(SendFileError::Read(error)) => assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof),
        other => panic!("{other:?}"),
    }
    assert!(matches!(send(0, 2_001), Err(SendFileError::Refused(SendRefused::TooLarge { limit: 2_000 }))));
    send(0, 1_000).unwrap();
    assert!(matches!(send(0, 1_000), Err(SendFileError::Refused(SendRefused::Full))));
    world.run_until(|world| world.client.handler.writable == 1);
    send(0, 1_000).unwrap();
    world.run_until(|world| world.server.handler.messages.len() == 2);
    world.server.mailbox(server).close(CloseReason::NORMAL);
    world.run_until_all_closed();
    assert!(matches!(send(0, 1), Err(SendFileError::Refused(SendRefused::Stale))));
}
