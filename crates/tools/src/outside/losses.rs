//! What the log says of processes of a jail that somebody killed, so that whoever runs the server sees why a
//! session's work stopped.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use protocol::SessionId;
use sandbox::{JailGauge, MemoryKills};
use tokio::time::Instant;

use super::lock::lock;

/// Why a jail, or a process of it, was ended.
pub(super) const NO_MEMORY: &str =
    "the kernel ended it for lack of memory: that of the session (`[sandbox] memory_mib`) or of the machine";
const SIGNAL: &str = "a signal of its own, or from outside";
/// Of one jail's processes that died by a signal not more is told: agents can kill their own as they like.
const AGAIN: Duration = Duration::from_mins(1);

/// The processes that one jail has lost. Clones share what was told.
#[derive(Debug, Clone)]
pub(super) struct ProcessLosses {
    session: SessionId,
    gauge: JailGauge,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug)]
struct Seen {
    kills: MemoryKills,
    told: Option<Instant>,
}

impl ProcessLosses {
    /// None yet.
    pub(super) fn of(session: SessionId, gauge: JailGauge) -> Self {
        let seen = Seen { kills: gauge.kills(), told: None };
        Self { session, gauge, seen: Arc::new(Mutex::new(seen)) }
    }

    /// A command, or its shell, was ended by this signal, and not by us.
    pub(super) fn tell(&self, signal: i32) {
        let session = self.session;
        if self.lack_of_memory() {
            tracing::warn!(%session, signal, why = NO_MEMORY, "a process of a sandbox was killed");
            return;
        }
        let mut seen = lock(&self.seen);
        if seen.told.is_none_or(|told| told.elapsed() >= AGAIN) {
            seen.told = Some(Instant::now());
            tracing::info!(%session, signal, why = SIGNAL, "a process of a sandbox was killed");
        }
    }

    /// Whether the kernel has ended something since this was last asked.
    pub(super) fn lack_of_memory(&self) -> bool {
        let now = self.gauge.kills();
        let before = std::mem::replace(&mut lock(&self.seen).kills, now);
        now > before
    }
}
