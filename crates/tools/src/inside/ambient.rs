//! What the jail's process takes from its surroundings: time, dice, threads, and locks that outlive a panic.

#![expect(
    clippy::disallowed_methods,
    reason = "the jail is a small process of its own: no async runtime, no storm, no Moment"
)]

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Now.
pub(super) fn now() -> Instant {
    Instant::now()
}

/// The time of day, as files carry it: seconds and nanoseconds after 1970.
pub(super) fn wall() -> (i64, i64) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), i64::from(since.subsec_nanos()))
}

/// Waits; only for what has no bell, as a disk that fills.
pub(super) fn rest(time: Duration) {
    thread::sleep(time);
}

/// 32 hexadecimal digits that nobody can guess.
///
/// # Errors
/// The operating system has no dice.
pub(super) fn token() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| io::Error::other("the operating system gave no random bytes"))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// Starts a thread that nobody waits for: the process ends when its socket closes, and all threads with it.
///
/// # Errors
/// There are too many threads and processes.
pub(super) fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// The lock, also after a thread that held it has panicked.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
