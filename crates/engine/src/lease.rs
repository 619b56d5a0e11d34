//! The lease on the store: who runs its jobs. It saves work; what keeps the log right is the position
//! (docs/decisions/001-one-lease-a-process.md).

use std::time::Duration;

use protocol::Timestamp;
use store::LeaseClaim;

use crate::{Engine, EngineParts, fault::EngineFault};

/// What is leased: the whole store, while one process serves it.
pub(crate) const SCOPE: &str = "node";
const HELD: Duration = Duration::from_secs(30);
const RENEWED: Duration = Duration::from_secs(10);
/// How long before its last sign of life a process that was killed may have committed what it answered no
/// more. More than an answer takes, so that a request is found also where one start after the other is cut.
const UNANSWERED: Duration = Duration::from_secs(30);
/// The same of one that ended well: it answers before it ends, and whoever lost an answer asks soon.
const ENDING: Duration = Duration::from_secs(10);

/// A held lease.
#[derive(Debug)]
pub(crate) struct HeldLease {
    pub(crate) epoch: u64,
    /// What was committed before this was answered by an earlier process.
    pub(crate) answered: Timestamp,
}

pub(crate) async fn claim(parts: &EngineParts) -> Result<HeldLease, EngineFault> {
    let holder = format!("{:032x}", parts.dice.throw());
    let now = parts.clock.now();
    let claim = parts.store.claim(SCOPE, &holder, now, now.after(HELD)).await?;
    let claim = match claim {
        // The data directory is locked, so its holder is dead whatever the lease says.
        LeaseClaim::Taken { until, .. } => parts.store.claim(SCOPE, &holder, until, now.after(HELD)).await?,
        LeaseClaim::Held { .. } => claim,
    };
    match claim {
        LeaseClaim::Held { epoch, took_over, before } => {
            let doubt = if took_over { UNANSWERED } else { ENDING };
            let answered = before.map_or(0, |until| until.micros() - micros(HELD) - micros(doubt));
            Ok(HeldLease { epoch, answered: Timestamp::from_micros(answered) })
        }
        LeaseClaim::Taken { holder, .. } => Err(EngineFault::Taken(holder)),
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// Lets the lease go, and says when: whoever takes it knows how long this process has lived.
pub(crate) async fn release(engine: &Engine) -> Result<(), store::StoreFault> {
    let (store, epoch) = (engine.store(), engine.0.lease.epoch);
    store.renew(SCOPE, epoch, engine.now().after(HELD)).await?;
    store.release(SCOPE, epoch).await
}

/// Renews the lease until the engine stops; a lease that was lost stops the engine's jobs.
pub(crate) async fn keep(engine: Engine) {
    loop {
        tokio::select! {
            () = engine.0.stop.cancelled() => return,
            () = tokio::time::sleep(RENEWED) => {}
        }
        let until = engine.now().after(HELD);
        match engine.store().renew(SCOPE, engine.0.lease.epoch, until).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::error!("another process has taken the store over; this one stops working on it");
                engine.0.stop.cancel();
                return;
            }
            Err(fault) => tracing::warn!(%fault, "the lease could not be renewed"),
        }
    }
}
