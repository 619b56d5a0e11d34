//! The server's end of the tools, through its public doors.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod escapes;
mod frames;
mod life;
mod support;
mod turns;
