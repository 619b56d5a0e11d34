//! The memory of a server whose agents talk much. A process of its own, since what is measured is one's.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::time::Duration;

use protocol::{EventId, Object, SessionId, ThreadId, content::ContentBlock, tool::BuiltinName};
use serde_json::json;
use tools::{JailSettings, LocalToolRunner, ToolCall, ToolOutcome, ToolRunner};

#[tokio::test]
async fn much_output_leaves_the_memory_of_the_server_as_it_was() {
    let data = tempfile::tempdir().unwrap();
    let jail = env!("CARGO_BIN_EXE_tools-jail-of-the-tests");
    let mut settings = JailSettings::new(data.path().join("sandboxes"), jail.into());
    settings.limits.free_bytes = 0;
    let hands = LocalToolRunner::new(settings);

    assert_eq!(text(&bash(&hands, 1, "echo ready").await).trim(), "ready");
    let before = peak_kib();
    for event in 2..5 {
        let outcome = bash(&hands, event, "head -c 50000000 /dev/zero | tr '\\0' x").await;
        let text = text(&outcome);
        assert!(
            text.chars().count() <= 120_000 && text.contains("/mnt/session/tool_results/"),
            "{outcome:?}"
        );
    }
    let grown = peak_kib() - before;
    assert!(grown < 8 * 1024, "150 MB of output made the server grow by {grown} KiB");
    hands.stop().await;
}

async fn bash(hands: &LocalToolRunner, event: u128, command: &str) -> ToolOutcome {
    let call = ToolCall {
        session: SessionId::from_bits(1),
        thread: ThreadId::from_bits(1),
        event: EventId::from_bits(event),
        tool: BuiltinName::Bash,
        input: Object::from_iter([("command".to_owned(), json!(command))]),
    };
    let run = hands.run(call, Box::pin(async { true }));
    tokio::time::timeout(Duration::from_mins(2), run).await.expect("in time").unwrap()
}

fn text(outcome: &ToolOutcome) -> String {
    let texts = outcome.content.iter().map(|block| {
        let ContentBlock::Text { text } = block else { panic!("not a text: {block:?}") };
        text.as_str()
    });
    texts.collect()
}

/// The most memory that this process ever held.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
