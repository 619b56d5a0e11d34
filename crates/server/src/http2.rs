//! Streams of HTTP/2: each is a task, and ends where its reader takes nothing for a minute.
//!
//! The window of one stream can stay shut while the connection is well. Whether it does is seen from the
//! answer's body: it gave a piece and is not asked for the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;
use tokio::{
    task_local,
    time::{Instant, sleep},
};

use crate::wire::STALLED;

task_local! {
    /// How far the answer of the stream that is being worked on has come.
    static PIECES: Arc<Pieces>;
}

/// Twice the pieces that were given, and one more while the last is not known to be taken.
#[derive(Debug, Default)]
struct Pieces(AtomicU64);

/// An answer's body gave a piece (`true`), or had none yet to give.
pub(crate) fn gave(piece: bool) {
    // Not within a stream: the connection is HTTP/1, and its wire sees what is taken.
    let _no_stream = PIECES.try_with(|pieces| {
        let given = pieces.0.load(Ordering::Relaxed) & !1;
        pieces.0.store(if piece { given + 3 } else { given }, Ordering::Relaxed);
    });
}

/// Runs streams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Streams;

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        TokioExecutor::new().execute(async move {
            let pieces = Arc::new(Pieces::default());
            let mut stream = std::pin::pin!(PIECES.scope(Arc::clone(&pieces), stream));
            let mut stall = std::pin::pin!(sleep(STALLED));
            let mut since = 0;
            std::future::poll_fn(|cx| {
                if stream.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                let now = pieces.0.load(Ordering::Relaxed);
                if now & 1 == 0 {
                    return Poll::Pending;
                }
                if now != since {
                    since = now;
                    stall.as_mut().reset(Instant::now() + STALLED);
                }
                stall.as_mut().poll(cx)
            })
            .await;
        });
    }
}
