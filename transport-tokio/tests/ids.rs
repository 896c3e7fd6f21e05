//! Ids that outlive their connection (section 13 of the specification).

use crate::support::{Server, bounded, message, next_message, until_closed, valid};
use pulsewire_transport_tokio::Endpoint;
use pulsewire_transport_tokio::protocol::{Class, CloseReason, Config, Message, SendRefused};

#[tokio::test]
async fn a_send_through_a_reused_slot_is_refused_and_the_payload_comes_back() {
    bounded(async {
        let server = Server::start(Config::default()).await;
        let endpoint = Endpoint::new(valid(Config::default()));
        let mut old = endpoint.connect(server.address).await.unwrap();
        let (old_id, old_sender) = (old.id(), old.sender());
        old.close(CloseReason::NORMAL);
        until_closed(&mut old).await;

        let mut new = endpoint.connect(server.address).await.unwrap();
        assert_eq!(new.id().slot(), old_id.slot(), "the slot is used again");
        assert_ne!(new.id().cookie(), old_id.cookie());

        let letter = Message::new(Class::BUSINESS, b"not for strangers");
        let refused = endpoint.try_send(old_id, letter.clone()).unwrap_err();
        assert_eq!((refused.reason, refused.message), (SendRefused::Stale, letter.clone()));
        let refused = old_sender.send(letter.clone()).await.unwrap_err();
        assert_eq!((refused.reason, refused.message), (SendRefused::Closed(CloseReason::NORMAL), letter));
        assert!(endpoint.sender(old_id).is_none());

        // What the new connection gets back is its own.
        endpoint.try_send(new.id(), message(1, 10)).unwrap();
        assert_eq!(next_message(&mut new).await, message(1, 10));
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_is_cut_leaves_no_id_behind() {
    bounded(async {
        let mut server = Server::start(Config::default()).await;
        let endpoint = Endpoint::new(valid(Config::default()));
        let connection = endpoint.connect(server.address).await.unwrap();
        let id = connection.id();
        assert_eq!(endpoint.connections(), [id]);
        connection.sender().abort();
        assert_eq!(endpoint.connections(), []);
        assert_eq!(endpoint.try_send(id, message(1, 1)).unwrap_err().reason, SendRefused::Stale);
        assert!(!server.endings.recv().await.unwrap().orderly);
    })
    .await;
}
