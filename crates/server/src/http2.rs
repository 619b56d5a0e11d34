//! Streams of HTTP/2: each is a task, and ends where its reader takes nothing for a minute.
//!
//! The window of one stream can stay shut while the connection is well. Whether it does is seen from the
//! pieces of the answer: each counts as lying here until its last byte is written or thrown away. So that
//! none is left behind, an answer comes to its end only when all of them were taken.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;
use tokio::{
    task_local,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::wire::STALLED;

task_local! {
    /// The answer of the stream that is being worked on.
    static PIECES: Arc<StreamPieces>;
}

/// How far the answer of one stream has come.
#[derive(Debug, Default)]
pub(crate) struct StreamPieces {
    given: AtomicU64,
    taken: AtomicU64,
    /// Whoever waits for the last one to be taken.
    waits: AtomicWaker,
    /// Told when the stream is to end at once.
    cut: CancellationToken,
}

/// One piece, for as long as it lies here.
struct Piece {
    bytes: Bytes,
    of: Arc<StreamPieces>,
}

/// The pieces of the stream that is being worked on; `None`: this is not HTTP/2.
pub(crate) fn pieces() -> Option<Arc<StreamPieces>> {
    PIECES.try_with(Arc::clone).ok()
}

/// What ends the stream that is being worked on; `None`: this is not HTTP/2.
pub(crate) fn cut() -> Option<CancellationToken> {
    PIECES.try_with(|pieces| pieces.cut.clone()).ok()
}

impl StreamPieces {
    /// These bytes as a piece of the answer.
    pub(crate) fn piece(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        self.given.fetch_add(1, Ordering::Relaxed);
        Bytes::from_owner(Piece { bytes, of: Arc::clone(self) })
    }

    /// Whether each of them was taken.
    pub(crate) fn all_taken(&self) -> bool {
        self.lying().is_none()
    }

    /// Ready when each of them was taken.
    pub(crate) fn poll_taken(&self, cx: &Context<'_>) -> Poll<()> {
        self.waits.register(cx.waker());
        if self.all_taken() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// How many were taken, if one lies here.
    fn lying(&self) -> Option<u64> {
        let taken = self.taken.load(Ordering::Acquire);
        (taken != self.given.load(Ordering::Relaxed)).then_some(taken)
    }

    /// Ready when a piece has lain here for too long, or the stream is to end. Asked whenever the stream was.
    async fn stalls(&self) {
        let mut stall = std::pin::pin!(sleep(STALLED));
        let mut cut = std::pin::pin!(self.cut.cancelled());
        let mut since = None;
        poll_fn(|cx| {
            if cut.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let lying = self.lying();
            if lying.is_some() && lying != since {
                stall.as_mut().reset(Instant::now() + STALLED);
            }
            since = lying;
            if lying.is_none() {
                return Poll::Pending;
            }
            ready!(stall.as_mut().poll(cx));
            Poll::Ready(())
        })
        .await;
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.of.taken.fetch_add(1, Ordering::Release);
        self.of.waits.wake();
    }
}

/// Runs streams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamExecutor;

impl<F> Executor<F> for StreamExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        TokioExecutor::new().execute(async move {
            let pieces = Arc::new(StreamPieces::default());
            tokio::select! {
                biased;
                _ = PIECES.scope(Arc::clone(&pieces), stream) => {}
                () = pieces.stalls() => {}
            }
        });
    }
}
