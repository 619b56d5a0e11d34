//! Turns: plain ones, their stops, and messages that come in the middle.

use crate::script::play;

#[test]
fn a_plain_turn_is_two_commits() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer thinking; text "ok"
        "#
    ), @r#"
    > message "hi"
      session.status_running
      session.thread_status_running primary
      user.message "hi"
      span.model_request_start ask
      = running, ask
    > answer thinking; text "ok"
      agent.thinking
      agent.message "ok"
      span.model_request_end ask answered
      session.thread_status_idle primary end_turn
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn neighbouring_texts_are_one_message() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        answer text "a"; text "b"; thinking; text "c"
        "#
    ), @r#"
    --- running, ask
    > answer text "a"; text "b"; thinking; text "c"
      agent.message "a" "b"
      agent.thinking
      agent.message "c"
      span.model_request_end ask answered
      session.thread_status_idle primary end_turn
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_message_that_comes_while_a_model_is_asked_goes_on_without_an_idle() {
    insta::assert_snapshot!(play(
        r#"
        message "one"
        ---
        message "two"
        message "three"
        answer text "to one"
        answer text "to both"
        "#
    ), @r#"
    --- running, ask
    > message "two"
      note queued "two"
      = running, ask, 1 queued
    > message "three"
      note queued "three"
      = running, ask, 2 queued
    > answer text "to one"
      agent.message "to one"
      span.model_request_end ask answered
      user.message "two" (was queued)
      user.message "three" (was queued)
      span.model_request_start ask.2
      = running, ask.2
    > answer text "to both"
      agent.message "to both"
      span.model_request_end ask.2 answered
      session.thread_status_idle primary end_turn
      session.usage 20 in, 10 out, 4.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_message_that_comes_before_a_call_is_taken_after_its_result() {
    insta::assert_snapshot!(play(
        r#"
        message "one"
        message "two"
        ---
        answer tool look_up {"q": 1}
        result look_up "found"
        answer text "done"
        "#
    ), @r#"
    --- running, ask, 1 queued
    > answer tool look_up {"q": 1}
      agent.custom_tool_use look_up {"q":1}
      span.model_request_end ask answered
      session.thread_status_idle primary requires_action look_up
      session.usage 10 in, 5 out, 2.0 s
      session.status_idle requires_action look_up
      = idle, requires_action look_up, 1 queued
    > result look_up "found"
      user.custom_tool_result look_up "found"
      session.status_running
      session.thread_status_running primary
      user.message "two" (was queued)
      span.model_request_start ask.2
      = running, ask.2
    > answer text "done"
      agent.message "done"
      span.model_request_end ask.2 answered
      session.thread_status_idle primary end_turn
      session.usage 20 in, 10 out, 3.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn messages_of_one_request_are_taken_in_order() {
    insta::assert_snapshot!(play(
        r#"
        message "one" + message "two"
        answer text "to one"
        answer text "to two"
        "#
    ), @r#"
    > message "one" + message "two"
      session.status_running
      session.thread_status_running primary
      user.message "one"
      span.model_request_start ask
      note queued "two"
      = running, ask, 1 queued
    > answer text "to one"
      agent.message "to one"
      span.model_request_end ask answered
      user.message "two" (was queued)
      span.model_request_start ask.2
      = running, ask.2
    > answer text "to two"
      agent.message "to two"
      span.model_request_end ask.2 answered
      session.thread_status_idle primary end_turn
      session.usage 20 in, 10 out, 2.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_model_that_declines_again_and_again_says_what_to_do_and_another_answer_begins_the_count_anew() {
    let told = play(
        r#"
        message "one"
        answer refusal
        message "two"
        answer refusal
        message "three"
        answer refusal
        message "four"
        answer text "well"
        message "five"
        answer refusal
        "#,
    );
    let idle: Vec<&str> = told.lines().filter(|line| line.contains("session.status_idle")).collect();
    let idle = idle.iter().filter_map(|line| line.split_once("session.status_idle ").map(|(_, stop)| stop));
    assert_eq!(
        idle.collect::<Vec<_>>(),
        [
            "refusal \"bio\"",
            "refusal \"bio\": The model has declined 2 times in a row, and reads what it declines each time: begin a \
             new session without that.",
            "refusal \"bio\": The model has declined 3 times in a row, and reads what it declines each time: begin a \
             new session without that.",
            "end_turn",
            "refusal \"bio\"",
        ]
    );
}

#[test]
fn a_refused_turn_rests_on_refusal_and_calls_nothing() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        answer text "no"; tool look_up; refusal
        message "please"
        answer text "well"
        "#
    ), @r#"
    --- running, ask
    > answer text "no"; tool look_up; refusal
      agent.message "no"
      span.model_request_end ask refused
      session.thread_status_idle primary refusal "bio"
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle refusal "bio"
      = idle, refusal
    > message "please"
      session.status_running
      session.thread_status_running primary
      user.message "please"
      span.model_request_start ask.2
      = running, ask.2
    > answer text "well"
      agent.message "well"
      span.model_request_end ask.2 answered
      session.thread_status_idle primary end_turn
      session.usage 20 in, 10 out, 2.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_text_that_meets_the_output_limit_ends_the_turn() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        answer text "a long"; max_tokens
        "#
    ), @r#"
    --- running, ask
    > answer text "a long"; max_tokens
      agent.message "a long"
      span.model_request_end ask answered
      session.thread_status_idle primary end_turn
      session.usage 10 in, 5 out, 1.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_paused_turn_is_asked_again_and_takes_what_is_queued() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        ---
        answer text "half"; pause
        message "more"
        answer pause
        answer text "whole"
        "#
    ), @r#"
    --- running, ask
    > answer text "half"; pause
      agent.message "half"
      span.model_request_end ask paused
      span.model_request_start ask.2
      = running, ask.2
    > message "more"
      note queued "more"
      = running, ask.2, 1 queued
    > answer pause
      span.model_request_end ask.2 paused
      user.message "more" (was queued)
      span.model_request_start ask.3
      = running, ask.3
    > answer text "whole"
      agent.message "whole"
      span.model_request_end ask.3 answered
      session.thread_status_idle primary end_turn
      session.usage 30 in, 15 out, 4.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_full_queue_refuses_the_next_message() {
    insta::assert_snapshot!(play(
        r#"
        message "first"
        repeat 1000 message "m"
        ---
        message "one too many"
        "#
    ), @r#"
    --- running, ask, 1000 queued
    > message "one too many"
      refused: the session's queue is full (1000 events or 32 MiB); wait until the agent has taken some
    "#);
}

#[test]
fn a_queue_that_is_heavy_enough_is_full() {
    insta::assert_snapshot!(play(
        r#"
        message "first"
        ---
        message big 17
        message big 15
        message "x"
        answer text "ok"
        message "x"
        "#
    ), @r#"
    --- running, ask
    > message big 17
      note queued (17825792 characters)
      = running, ask, 1 queued
    > message big 15
      note queued (15728640 characters)
      = running, ask, 2 queued
    > message "x"
      refused: the session's queue is full (1000 events or 32 MiB); wait until the agent has taken some
    > answer text "ok"
      agent.message "ok"
      span.model_request_end ask answered
      user.message (17825792 characters) (was queued)
      user.message (15728640 characters) (was queued)
      span.model_request_start ask.2
      = running, ask.2
    > message "x"
      note queued "x"
      = running, ask.2, 1 queued
    "#);
}

#[test]
fn the_runaway_guard_ends_a_turn_and_a_message_goes_on() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        repeat 199 answer tool nope
        ---
        answer tool nope
        message "again"
        answer text "ok"
        "#
    ), @r#"
    --- running, ask.200
    > answer tool nope
      agent.tool_use nope.200 {} denied
      span.model_request_end ask.200 answered
      agent.tool_result nope.200 "There is no tool named `nope`. Use one of the tools you were given." error
      session.error tool_use_limit_reached_error, exhausted: "the turn was ended after 200 model requests; send a message to go on"
      session.thread_status_idle primary retries_exhausted
      session.usage 2000 in, 1000 out, 200.0 s
      session.status_idle retries_exhausted
      = idle, retries_exhausted
    > message "again"
      session.status_running
      session.thread_status_running primary
      user.message "again"
      span.model_request_start ask.201
      = running, ask.201
    > answer text "ok"
      agent.message "ok"
      span.model_request_end ask.201 answered
      session.thread_status_idle primary end_turn
      session.usage 2010 in, 1005 out, 201.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn the_runaway_guard_does_not_strand_a_message() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        repeat 199 answer tool nope
        ---
        fail overloaded
        message "wait"
        woke
        answer text "ok"
        "#
    ), @r#"
    --- running, ask.200
    > fail overloaded
      span.model_request_end ask.200 failed error
      session.error model_overloaded_error, retrying: "it failed"
      note retry at 201.494 s
      session.thread_status_rescheduled primary
      session.status_rescheduled
      = rescheduling, wake at 201.494 s
    > message "wait"
      note queued "wait"
      = rescheduling, wake at 201.494 s, 1 queued
    > woke
      session.status_running
      session.thread_status_running primary
      session.error tool_use_limit_reached_error, exhausted: "the turn was ended after 200 model requests; send a message to go on"
      user.message "wait" (was queued)
      span.model_request_start ask.201
      = running, ask.201
    > answer text "ok"
      agent.message "ok"
      span.model_request_end ask.201 answered
      session.thread_status_idle primary end_turn
      session.usage 2001 in, 1000 out, 201.0 s
      session.status_idle end_turn
      = idle, end_turn
    "#);
}
