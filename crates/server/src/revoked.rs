//! Streams of a key that is revoked end.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use protocol::{WorkspaceId, limits};
use store::Store;
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::{AppState, auth::CallerKey, keys};

const LOOK: Duration = Duration::from_millis(limits::REVOKED_LOOK_MS);

/// The keys that have streams open.
#[derive(Debug, Clone, Default)]
pub(crate) struct StreamingKeys(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    open: Mutex<BTreeMap<CallerKey, Open>>,
    /// Told when a stream opens.
    opened: Notify,
}

#[derive(Debug, Default)]
struct Open {
    /// By number: what ends the stream of a reader that does not ask for its end.
    streams: BTreeMap<u64, CancellationToken>,
    turn: u64,
    revoked: CancellationToken,
}

/// A stream that ends when the key is revoked that opened it.
#[derive(Debug)]
pub(crate) struct UntilRevoked<S> {
    told: S,
    revoked: Pin<Box<WaitForCancellationFutureOwned>>,
    _counted: Counted,
}

impl<S: Stream + Unpin> Stream for UntilRevoked<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        match self.revoked.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => self.told.poll_next_unpin(cx),
        }
    }
}

/// One stream of a key.
#[derive(Debug)]
struct Counted {
    streaming: StreamingKeys,
    caller: CallerKey,
    turn: u64,
}

/// The watch over the keys that have streams open. Somebody has to keep it going beside the router.
#[derive(Debug, Clone)]
pub struct KeyWatch(Arc<AppState>);

impl KeyWatch {
    pub(crate) fn new(door: &Arc<AppState>) -> Self {
        Self(Arc::clone(door))
    }

    /// Ends the streams of keys that are revoked, for as long as it is asked.
    pub async fn run(&self) {
        let Self(door) = self;
        door.streaming.watch(door.engine.store(), door.settings.workspace).await;
    }
}

impl StreamingKeys {
    /// The stream, which ends when the key is revoked. A reader that has stopped reading does not see that:
    /// `cut` is told a moment later.
    pub(crate) fn until_revoked<S>(
        &self,
        caller: CallerKey,
        told: S,
        cut: CancellationToken,
    ) -> UntilRevoked<S> {
        let mut keys = self.lock();
        let open = keys.entry(caller).or_default();
        open.turn += 1;
        let turn = open.turn;
        open.streams.insert(turn, cut);
        let revoked = open.revoked.clone();
        drop(keys);
        self.0.opened.notify_one();
        let counted = Counted { streaming: self.clone(), caller, turn };
        UntilRevoked { told, revoked: Box::pin(revoked.cancelled_owned()), _counted: counted }
    }

    /// Looks at the keys that have streams for as long as there are any. A key is revoked by another process,
    /// and of its writes the database gives no notice: so each is looked up, once for all of its streams.
    async fn watch(&self, store: &Store, workspace: WorkspaceId) {
        loop {
            let callers: Vec<_> = self.lock().keys().copied().collect();
            if callers.is_empty() {
                self.0.opened.notified().await;
                continue;
            }
            sleep(LOOK).await;
            for caller in callers {
                if self.lock().get(&caller).is_none_or(Open::is_cut) {
                    continue;
                }
                // A store that fails now says nothing about the key.
                if let Ok(None) = keys::find(store, workspace, &caller.0).await
                    && let Some(open) = self.lock().get(&caller)
                {
                    open.revoked.cancel();
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<CallerKey, Open>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Whether the key was found revoked a moment ago; then what has not ended by now is cut.
    fn is_cut(&self) -> bool {
        if self.revoked.is_cancelled() {
            self.streams.values().for_each(CancellationToken::cancel);
        }
        self.revoked.is_cancelled()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut keys = self.streaming.lock();
        if let Some(open) = keys.get_mut(&self.caller) {
            open.streams.remove(&self.turn);
            if open.streams.is_empty() {
                keys.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestServer;
    use axum::{body::Body, extract::Request};
    use bytes::Bytes;
    use futures_util::stream;
    use protocol::Timestamp;
    use tokio::{
        task::JoinSet,
        time::{Instant, timeout},
    };

    const AT: Timestamp = Timestamp::from_micros(1);

    async fn opened(house: &TestServer, path: &str, secret: &str) -> axum::body::BodyDataStream {
        let request = Request::get(format!("{path}/events/stream")).header("x-api-key", secret);
        let response = house.whole(request.body(Body::empty()).expect("a request")).await;
        assert_eq!(response.status(), 200);
        response.into_body().into_data_stream()
    }

    #[tokio::test(start_paused = true)]
    async fn a_revoked_keys_streams_end_and_no_others() {
        let house = TestServer::still().await;
        let (mut watching, watch) = (JoinSet::new(), house.watch());
        watching.spawn(async move { watch.run().await });
        let path = format!("/v1/sessions/{}", crate::testing::id(&house.session(&[]).await));
        let (store, workspace) = (house.engine().store(), WorkspaceId::from_bits(1));
        let made = async |name: &str, entropy: u8| {
            keys::create(store, workspace, name, AT, [entropy; 48]).await.expect("a key")
        };
        let ((bad, bad_secret), (_, good_secret)) = (made("bad", 1).await, made("good", 2).await);
        let mut ends = [opened(&house, &path, bad_secret.expose()).await, {
            opened(&house, &path, bad_secret.expose()).await
        }];
        let mut stays = [
            opened(&house, &path, good_secret.expose()).await,
            opened(&house, &path, crate::testing::KEY).await,
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
        assert!(house.streaming().lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_not_read_is_cut_at_the_look_after_and_one_that_is_read_is_not() {
        let house = TestServer::still().await;
        let (store, workspace) = (house.engine().store().clone(), WorkspaceId::from_bits(1));
        let (key, secret) = keys::create(&store, workspace, "bad", AT, [1; 48]).await.expect("a key");
        let caller = CallerKey(keys::hash(secret.expose()));
        let streaming = StreamingKeys::default();
        let mut watching = JoinSet::new();
        watching.spawn({
            let (streaming, store) = (streaming.clone(), store.clone());
            async move { streaming.watch(&store, workspace).await }
        });
        let cuts = [CancellationToken::new(), CancellationToken::new()];
        let open = |cut: &CancellationToken| {
            let never = stream::pending::<Bytes>();
            streaming.until_revoked(caller, never, cut.clone())
        };
        let stalled = open(&cuts[0]);
        let mut read = open(&cuts[1]);
        sleep(10 * LOOK).await;
        assert!(!cuts[0].is_cancelled());
        keys::revoke(&store, workspace, key.id, AT).await.expect("revoked");
        let revoked = Instant::now();
        assert!(read.next().await.is_none() && !cuts[0].is_cancelled());
        drop(read);
        cuts[0].cancelled().await;
        assert!(revoked.elapsed() <= 2 * LOOK && !cuts[1].is_cancelled(), "{:?}", revoked.elapsed());
        drop(stalled);
    }
}
