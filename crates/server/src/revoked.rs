//! Streams of a key that is revoked end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use futures_util::StreamExt as _;
use protocol::{WorkspaceId, limits};
use store::Store;
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{auth::Caller, keys};

const LOOK: Duration = Duration::from_millis(limits::REVOKED_LOOK_MS);

/// The keys that have streams open.
#[derive(Debug, Clone, Default)]
pub(crate) struct Streaming(Arc<Mutex<Keys>>);

#[derive(Debug, Default)]
struct Keys {
    open: BTreeMap<Caller, Open>,
    /// Whether somebody looks.
    watched: bool,
}

#[derive(Debug, Default)]
struct Open {
    streams: usize,
    revoked: CancellationToken,
}

/// One stream of a key.
#[derive(Debug)]
struct Stream {
    streaming: Streaming,
    caller: Caller,
}

impl Streaming {
    /// The body, which ends when the key is revoked.
    pub(crate) fn until_revoked(
        &self,
        caller: Caller,
        body: Body,
        (store, workspace): (&Store, WorkspaceId),
        tasks: &TaskTracker,
    ) -> Body {
        let mut keys = self.lock();
        let open = keys.open.entry(caller).or_default();
        open.streams += 1;
        let revoked = open.revoked.clone();
        if !keys.watched {
            keys.watched = true;
            tasks.spawn(self.clone().watch(store.clone(), workspace));
        }
        drop(keys);
        let stream = Stream { streaming: self.clone(), caller };
        let frames = body.into_data_stream().take_until(revoked.cancelled_owned());
        Body::from_stream(frames.inspect(move |_| {
            // The stream is counted for as long as its frames can be asked for.
            let _counted = &stream;
        }))
    }

    /// Looks at the keys that have streams for as long as there are any. A key is revoked by another process,
    /// and of its writes the database gives no notice: so each is looked up, once for all of its streams.
    async fn watch(self, store: Store, workspace: WorkspaceId) {
        loop {
            sleep(LOOK).await;
            let callers: Vec<_> = {
                let mut keys = self.lock();
                keys.watched = !keys.open.is_empty();
                keys.open.keys().copied().collect()
            };
            if callers.is_empty() {
                return;
            }
            for caller in callers {
                // A store that fails now says nothing about the key.
                if let Ok(None) = keys::find(&store, workspace, &caller.0).await
                    && let Some(open) = self.lock().open.get(&caller)
                {
                    open.revoked.cancel();
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut keys = self.streaming.lock();
        if let Some(open) = keys.open.get_mut(&self.caller) {
            open.streams -= 1;
            if open.streams == 0 {
                keys.open.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::House;
    use axum::extract::Request;
    use protocol::Stamp;
    use tokio::time::{Instant, timeout};

    const AT: Stamp = Stamp::from_micros(1);

    async fn stream(house: &House, path: &str, secret: &str) -> axum::body::BodyDataStream {
        let request = Request::get(format!("{path}/events/stream")).header("x-api-key", secret);
        let response = house.whole(request.body(Body::empty()).expect("a request")).await;
        assert_eq!(response.status(), 200);
        response.into_body().into_data_stream()
    }

    #[tokio::test(start_paused = true)]
    async fn a_revoked_keys_streams_end_and_no_others() {
        let house = House::still().await;
        let path = format!("/v1/sessions/{}", crate::testing::id(&house.session(&[]).await));
        let (store, workspace) = (house.engine().store(), WorkspaceId::from_bits(1));
        let made = async |name: &str, entropy: u8| {
            keys::create(store, workspace, name, AT, [entropy; 48]).await.expect("a key")
        };
        let ((bad, bad_secret), (_, good_secret)) = (made("bad", 1).await, made("good", 2).await);
        let mut ends = [stream(&house, &path, bad_secret.expose()).await, {
            stream(&house, &path, bad_secret.expose()).await
        }];
        let mut stays = [
            stream(&house, &path, good_secret.expose()).await,
            stream(&house, &path, crate::testing::KEY).await,
        ];
        sleep(Duration::from_secs(5)).await;
        keys::revoke(store, workspace, bad.id, AT).await.expect("revoked");
        let revoked = Instant::now();
        for stream in &mut ends {
            while stream.next().await.is_some() {}
        }
        assert!(revoked.elapsed() <= LOOK, "{:?}", revoked.elapsed());
        for stream in &mut stays {
            let mut beats = 0;
            while beats < 3 {
                let heard = timeout(Duration::from_secs(15), stream.next()).await.expect("a heartbeat");
                heard.expect("it goes on").expect("a frame");
                beats += 1;
            }
        }
        drop((ends, stays));
        sleep(2 * LOOK).await;
        let keys = house.streaming();
        assert!(keys.lock().open.is_empty() && !keys.lock().watched, "nobody looks when there is no stream");
    }
}
