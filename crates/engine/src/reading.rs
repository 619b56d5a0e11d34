//! Large commits that readers have come for. A reader keeps little of one, and comes back for more, and many
//! come at once for one that was just made; here they find it decoded. Bounded in bytes, and let go a moment
//! after the last of them came: whoever has stopped reading holds nothing. And few read the log at once, so
//! that those who come together do not each hold it as it is read and as it is decoded.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use protocol::{SessionId, limits};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

use crate::{Engine, cache::ByteCache, lock::lock, published::PublishedCommit};

/// How long a commit that nobody comes for is kept.
const KEPT: Duration = Duration::from_secs(1);

/// How many read at once: what they read may be large, which shows only when it is read. The store has a
/// thread more, for others.
const AT_ONCE: usize = 2;

/// See the file.
#[derive(Debug)]
pub(crate) struct SharedCommits {
    shelf: Mutex<Shelf>,
    turns: Semaphore,
}

#[derive(Debug)]
struct Shelf {
    /// By session and the commit's first position; with when a reader last came.
    commits: ByteCache<(SessionId, u64), (Arc<PublishedCommit>, Instant)>,
    /// Whether somebody lets go of what nobody comes for.
    swept: bool,
}

impl Default for SharedCommits {
    fn default() -> Self {
        let shelf = Shelf { commits: ByteCache::new(limits::SHARED_COMMIT_BYTES), swept: false };
        Self { shelf: Mutex::new(shelf), turns: Semaphore::new(AT_ONCE) }
    }
}

impl SharedCommits {
    /// The right to read a piece of a log and to decode it, in the order of those who ask. Whoever has it
    /// waits for the store alone. `None` is never: nobody closes it.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }

    /// The session's commit that begins at `first`, if a reader was in it a moment ago.
    pub(crate) fn find(&self, session: SessionId, first: u64) -> Option<Arc<PublishedCommit>> {
        let mut shelf = lock(&self.shelf);
        let (commit, used) = shelf.commits.get_mut(&(session, first))?;
        *used = Instant::now();
        Some(Arc::clone(commit))
    }

    /// Keeps a commit for those who are in the middle of it.
    pub(crate) fn share(&self, engine: &Engine, session: SessionId, commit: Arc<PublishedCommit>) {
        let (first, bytes) = (commit.first, commit.bytes);
        let gone = {
            let mut shelf = lock(&self.shelf);
            let gone = shelf.commits.put((session, first), (commit, Instant::now()), bytes);
            if !std::mem::replace(&mut shelf.swept, true) {
                engine.spawn(sweep(engine.clone()));
            }
            gone
        };
        drop(gone);
    }

    pub(crate) fn bytes(&self) -> usize {
        lock(&self.shelf).commits.bytes()
    }

    /// Lets go of what nobody came for. False: there is nothing more.
    fn age(&self) -> bool {
        let mut gone = Vec::new();
        let mut shelf = lock(&self.shelf);
        while shelf.commits.oldest().is_some_and(|(_, used)| used.elapsed() >= KEPT) {
            gone.extend(shelf.commits.pop());
        }
        shelf.swept = shelf.commits.len() > 0;
        let more = shelf.swept;
        drop(shelf);
        drop(gone);
        more
    }
}

/// Nothing tells that a reader does not come back, so somebody looks, while there is anything to look at.
async fn sweep(engine: Engine) {
    let stop = engine.stop_token();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(KEPT) => {}
        }
        if !engine.reading().age() {
            return;
        }
    }
}
