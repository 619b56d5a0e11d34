//! The write-path spike: how many turns a second the log takes, beside what the disk itself takes.
//!
//! A turn is two commits of nine facts (about 1.8 KB), one behind the other. Run it with
//! `cargo run --release -p store --example spike [directory on the disk to measure]`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement may stop and prints")]

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use protocol::{AgentId, EnvironmentId, SessionId, Timestamp, WorkspaceId, session::SessionStatus};
use store::{BatchWrite, LogAppend, SessionHead, Store};
use tokio::task::JoinSet;
use tokio::time::Instant;

const FACTS: u32 = 9;
const BODY: usize = 1_800;
const HEAD: usize = 400;
const LENGTH: Duration = Duration::from_secs(4);
const CLIENTS: [u32; 3] = [1, 16, 64];

#[tokio::main]
async fn main() {
    let place = match std::env::args_os().nth(1) {
        Some(parent) => tempfile::tempdir_in(parent).unwrap(),
        None => tempfile::tempdir().unwrap(),
    };
    println!("fsync        {:>8.0}/s  (append {BODY} B to one file, then fsync)", syncs(place.path()));
    println!("clients  commits/s    facts/s    turns/s   p50 ms a turn");
    for clients in CLIENTS {
        measure(&place.path().join(format!("{clients}.db")), clients).await;
    }
}

/// Appends and fsyncs of one file a second.
fn syncs(place: &Path) -> f64 {
    let mut file = File::create(place.join("fsync")).unwrap();
    let start = Instant::now();
    let mut done = 0_u32;
    while start.elapsed() < LENGTH {
        file.write_all(&[7; BODY]).unwrap();
        file.sync_data().unwrap();
        done += 1;
    }
    f64::from(done) / start.elapsed().as_secs_f64()
}

async fn measure(path: &Path, clients: u32) {
    let store = Store::sqlite(path).unwrap();
    let start = Instant::now();
    let work: JoinSet<_> = (0..clients).map(|client| turns(store.clone(), client, start)).collect();
    let mut times = work.join_all().await.concat();
    let seconds = start.elapsed().as_secs_f64();
    let commits = store.commits() as f64 / seconds;
    times.sort_unstable();
    let median = times[times.len() / 2].as_secs_f64() * 1_000.0;
    let (facts, turns) = (commits * f64::from(FACTS), times.len() as f64 / seconds);
    println!("{clients:>7} {commits:>10.0} {facts:>10.0} {turns:>10.0} {median:>15.2}");
}

/// One client's turns on a session of its own, and how long each took.
async fn turns(store: Store, client: u32, start: Instant) -> Vec<Duration> {
    let session = SessionId::from_bits(u128::from(client).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060));
    let mut times = Vec::new();
    let mut position = 0;
    while start.elapsed() < LENGTH {
        let turn = Instant::now();
        for status in [SessionStatus::Running, SessionStatus::Idle] {
            store.commit(vec![BatchWrite::Append(append(session, position, status))]).await.unwrap();
            position += u64::from(FACTS);
        }
        times.push(turn.elapsed());
    }
    times
}

fn append(session: SessionId, first: u64, status: SessionStatus) -> LogAppend {
    let now = Timestamp::from_micros(first as i64);
    let head = SessionHead {
        session,
        workspace: WorkspaceId::from_bits(1),
        position: first + u64::from(FACTS),
        status,
        due: None,
        created_at: Timestamp::from_micros(0),
        updated_at: now,
        archived_at: None,
        deleted_at: None,
        agent: AgentId::from_bits(2),
        agent_version: 1,
        environment: EnvironmentId::from_bits(3),
        body: vec![b'h'; HEAD],
    };
    LogAppend { session, first, count: FACTS, at: now, body: vec![b'f'; BODY], receipt: None, head }
}
