//! Leases: who holds one, and what a claim to it gets.

use protocol::Timestamp;

use crate::fault::StoreFault;

/// The answer to a claim of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseClaim {
    /// The caller holds it.
    Held {
        /// Grows at every change of holder; names this holding to `renew` and `release`.
        epoch: u64,
        /// Whether it ran out in another holder's hands, so that something may be left undone.
        took_over: bool,
        /// Until when the holding before this one would have lasted; `None`: this is the first.
        before: Option<Timestamp>,
    },
    /// Somebody else holds it.
    Taken {
        /// Who.
        holder: String,
        /// Until when, if it is not renewed.
        until: Timestamp,
    },
}

/// A lease as it is kept; shared by the drivers, which add only how to read and swap it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionLease {
    /// Empty once released.
    pub(crate) holder: String,
    pub(crate) epoch: u64,
    pub(crate) until: Timestamp,
}

impl SessionLease {
    /// What `holder` gets at `now`, and the lease to keep if it gets it.
    pub(crate) fn claim(
        kept: Option<&Self>,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(LeaseClaim, Option<Self>), StoreFault> {
        if holder.is_empty() {
            return Err(StoreFault::Misuse("a lease's holder has a name"));
        }
        let (epoch, took_over) = match kept {
            None => (1, false),
            Some(kept) if kept.holder == holder => (kept.epoch, false),
            Some(kept) if kept.holder.is_empty() => (kept.epoch + 1, false),
            Some(kept) if kept.until <= now => (kept.epoch + 1, true),
            Some(kept) => {
                return Ok((LeaseClaim::Taken { holder: kept.holder.clone(), until: kept.until }, None));
            }
        };
        let next = Self { holder: holder.to_owned(), epoch, until };
        let before = kept.map(|kept| kept.until);
        Ok((LeaseClaim::Held { epoch, took_over, before }, Some(next)))
    }
}
