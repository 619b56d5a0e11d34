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
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer thinking; text "ok"
      #5 agent.thinking
      #6 agent.message "ok"
      #7 span.model_request_end #4 answered
      #8 session.thread_status_idle primary end_turn
      #9 session.usage 10 in, 5 out, 1.0 s
      #10 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn neighbouring_texts_are_one_message() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer text "a"; text "b"; thinking; text "c"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer text "a"; text "b"; thinking; text "c"
      #5 agent.message "a" "b"
      #6 agent.thinking
      #7 agent.message "c"
      #8 span.model_request_end #4 answered
      #9 session.thread_status_idle primary end_turn
      #10 session.usage 10 in, 5 out, 1.0 s
      #11 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_message_that_comes_while_a_model_is_asked_goes_on_without_an_idle() {
    insta::assert_snapshot!(play(
        r#"
        message "one"
        message "two"
        message "three"
        answer text "to one"
        answer text "to both"
        "#
    ), @r#"
    > message "one"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "one"
      #4 span.model_request_start
      = running, ask #4
    > message "two"
      #5 note queued "two"
      = running, ask #4, 1 queued
    > message "three"
      #6 note queued "three"
      = running, ask #4, 2 queued
    > answer text "to one"
      #7 agent.message "to one"
      #8 span.model_request_end #4 answered
      #5 user.message "two"
      #6 user.message "three"
      #11 span.model_request_start
      = running, ask #11
    > answer text "to both"
      #12 agent.message "to both"
      #13 span.model_request_end #11 answered
      #14 session.thread_status_idle primary end_turn
      #15 session.usage 20 in, 10 out, 4.0 s
      #16 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_message_that_comes_before_a_call_is_taken_after_its_result() {
    insta::assert_snapshot!(play(
        r#"
        message "one"
        message "two"
        answer tool look_up {"q": 1}
        result 1 "found"
        answer text "done"
        "#
    ), @r#"
    > message "one"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "one"
      #4 span.model_request_start
      = running, ask #4
    > message "two"
      #5 note queued "two"
      = running, ask #4, 1 queued
    > answer tool look_up {"q": 1}
      #6 agent.custom_tool_use look_up {"q":1}
      #7 span.model_request_end #4 answered
      #8 session.thread_status_idle primary requires_action #6
      #9 session.usage 10 in, 5 out, 2.0 s
      #10 session.status_idle requires_action #6
      = idle, requires_action #6, 1 queued
    > result 1 "found"
      #11 user.custom_tool_result #6 "found"
      #12 session.status_running
      #13 session.thread_status_running primary
      #5 user.message "two"
      #15 span.model_request_start
      = running, ask #15
    > answer text "done"
      #16 agent.message "done"
      #17 span.model_request_end #15 answered
      #18 session.thread_status_idle primary end_turn
      #19 session.usage 20 in, 10 out, 3.0 s
      #20 session.status_idle end_turn
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
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "one"
      #4 span.model_request_start
      #5 note queued "two"
      = running, ask #4, 1 queued
    > answer text "to one"
      #6 agent.message "to one"
      #7 span.model_request_end #4 answered
      #5 user.message "two"
      #9 span.model_request_start
      = running, ask #9
    > answer text "to two"
      #10 agent.message "to two"
      #11 span.model_request_end #9 answered
      #12 session.thread_status_idle primary end_turn
      #13 session.usage 20 in, 10 out, 2.0 s
      #14 session.status_idle end_turn
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
        answer text "no"; tool look_up; refusal
        message "please"
        answer text "well"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer text "no"; tool look_up; refusal
      #5 agent.message "no"
      #6 span.model_request_end #4 refused
      #7 session.thread_status_idle primary refusal "bio"
      #8 session.usage 10 in, 5 out, 1.0 s
      #9 session.status_idle refusal "bio"
      = idle, refusal
    > message "please"
      #10 session.status_running
      #11 session.thread_status_running primary
      #12 user.message "please"
      #13 span.model_request_start
      = running, ask #13
    > answer text "well"
      #14 agent.message "well"
      #15 span.model_request_end #13 answered
      #16 session.thread_status_idle primary end_turn
      #17 session.usage 20 in, 10 out, 2.0 s
      #18 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_text_that_meets_the_output_limit_ends_the_turn() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer text "a long"; max_tokens
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer text "a long"; max_tokens
      #5 agent.message "a long"
      #6 span.model_request_end #4 answered
      #7 session.thread_status_idle primary end_turn
      #8 session.usage 10 in, 5 out, 1.0 s
      #9 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_paused_turn_is_asked_again_and_takes_what_is_queued() {
    insta::assert_snapshot!(play(
        r#"
        message "hi"
        answer text "half"; pause
        message "more"
        answer pause
        answer text "whole"
        "#
    ), @r#"
    > message "hi"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "hi"
      #4 span.model_request_start
      = running, ask #4
    > answer text "half"; pause
      #5 agent.message "half"
      #6 span.model_request_end #4 paused
      #7 span.model_request_start
      = running, ask #7
    > message "more"
      #8 note queued "more"
      = running, ask #7, 1 queued
    > answer pause
      #9 span.model_request_end #7 paused
      #8 user.message "more"
      #11 span.model_request_start
      = running, ask #11
    > answer text "whole"
      #12 agent.message "whole"
      #13 span.model_request_end #11 answered
      #14 session.thread_status_idle primary end_turn
      #15 session.usage 30 in, 15 out, 4.0 s
      #16 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn a_full_queue_refuses_the_next_message() {
    insta::assert_snapshot!(play(
        r#"
        message "first"
        repeat 1000 message "m"
        message "one too many"
        "#
    ), @r#"
    > message "first"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "first"
      #4 span.model_request_start
      = running, ask #4
    > 1000 times message "m"
    > message "one too many"
      refused: the session's queue is full (1000 events or 32 MiB); wait until the agent has taken some
    "#);
}

#[test]
fn a_queue_that_is_heavy_enough_is_full() {
    insta::assert_snapshot!(play(
        r#"
        message "first"
        message big 17
        message big 15
        message "x"
        answer text "ok"
        message "x"
        "#
    ), @r#"
    > message "first"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "first"
      #4 span.model_request_start
      = running, ask #4
    > message big 17
      #5 note queued (17825792 characters)
      = running, ask #4, 1 queued
    > message big 15
      #6 note queued (15728640 characters)
      = running, ask #4, 2 queued
    > message "x"
      refused: the session's queue is full (1000 events or 32 MiB); wait until the agent has taken some
    > answer text "ok"
      #7 agent.message "ok"
      #8 span.model_request_end #4 answered
      #5 user.message (17825792 characters)
      #6 user.message (15728640 characters)
      #11 span.model_request_start
      = running, ask #11
    > message "x"
      #12 note queued "x"
      = running, ask #11, 1 queued
    "#);
}

#[test]
fn the_runaway_guard_ends_a_turn_and_a_message_goes_on() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        repeat 199 answer tool nope
        answer tool nope
        message "again"
        answer text "ok"
        "#
    ), @r#"
    > message "go"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "go"
      #4 span.model_request_start
      = running, ask #4
    > 199 times answer tool nope
    > answer tool nope
      #801 agent.tool_use nope {} denied
      #802 span.model_request_end #800 answered
      #803 agent.tool_result #801 "There is no tool named `nope`. Use one of the tools you were given." error
      #804 session.error tool_use_limit_reached_error, exhausted: "the turn was ended after 200 model requests; send a message to go on"
      #805 session.thread_status_idle primary retries_exhausted
      #806 session.usage 2000 in, 1000 out, 200.0 s
      #807 session.status_idle retries_exhausted
      = idle, retries_exhausted
    > message "again"
      #808 session.status_running
      #809 session.thread_status_running primary
      #810 user.message "again"
      #811 span.model_request_start
      = running, ask #811
    > answer text "ok"
      #812 agent.message "ok"
      #813 span.model_request_end #811 answered
      #814 session.thread_status_idle primary end_turn
      #815 session.usage 2010 in, 1005 out, 201.0 s
      #816 session.status_idle end_turn
      = idle, end_turn
    "#);
}

#[test]
fn the_runaway_guard_does_not_strand_a_message() {
    insta::assert_snapshot!(play(
        r#"
        message "go"
        repeat 199 answer tool nope
        fail overloaded
        message "wait"
        woke
        answer text "ok"
        "#
    ), @r#"
    > message "go"
      #1 session.status_running
      #2 session.thread_status_running primary
      #3 user.message "go"
      #4 span.model_request_start
      = running, ask #4
    > 199 times answer tool nope
    > fail overloaded
      #801 span.model_request_end #800 failed error
      #802 session.error model_overloaded_error, retrying: "it failed"
      note retry at 201.494 s
      #804 session.thread_status_rescheduled primary
      #805 session.status_rescheduled
      = rescheduling, wake at 201.494 s
    > message "wait"
      #806 note queued "wait"
      = rescheduling, wake at 201.494 s, 1 queued
    > woke
      #807 session.status_running
      #808 session.thread_status_running primary
      #809 session.error tool_use_limit_reached_error, exhausted: "the turn was ended after 200 model requests; send a message to go on"
      #806 user.message "wait"
      #811 span.model_request_start
      = running, ask #811
    > answer text "ok"
      #812 agent.message "ok"
      #813 span.model_request_end #811 answered
      #814 session.thread_status_idle primary end_turn
      #815 session.usage 2001 in, 1000 out, 201.0 s
      #816 session.status_idle end_turn
      = idle, end_turn
    "#);
}
