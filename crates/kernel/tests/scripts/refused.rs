//! What a provider refuses, and how a session goes on past it.

use kernel::ThreadLimits;

use crate::script::{histories, history, play, play_team};

#[test]
fn what_is_named_is_left_out_and_the_request_made_again_in_the_same_turn() {
    insta::assert_snapshot!(play(
        r#"
        message "see" "this"
        fail invalid naming 0.1
        answer text "ok"
        "#
    ), @r#"
    > message "see" "this"
      session.status_running
      session.thread_status_running primary
      user.message "see" "this"
      span.model_request_start ask
      = running, ask
    > fail invalid naming 0.1
      span.model_request_end ask failed error
      session.error model_request_failed_error, retrying: "it failed It is asked again without what was named: content.1 of [see]."
      note left_out [see] block 1: the model's provider refused it
      span.model_request_start ask.2
      = running, ask.2
    > answer text "ok"
      agent.message "ok"
      span.model_request_end ask.2 answered
      session.thread_status_idle primary end_turn
      session.usage 11 in, 5 out, 2.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
    insta::assert_snapshot!(history(
        r#"
        message "see" "this"
        fail invalid naming 0.1
        answer text "ok"
        message "more"
        "#
    ), @r#"
    user: "see" | "[removed: the model's provider refused it]"
    assistant: "ok"
    user: "more"
    "#);
}

#[test]
fn each_kind_of_part_can_be_left_out_and_a_call_keeps_its_result() {
    insta::assert_snapshot!(history(
        r#"
        message "see"
        answer thinking; text "I look"; tool look_up {"q": 1}; tool weigh
        result look_up "one" "two"
        result weigh "three"
        fail invalid naming 1.1 1.2 2.0.1 2.1
        "#
    ), @r#"
    user: "see"
    assistant: thinking "hm" | "[removed: the model's provider refused it]" | call toolu_2 look_up {"removed":"the model's provider refused it"} | call toolu_3 weigh {}
    user: result toolu_2 "one" "[removed: the model's provider refused it]" | result toolu_3 "[removed: the model's provider refused it]"
    "#);
}

#[test]
fn a_thought_that_is_refused_takes_all_thoughts_along() {
    insta::assert_snapshot!(history(
        r#"
        message "one"
        answer thinking; text "1"
        message "two"
        answer thinking; text "2"
        message "three"
        fail invalid naming 1.0
        "#
    ), @r#"
    user: "one"
    assistant: "1"
    user: "two"
    assistant: "2"
    user: "three"
    "#);
}

#[test]
fn what_is_named_again_and_again_ends_the_turn_and_so_does_what_is_left_out_already() {
    insta::assert_snapshot!(play(
        r#"
        message "a" "b" "c" "d" "e"
        repeat 1 fail invalid naming 0.0 then fail invalid naming 0.1 then fail invalid naming 0.2 then fail invalid naming 0.3
        ---
        fail invalid naming 0.4
        "#
    ), @r#"
    --- running, ask.5
    > fail invalid naming 0.4
      span.model_request_end ask.5 failed error
      session.error model_request_failed_error, exhausted: "it failed What came since the model's last answer is left out from now on: send another message."
      note blamed: the model's provider refused it
      session.thread_status_idle primary retries_exhausted
      session.usage 5 in, 0 out, 5.0 s
      session.status_idle retries_exhausted
      = idle, retries_exhausted
    "#);
    insta::assert_snapshot!(play(
        r#"
        message "a" "b"
        ---
        fail invalid naming 0.0
        fail invalid naming 0.0
        "#
    ), @r#"
    --- running, ask
    > fail invalid naming 0.0
      span.model_request_end ask failed error
      session.error model_request_failed_error, retrying: "it failed It is asked again without what was named: content.0 of [a]."
      note left_out [a] block 0: the model's provider refused it
      span.model_request_start ask.2
      = running, ask.2
    > fail invalid naming 0.0
      span.model_request_end ask.2 failed error
      session.error model_request_failed_error, exhausted: "it failed What came since the model's last answer is left out from now on: send another message."
      note blamed: the model's provider refused it
      session.thread_status_idle primary retries_exhausted
      session.usage 2 in, 0 out, 2.0 s
      session.status_idle retries_exhausted
      = idle, retries_exhausted
    "#);
}

#[test]
fn what_came_since_the_last_answer_is_left_out_where_nothing_is_named() {
    insta::assert_snapshot!(play(
        r#"
        message "bad"
        ---
        fail invalid
        message "more"
        answer text "ok"
        "#
    ), @r#"
    --- running, ask
    > fail invalid
      span.model_request_end ask failed error
      session.error model_request_failed_error, exhausted: "it failed What came since the model's last answer is left out from now on: send another message."
      note blamed: the model's provider refused it
      session.thread_status_idle primary retries_exhausted
      session.usage 1 in, 0 out, 1.0 s
      session.status_idle retries_exhausted
      = idle, retries_exhausted
    > message "more"
      session.status_running
      session.thread_status_running primary
      user.message "more"
      span.model_request_start ask.2
      = running, ask.2
    > answer text "ok"
      agent.message "ok"
      span.model_request_end ask.2 answered
      session.thread_status_idle primary end_turn
      session.usage 11 in, 5 out, 2.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
    insta::assert_snapshot!(history(
        r#"
        message "one"
        answer tool look_up; tool weigh
        result look_up "bad"
        message "and"
        result weigh "good"
        fail invalid
        message "more"
        "#
    ), @r#"
    user: "one"
    assistant: call toolu_0 look_up {} | call toolu_1 weigh {}
    user: result toolu_0 "[removed: the model's provider refused it]" | result toolu_1 "[removed: the model's provider refused it]" | "more"
    "#);
}

#[test]
fn the_third_refusal_in_a_row_takes_the_last_answer_along_with_its_calls() {
    let refused = r#"
        message "one"
        answer text "1"
        message "two"
        answer text "I look"; tool look_up
        result look_up "found"
        fail invalid
        message "three"
        fail invalid
        message "four"
        fail invalid
        message "five"
        "#;
    insta::assert_snapshot!(history(refused), @r#"
    user: "one"
    assistant: "1"
    user: "two"
    assistant: "[removed: the model's provider refused it]"
    user: "[removed: the model's provider refused it]" | "five"
    "#);
    let told = play(refused);
    let last = told.lines().rev().find(|line| line.contains("session.error")).expect("an error");
    insta::assert_snapshot!(last.trim(), @r#"
    session.error model_request_failed_error, exhausted: "it failed The model's last answer and all that came since are left out from now on: send a short message, and if that is refused too, begin a new session."
    "#);
}

#[test]
fn an_answer_begins_the_count_of_refusals_anew() {
    insta::assert_snapshot!(history(
        r#"
        message "one"
        fail invalid
        message "two"
        fail invalid
        message "three"
        answer text "3"
        message "four"
        fail invalid
        message "five"
        fail invalid
        message "six"
        "#
    ), @r#"
    user: "[removed: the model's provider refused it]" | "[removed: the model's provider refused it]" | "three"
    assistant: "3"
    user: "[removed: the model's provider refused it]" | "[removed: the model's provider refused it]" | "six"
    "#);
}

#[test]
fn where_the_window_is_full_a_shorter_message_is_asked_for() {
    insta::assert_snapshot!(play(
        r#"
        message "long"
        ---
        fail overflow
        "#
    ), @r#"
    --- running, ask
    > fail overflow
      span.model_request_end ask failed error
      session.error model_request_failed_error, exhausted: "it failed What came since the model's last answer is left out from now on: send a shorter message."
      note blamed: it did not fit the model's window
      session.thread_status_idle primary retries_exhausted
      session.usage 1 in, 0 out, 1.0 s
      session.status_idle retries_exhausted
      = idle, retries_exhausted
    "#);
}

#[test]
fn what_no_part_is_to_blame_for_leaves_nothing_out() {
    for class in ["full", "unusable", "denied", "billing", "no_route"] {
        let script = format!("message \"one\"\nfail {class}\nmessage \"two\"");
        assert_eq!(history(&script), "user: \"one\" | \"two\"\n", "{class}");
    }
}

#[test]
fn a_message_that_waits_goes_on_without_what_was_refused() {
    insta::assert_snapshot!(play(
        r#"
        message "bad"
        message "good"
        ---
        fail invalid
        "#
    ), @r#"
    --- running, ask, 1 queued
    > fail invalid
      span.model_request_end ask failed error
      session.error model_request_failed_error, exhausted: "it failed What came since the model's last answer is left out from now on: send another message."
      note blamed: the model's provider refused it
      user.message "good" (was queued)
      span.model_request_start ask.2
      = running, ask.2
    "#);
    insta::assert_snapshot!(history(
        r#"
        message "bad"
        message "good"
        fail invalid
        "#
    ), @r#"
    user: "[removed: the model's provider refused it]" | "good"
    "#);
}

#[test]
fn an_interrupt_lets_the_named_be_left_out_anew() {
    insta::assert_snapshot!(history(
        r#"
        message "a" "b"
        fail invalid naming 0.0
        interrupt
        message "c"
        fail invalid naming 0.1
        "#
    ), @r#"
    user: "[removed: the model's provider refused it]" | "[removed: the model's provider refused it]" | "c"
    "#);
}

#[test]
fn a_restart_asks_for_the_same() {
    let before = r#"
        message "a" "b"
        fail invalid naming 0.0
        "#;
    let after = format!("{before}recovered\n");
    assert_eq!(history(before), history(&after));
}

#[test]
fn a_child_goes_on_without_what_is_named_and_ends_where_nothing_is() {
    insta::assert_snapshot!(histories(
        r#"
        message "go"
        answer tool create_agent {"agent": "spinner", "task": "spin"}
        @1 fail invalid naming 0.0
        "#
    ), @r#"
    primary:
    user: "go"
    assistant: call toolu_0 create_agent {"agent":"spinner","task":"spin"}
    user: result toolu_0 "{\"thread_id\":\"child1\",\"agent\":\"spinner\",\"status\":\"running\"}"
    child1:
    user: "[removed: the model's provider refused it]"
    "#);
    insta::assert_snapshot!(play_team(
        ThreadLimits::default(),
        r"
        given spinner is waited for
        ---
        @1 fail invalid
        "
    ), @r#"
    --- running, ask@1
    > @1 fail invalid
      @1 span.model_request_end ask failed error
      @1 session.error model_request_failed_error, exhausted: "it failed"
      @1 agent.thread_message_sent to primary "Agent failed: it failed"
      @1 note ended exhausted
      @1 session.thread_status_idle child1 retries_exhausted
      @1 session.thread_status_terminated child1
      agent.thread_message_received from child1 from spinner "Agent failed: it failed" as result
      note settled Agent error "Agent failed: it failed"
      span.model_request_start ask.2
      = running, ask.2
    "#);
}

#[test]
fn an_answer_in_between_begins_the_count_of_refused_turns_anew() {
    let refused = "message \"no\"\nfail invalid\n";
    for (between, whole) in [("", true), ("message \"yes\"\nanswer text \"ok\"\n", false)] {
        let told = play(&format!("{refused}{refused}{between}{refused}"));
        assert_eq!(told.contains("The model's last answer and all that came since"), whole, "{told}");
    }
}
