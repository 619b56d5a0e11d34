//! Removing files: of sessions that are gone, and of those whose sandbox was not used for long.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::{SessionId, Stamp};
use tokio_util::sync::CancellationToken;

use super::{LocalHands, Post, Shop, ending::Ending, line::lock};

const DAY: Duration = Duration::from_hours(24);

/// The removal of one session's files. However it ends, the session's place is free again.
struct Removal {
    shop: Arc<Shop>,
    session: SessionId,
    done: CancellationToken,
}

impl Drop for Removal {
    fn drop(&mut self) {
        lock(&self.shop.posts).remove(&self.session);
        self.done.cancel();
        // Calls of a session that goes on were told to wait for this.
        self.shop.turns.wake_first();
    }
}

impl LocalHands {
    /// Removes the folders of sessions that no longer exist, and of those that have had no sandbox for
    /// `keep_days` before `now`. A sandbox of a session that exists is left alone, and so is what does not
    /// look like a session's folder. To be called at start and hourly; `exists` says true when in doubt.
    pub async fn sweep<E, F>(&self, now: Stamp, exists: E)
    where
        E: Fn(SessionId) -> F + Send + Sync,
        F: Future<Output = bool> + Send,
    {
        let shop = Arc::clone(&self.0);
        let listed = match self.0.tasks.spawn_blocking(move || shop.folders.list()).await {
            Ok(Ok(listed)) => listed,
            Ok(Err(wrong)) => {
                tracing::warn!(%wrong, "the sandboxes' folders cannot be listed");
                return;
            }
            Err(_panic) => return,
        };
        let kept = DAY * self.0.settings.keep_days;
        for (name, used) in listed {
            if self.0.stop.is_cancelled() {
                return;
            }
            let Some(session) = session(&name) else { continue };
            if !exists(session).await {
                tracing::info!(%session, "the files of a session that is gone are removed");
                self.discard(session).await;
            } else if unused(now, used) > kept
                && let Ok(removal) = self.claim(session)
            {
                tracing::info!(%session, "the files of a sandbox that was long unused are removed");
                self.erase(removal).await;
            }
        }
    }

    /// Ends the session's jail, if one lives, and removes its files. Goes on when the future is dropped.
    pub(super) async fn discard(&self, session: SessionId) {
        let hands = self.clone();
        self.0.turns.end(session);
        let work = self.0.tasks.spawn(async move {
            loop {
                match hands.claim(session) {
                    Ok(removal) => return hands.erase(removal).await,
                    Err(Post::Jail(line)) => {
                        line.close(Ending::Over);
                        line.gone.cancelled().await;
                    }
                    Err(Post::Removing(done)) => return done.cancelled().await,
                }
            }
        });
        // A panic is logged where it happens.
        let _done = work.await;
    }

    /// The right to remove the session's files; `Err`: what stands in the way.
    fn claim(&self, session: SessionId) -> Result<Removal, Post> {
        let mut posts = lock(&self.0.posts);
        if let Some(post) = posts.get(&session) {
            return Err(post.clone());
        }
        let done = CancellationToken::new();
        posts.insert(session, Post::Removing(done.clone()));
        Ok(Removal { shop: Arc::clone(&self.0), session, done })
    }

    async fn erase(&self, removal: Removal) {
        let erased = self.0.tasks.spawn_blocking(move || {
            let session = removal.session;
            if let Err(wrong) = removal.shop.folders.remove(&session.to_string()) {
                tracing::warn!(%session, %wrong, "a session's files are still there; a sweep will try again");
            }
        });
        // A panic is logged where it happens.
        let _done = erased.await;
    }
}

/// The session whose folder has this name.
fn session(name: &str) -> Option<SessionId> {
    name.parse().ok().filter(|session: &SessionId| session.to_string() == name)
}

fn unused(now: Stamp, used: SystemTime) -> Duration {
    let now = Duration::from_micros(u64::try_from(now.micros()).unwrap_or_default());
    now.saturating_sub(used.duration_since(UNIX_EPOCH).unwrap_or_default())
}
