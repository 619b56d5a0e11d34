//! The jail, tried from inside by programs that want out, and from outside by servers that die.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod files;
mod folders;
mod inodes;
mod life;
mod limits;
mod network;
mod off;
mod privileges;
mod processes;
mod starts;
mod users;
mod world;
