//! Accepting connections, and letting them end.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::{
    Router,
    body::{Body, HttpBody},
    http::{HeaderMap, header},
};
use bytes::Bytes;
use engine::LogThrottle;
use hyper::{
    Request, Version,
    body::{Frame, Incoming, SizeHint},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulConnection},
};
use protocol::limits;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{
    connections::{self, IDLE, ServerConnection, ServerConnections},
    http2::{self, StreamExecutor, StreamPieces},
    wire::{self, ConnectionIo},
};

/// How long to wait when accepting fails, for example for want of file descriptors.
const BREATH: Duration = Duration::from_millis(100);
/// How often it is said that accepting fails.
const REFUSED: Duration = Duration::from_mins(1);
/// How long a client may take to leave once it is told to.
const FAREWELL: Duration = Duration::from_secs(1);
const PING: Duration = Duration::from_secs(limits::HTTP2_PING_S);

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestPeer(pub(crate) SocketAddr);

/// Serves `router` on `listener`, at most `room` connections at once, until `shutdown` is ready; then accepts
/// no more, lets the requests under way end, and returns. Streams end when the engine stops, so stop it once
/// `shutdown` is ready.
pub async fn serve(listener: TcpListener, router: Router, room: usize, shutdown: impl Future<Output = ()>) {
    let stop = CancellationToken::new();
    let all = ServerConnections::new(room);
    let mut serving = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    let builder = builder();
    let failures = LogThrottle::every(REFUSED);
    loop {
        while serving.try_join_next().is_some() {}
        let accepted = async {
            all.room().await;
            listener.accept().await
        };
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                wire::set(&stream);
                let connection = all.enter(peer.ip());
                serving.spawn(one(&builder, &stop, router.clone(), stream, peer, connection));
            }
            Err(wrong) => {
                if let Some(times) = failures.now() {
                    tracing::warn!(%wrong, times, "connections could not be accepted");
                }
                all.make_room();
                sleep(BREATH).await;
            }
        }
    }
    drop(listener);
    stop.cancel();
    while serving.join_next().await.is_some() {}
}

fn builder() -> Builder<StreamExecutor> {
    let mut builder = Builder::new(StreamExecutor);
    // No timer: [`driven`] bounds the time of a head, from the first byte on.
    // Who is done with sending may still read; the wire sees who is.
    builder.http1().half_close(true).header_read_timeout(None).max_buf_size(limits::HEAD_BYTES);
    let http2_bytes = u32::try_from(limits::HEAD_BYTES).unwrap_or(u32::MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .max_concurrent_streams(limits::HTTP2_STREAMS)
        .max_header_list_size(http2_bytes)
        .max_pending_accept_reset_streams(limits::HTTP2_RESETS)
        .max_local_error_reset_streams(limits::HTTP2_RESETS)
        .initial_stream_window_size(limits::HTTP2_STREAM_BYTES)
        .initial_connection_window_size(limits::HTTP2_CONNECTION_BYTES)
        .max_send_buf_size(limits::HTTP2_PIECE_BYTES);
    builder
}

/// Serves one connection to its end.
fn one(
    builder: &Builder<StreamExecutor>,
    stop: &CancellationToken,
    router: Router,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    peer: SocketAddr,
    connection: Arc<ServerConnection>,
) -> impl Future<Output = ()> + Send + 'static {
    let of = Arc::clone(&connection);
    let service = service_fn(move |request: Request<Incoming>| {
        let http2 = request.version() == Version::HTTP_2;
        let under_way = of.request(http2);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(RequestPeer(peer));
        request.extensions_mut().insert(Arc::clone(&of));
        let last = request.version() == Version::HTTP_11 && closes(request.headers());
        let answering = router.clone().oneshot(request);
        async move {
            let mut response = answering.await?;
            // Its end is then the connection's, and nothing marks its pieces: there are clients that hold
            // marked ones back until they have many.
            if last && response.body().size_hint().exact().is_none() {
                *response.version_mut() = Version::HTTP_10;
            }
            Ok::<_, std::convert::Infallible>(response.map(|body| Told {
                body,
                rest: Bytes::new(),
                over: false,
                pieces: http2::pieces(),
                _under_way: under_way,
            }))
        }
    });
    let wire = ConnectionIo::new(stream, Arc::clone(&connection));
    let serving = builder.serve_connection(TokioIo::new(wire), service).into_owned();
    let stop = stop.clone();
    async move {
        let _open = Open(Arc::clone(&connection));
        driven(serving, &connection, stop).await;
    }
}

/// Whether this is the last request of its connection.
fn closes(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|option| option.trim().eq_ignore_ascii_case("close"))
}

/// Counts a connection for as long as it is there.
struct Open(Arc<ServerConnection>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.closed();
    }
}

/// Why a connection is let go.
enum End {
    /// It has come to its own.
    Own,
    /// The server stops.
    Stop,
    /// It was without a request for too long.
    Idle,
    /// Another needs its place.
    Place,
    /// It is not to be served any longer.
    Cut,
}

/// Drives a connection until it ends or is to be let go, then lets it end.
async fn driven<C, E>(serving: C, connection: &Arc<ServerConnection>, stop: CancellationToken)
where
    C: GracefulConnection<Error = E> + Future<Output = Result<(), E>>,
    E: std::fmt::Debug,
{
    let told = |ended: Result<(), E>| {
        if let Err(wrong) = ended {
            tracing::debug!(?wrong, "a connection ended early");
        }
    };
    let mut serving = std::pin::pin!(serving);
    let mut stopping = std::pin::pin!(stop.cancelled());
    let mut leaves = std::pin::pin!(connection.leaves());
    let mut cut = std::pin::pin!(connection.cut().cancelled());
    let mut alarm = std::pin::pin!(sleep_until(connection.due().unwrap_or_else(|| Instant::now() + IDLE)));
    let end = std::future::poll_fn(|cx| {
        if let Poll::Ready(ended) = serving.as_mut().poll(cx) {
            told(ended);
            return Poll::Ready(End::Own);
        }
        if stopping.as_mut().poll(cx).is_ready() {
            return Poll::Ready(End::Stop);
        }
        if leaves.as_mut().poll(cx).is_ready() {
            return Poll::Ready(End::Place);
        }
        if cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(End::Cut);
        }
        loop {
            let due = connection.due();
            if due.is_some_and(|due| due <= Instant::now()) {
                return Poll::Ready(End::Idle);
            }
            // The alarm may go off too early, never too late: what is not due now is not for a while.
            if let Some(due) = due.filter(|due| *due < alarm.deadline()) {
                alarm.as_mut().reset(due);
            }
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            alarm.as_mut().reset(due.unwrap_or_else(|| Instant::now() + IDLE));
        }
    })
    .await;
    match end {
        End::Own | End::Cut => {}
        End::Stop => {
            serving.as_mut().graceful_shutdown();
            told(serving.await);
        }
        // A stranger gets no farewell: many of them would keep their places for as long as it takes.
        End::Place if !connection.is_known() => {}
        End::Idle | End::Place => {
            serving.as_mut().graceful_shutdown();
            if let Ok(ended) = timeout(FAREWELL, serving).await {
                told(ended);
            }
        }
    }
}

/// The body of an answer: its request is under way for as long as it is there.
struct Told {
    body: Body,
    /// What is left of a frame that was too large for one piece.
    rest: Bytes,
    /// Whether the body has come to its end.
    over: bool,
    /// Over HTTP/2: what was given of it.
    pieces: Option<Arc<StreamPieces>>,
    _under_way: connections::OpenRequest,
}

impl HttpBody for Told {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.rest.is_empty() && !this.over {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                Some(Err(wrong)) => return Poll::Ready(Some(Err(wrong))),
                None => this.over = true,
            }
        }
        let Some(pieces) = &this.pieces else {
            let whole = std::mem::take(&mut this.rest);
            return Poll::Ready((!this.over).then(|| Ok(Frame::data(whole))));
        };
        if this.over {
            ready!(pieces.poll_taken(cx));
            return Poll::Ready(None);
        }
        let piece = this.rest.split_to(limits::HTTP2_PIECE_BYTES.min(this.rest.len()));
        Poll::Ready(Some(Ok(Frame::data(pieces.piece(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        let taken = self.pieces.as_ref().is_none_or(|pieces| pieces.all_taken());
        self.rest.is_empty() && taken && (self.over || self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(body.lower() + rest);
        hint
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
