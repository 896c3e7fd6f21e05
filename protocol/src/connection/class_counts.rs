//! A count for each class that is used: most connections use one or two.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::wire::Class;

/// How many of each class there were.
#[derive(Debug, Default)]
pub(super) struct ClassCounts {
    /// The class that was counted last, so that one comparison finds it.
    class: Class,
    count: u64,
    others: Option<Box<Others>>,
}

#[derive(Debug, Default)]
struct Others {
    counts: Vec<(Class, u64)>,
}

impl ClassCounts {
    /// One more of this class. Gives how many that makes.
    #[inline]
    pub(super) fn add(&mut self, class: Class) -> u64 {
        if class != self.class {
            self.turn_to(class);
        }
        self.count += 1;
        self.count
    }

    #[cold]
    fn turn_to(&mut self, class: Class) {
        let before = core::mem::replace(&mut self.class, class);
        if self.count == 0 {
            return;
        }
        let Others { counts } = &mut **self.others.get_or_insert_default();
        let count = match counts.iter().position(|(other, _)| *other == class) {
            Some(index) => counts.swap_remove(index).1,
            None => 0,
        };
        counts.push((before, core::mem::replace(&mut self.count, count)));
    }

    /// Bytes of memory that it holds.
    pub(super) fn buffered(&self) -> usize {
        self.others
            .as_ref()
            .map_or(0, |others| size_of::<Others>() + others.counts.capacity() * size_of::<(Class, u64)>())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_class_counts_from_one(classes in prop::collection::vec(0u8..4, 0..40)) {
            let (mut counts, mut expected) = (ClassCounts::default(), [0u64; 4]);
            for class in classes {
                expected[usize::from(class)] += 1;
                prop_assert_eq!(counts.add(Class(class)), expected[usize::from(class)]);
            }
        }
    }
}
