//! What a connection leaves behind when it is gone.

use std::cell::RefCell;
use std::sync::Arc;

use crate::support::{bounded, message, next_message, pair};
use bytes::Bytes;
use pulsewire_transport_tokio::Connection;
use pulsewire_transport_tokio::protocol::{Class, Config, Event, Message};

/// A payload whose memory can be watched.
struct Watched(Arc<[u8]>);

impl AsRef<[u8]> for Watched {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Handles are kept by whoever likes to; they must not keep what was never sent.
#[tokio::test(start_paused = true)]
async fn a_sender_keeps_no_message_of_a_connection_that_was_dropped() {
    bounded(async {
        let (near, far) = pair(Config::default(), 1_000).await;
        let memory: Arc<[u8]> = vec![7; 500_000].into();
        let sender = near.sender();
        let payload = Bytes::from_owner(Watched(Arc::clone(&memory)));
        sender.try_send(Message::new(Class::BUSINESS, payload.clone())).unwrap();
        sender.try_send(Message::new(Class::BUSINESS, payload)).unwrap();
        assert!(Arc::strong_count(&memory) > 1);
        drop((near, far));
        // They close in the background.
        tokio::time::sleep(std::time::Duration::from_secs(40)).await;
        assert_eq!(Arc::strong_count(&memory), 1);
    })
    .await;
}

/// An idle connection consists of its task for the most part, and tokio makes 128 bytes more of that where it grows beyond the next
/// multiple of them.
#[test]
fn a_task_that_answers_is_small() {
    fn size<F>(_: impl FnOnce(Connection) -> F) -> usize {
        size_of::<F>()
    }
    let size = size(|mut connection| async move {
        let sender = connection.sender();
        while let Some(event) = connection.recv().await {
            if let Event::Message(message) = event
                && sender.send(message).await.is_err()
            {
                return;
            }
        }
    });
    assert!(size <= 280, "{size} bytes");
}

thread_local! {
    static KEPT: RefCell<Vec<Box<dyn std::any::Any>>> = const { RefCell::new(Vec::new()) };
}

/// A thread's own variables are destroyed in an order that nobody chose: among them runtimes, with connections in their tasks.
#[test]
fn a_connection_may_end_with_its_thread() {
    let thread = std::thread::spawn(|| {
        KEPT.with_borrow_mut(Vec::clear);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ends = runtime.block_on(bounded(async {
            let (near, mut far) = pair(Config::default(), 1 << 20).await;
            near.sender().try_send(message(1, 100)).unwrap();
            assert_eq!(next_message(&mut far).await, message(1, 100));
            (near, far)
        }));
        KEPT.with_borrow_mut(|kept| kept.extend([Box::new(ends) as Box<dyn std::any::Any>, Box::new(runtime)]));
    });
    thread.join().unwrap();
}
