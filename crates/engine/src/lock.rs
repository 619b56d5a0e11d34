//! Locks that mind no panic.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks without minding a panic elsewhere: what is behind our locks is replaced whole, never half-changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
