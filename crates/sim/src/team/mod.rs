//! The storm of threads: lives of sessions with a coordinator and its children under dice, judged from the
//! lines of the stored log, thread by thread, and from what the world around the kernel knows.

pub mod act;
mod alike;
mod client;
mod cover;
mod errands;
mod judge;
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

#[cfg(test)]
mod testing;
