//! Connections: how they are served, bounded and let go.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::{Extension, routing};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt as _, stream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
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
    let server = serve(listener, router, 100, async { stopped.await.expect("a sign") });
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
    let tell = |Extension(RequestPeer(peer)): Extension<RequestPeer>| async move { peer.to_string() };
    let router = Router::new().route("/peer", routing::get(tell));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let server = serve(listener, router, 100, async { stopped.await.expect("a sign") });
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

#[tokio::test]
async fn a_stream_for_a_client_that_closes_behind_it_comes_piece_by_piece_and_unmarked() {
    let pieces = || async {
        let all = stream::iter(["data: 1\n\n", "data: 2\n\n"]).map(Ok::<_, std::io::Error>);
        Body::from_stream(all)
    };
    let router =
        Router::new().route("/stream", routing::get(pieces)).route("/", routing::get(|| async { "word" }));
    let mut pipes = Pipes::new(100, router);
    for (asked, status, end) in [
        ("GET /stream HTTP/1.1\r\nhost: x\r\nconnection: close", "HTTP/1.0 200 OK", "data: 1\n\ndata: 2\n\n"),
        (
            "GET /stream HTTP/1.1\r\nhost: x\r\nconnection: a, Close",
            "HTTP/1.0 200 OK",
            "data: 1\n\ndata: 2\n\n",
        ),
        ("GET /stream HTTP/1.0\r\nhost: x", "HTTP/1.0 200 OK", "data: 1\n\ndata: 2\n\n"),
        ("GET / HTTP/1.1\r\nhost: x\r\nconnection: close", "HTTP/1.1 200 OK", "word"),
    ] {
        let mut client = pipes.connect(HERE);
        client.write_all(format!("{asked}\r\n\r\n").as_bytes()).await.expect("written");
        let mut text = String::new();
        client.read_to_string(&mut text).await.expect("the connection ends behind it");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let chunked = head.contains("transfer-encoding");
        assert!(head.starts_with(status) && !chunked, "{asked}: {head}");
        assert_eq!(body, end, "{asked}");
    }
    let mut client = pipes.connect(HERE);
    client.write_all(b"GET /stream HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("written");
    hears(&mut client, "0\r\n\r\n").await;
}

#[tokio::test]
async fn who_speaks_tls_is_told_in_plain_http() {
    let mut pipes = pipes(100);
    let mut client = pipes.connect(HERE);
    client.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await.expect("written");
    let mut text = String::new();
    client.read_to_string(&mut text).await.expect("the connection ends");
    assert!(
        text.starts_with("HTTP/1.1 400 Bad Request\r\n") && text.contains("http:// in the base URL"),
        "{text}"
    );
    let mut client = pipes.connect(HERE);
    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("written");
    hears(&mut client, "word").await;
}

/// A server whose connections are pipes.
struct Pipes {
    all: Arc<ServerConnections>,
    router: Router,
    stop: CancellationToken,
    serving: JoinSet<()>,
    /// The one that was made last.
    last: Option<Arc<ServerConnection>>,
}

impl Pipes {
    fn new(room: usize, router: Router) -> Self {
        let stop = CancellationToken::new();
        Self { all: ServerConnections::new(room), router, stop, serving: JoinSet::new(), last: None }
    }

    fn connect(&mut self, address: [u8; 4]) -> DuplexStream {
        let (client, server) = tokio::io::duplex(CHUNK);
        let peer = SocketAddr::from((address, 9));
        let connection = self.all.enter(peer.ip());
        self.last = Some(Arc::clone(&connection));
        let serving = one(&builder(), &self.stop, self.router.clone(), server, peer, connection);
        self.serving.spawn(serving);
        client
    }
}

const HERE: [u8; 4] = [127, 0, 0, 1];

/// Endless bytes at `/endless`, a word at `/`, and the same for those who show a key at `/known`.
fn router(made: &Arc<AtomicUsize>) -> Router {
    let counted = Arc::clone(made);
    let endless = move || {
        let counted = Arc::clone(&counted);
        let chunks = stream::repeat_with(move || {
            counted.fetch_add(CHUNK, Ordering::Relaxed);
            Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; CHUNK]))
        });
        async { Body::from_stream(chunks) }
    };
    let known = |Extension(connection): Extension<Arc<ServerConnection>>| async move {
        connection.known();
        "word"
    };
    let waits = |Extension(connection): Extension<Arc<ServerConnection>>| async move {
        connection.known();
        std::future::pending::<&str>().await
    };
    let later = |body: Bytes| async move {
        sleep(Duration::from_secs(5)).await;
        format!("{} bytes, and a word", body.len())
    };
    let follows = |Extension(connection): Extension<Arc<ServerConnection>>| async move {
        let silence = Box::pin(stream::pending());
        Body::from_stream(crate::sse::BeatingRecords::new(silence, connection.left().clone()))
    };
    Router::new()
        .route("/later", routing::any(later))
        .route("/follows", routing::get(follows))
        .route("/endless", routing::get(endless))
        .route("/", routing::get(|| async { "word" }))
        .route("/known", routing::get(known))
        .route("/waits", routing::get(waits))
}

fn pipes(room: usize) -> Pipes {
    Pipes::new(room, router(&Arc::default()))
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").into_bytes()
}

/// Seconds until the server ends the connection; what it sends is read and thrown away.
async fn ends(client: &mut DuplexStream) -> u64 {
    let began = Instant::now();
    let mut read = [0; 256];
    while matches!(client.read(&mut read).await, Ok(len) if len > 0) {}
    began.elapsed().as_secs()
}

/// Reads until the server has said this.
async fn hears(client: &mut DuplexStream, end: &str) {
    let mut text = String::new();
    let mut read = [0; 256];
    while !text.ends_with(end) {
        let len = client.read(&mut read).await.expect("read");
        assert!(len > 0, "{text:?} does not end with {end}");
        text.push_str(&String::from_utf8_lossy(&read[..len]));
    }
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_or_half_a_head_is_let_go() {
    let mut pipes = pipes(100);
    let head = b"GET / HTTP/1.1\r\nhost: x\r\n";
    let settings = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    for (said, seconds) in
        [(&b""[..], 10), (&PREFACE[..10], 30), (PREFACE, 30), (&settings, 30), (b"G", 30), (head, 30)]
    {
        let mut client = pipes.connect(HERE);
        client.write_all(said).await.expect("written");
        let ended = ends(&mut client).await;
        // HTTP/2 gets a moment to say goodbye.
        assert!((seconds..=seconds + 1).contains(&ended), "{said:?}: {ended} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_comes_byte_by_byte_has_its_time_in_all() {
    let mut pipes = pipes(100);
    let mut client = pipes.connect(HERE);
    let began = Instant::now();
    for byte in get("/known").iter().cycle().filter(|byte| **byte != b'\r' && **byte != b'\n') {
        if client.write_all(&[*byte]).await.is_err() {
            break;
        }
        sleep(Duration::from_secs(2)).await;
    }
    // It is seen at the next byte.
    assert_eq!(began.elapsed(), HEAD + Duration::from_secs(2));
}

const HEAD: Duration = Duration::from_secs(limits::HEAD_S);

#[tokio::test(start_paused = true)]
async fn a_kept_connection_may_be_idle_for_two_minutes_and_its_next_head_has_its_time() {
    let mut pipes = pipes(100);
    let mut client = pipes.connect(HERE);
    for _ in 0..3 {
        client.write_all(&get("/")).await.expect("written");
        hears(&mut client, "word").await;
        sleep(IDLE.saturating_sub(Duration::from_secs(2))).await;
    }
    client.write_all(b"GET / H").await.expect("written");
    assert_eq!(ends(&mut client).await, HEAD.as_secs());
    let mut client = pipes.connect(HERE);
    client.write_all(&get("/")).await.expect("written");
    hears(&mut client, "word").await;
    assert_eq!(ends(&mut client).await, IDLE.as_secs());
}

#[tokio::test(start_paused = true)]
async fn who_asks_on_and_reads_nothing_is_let_go_after_a_minute() {
    let mut pipes = pipes(100);
    for path in ["/", "/endless"] {
        let mut client = pipes.connect(HERE);
        let began = Instant::now();
        while client.write_all(&get(path)).await.is_ok() {}
        assert_eq!(began.elapsed(), wire::STALLED, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_stays() {
    let mut pipes = pipes(100);
    let mut client = pipes.connect(HERE);
    client.write_all(&get("/endless")).await.expect("written");
    let mut read = [0; 16];
    for _ in 0..60 {
        client.read_exact(&mut read).await.expect("it is still there");
        sleep(wire::STALLED.saturating_sub(Duration::from_secs(1))).await;
    }
    assert!(pipes.serving.try_join_next().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_request_under_way_has_no_bound_here() {
    let mut pipes = pipes(100);
    let mut client = pipes.connect(HERE);
    client.write_all(&get("/waits")).await.expect("written");
    sleep(Duration::from_secs(10_000)).await;
    assert!(pipes.serving.try_join_next().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_has_stopped_reading_holds_little() {
    let made = Arc::new(AtomicUsize::new(0));
    let mut pipes = Pipes::new(100, router(&made));
    let mut client = pipes.connect(HERE);
    client.write_all(&get("/endless")).await.expect("written");
    // The clock moves only when nothing else can.
    sleep(Duration::from_secs(1)).await;
    let held = made.load(Ordering::Relaxed);
    assert!((CHUNK..=limits::STALLED_READER_BYTES + 4 * CHUNK).contains(&held), "it made {held} bytes");
    let mut read = vec![0; 64 * CHUNK];
    client.read_exact(&mut read).await.expect("read");
    sleep(Duration::from_secs(1)).await;
    assert!(made.load(Ordering::Relaxed) > held, "it goes on when the reader does");
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING_FRAME: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW: u8 = 8;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a small frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A request of HTTP/2: `GET`, `http`, this path.
fn asked(stream: u32, path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).expect("a short path");
    let headers = [&[0x82, 0x86, 0x04, length], path.as_bytes(), &[0x01, 1, b'x']].concat();
    frame(HEADERS, 0x5, stream, &headers)
}

/// The next frame: kind, flags, stream; `None`: the end.
async fn told(client: &mut DuplexStream) -> Option<(u8, u8, u32)> {
    let mut head = [0; 9];
    client.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    client.read_exact(&mut payload).await.ok()?;
    if head[3] == PING_FRAME && head[4] == 0 {
        client.write_all(&frame(PING_FRAME, 1, 0, &payload)).await.ok()?;
    }
    Some((head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]])))
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_window_stays_shut_ends_and_its_neighbour_does_not() {
    let mut pipes = pipes(100);
    let mut client = pipes.connect(HERE);
    let shut = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let said = [PREFACE, &shut, &asked(1, "/endless"), &asked(3, "/waits")].concat();
    client.write_all(&said).await.expect("written");
    let began = Instant::now();
    loop {
        match told(&mut client).await.expect("the connection goes on") {
            (RESET, _, stream) => {
                assert_eq!((stream, began.elapsed().as_secs()), (1, wire::STALLED.as_secs()));
                break;
            }
            (kind, ..) => assert!(![DATA, GOAWAY].contains(&kind), "a frame of kind {kind}"),
        }
    }
    client.write_all(&asked(5, "/")).await.expect("written");
    while told(&mut client).await.expect("an answer") != (HEADERS, 4, 5) {}
}

#[tokio::test(start_paused = true)]
async fn http2_without_a_stream_is_told_to_go_away_after_two_minutes() {
    let mut pipes = pipes(100);
    let mut client = pipes.connect(HERE);
    let said = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &asked(1, "/")].concat();
    client.write_all(&said).await.expect("written");
    while told(&mut client).await.expect("an answer") != (DATA, 1, 1) {}
    let began = Instant::now();
    while told(&mut client).await.expect("a farewell").0 != GOAWAY {}
    assert_eq!(began.elapsed().as_secs(), IDLE.as_secs());
    while told(&mut client).await.is_some() {}
    assert_eq!(began.elapsed().as_secs(), IDLE.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_full_door_lets_go_who_is_silent_longest_and_nobody_who_works() {
    let mut pipes = pipes(8);
    let mut working = Vec::new();
    for _ in 0..4 {
        let mut client = pipes.connect(HERE);
        client.write_all(&get("/waits")).await.expect("written");
        working.push(client);
    }
    let mut idle = pipes.connect([192, 0, 2, 1]);
    idle.write_all(&get("/known")).await.expect("written");
    hears(&mut idle, "word").await;
    let mut silent = Vec::new();
    for last in 0..20 {
        silent.push(pipes.connect([198, 51, 100, last]));
        sleep(Duration::from_millis(10)).await;
    }
    // Those who work and the one that has shown a key are there, and the last three silent ones; no other
    // is new.
    sleep(Duration::from_millis(limits::NEW_CONNECTION_MS)).await;
    while pipes.serving.try_join_next().is_some() {}
    assert_eq!(pipes.serving.len(), 8);
    for (at, client) in silent.iter_mut().enumerate() {
        let ended = client.read(&mut [0; 1]).now_or_never().is_some();
        assert_eq!(ended, at < 17, "the silent one {at}");
    }
    idle.write_all(&get("/known")).await.expect("written");
    hears(&mut idle, "word").await;
}

#[tokio::test(start_paused = true)]
async fn who_is_done_with_sending_is_answered_and_half_a_request_is_not_waited_for() {
    let mut pipes = pipes(100);
    let posted = b"POST /later HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc";
    let head = "POST /later HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunked = format!("{head}3\r\nabc\r\n0\r\n\r\n").into_bytes();
    let pieces = format!("{head}1\r\na\r\n1\r\nb\r\n0\r\n\r\n").into_bytes();
    for (said, bytes) in [(&get("/later")[..], 0), (posted, 3), (&chunked, 3), (&pieces, 2)] {
        let mut client = pipes.connect(HERE);
        client.write_all(said).await.expect("written");
        client.shutdown().await.expect("half of it is shut");
        let began = Instant::now();
        hears(&mut client, &format!("{bytes} bytes, and a word")).await;
        assert_eq!((began.elapsed().as_secs(), ends(&mut client).await), (5, 0));
    }
    let mut client = pipes.connect(HERE);
    client.write_all(&posted[..posted.len() - 1]).await.expect("written");
    client.shutdown().await.expect("half of it is shut");
    assert_eq!(ends(&mut client).await, 0);
    let two = [get("/later"), get("/later")].concat();
    let mut client = pipes.connect(HERE);
    client.write_all(&two).await.expect("written");
    client.shutdown().await.expect("half of it is shut");
    for _ in 0..2 {
        hears(&mut client, "a word").await;
    }
    assert_eq!(ends(&mut client).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_ends_soon_when_its_reader_is_gone_and_goes_on_when_it_only_sends_no_more() {
    let mut pipes = pipes(100);
    let mut gone = pipes.connect(HERE);
    gone.write_all(&get("/follows")).await.expect("written");
    hears(&mut gone, "\r\n\r\n").await;
    let began = Instant::now();
    drop(gone);
    pipes.serving.join_next().await.expect("one is served").expect("it ends");
    assert!(began.elapsed() <= Duration::from_secs(1), "{:?}", began.elapsed());
    let mut reads = pipes.connect(HERE);
    reads.write_all(&get("/follows")).await.expect("written");
    reads.shutdown().await.expect("half of it is shut");
    for _ in 0..20 {
        hears(&mut reads, ": keep-alive\n\n\r\n").await;
    }
    assert!(began.elapsed() > Duration::from_mins(1) && pipes.serving.try_join_next().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_cut_is_gone_at_once_also_when_nobody_reads() {
    let mut pipes = pipes(100);
    let mut client = pipes.connect(HERE);
    client.write_all(&get("/endless")).await.expect("written");
    sleep(Duration::from_secs(5)).await;
    assert!(pipes.serving.try_join_next().is_none());
    pipes.last.take().expect("one was made").cut().cancel();
    let began = Instant::now();
    pipes.serving.join_next().await.expect("one is served").expect("it ends");
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_one_piece_that_is_not_read_does_not_stay() {
    let mut pipes = pipes(100);
    let mut client = pipes.connect(HERE);
    let narrow = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1]);
    client.write_all(&[PREFACE, &narrow, &asked(1, "/")].concat()).await.expect("written");
    let began = Instant::now();
    loop {
        match told(&mut client).await.expect("the connection goes on") {
            (RESET, _, stream) => {
                assert_eq!((stream, began.elapsed().as_secs()), (1, wire::STALLED.as_secs()));
                break;
            }
            (DATA, flags, _) => assert_eq!(flags, 0, "its end is told before it is taken"),
            (kind, ..) => assert_ne!(kind, GOAWAY),
        }
    }
    // The window grows while the next answer is written.
    client.write_all(&[asked(3, "/"), frame(WINDOW, 0, 3, &[0, 0, 1, 0])].concat()).await.expect("written");
    while told(&mut client).await.expect("an answer") != (DATA, 1, 3) {}
}

#[tokio::test(start_paused = true)]
async fn streams_that_are_taken_back_at_once_end_their_connection() {
    let mut pipes = pipes(100);
    let mut client = pipes.connect(HERE);
    client.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.expect("written");
    let both = |stream| [asked(stream, "/"), frame(RESET, 0, stream, &[0, 0, 0, 8])].concat();
    let flood: Vec<u8> = (0..200).flat_map(|n| both(2 * n + 1)).collect();
    let (mut reads, mut writes) = tokio::io::split(client);
    let mut writing = JoinSet::new();
    writing.spawn(async move { writes.write_all(&flood).await });
    let mut said = Vec::new();
    reads.read_to_end(&mut said).await.expect("read");
    // A farewell with 11, ENHANCE_YOUR_CALM, behind the last stream that is worked on.
    let farewell = said.windows(9).position(|head| head[3..5] == [GOAWAY, 0] && head[5..] == [0; 4]);
    let code = farewell.and_then(|at| said.get(at + 13..at + 17));
    assert_eq!(code, Some(&[0, 0, 0, 11][..]), "{said:?}");
    drop(writing);
}
