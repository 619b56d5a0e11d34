//! Accepting connections, and letting them end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Router, body::Body};
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
};
use protocol::limits;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::Semaphore,
    task::JoinSet,
};
use tower::ServiceExt;

/// Connections at once; further ones wait to be accepted.
const CONNECTIONS: usize = 8_192;
/// How long a client may take to send a request's headers.
const HEADERS: Duration = Duration::from_secs(30);
/// How long to wait when accepting fails, for example for want of file descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Serves `router` on `listener` until `shutdown` is ready; then accepts no more, lets the requests
/// under way end, and returns. Streams end when the engine stops, so stop it once `shutdown` is ready.
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) {
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    let builder = builder();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accepted => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(wrong) => {
                tracing::warn!(%wrong, "a connection could not be accepted");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        // Small frames of a stream must not wait for an acknowledgement.
        if let Err(wrong) = stream.set_nodelay(true) {
            tracing::debug!(%wrong, "TCP_NODELAY could not be set");
        }
        let connection = connection(&builder, &graceful, router.clone(), stream, peer);
        connections.spawn(async move {
            connection.await;
            drop(permit);
        });
    }
    drop(listener);
    graceful.shutdown().await;
    while connections.join_next().await.is_some() {}
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(limits::STALLED_READER_BYTES);
    builder
}

fn connection(
    builder: &Builder<TokioExecutor>,
    graceful: &GracefulShutdown,
    router: Router,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    peer: SocketAddr,
) -> impl Future<Output = ()> + Send + 'static {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request)
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    let connection = graceful.watch(connection);
    async move {
        if let Err(wrong) = connection.await {
            tracing::debug!(wrong, "a connection ended early");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::{Extension, routing};
    use bytes::Bytes;
    use futures_util::stream;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        sync::oneshot,
    };

    const CHUNK: usize = 1024;

    async fn asks(address: SocketAddr, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("written");
        stream
    }

    async fn answer(mut stream: TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("read");
        text
    }

    #[tokio::test]
    async fn a_request_under_way_ends_before_the_server_does() {
        let (began, begun) = oneshot::channel();
        let (go, gone) = oneshot::channel();
        let steps = Arc::new(std::sync::Mutex::new(Some((began, gone))));
        let slow = move || {
            let steps = steps.lock().expect("a lock").take();
            async move {
                let (began, gone) = steps.expect("one request");
                began.send(()).expect("somebody waits");
                gone.await.expect("a sign");
                "done"
            }
        };
        let router = Router::new().route("/slow", routing::get(slow));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let server = serve(listener, router, async { stopped.await.expect("a sign") });
        let client = async {
            let asked = asks(address, "/slow").await;
            begun.await.expect("it began");
            stop.send(()).expect("it serves");
            // The server has stopped accepting once a new connection is refused or reset.
            while TcpStream::connect(address).await.is_ok() {
                tokio::task::yield_now().await;
            }
            go.send(()).expect("it waits");
            answer(asked).await
        };
        let ((), text) = tokio::join!(server, client);
        assert!(text.starts_with("HTTP/1.1 200 OK") && text.ends_with("done"), "{text}");
    }

    #[tokio::test]
    async fn a_request_knows_where_it_comes_from() {
        let tell = |Extension(Peer(peer)): Extension<Peer>| async move { peer.to_string() };
        let router = Router::new().route("/peer", routing::get(tell));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let server = serve(listener, router, async { stopped.await.expect("a sign") });
        let client = async {
            let asked = asks(address, "/peer").await;
            let own = asked.local_addr().expect("an address").to_string();
            let mut read = vec![0; 4096];
            let mut stream = asked;
            let mut text = String::new();
            while !text.ends_with(&own) {
                let len = stream.read(&mut read).await.expect("read");
                assert!(len > 0, "{text} does not name {own}");
                text.push_str(&String::from_utf8_lossy(&read[..len]));
            }
            stop.send(()).expect("it serves");
        };
        tokio::join!(server, client);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_has_stopped_reading_holds_little() {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&made);
        let endless = move || {
            let counted = Arc::clone(&counted);
            let chunks = stream::repeat_with(move || {
                counted.fetch_add(CHUNK, Ordering::Relaxed);
                Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; CHUNK]))
            });
            async { Body::from_stream(chunks) }
        };
        let router = Router::new().route("/endless", routing::get(endless));
        let (mut client, server) = tokio::io::duplex(CHUNK);
        let peer = SocketAddr::from(([127, 0, 0, 1], 9));
        let graceful = GracefulShutdown::new();
        let serving = JoinSet::from_iter([connection(&builder(), &graceful, router, server, peer)]);
        client.write_all(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("written");
        // The clock moves only when nothing else can.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let held = made.load(Ordering::Relaxed);
        assert!((CHUNK..=limits::STALLED_READER_BYTES + 4 * CHUNK).contains(&held), "it made {held} bytes");
        let mut read = vec![0; 64 * CHUNK];
        client.read_exact(&mut read).await.expect("read");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(made.load(Ordering::Relaxed) > held, "it goes on when the reader does");
        drop(serving);
    }
}
