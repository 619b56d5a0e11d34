//! The tools through their jail's socket, in a jail and without one: what each says, and what no input can do
//! to it.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod bash;
mod edits;
mod files;
mod hostile;
mod search;
mod support;
