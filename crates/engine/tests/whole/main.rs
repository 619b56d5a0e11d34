//! The whole engine, with a scripted model, scripted hands and a store in memory.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod attempts;
mod blobs;
mod disk;
mod documents;
#[cfg(debug_assertions)]
mod ends;
mod hands;
mod memory;
mod readers;
mod support;
mod turns;
