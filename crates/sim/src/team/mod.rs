//! Several threads in one session: the lines of their log, what each is doing by it, whom each may call, what
//! their models say, and the judges of what threads are to each other.

pub(crate) mod alike;
pub(crate) mod bench;
mod errands;
mod judge;
pub mod line;
mod mail;
pub(crate) mod model;
pub(crate) mod reading;
pub(crate) mod roster;
mod single;
mod status;
pub(crate) mod view;
mod waits;

#[cfg(test)]
mod testing;
