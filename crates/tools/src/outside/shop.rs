//! What the hands, the keeping of jails, the watch and the sweep share: the settings, and what there is of
//! each session.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};

use protocol::{SessionId, prompt::Toolbox};
use sandbox::{DiskRoom, JailUsers, SessionFolders};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    frames::FrameLanes, line::JailLink, settings::JailSettings, trees::MissingTrees, turns::CallTurns,
};
use crate::wire::LowDisk;

/// See the file.
#[derive(Debug)]
pub(super) struct Jails {
    pub(super) settings: JailSettings,
    pub(super) users: JailUsers,
    pub(super) folders: SessionFolders,
    pub(super) posts: Mutex<BTreeMap<SessionId, JailSlot>>,
    /// Locked within `posts`, never around it.
    pub(super) turns: Arc<CallTurns>,
    /// Sessions whose jail did not start, and whose owner was told.
    pub(super) warned: Mutex<BTreeSet<SessionId>>,
    pub(super) trees: MissingTrees,
    pub(super) lanes: FrameLanes,
    /// Wakes the watch: a jail came.
    pub(super) came: Notify,
    /// What models are told where every session has a jail, once somebody asked.
    pub(super) toolbox: OnceLock<Arc<Toolbox>>,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    /// Lets the keeping of one jail panic, for a test.
    #[cfg(debug_assertions)]
    pub(super) ends: Notify,
}

/// What there is of a session.
#[derive(Debug, Clone)]
pub(super) enum JailSlot {
    /// A jail: starting, alive or ending.
    Jail(Arc<JailLink>),
    /// Its files are being removed; cancelled when they are.
    Removing(CancellationToken),
}

impl Jails {
    /// One without sessions. Starts nothing and touches no file.
    pub(super) fn new(settings: JailSettings) -> Self {
        let jails = u32::try_from(settings.jails_max).unwrap_or(u32::MAX);
        let users = JailUsers::new(settings.program.clone(), settings.users, jails);
        Self {
            folders: SessionFolders::new(settings.root.clone(), users.clone()),
            users,
            settings,
            posts: Mutex::default(),
            turns: Arc::default(),
            warned: Mutex::default(),
            trees: MissingTrees::default(),
            lanes: FrameLanes::default(),
            came: Notify::new(),
            toolbox: OnceLock::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            #[cfg(debug_assertions)]
            ends: Notify::new(),
        }
    }

    /// What is low on the disk, for a call that begins; `None`: nothing.
    pub(super) fn low(&self, room: DiskRoom) -> Option<LowDisk> {
        let least = self.settings.limits.free_bytes;
        // On a disk without room for files there is none for bytes either.
        let free = if room.entries < room.entries_least() { 0 } else { room.bytes };
        (free < least).then_some(LowDisk { free_mib: free >> 20, least_mib: least >> 20 })
    }

    /// `keeping`, which a test may let panic.
    #[cfg(debug_assertions)]
    pub(super) fn mortal<F: Future<Output = ()>>(
        self: &Arc<Self>,
        keeping: F,
    ) -> impl Future<Output = ()> + use<F> {
        let shop = Arc::clone(self);
        async move {
            // Dropped by the panic, as it would be if it panicked itself.
            let mut keeping = std::pin::pin!(keeping);
            tokio::select! {
                biased;
                () = shop.ends.notified() => panic!("ended by a test"),
                () = &mut keeping => {}
            }
        }
    }

    #[cfg(not(debug_assertions))]
    #[expect(clippy::unused_self, reason = "only a test's build has something to wait for")]
    pub(super) fn mortal<F: Future<Output = ()>>(&self, keeping: F) -> F {
        keeping
    }
}
