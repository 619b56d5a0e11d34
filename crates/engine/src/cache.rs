//! A cache that is bounded in bytes: what was not used for the longest time goes first.

use std::hash::Hash;

use hashlink::LruCache;

/// See the file.
#[derive(Debug)]
pub(crate) struct ByteCache<K: Eq + Hash, V> {
    kept: LruCache<K, (V, usize)>,
    bytes: usize,
    bytes_max: usize,
}

impl<K: Eq + Hash, V> ByteCache<K, V> {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { kept: LruCache::new_unbounded(), bytes: 0, bytes_max }
    }

    /// Keeps `value`, and gives back what had to go for it; that may be the value itself. Whoever holds a
    /// lock lets go of it first and of these then: letting go of much takes time.
    #[must_use = "let go of these outside of the lock"]
    pub(crate) fn put(&mut self, key: K, value: V, bytes: usize) -> Vec<V> {
        let mut gone = Vec::new();
        self.bytes += bytes;
        if let Some((old, bytes)) = self.kept.insert(key, (value, bytes)) {
            self.bytes -= bytes;
            gone.push(old);
        }
        while self.bytes > self.bytes_max
            && let Some(old) = self.pop()
        {
            gone.push(old);
        }
        gone
    }

    /// Takes out what was not used for the longest time.
    pub(crate) fn pop(&mut self) -> Option<V> {
        let (_, (old, bytes)) = self.kept.remove_lru()?;
        self.bytes -= bytes;
        Some(old)
    }

    /// What is kept for `key`; it is used now.
    pub(crate) fn get(&mut self, key: &K) -> Option<&V> {
        self.kept.get(key).map(|(value, _)| value)
    }

    /// The same, to change it; it weighs what it did.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.kept.get_mut(key).map(|(value, _)| value)
    }

    /// What was not used for the longest time.
    pub(crate) fn oldest(&self) -> Option<&V> {
        self.kept.iter().next().map(|(_, (value, _))| value)
    }

    /// Takes what is kept for `key` out.
    pub(crate) fn take(&mut self, key: &K) -> Option<V> {
        let (value, bytes) = self.kept.remove(key)?;
        self.bytes -= bytes;
        Some(value)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_the_longest_time_goes_first() {
        let mut cache = ByteCache::new(100);
        assert!(cache.put('a', 1, 40).is_empty());
        assert!(cache.put('b', 2, 40).is_empty());
        assert_eq!(cache.get(&'a'), Some(&1));
        assert_eq!(cache.put('c', 3, 40), [2], "`a` was used since");
        assert_eq!((cache.bytes(), cache.len()), (80, 2));
    }

    #[test]
    fn a_key_is_weighed_once_and_what_is_too_large_does_not_stay() {
        let mut cache = ByteCache::new(100);
        for _ in 0..3 {
            let _gone = cache.put('a', 1, 60);
        }
        assert_eq!((cache.bytes(), cache.len()), (60, 1));
        assert_eq!(cache.put('b', 2, 101), [1, 2]);
        assert_eq!((cache.bytes(), cache.len()), (0, 0));
        assert!(cache.put('c', 3, 100).is_empty());
        assert_eq!(cache.take(&'c'), Some(3));
        assert_eq!((cache.bytes(), cache.take(&'c')), (0, None));
    }
}
