//! How many streams may be open: they hold connections for as long as they like, and some must be left for
//! requests.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::{Stream, StreamExt as _};
use protocol::{error::ErrorKind, limits, parse};

use crate::{auth::CallerKey, error::ApiProblem};

/// The streams of all keys.
#[derive(Debug)]
pub(crate) struct OpenStreams {
    all: usize,
    of_a_key: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    keys: BTreeMap<CallerKey, usize>,
}

/// One of them, counted for as long as it is there.
#[derive(Debug)]
pub(crate) struct CountedStream<S> {
    told: S,
    _place: StreamPlace,
}

/// What one stream holds.
#[derive(Debug)]
pub(crate) struct StreamPlace {
    streams: Arc<OpenStreams>,
    caller: CallerKey,
}

impl OpenStreams {
    /// For a server that has so many connections.
    pub(crate) fn new(connections: usize) -> Arc<Self> {
        let part = |of| connections.saturating_sub(connections.div_ceil(of)).max(1);
        let (all, of_a_key) =
            (part(limits::CONNECTIONS_LEFT_PART), part(limits::CONNECTIONS_LEFT_PART_OF_A_KEY));
        Arc::new(Self { all, of_a_key, open: Mutex::default() })
    }

    /// A place for one more stream of this key.
    ///
    /// # Errors
    /// 429 when the key has as many as one may have, 529 when all keys together have.
    pub(crate) fn place(self: &Arc<Self>, caller: CallerKey) -> Result<StreamPlace, ApiProblem> {
        let refused = |kind, message: String| {
            Err(ApiProblem { wait_s: Some(limits::STREAM_WAIT_S), ..ApiProblem::new(kind, message) })
        };
        let mut open = self.lock();
        let own = open.keys.get(&caller).copied().unwrap_or_default();
        if own >= self.of_a_key {
            return refused(
                ErrorKind::RateLimit,
                format!(
                    "this key has {} open, as many as one key may here; close those that nobody reads",
                    parse::counted(own, "stream")
                ),
            );
        }
        if open.all >= self.all {
            return refused(
                ErrorKind::Overloaded,
                format!(
                    "{} streams are open, as many as this server has beside requests; try again in a moment",
                    open.all
                ),
            );
        }
        open.all += 1;
        open.keys.insert(caller, own + 1);
        drop(open);
        Ok(StreamPlace { streams: Arc::clone(self), caller })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StreamPlace {
    /// The stream, which has this place until it is dropped.
    pub(crate) fn of<S>(self, told: S) -> CountedStream<S> {
        CountedStream { told, _place: self }
    }
}

impl<S: Stream + Unpin> Stream for CountedStream<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.told.poll_next_unpin(cx)
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut open = self.streams.lock();
        open.all -= 1;
        match open.keys.get_mut(&self.caller) {
            Some(own) if *own > 1 => *own -= 1,
            Some(_) | None => drop(open.keys.remove(&self.caller)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_one_key_nor_all_have_all_connections_for_their_streams() {
        let streams = OpenStreams::new(16);
        let key = |n: u8| CallerKey([n; 32]);
        let mut places: Vec<StreamPlace> = Vec::new();
        let mut told = |caller| {
            let status = |told: ApiProblem| (told.status.as_u16(), told.wait_s.is_some());
            streams.place(caller).map(|place| places.push(place)).map_err(status)
        };
        let opened: Vec<_> = (0..9).map(|_| told(key(1))).collect();
        assert_eq!((opened[7], opened[8]), (Ok(()), Err((429, true))));
        let others: Vec<_> = (0..5).map(|_| told(key(2))).collect();
        assert_eq!((others[3], others[4]), (Ok(()), Err((529, true))));
        places.pop();
        assert!(streams.place(key(3)).is_ok(), "a place is free again");
        places.clear();
        let open = streams.lock();
        assert_eq!((open.all, open.keys.len()), (0, 0));
    }
}
