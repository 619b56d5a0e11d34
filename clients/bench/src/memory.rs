//! Whether a server's memory is level over equal loads with pauses, and what it still holds at rest.

use std::time::Duration;

use tokio::time::Instant;

use crate::Outcome;
use crate::load;
use crate::subject::MeasuredServer;

/// Equal loads, each of so many clients with so many sessions of so many turns.
pub(crate) const LOADS: usize = 5;
const CLIENTS: usize = 64;
const SESSIONS: usize = 4;
const TURNS: usize = 8;
/// The pause behind each.
const PAUSE: Duration = Duration::from_millis(1_500);
/// How long a server may take to let go of what rests.
const REST: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(250);

/// A server's memory in bytes, and what it held at rest.
#[derive(Debug)]
pub(crate) struct MemoryHeld {
    pub(crate) start: f64,
    pub(crate) after: [f64; LOADS],
    pub(crate) rest: f64,
    /// Sessions in memory once nothing happens any more.
    pub(crate) live: f64,
}

/// Loads a fresh server five times, then lets it rest until it holds no session, or as long as it may take.
pub(crate) async fn held(subject: &MeasuredServer) -> Outcome<MemoryHeld> {
    tokio::time::sleep(PAUSE).await;
    let start = subject.process.resident_bytes()?;
    let mut after = [0.0; LOADS];
    for bytes in &mut after {
        load::equal(subject, CLIENTS, SESSIONS, TURNS).await?;
        tokio::time::sleep(PAUSE).await;
        *bytes = subject.process.resident_bytes()?;
    }
    let began = Instant::now();
    let mut live = f64::MAX;
    while live > 0.0 && began.elapsed() < REST {
        tokio::time::sleep(LOOK).await;
        live = subject.gauge("heddle_live_sessions").await?;
    }
    Ok(MemoryHeld { start, after, rest: subject.process.resident_bytes()?, live })
}
