//! A bell that a thread can wait for together with pipes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

/// Rings until it is cleared, however often it was rung.
#[derive(Debug)]
pub(in crate::inside) struct WakeBell(OwnedFd);

impl WakeBell {
    /// A silent one.
    ///
    /// # Errors
    /// Too many open files.
    pub(in crate::inside) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Rings it. A counter that is full is ringing already, so that the error says nothing.
    pub(in crate::inside) fn ring(&self) {
        rustix::io::write(&self.0, &1_u64.to_ne_bytes()).ok();
    }

    /// Silences it.
    pub(in crate::inside) fn clear(&self) {
        rustix::io::read(&self.0, &mut [0; 8]).ok();
    }
}

impl AsFd for WakeBell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
