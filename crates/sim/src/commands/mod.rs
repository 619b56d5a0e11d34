//! The subcommands.

pub(crate) mod engine;
pub(crate) mod small;
pub(crate) mod stern;
pub(crate) mod storm;
pub(crate) mod team;
pub(crate) mod wide;
