//! What threads share: the real things, or under `cfg(loom)` those whose interleavings the model checker explores.

#[cfg(not(loom))]
pub(crate) use alloc::sync::Arc;
#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicU64, Ordering};

#[cfg(loom)]
pub(crate) use loom::sync::Arc;
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(loom)]
pub(crate) use model::OnceBox;
#[cfg(not(loom))]
pub(crate) use once_cell::race::OnceBox;

#[cfg(loom)]
mod model {
    use alloc::boxed::Box;
    use alloc::sync::Arc;

    use loom::sync::Mutex;

    /// A value that is set once, as far as it is used here.
    pub(crate) struct OnceBox<T>(Mutex<Option<Arc<T>>>);

    impl<T> OnceBox<T> {
        pub(crate) fn new() -> Self {
            Self(Mutex::new(None))
        }

        pub(crate) fn get(&self) -> Option<Arc<T>> {
            self.0.lock().unwrap().clone()
        }

        pub(crate) fn get_or_init(&self, make: impl FnOnce() -> Box<T>) -> Arc<T> {
            Arc::clone(self.0.lock().unwrap().get_or_insert_with(|| Arc::from(make())))
        }
    }
}
