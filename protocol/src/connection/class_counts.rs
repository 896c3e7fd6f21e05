//! A count for each class that is used: most connections use one or two.

use alloc::vec::Vec;

use crate::wire::Class;

/// How many of each class there were.
#[derive(Debug, Default)]
pub(super) struct ClassCounts {
    /// The class that was counted last, so that one comparison finds it.
    class: Class,
    count: u64,
    others: Vec<(Class, u64)>,
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
        let count = match self.others.iter().position(|(other, _)| *other == class) {
            Some(index) => self.others.swap_remove(index).1,
            None => 0,
        };
        let counted = (self.class, core::mem::replace(&mut self.count, count));
        if counted.1 > 0 {
            self.others.push(counted);
        }
        self.class = class;
    }

    /// Bytes of memory that it holds.
    pub(super) fn buffered(&self) -> usize {
        self.others.capacity() * size_of::<(Class, u64)>()
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
