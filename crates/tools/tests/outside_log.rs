//! What the server logs of its sandboxes. A process of its own, since a log is one's.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Result, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use protocol::{EventId, Object, SessionId, ThreadId, tool::Builtin};
use sandbox::Isolation;
use serde_json::json;
use tools::{Call, Hands, LocalHands, Outcome, Settings};

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
}

fn hands(data: &Path, program: &str) -> LocalHands {
    let mut settings = Settings::new(data.join("sandboxes"), program.into());
    settings.isolation = Isolation::Off;
    settings.limits.free_bytes = 0;
    LocalHands::new(settings)
}

async fn bash(hands: &LocalHands, session: u128, command: &str) -> Outcome {
    let call = Call {
        session: SessionId::from_bits(session),
        thread: ThreadId::from_bits(1),
        event: EventId::from_bits(1),
        tool: Builtin::Bash,
        input: Object::from_iter([("command".to_owned(), json!(command))]),
    };
    hands.run(call, Box::pin(async { true })).await.unwrap()
}
