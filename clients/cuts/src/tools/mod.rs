//! Tool cuts: agents run commands. What their ledger of numbers says is what the log says.

pub(crate) mod client;
pub(crate) mod judge;
