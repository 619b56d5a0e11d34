//! Sessions whose log cannot be read any more: they rest, and can be deleted.

use std::sync::atomic::Ordering;
use std::time::Duration;

use kernel::Input;
use protocol::{SessionId, WorkspaceId};
use store::BatchWrite;

use crate::{
    Engine,
    broadcast::BroadcastItem,
    fault::{CommitError, EngineFault},
    over::{SessionEnding, release_sandbox},
};

/// The longest pause before somebody looks again at what is damaged.
const PAUSE_MAX: Duration = Duration::from_mins(5);

/// The pause after this one, where the disk has damaged what is looked for.
pub(crate) fn longer(pause: Duration) -> Duration {
    (pause * 4).min(PAUSE_MAX)
}

impl Engine {
    /// Deletes a session. One whose log is damaged cannot be decided about any more: it is only marked, and
    /// purged as others are.
    pub async fn delete(&self, workspace: WorkspaceId, session: SessionId) -> Result<(), CommitError> {
        match self.commit(workspace, session, Input::Delete).await {
            Ok(_) => Ok(()),
            Err(CommitError::Fault(fault)) if fault.is_damage() => {
                tracing::warn!(%session, %fault, "a damaged session is deleted as it is");
                self.bury(workspace, session).await
            }
            Err(wrong) => Err(wrong),
        }
    }

    async fn bury(&self, workspace: WorkspaceId, session: SessionId) -> Result<(), CommitError> {
        let delete = BatchWrite::Delete { workspace, session, at: self.now() };
        match self.store().commit(vec![delete]).await {
            Ok(()) => {}
            Err(store::BatchError::Conflict { .. }) => return Err(CommitError::NotFound),
            Err(store::BatchError::Fault(fault)) => return Err(fault.into()),
        }
        let live = self.work(session);
        live.buried.store(true, Ordering::Release);
        live.set(None);
        // Its readers find in the store that it is gone, its follower here.
        live.flow.tell(BroadcastItem::Doubt);
        live.nudge.notify_one();
        self.spawn(release_sandbox(self.clone(), session, SessionEnding::Deleted));
        Ok(())
    }
}

impl EngineFault {
    /// Whether the disk has damaged what was looked for: trying again at once would find the same.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Store(fault) => {
                matches!(fault, store::StoreFault::Damaged(_) | store::StoreFault::Corrupt(_))
            }
            Self::Corrupt(_) | Self::Unreadable(_) => true,
            Self::Memory | Self::Unwritable(_) | Self::Contended(_) | Self::Taken(_) | Self::Died => false,
        }
    }
}

impl CommitError {
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Fault(fault) if fault.is_damage())
    }

    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Fault(EngineFault::Store(store::StoreFault::Full { .. })))
    }
}
