//! Waking the thread that waits on the port.

use super::port_handle::PortHandle;
use crate::wake_flag::WakeFlag;
use std::sync::Arc;
use std::task::Wake;

/// Posts a message to the port.
#[derive(Debug)]
pub(super) struct PortWaker {
    port: Arc<PortHandle>,
    flag: WakeFlag,
}

impl PortWaker {
    pub(super) fn new(port: Arc<PortHandle>) -> Self {
        Self { port, flag: WakeFlag::new() }
    }

    /// Says that the message has been taken out of the queue.
    pub(super) fn message_taken(&self) {
        self.flag.message_taken();
    }
}

impl Wake for PortWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.flag.wake(|| self.port.post_wake());
    }
}
