//! The storm of threads: lives of sessions with a coordinator and its children under dice, judged from the
//! lines of the stored log, thread by thread, and from what the world around the kernel knows.

pub mod act;
mod client;
mod cover;
mod errands;
mod life;
pub mod line;
mod mail;
mod model;
mod reading;
mod roster;
mod single;
mod status;
mod storm;
mod view;
mod waits;
mod world;

pub use storm::{TeamStorm, run, tell};

use line::Line;
use reading::Reading;

/// What the calls are closed with that an ended thread leaves open.
pub(crate) const ENDED: &str = "The thread was ended before this was answered.";

/// Watches one law of threads.
pub(crate) trait Judge {
    /// What it is called.
    fn name(&self) -> &'static str;
    /// Sees the next line; `reading` is what all lines before it made.
    ///
    /// # Errors
    /// What is wrong with it.
    fn see(&mut self, line: &Line, reading: &Reading) -> Result<(), String>;
    /// A commit is complete; `reading` has all of it.
    ///
    /// # Errors
    /// What must not be left so.
    fn rest(&mut self, reading: &Reading) -> Result<(), String>;
}

#[cfg(test)]
mod testing;
