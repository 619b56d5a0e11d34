//! What the server logs of its sandboxes. A process of its own, since a log is one's.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Result, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use protocol::{EventId, Object, SessionId, ThreadId, tool::BuiltinName};
use sandbox::Isolation;
use serde_json::json;
use tools::{JailSettings, LocalToolRunner, ToolCall, ToolOutcome, ToolRunner};

#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_failed_start_is_logged_once_a_session_and_what_agents_say_never() {
    let log = Log::default();
    let lines = log.clone();
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || lines.clone()).init();
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();

    let failing = hands(data.path(), "/nowhere/heddle");
    for session in [1, 1, 2, 1] {
        assert!(bash(&failing, session, "echo hello").await.is_error);
    }
    let logged = log.take();
    assert_eq!(logged.lines().filter(|line| line.contains(" WARN ")).count(), 2, "{logged}");
    let second = SessionId::from_bits(2).to_string();
    assert!(logged.contains("`heddle doctor`") && logged.contains(&second), "{logged}");

    let working = hands(data.path(), env!("CARGO_BIN_EXE_tools-odd-jail-of-the-tests"));
    assert!(!bash(&working, 1, "echo hello").await.is_error);
    assert!(bash(&working, 1, "raw hello").await.is_error);
    working.stop().await;
    let logged = log.take();
    assert_eq!(logged.lines().filter(|line| line.contains(" INFO ")).count(), 2, "{logged}");
    assert!(logged.contains("it sent a frame that is not of the protocol"), "{logged}");
    assert!(!logged.contains("hello"), "{logged}");

    trees(&log, &data.path().join("trees")).await;
    kills(&log, &data.path().join("kills")).await;
}

/// A tree that goes or comes back is told once, and no sandbox waits for it.
async fn trees(log: &Log, data: &Path) {
    let tree = data.join("tree");
    std::fs::create_dir_all(&tree).unwrap();
    let looks = format!("test -e {} && echo there", tree.display());
    let mut settings = settings(data, env!("CARGO_BIN_EXE_tools-jail-of-the-tests"));
    settings.readonly = vec![tree.clone()];
    let hands = LocalToolRunner::new(settings);
    let mut seen = Vec::new();
    for session in [1, 2, 3, 4] {
        match session {
            2 => std::fs::remove_dir(&tree).unwrap(),
            4 => std::fs::create_dir(&tree).unwrap(),
            _ => {}
        }
        seen.push(!bash(&hands, session, &looks).await.is_error);
    }
    hands.stop().await;
    assert_eq!(seen, [true, false, false, true]);
    let logged = log.take();
    let told = |what: &str| logged.lines().filter(|line| line.contains(what)).count();
    assert_eq!((told("is gone"), told("is back")), (1, 1), "{logged}");
    assert!(logged.contains(&tree.display().to_string()), "{logged}");
}

/// A process that was killed is told, but not each of those that agents kill themselves.
async fn kills(log: &Log, data: &Path) {
    let hands = LocalToolRunner::new(settings(data, env!("CARGO_BIN_EXE_tools-jail-of-the-tests")));
    for (session, command) in [(1, "kill -9 $$"), (1, "bash -c 'kill -9 $$'"), (2, "bash -c 'kill -9 $$'")] {
        assert!(bash(&hands, session, command).await.is_error);
    }
    assert!(!bash(&hands, 3, "bash -c 'kill $$' || true").await.is_error);
    hands.stop().await;
    let logged = log.take();
    let told: Vec<_> = logged.lines().filter(|line| line.contains("was killed")).collect();
    assert_eq!(told.len(), 2, "{logged}");
    for (line, session) in told.iter().zip([1, 2]) {
        let session = SessionId::from_bits(session).to_string();
        assert!(line.contains(&session) && line.contains("signal=9"), "{line}");
    }
}

fn settings(data: &Path, program: &str) -> JailSettings {
    let mut settings = JailSettings::new(data.join("sandboxes"), program.into());
    settings.limits.free_bytes = 0;
    settings
}

fn hands(data: &Path, program: &str) -> LocalToolRunner {
    let mut settings = JailSettings::new(data.join("sandboxes"), program.into());
    settings.isolation = Isolation::Off;
    settings.limits.free_bytes = 0;
    LocalToolRunner::new(settings)
}

async fn bash(hands: &LocalToolRunner, session: u128, command: &str) -> ToolOutcome {
    let call = ToolCall {
        session: SessionId::from_bits(session),
        thread: ThreadId::from_bits(1),
        event: EventId::from_bits(1),
        tool: BuiltinName::Bash,
        input: Object::from_iter([("command".to_owned(), json!(command))]),
    };
    hands.run(call, Box::pin(async { true })).await.unwrap()
}
