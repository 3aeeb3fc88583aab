//! Rows that were written lately, kept so that they need not be loaded again.
//!
//! They are right as long as every write succeeds, since a read model has one owner; after one that failed,
//! all are forgotten.

use kronika_core::Key;
use std::{collections::BTreeMap, mem};

/// Rows of which the newer half is kept for sure.
const ROWS_MAX: usize = 32 << 10;
/// Bytes of their values, at most about.
const BYTES_MAX: usize = 16 << 20;

/// Two halves: when the newer one is full it becomes the older one, whose rows are forgotten unless they were
/// taken in the meantime.
pub(super) struct Kept<K, R> {
    newer: BTreeMap<K, Slot<R>>,
    newer_bytes: usize,
    older: BTreeMap<K, Slot<R>>,
}

/// `None` where the row was taken out, `Some(None)` where there is none.
type Slot<R> = Option<Option<R>>;

impl<K: Key, R> Kept<K, R> {
    pub fn new() -> Self {
        Self { newer: BTreeMap::new(), newer_bytes: 0, older: BTreeMap::new() }
    }

    /// Takes a row out: `None` if it has to be loaded, `Some(None)` if it is known that there is none.
    pub fn take(&mut self, key: &K) -> Slot<R> {
        let newer = self.newer.get_mut(key).and_then(Option::take);
        newer.or_else(|| self.older.get_mut(key).and_then(Option::take))
    }

    /// Puts a row back, whose values take so many bytes.
    pub fn put(&mut self, key: &K, row: Option<R>, bytes: usize) {
        match self.newer.get_mut(key) {
            Some(slot) => *slot = Some(row),
            None => {
                self.newer.insert(key.clone(), Some(row));
            }
        }
        // A row that grows is counted anew each time: too much, so that it never is too little.
        self.newer_bytes += bytes;
        if self.newer.len() >= ROWS_MAX / 2 || self.newer_bytes >= BYTES_MAX / 2 {
            self.older = mem::take(&mut self.newer);
            self.newer_bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newer_half_is_kept_and_the_rest_bounded() {
        let mut kept = Kept::<i64, i64>::new();
        assert_eq!(kept.take(&1), None, "not known");
        kept.put(&1, None, 0);
        assert_eq!(kept.take(&1), Some(None), "known that there is none");
        assert_eq!(kept.take(&1), None, "taken out");
        for key in 0..100_000 {
            kept.put(&key, Some(key), 100);
            assert!(kept.newer.len() + kept.older.len() <= ROWS_MAX);
        }
        let newest = 100_000 - ROWS_MAX as i64 / 2;
        assert!((newest..100_000).all(|key| kept.take(&key) == Some(Some(key))));
        assert_eq!(kept.take(&0), None);
    }

    #[test]
    fn rows_that_are_used_stay() {
        let mut kept = Kept::<i64, i64>::new();
        for key in 1..100_000 {
            kept.put(&0, Some(key), 0);
            kept.put(&key, Some(key), 0);
            assert_eq!(kept.take(&0), Some(Some(key)));
        }
    }

    #[test]
    fn long_rows_take_the_place_of_many() {
        let mut kept = Kept::<i64, i64>::new();
        for key in 0..100 {
            kept.put(&key, Some(key), 1 << 20);
        }
        let known = (0..100).filter(|key| kept.take(key).is_some()).count();
        assert!(known <= BYTES_MAX >> 20, "{known}");
    }
}
