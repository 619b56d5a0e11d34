//! What a jail sends is hostile: whatever it is, the call is answered and the server goes on.

use std::time::Duration;

use protocol::{
    content::{ContentBlock, MediaSource},
    tool::BuiltinName,
};
use serde_json::{Value, json};

use crate::support::{CHILD, MAIN, ONE, TWO, bash, call, ended, failed, kill, odd, said, text, within};

const BROKE: &str = "The sandbox broke its protocol and was ended while this ran; the outcome is unknown. \
                     Files are kept; shells, background processes and /tmp are gone. The next call \
                     starts a new sandbox. Check before you repeat it.";
const DIED: &str = "The sandbox ended by itself (out of memory, or killed) while this ran; the outcome is \
                    unknown. Files are kept; shells, background processes and /tmp are gone. The next call \
                    starts a new sandbox. Check before you repeat it.";
const STUCK: &str = "The sandbox did not answer in time and was ended while this ran; the outcome is \
                     unknown. Files are kept; shells, background processes and /tmp are gone. The next \
                     call starts a new sandbox. Check before you repeat it.";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_told_as_it_was_made() {
    let world = odd(|_| {});
    let mut call = bash(ONE, MAIN, "echo");
    call.input.insert("timeout_ms".into(), json!(5));
    let heard: Value = serde_json::from_str(&text(&world.run(call.clone()).await)).unwrap();
    let expected = json!({
        "call": 0,
        "thread": MAIN.to_string(),
        "event": call.event.to_string(),
        "tool": "bash",
        "input": {"command": "echo", "timeout_ms": 5},
        "shell_lost": false,
        "low": null,
    });
    assert_eq!(heard, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_are_not_of_the_protocol_end_the_jail_and_the_next_call_has_a_new_one() {
    let world = odd(|_| {});
    for command in [
        "length 0",
        "length 4294967295",
        "length 34603009",
        "raw hello",
        "raw {\"Done\":{\"call\":0}}",
        "raw {\"Other\":{}}",
        "raw \u{7f}",
        "parts 200000",
        "chatter",
    ] {
        assert_eq!(within(20, world.bash(ONE, command)).await, failed(BROKE), "{command}");
        assert_eq!(text(&world.bash(ONE, "unknown").await), "mine", "after {command}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_that_no_tool_makes_end_the_jail() {
    let world = odd(|_| {});
    let source = |media: &str, data: &str| json!({"type": "base64", "media_type": media, "data": data});
    let image = |media: &str, data: &str| json!([{"type": "image", "source": source(media, data)}]);
    let pdf = |media: &str, data: &str| json!([{"type": "document", "source": source(media, data)}]);
    let kept = json!({"type": "kept", "blob": "b", "encoded_bytes": 4, "media_type": "image/png"});
    let cited = json!({"enabled": true});
    let hit =
        json!({"type": "search_result", "citations": cited, "content": [], "source": "s", "title": "t"});
    for content in [
        image("image/svg+xml", "AAAA"),
        image("text/html", "AAAA"),
        image("image/png", ""),
        image("image/png", "===="),
        image("image/png", "AAA"),
        image("image/png", "AA==AAAA"),
        image("image/png", "AAAA\nAAAA"),
        image("image/png", "AA-_"),
        pdf("image/png", "AAAA"),
        pdf("application/pdf", "A"),
        json!([{"type": "image", "source": {"type": "url", "url": "http://127.0.0.1/"}}]),
        json!([{"type": "image", "source": {"type": "file", "file_id": "file_1"}}]),
        json!([{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}]),
        json!([hit]),
        json!([{"type": "image", "source": kept}]),
        json!([{"type": "redacted"}]),
        json!(vec![json!({"type": "text", "text": ""}); 1_001]),
    ] {
        let outcome = within(20, world.bash(ONE, &format!("content {content}"))).await;
        assert_eq!(outcome, failed(BROKE), "{}", &content.to_string()[..content.to_string().len().min(200)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_tool_may_answer_comes_through_up_to_its_bound_and_not_beyond() {
    let world = odd(|_| {});
    assert_eq!(within(20, world.bash(ONE, "text 120000")).await, said(&"x".repeat(120_000)));
    assert_eq!(within(20, world.bash(ONE, "parts 140000")).await.content, []);
    assert_eq!(within(20, world.bash(ONE, "text 120001")).await, failed(BROKE));
    assert_eq!(within(20, world.bash(ONE, "image 5242884")).await, failed(BROKE));
    assert_eq!(within(20, world.bash(ONE, "pdf 33554436")).await, failed(BROKE));

    let image = within(20, world.bash(ONE, "image 5242880")).await;
    let source = MediaSource::Base64 { data: "A".repeat(5_242_880), media_type: "image/png".into() };
    assert!(image.content == [ContentBlock::Image { source }], "a large image changed on its way");
    let pdf = within(20, world.bash(ONE, "pdf 27962028")).await;
    let source = MediaSource::Base64 { data: "A".repeat(27_962_028), media_type: "application/pdf".into() };
    assert!(
        pdf.content == [ContentBlock::Document { source, title: None, context: None }],
        "a large PDF changed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_waits_for_are_ignored() {
    let world = odd(|_| {});
    assert_eq!(world.bash(ONE, "unknown").await, said("mine"));
    assert_eq!(world.bash(ONE, "twice").await, said("once"));
    assert_eq!(world.bash(ONE, "killed").await, said("mine"));
    assert_eq!(world.jails(), 1, "none of this ends the jail");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jail_that_dies_answers_all_its_calls_and_only_its_own() {
    let world = odd(|_| {});
    let mut signs = [world.sign(ONE, "a"), world.sign(ONE, "b"), world.sign(TWO, "c")];
    let (one, other) = (bash(ONE, MAIN, "hang a"), bash(ONE, CHILD, "hang b"));
    let mut elsewhere = Box::pin(world.run(bash(TWO, MAIN, "hang c")));
    let exit = async {
        for sign in &mut signs {
            sign.seen().await;
        }
        world.bash(ONE, "exit").await
    };
    let all = async { tokio::join!(world.run(one), world.run(other), exit) };
    let died = tokio::select! {
        outcome = &mut elsewhere => panic!("{outcome:?}"),
        died = within(30, all) => died,
    };
    assert_eq!(<[_; 3]>::from(died), [failed(DIED), failed(DIED), failed(DIED)]);
    assert_eq!(world.bash(ONE, "half").await, failed(DIED));
    drop(elsewhere);
    assert_eq!(world.bash(TWO, "unknown").await, said("mine"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jail_that_is_killed_answers_its_call_and_the_next_call_has_a_new_one() {
    let world = odd(|_| {});
    let mut sign = world.sign(ONE, "a");
    let killed = async {
        sign.seen().await;
        kill(world.jail(ONE).unwrap());
    };
    let (outcome, ()) = within(30, async { tokio::join!(world.bash(ONE, "hang a"), killed) }).await;
    assert_eq!(outcome, failed(DIED));
    assert_eq!(world.bash(ONE, "unknown").await, said("mine"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jail_that_does_not_answer_in_time_is_ended() {
    let world = odd(|settings| settings.margin = Duration::from_millis(200));
    let silent = |command| {
        let mut call = bash(ONE, MAIN, command);
        call.input.insert("timeout_ms".into(), json!(1));
        world.run(call)
    };
    assert_eq!(within(20, silent("hang /dev/null")).await, failed(STUCK));
    // Neither one that announces more than it sends, large or small.
    assert_eq!(within(20, silent("length 100")).await, failed(STUCK));
    assert_eq!(within(20, silent("length 20000000")).await, failed(STUCK));
    assert_eq!(within(20, silent("deaf /dev/null")).await, failed(STUCK));
    assert_eq!(world.bash(ONE, "unknown").await, said("mine"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jail_that_no_longer_reads_does_not_hold_up_what_is_sent_to_it() {
    let world = odd(|settings| settings.margin = Duration::from_secs(2));
    let mut sign = world.sign(ONE, "a");
    let mut deaf = bash(ONE, MAIN, "deaf a");
    deaf.input.insert("timeout_ms".into(), json!(1));
    let large = async {
        sign.seen().await;
        let input = json!({"file_path": "f", "content": "x".repeat(8 << 20)});
        world.run(call(ONE, CHILD, BuiltinName::Write, input)).await
    };
    let (deaf, large) = within(20, async { tokio::join!(world.run(deaf), large) }).await;
    assert_eq!([deaf, large], [failed(STUCK), failed(STUCK)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_call_is_cancelled_in_the_jail_and_its_answer_thrown_away() {
    let world = odd(|_| {});
    let mut sign = world.sign(ONE, "a");
    tokio::select! {
        outcome = world.bash(ONE, "hang a") => panic!("{outcome:?}"),
        () = sign.seen() => {}
    }
    // It answers what is cancelled, and that is no answer to this.
    assert_eq!(world.bash(ONE, "unknown").await, said("mine"));
    assert_eq!(world.jails(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_that_the_jail_does_not_obey_ends_it() {
    let world = odd(|settings| settings.margin = Duration::from_millis(500));
    let mut sign = world.sign(ONE, "a");
    assert_eq!(world.bash(ONE, "stubborn").await, said("from now on"));
    let jail = world.jail(ONE).unwrap();
    tokio::select! {
        outcome = world.bash(ONE, "hang a") => panic!("{outcome:?}"),
        () = sign.seen() => {}
    }
    ended(jail).await;
    assert_eq!(within(20, world.bash(ONE, "unknown")).await, said("mine"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_tool_is_none_of_the_sandbox() {
    let world = odd(|_| {});
    let outcome = world.tool(ONE, BuiltinName::WebFetch, json!({"url": "http://127.0.0.1/"})).await;
    assert_eq!(outcome, failed("This tool is not available here; go on without it."));
    assert_eq!(world.jails(), 0);
}
