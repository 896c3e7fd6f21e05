//! States of model checks.

/// Compares states by their `Debug` form, which has every field of the machine: those that look alike behave alike.
macro_rules! compare_by_debug {
    ($state:ty) => {
        impl PartialEq for $state {
            fn eq(&self, other: &Self) -> bool {
                alloc::format!("{self:?}") == alloc::format!("{other:?}")
            }
        }

        impl Eq for $state {}

        impl core::hash::Hash for $state {
            fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
                alloc::format!("{self:?}").hash(state);
            }
        }
    };
}

pub(crate) use compare_by_debug;
