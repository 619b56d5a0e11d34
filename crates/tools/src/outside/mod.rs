//! The server's end of the tools: one jail a session, made at its first call and shared by its threads.

mod blame;
mod content;
mod ending;
mod frames;
mod hands;
mod keep;
mod line;
mod lock;
mod losses;
mod settings;
mod shells;
mod shop;
mod sweep;
mod trees;
mod turns;
mod unused;
mod watch;

pub use self::{hands::LocalToolRunner, settings::JailSettings, sweep::SessionSweep, unused::PairedClocks};
