//! Removing files: of sessions that are gone, and of those whose sandbox was not used for long.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::{SessionId, Timestamp};
use tokio_util::sync::CancellationToken;

use super::{
    ending::JailEnding,
    lock::lock,
    shop::{JailSlot, Jails},
    unused::{PairedClocks, UnusedSessions, UnusedVerdict},
};

const DAY: Duration = Duration::from_hours(24);
/// Sessions that a line of the log names.
const NAMED: usize = 5;

/// The removal of one session's files. However it ends, the session's place is free again.
struct Removal {
    shop: Arc<Jails>,
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

/// Removes what is left of sessions that are gone, and of sandboxes that were not used for long.
#[derive(Debug)]
pub struct SessionSweep {
    shop: Arc<Jails>,
    /// Read at the first run.
    unused: Option<UnusedSessions>,
}

impl SessionSweep {
    /// One that has not run yet.
    pub(super) fn new(shop: Arc<Jails>) -> Self {
        Self { shop, unused: None }
    }

    /// Removes the folders of sessions that no longer exist, and of those that have had no sandbox for
    /// `keep_days` and were found so for a whole day. A sandbox of a session that exists is left alone, and
    /// so is what does not look like a session's folder. To be called at start and hourly; `exists` says true
    /// when in doubt.
    pub async fn run<E, F>(&mut self, now: PairedClocks, exists: E)
    where
        E: Fn(SessionId) -> F + Send + Sync,
        F: Future<Output = bool> + Send,
    {
        let shop = Arc::clone(&self.shop);
        let before = self.unused.take();
        let listed = shop.tasks.spawn_blocking({
            let shop = Arc::clone(&shop);
            move || {
                let unused = before.unwrap_or_else(|| UnusedSessions::read(&shop.settings.root));
                (shop.folders.list(), unused)
            }
        });
        let Ok((listed, mut unused)) = listed.await else { return };
        match listed {
            Ok(listed) => self.sweep(listed, &mut unused, now, exists).await,
            Err(wrong) => tracing::warn!(%wrong, "the sandboxes' folders cannot be listed"),
        }
        let kept = shop.tasks.spawn_blocking({
            let shop = Arc::clone(&shop);
            move || {
                if let Err(wrong) = unused.write(&shop.settings.root) {
                    tracing::warn!(%wrong, "which sandboxes were found unused cannot be kept");
                }
                unused
            }
        });
        self.unused = kept.await.ok();
    }

    async fn sweep<E, F>(
        &self,
        listed: Vec<(String, SystemTime)>,
        unused: &mut UnusedSessions,
        now: PairedClocks,
        exists: E,
    ) where
        E: Fn(SessionId) -> F + Send + Sync,
        F: Future<Output = bool> + Send,
    {
        let keep_days = self.shop.settings.keep_days;
        let mut sweep = unused.sweep(now);
        let mut new = Vec::new();
        for (name, used) in listed {
            if self.shop.stop.is_cancelled() {
                return;
            }
            let Some(session) = session(&name) else { continue };
            if !exists(session).await {
                tracing::info!(%session, "the files of a session that is gone are removed");
                self.shop.discard(session).await;
                continue;
            }
            if since(now.wall, used) <= DAY * keep_days {
                continue;
            }
            match sweep.judge(session) {
                UnusedVerdict::New => new.push(session.to_string()),
                UnusedVerdict::Wait => {}
                UnusedVerdict::Remove => {
                    if let Ok(removal) = self.shop.claim(session) {
                        tracing::info!(%session, "the files of a sandbox that was long unused are removed");
                        self.shop.erase(removal).await;
                    }
                }
            }
        }
        if !new.is_empty() {
            let named = new.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(" ");
            tracing::warn!(
                sandboxes = new.len(), first = named, from = %now.wall.after(DAY),
                "the files of sandboxes that were not used for {keep_days} days will be removed once the server \
                 has run for another day, if the clock is right"
            );
        }
    }
}

impl Jails {
    /// Ends the session's jail, if one lives, and removes its files. Goes on when the future is dropped.
    pub(super) async fn discard(self: &Arc<Self>, session: SessionId) {
        let shop = Arc::clone(self);
        self.turns.end(session);
        let work = self.tasks.spawn(async move {
            loop {
                match shop.claim(session) {
                    Ok(removal) => return shop.erase(removal).await,
                    Err(JailSlot::Jail(line)) => {
                        line.close(JailEnding::Over);
                        line.gone.cancelled().await;
                    }
                    Err(JailSlot::Removing(done)) => return done.cancelled().await,
                }
            }
        });
        // A panic is logged where it happens.
        let _done = work.await;
    }

    /// The right to remove the session's files; `Err`: what stands in the way.
    fn claim(self: &Arc<Self>, session: SessionId) -> Result<Removal, JailSlot> {
        let mut posts = lock(&self.posts);
        if let Some(post) = posts.get(&session) {
            return Err(post.clone());
        }
        let done = CancellationToken::new();
        posts.insert(session, JailSlot::Removing(done.clone()));
        Ok(Removal { shop: Arc::clone(self), session, done })
    }

    async fn erase(&self, removal: Removal) {
        let erased = self.tasks.spawn_blocking(move || {
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

fn since(now: Timestamp, used: SystemTime) -> Duration {
    let now = Duration::from_micros(u64::try_from(now.micros()).unwrap_or_default());
    now.saturating_sub(used.duration_since(UNIX_EPOCH).unwrap_or_default())
}
