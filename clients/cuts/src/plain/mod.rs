//! Plain cuts: clients speak, answer calls, interrupt, and follow their sessions. What the server said yes to
//! is there once, every session settles, and what the streams showed is what the lists hold.

pub(crate) mod client;
pub(crate) mod dossier;
pub(crate) mod judge;
pub(crate) mod script;
